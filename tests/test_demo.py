"""The demo's page, in a real browser."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from compressgan import Codec
from compressgan.coding.bitstream import Bitstream
from conftest import ROOT, assert_one_error_line, make_photo, run_cli

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

gradio = pytest.importorskip("gradio")
MILLISECONDS = 30_000


@pytest.fixture(scope="module")
def codec(checkpoint: Path) -> Codec:
    return Codec.load(checkpoint)


@pytest.fixture(scope="module")
def address(codec: Codec) -> Iterator[str]:
    from compressgan.demo import build_page

    page = build_page(codec)
    _, address, _ = page.launch(quiet=True, prevent_thread_lock=True, ssr_mode=False)
    yield address
    page.close()


@pytest.fixture
def page(address: str, browser: Browser) -> Iterator[Page]:
    """Opens the page, which must ask no other machine for anything and make no error."""
    errors, requests = [], []
    page = browser.new_page(viewport={"width": 1100, "height": 1400}, accept_downloads=True)
    page.set_default_timeout(MILLISECONDS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    yield page
    assert errors == []
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []


def drop(page: Page, path: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(path)


def pictures(page: Page) -> list[np.ndarray]:
    """The pictures before and after, as the browser got them."""
    page.wait_for_function("document.querySelectorAll('#pair img').length == 2")
    sources = [image.get_attribute("src") for image in page.locator("#pair img").all()]
    return [np.asarray(Image.open(io.BytesIO(page.request.get(source).body())).convert("RGB")) for source in sources]


def figures(page: Page, words: str) -> str:
    page.locator("#figures", has_text=words).wait_for()
    return page.locator("#figures").inner_text()


def downloaded(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator(f"#{button}").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_photo_there_and_back(page: Page, codec: Codec, tmp_path: Path) -> None:
    photo = make_photo(70, 90)
    Image.fromarray(photo).save(tmp_path / "beach.png")
    drop(page, tmp_path / "beach.png")
    data = codec.compress(photo)
    assert f"{len(data):,} bytes" in figures(page, "level 5")
    before, after = pictures(page)
    np.testing.assert_array_equal(before, photo)
    np.testing.assert_array_equal(after, codec.decompress(data))
    page.get_by_text("JPEG, ").first.wait_for()
    page.get_by_text("WebP, ").first.wait_for()

    level = page.locator("#level input[type=range]")
    level.focus()
    for _ in range(3):
        level.press("ArrowLeft")
    level.dispatch_event("pointerup")
    data = codec.compress(photo, 2)
    assert f"{len(data):,} bytes" in figures(page, "level 2")
    binary = downloaded(page, "binary", tmp_path)
    assert (binary.name, binary.read_bytes()) == ("beach.bin", data)
    picture = downloaded(page, "picture", tmp_path)
    np.testing.assert_array_equal(np.asarray(Image.open(picture)), codec.decompress(data))

    page.reload()
    drop(page, binary)
    assert "PSNR" not in figures(page, "level 2")
    np.testing.assert_array_equal(pictures(page)[1], codec.decompress(data))


def test_realism_paints_anew(page: Page, codec: Codec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    decompress = Codec.decompress
    monkeypatch.setattr(
        Codec, "decompress", lambda self, data, r: seen.append((len(data), r)) or decompress(self, data, r)
    )
    data = codec.compress(make_photo(40, 50))
    (tmp_path / "a.cgn").write_bytes(data)
    drop(page, tmp_path / "a.cgn")
    figures(page, "level 5")
    slider = page.locator("#realism input[type=range]")
    slider.focus()
    slider.press("Home")
    slider.dispatch_event("pointerup")
    for _ in range(100):
        if len(seen) > 1:
            break
        page.wait_for_timeout(100)
    assert seen == [(len(data), 1), (len(data), 0)]


def test_what_is_no_photo_is_named_in_one_line(page: Page, codec: Codec, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no photo")
    drop(page, tmp_path / "text.png")
    page.get_by_text("text.png: not an image").wait_for()
    (tmp_path / "cut.bin").write_bytes(codec.compress(make_photo(40, 50))[:-2])
    page.reload()
    drop(page, tmp_path / "cut.bin")
    page.get_by_text("the checksum is wrong").wait_for()
    data = Bitstream(9000, 9000, 4, 5, b"1234", "order0", b"").to_bytes()
    (tmp_path / "large.bin").write_bytes(data)
    page.reload()
    drop(page, tmp_path / "large.bin")
    page.get_by_text("81,000,000 pixels are too many").wait_for()


@pytest.mark.usefixtures("usual_signals")
def test_the_command(checkpoint: Path, address: str) -> None:
    command = [sys.executable, str(ROOT / "src" / "demo.py"), "-r", str(checkpoint), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("the demo runs at http://127.0.0.1:")
            with urllib.request.urlopen(line.split()[4].rstrip(";"), timeout=10) as response:
                assert b"CompressGAN" in response.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
    taken = address.rstrip("/").rpartition(":")[2]
    result = run_cli("demo.py", "-r", checkpoint, "--no-browser", "--port", taken)
    assert_one_error_line(result, "127.0.0.1", taken)
