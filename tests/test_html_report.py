"""The report page, in a real browser if one is available."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from compressgan.evaluation.html_report import REPORT, HtmlReport
from compressgan.evaluation.metrics import Figures
from conftest import make_photo

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def figures(file: str, size: int, ms_ssim: float) -> Figures:
    return Figures(file, 120, 90, 9000.0, size, 9000 / size, 8 * size / 120 / 90, 0.15, 22.5, ms_ssim, 12.5)


@pytest.fixture
def page(tmp_path: Path, browser: Browser) -> Iterator[Page]:
    """Opens a report of three photos. At the end, the page must have fetched nothing and logged no message."""
    report = HtmlReport(tmp_path)
    photos = [("b <&> 'c'.png", 900, 0.5), ("photo10.png", 80, float("nan")), ("photo9.png", 700, 0.25)]
    for i, (file, size, ms_ssim) in reversed(list(enumerate(photos))):  # the page's order is another one
        photo = make_photo(90, 120, i)
        report.add(figures(file, size, ms_ssim), photo, 255 - photo)
    report.write(tmp_path / REPORT, [file for file, _, _ in photos])
    messages, requests = [], []
    page = browser.new_page(viewport={"width": 900, "height": 700})
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((tmp_path / REPORT).as_uri())
    yield page
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [(tmp_path / REPORT).as_uri()]


def column(page: Page, number: int) -> list[str]:
    return [row.locator("td").nth(number).inner_text() for row in page.locator("tbody tr").all()]


def test_the_table_sorts_and_the_slider_moves(page: Page) -> None:
    assert column(page, 0) == ["b <&> 'c'.png", "photo10.png", "photo9.png"]
    for heading, number, rising in (
        ("bytes", 3, ["80", "700", "900"]),
        ("file", 0, ["b <&> 'c'.png", "photo9.png", "photo10.png"]),
    ):
        button = page.locator(f'th button:text-is("{heading}")')
        button.click()
        assert column(page, number) == rising
        button.click()
        assert column(page, number) == rising[::-1]
    # Unknown values come last in both directions.
    for expected in (["0.2500", "0.5000", ""], ["0.5000", "0.2500", ""]):
        page.locator('th button:text-is("MS-SSIM")').click()
        assert column(page, 7) == expected

    stage = page.locator(".stage").first
    box = stage.bounding_box()
    assert (box["width"], box["height"]) == (120, 90)
    assert stage.locator(".size").inner_text() == "900 bytes"
    images = page.locator("img")
    assert all(image.evaluate("image => image.complete && image.naturalWidth === 120") for image in images.all())
    after = stage.locator(".after")
    for share in (0.2, 0.9):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        clip = after.evaluate("element => getComputedStyle(element).clipPath")
        assert float(clip.split()[-1].rstrip("%)")) == pytest.approx(100 * share, abs=12)

    page.get_by_label("zoom").first.select_option("4")
    assert stage.bounding_box()["width"] == 480
    page.get_by_label("zoom").first.select_option("fit")
    assert stage.bounding_box()["width"] > 480
