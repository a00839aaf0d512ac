"""The page that compresses and reconstructs in a browser: the same files and pictures as Python's."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import threading
import zlib
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from compressgan import Codec
from compressgan.cli.browser_model import write_prior
from compressgan.coding import arithmetic_coder
from compressgan.coding.bitstream import Bitstream
from compressgan.coding.context_model import Prior
from compressgan.config import Config
from compressgan.images.reading import read_photo
from conftest import ROOT, make_photo, run_cli
from test_arithmetic_coder import random_prior

HERE, DECODER = ROOT / "tests", ROOT / "docs" / "decoder"
FINGERPRINT = bytes.fromhex("c0ffee00")


def decoded(folder: Path, files: list[Path]) -> list[dict]:
    """Returns what the page's code makes of the files, with the model in a folder."""
    node = shutil.which("node")
    if not node:
        if os.environ.get("CI"):
            pytest.fail("CI needs Node.js")
        pytest.skip("no Node.js on this machine")
    call = [node, HERE / "decode.mjs", folder, *files]
    result = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def written(folder: Path, priors: list[Prior], fingerprint: bytes = FINGERPRINT) -> Path:
    """Writes what the page needs to decode symbols."""
    channels, _, centers = priors[0].output.shape
    config = Config(latent_channels=channels, centers=centers, levels=len(priors), default_level=1)
    folder.mkdir(parents=True, exist_ok=True)
    write_prior(folder, config, fingerprint, np.arange(centers, dtype=np.float32), priors)
    return folder


def test_golden_files_decode_to_the_same_symbols(tmp_path: Path) -> None:
    priors = dict(np.load(HERE / "golden" / "priors.npz"))
    levels = [
        Prior(priors["window"], b, priors["output"], o)
        for b, o in zip(priors["hidden_bias"], priors["output_bias"], strict=True)
    ]
    for names, known in (
        (["golden.bin"], [Prior(**np.load(HERE / "golden" / "prior.npz"))]),
        ([f"level{i}.bin" for i in range(1, 9)], levels),
    ):
        files = [HERE / "golden" / name for name in names]
        streams = [Bitstream.from_bytes(file.read_bytes()) for file in files]
        found = decoded(written(tmp_path / names[0], known, streams[0].fingerprint), files)
        for file, stream, prior, result in zip(files, streams, known, found, strict=True):
            shape = (-(-stream.height // 16), -(-stream.width // 16), stream.channels)
            expected = arithmetic_coder.decode(stream.payload, shape, prior.output.shape[2], prior, stream.coder)
            assert result["shape"] == list(shape)
            np.testing.assert_array_equal(result["symbols"], expected.reshape(-1))
            assert result["bytes"] == file.read_bytes().hex()


def random_file(rng: np.random.Generator, priors: list[Prior]) -> tuple[bytes, bytes, np.ndarray]:
    """Returns a random `.bin` file by a random coder, the same by the default one, and their symbols."""
    channels, _, centers = priors[0].output.shape
    rows, columns = rng.integers(1, 9, 2)
    spread = rng.choice([0.0, 0.3, 1.0, 100.0])
    symbols = rng.normal(centers / 2, spread, (rows, columns, channels))
    symbols = np.clip(np.rint(symbols), 0, centers - 1).astype(np.int32)
    level = int(rng.integers(1, len(priors) + 1))
    height, width = (int(16 * side - rng.integers(0, 16)) for side in (rows, columns))

    def file(coder: str) -> bytes:
        coded = arithmetic_coder.encode(symbols, centers, priors[level - 1], coder)
        return Bitstream(height, width, channels, level, FINGERPRINT, *coded).to_bytes()

    return file(str(rng.choice(arithmetic_coder.CODERS))), file("context"), symbols


@pytest.mark.parametrize(("channels", "centers", "hidden"), [(1, 2, 1), (5, 9, 3), (32, 5, 16), (64, 32, 2)])
def test_random_files_decode_to_the_same_symbols(channels: int, centers: int, hidden: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(channels)
    largest = (0, 80, 2000)[channels % 3]
    first, *others = (random_prior(channels, centers, hidden, seed, largest) for seed in range(3))
    priors = [
        first,
        *(first._replace(hidden_bias=prior.hidden_bias, output_bias=prior.output_bias) for prior in others),
    ]
    folder = written(tmp_path, priors)
    made = [random_file(rng, priors) for _ in range(50)]
    files = [folder / f"{i}.bin" for i in range(len(made))]
    for file, (data, _, _) in zip(files, made, strict=True):
        file.write_bytes(data)
    for (_, data, symbols), result in zip(made, decoded(folder, files), strict=True):
        np.testing.assert_array_equal(result["symbols"], symbols.reshape(-1))
        assert result["bytes"] == data.hex()


def test_hostile_files_get_one_line(tmp_path: Path) -> None:
    priors = [random_prior(4, 5)]
    folder = written(tmp_path, priors)
    symbols = np.random.default_rng(0).integers(0, 5, (4, 5, 4), dtype=np.int32)
    coder, payload = arithmetic_coder.encode(symbols, 5, priors[0])
    stream = Bitstream(64, 80, 4, 1, FINGERPRINT, coder, payload)
    good = stream.to_bytes()

    def sealed(body: bytes) -> bytes:
        return body + zlib.crc32(body).to_bytes(4, "little")

    hostile = {
        b"": "not a CompressGAN .bin file",
        b"GIF89a" + bytes(40): "not a CompressGAN .bin file",
        good[:12]: "truncated: shorter than a header",
        good[:-1]: "truncated or altered: the checksum is wrong",
        good[:-6] + bytes([good[-6] ^ 1]) + good[-5:]: "truncated or altered: the checksum is wrong",
        sealed(good[:3] + b"\x01" + good[4:-4]): "written in format 1.0, which this page cannot read",
        sealed(good[:4] + b"\x07" + good[5:-4]): "altered: the number of latent channels differs from the model's",
        sealed(good[:5] + b"\x09" + good[6:-4]): "altered: level 9, but the model has 1",
        sealed(good[:5] + b"\x00" + good[6:-4]): "altered: level 0, but the model has 1",
        sealed(good[:10] + b"\x00" + good[11:-4]): "altered: the header is invalid",
        sealed(good[:10] + b"\xff\xff\xff" + good[11:-4]): "altered: the header is invalid",
        Bitstream(64, 80, 4, 1, b"\1\2\3\4", coder, payload).to_bytes(): "made by another model (fingerprint 01020304",
    }
    files = [folder / f"{i}.bin" for i in range(len(hostile))]
    for file, data in zip(files, hostile, strict=True):
        file.write_bytes(data)
    for line, result in zip(hostile.values(), decoded(folder, files), strict=True):
        assert line in result["error"]
        assert "\n" not in result["error"]

    rng = np.random.default_rng(1)
    files = [folder / f"random{i}.bin" for i in range(100)]
    for file in files:
        file.write_bytes(Bitstream(64, 80, 4, 1, FINGERPRINT, coder, rng.bytes(rng.integers(0, 60))).to_bytes())
    for result in decoded(folder, files):
        assert "symbols" in result or result["error"] == "Error: altered: the payload is not valid"


@pytest.fixture
def page(browser: Browser, checkpoint: Path, tmp_path: Path) -> Iterator[Page]:
    """The page, served from a folder with the model of `checkpoint`."""
    if not (DECODER / "node_modules").is_dir():
        if os.environ.get("CI"):
            pytest.fail("CI needs `npm ci --prefix docs/decoder`")
        pytest.skip("no LiteRT.js: npm ci --prefix docs/decoder")
    site = tmp_path / "site"
    site.mkdir()
    for file in DECODER.iterdir():
        if file.name != "model":
            (site / file.name).symlink_to(file)
    result = run_cli("export.py", "-r", checkpoint, "--browser", site / "model")
    assert result.returncode == 0, result.stderr
    handler = functools.partial(SimpleHTTPRequestHandler, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        try:
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            yield page
        finally:
            page.close()
            server.shutdown()


def saved(page: Page, what: str) -> Path:
    """Waits until a photo has been painted, and saves what the page offers."""
    expect(page.locator("#status")).to_contain_text("painted in", timeout=60_000)
    with page.expect_download() as download:
        page.get_by_text(what).click()
    return download.value.path()


def assert_painted(page: Page, expected: np.ndarray) -> None:
    found = read_photo(saved(page, "Save the picture"))
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_the_page_shows_what_python_shows(page: Page, checkpoint: Path, tmp_path: Path) -> None:
    codec = Codec.load(checkpoint)
    tall, small = tmp_path / "tall.bin", tmp_path / "small.cgn"
    for file, size, level in ((tall, (2000, 75), 8), (small, (50, 130), 2)):
        file.write_bytes(codec.compress(make_photo(*size), level))
        page.locator("#input").set_input_files(file)
        expect(page.locator("#status")).to_contain_text(f"{file.name}: {size[1]} x {size[0]}")
        expect(page.locator("#status")).to_contain_text(f"level {level}")
        assert_painted(page, codec.decompress(file.read_bytes()))
    page.locator("#realism").fill("0.25")
    expect(page.locator("#status")).to_contain_text("realism 0.25")
    assert_painted(page, codec.decompress(small.read_bytes(), 0.25))

    good, huge = small.read_bytes(), Bitstream(2**14, 2**14, 4, 1, codec.fingerprint, "context", b"").to_bytes()
    for data, line in (
        (b"CGM" + bytes(40), "neither a CompressGAN .bin file nor a picture that this browser can read"),
        (good[:-1], "truncated or altered: the checksum is wrong"),
        (huge, "16384 x 16384 pixels are too many for this page"),
    ):
        small.write_bytes(data)
        page.locator("#input").set_input_files(small)
        expect(page.get_by_role("alert")).to_have_text(f"small.cgn: {line}")
        expect(page.locator("#photo")).to_be_hidden()
    slow = Bitstream(2**13, 2**13, 4, 1, codec.fingerprint, "order0", b"")
    tall.write_bytes(slow.to_bytes())
    page.locator("#input").set_input_files(tall)
    expect(page.locator("#status")).to_contain_text("reading tall.bin")
    small.write_bytes(codec.compress(make_photo(40, 40)))
    page.locator("#input").set_input_files(small)
    expect(page.locator("#status")).to_contain_text("40 x 40")
    assert_painted(page, codec.decompress(small.read_bytes(), 0.25))
    for _ in range(100):  # a terminated worker is reported a little later
        if not page.workers:
            break
        page.wait_for_timeout(100)
    assert not page.workers  # the slow file's is gone


def test_the_page_makes_the_files_that_python_makes(page: Page, checkpoint: Path, tmp_path: Path) -> None:
    codec = Codec.load(checkpoint, effort=0)
    photo = tmp_path / "photo.png"
    for height, width in ((75, 2000), (17, 1)):
        pixels = make_photo(height, width)
        Image.fromarray(pixels).save(photo)
        page.locator("#input").set_input_files(photo)
        expect(page.locator("#status")).to_contain_text(f"photo.png: {width} x {height}")
        data = saved(page, "Save the .bin file").read_bytes()
        (found, *size), expected = codec.from_bytes(data), codec.symbols(pixels)
        assert size == [height, width, codec.default_level]
        assert np.mean(found != expected) <= 1e-3  # rounding
        assert_painted(page, codec.decompress(data))
    page.locator("#level").fill("7")
    page.locator("#realism").fill("0.5")  # while it is being compressed anew
    expect(page.locator("#status")).to_contain_text("level 7, realism 0.5, painted")
    assert codec.from_bytes(saved(page, "Save the .bin file").read_bytes())[3] == 7

    page.evaluate(
        """() => {
          const read = createImageBitmap, pause = () => new Promise((done) => setTimeout(done, 500));
          window.createImageBitmap = (blob) => pause().then(() => read(blob));
        }"""
    )
    page.locator("#input").set_input_files(photo)
    page.locator("#level").fill("3")  # while it is being read
    expect(page.locator("#status")).to_contain_text("level 3, realism 0.5, painted")
    assert codec.from_bytes(saved(page, "Save the .bin file").read_bytes())[3] == 3
