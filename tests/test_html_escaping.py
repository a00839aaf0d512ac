"""The report page shows file names as text, whatever they hold. No browser needed."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from compressgan.evaluation.html_report import REPORT, HtmlReport
from compressgan.evaluation.metrics import Figures
from conftest import make_photo

NAMES = [
    "<img src=x onerror=alert(1)>.png",
    "</title><script>alert(2)</script>.png",
    '" onload="alert(3)" \'.png',
    "&lt;b&gt; ${title}.png",
]


class Page(HTMLParser):
    """Collects the text, the tags and the attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(names: list[str], folder: Path) -> Page:
    report = HtmlReport(folder)
    for name in names:
        picture = make_photo(8, 8)
        report.add(Figures(name, 8, 8, 9000.0, 90, 100.0, 0.1, 0.15, 22.5, 0.9, 12.5), picture, picture)
    report.write(folder / REPORT, names)
    return Page((folder / REPORT).read_text(encoding="utf-8"))


@pytest.mark.parametrize("names", [NAMES, *([name] for name in NAMES)], ids=["all", "image", "title", "quote", "text"])
def test_names_are_text(names: list[str], tmp_path: Path) -> None:
    harmless = page_of([f"{i}.png" for i in range(len(names))], tmp_path)
    page = page_of(names, tmp_path)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    assert [set(attributes) for _, attributes in page.tags] == [set(attributes) for _, attributes in harmless.tags]
    for i, name in enumerate(names):
        assert page.texts.count(name) == harmless.texts.count(f"{i}.png")
        assert f"original of {name}" in [attributes.get("alt") for _, attributes in page.tags]
