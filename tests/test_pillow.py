"""Pillow opens and saves the program's files."""

from __future__ import annotations

import copy
import io
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from compressgan import Codec
from compressgan.pillow import EXTENSION, FORMAT, register_opener
from conftest import make_photo

PHOTO = make_photo(40, 50)


@pytest.fixture(scope="module", autouse=True)
def registered(checkpoint: Path) -> Iterator[None]:
    Image.init()
    register_opener(checkpoint)
    yield
    for registry in (Image.OPEN, Image.SAVE, Image.MIME):
        registry.pop(FORMAT)
    Image.ID.remove(FORMAT)
    Image.EXTENSION.pop(EXTENSION)


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Codec:
    return Codec.load(checkpoint)


def test_a_round_trip(model: Codec, tmp_path: Path) -> None:
    photo = make_photo(70, 90)
    path = tmp_path / "photo.cgn"
    Image.fromarray(photo).save(path, quality_level=3)
    assert path.read_bytes() == model.compress(photo, 3)
    with Image.open(path) as image:
        assert (image.format, image.size, image.mode) == (FORMAT, (90, 70), "RGB")
        assert image.info["level"] == 3
        assert image.info["fingerprint"] == model.fingerprint.hex()
        np.testing.assert_array_equal(np.asarray(image), model.decompress(path.read_bytes()))
    Image.fromarray(photo).save(path, size=50)
    assert path.read_bytes() == model.compress(photo, size=50)
    Image.fromarray(photo).save(path, bpp=0.2)
    assert path.read_bytes() == model.compress(photo, bpp=0.2)
    stream = io.BytesIO()
    Image.fromarray(photo).convert("L").save(stream, FORMAT)
    # Any extension, any file object, which stays open; Pillow's own operations work on it.
    (tmp_path / "photo.bin").write_bytes(stream.getvalue())
    small = Image.open(tmp_path / "photo.bin").resize((9, 7))
    assert small.size == (9, 7)
    with Image.open(stream) as image:
        image.load()
    assert not stream.closed


def test_the_header_is_enough_for_the_size(model: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    data = model.compress(PHOTO)
    monkeypatch.setattr(Codec, "decompress", lambda *arguments: pytest.fail("painted"))
    image = Image.open(io.BytesIO(data[:16]))
    assert image.size == (50, 40)


def test_realism(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def decompress(self: Codec, data: bytes, realism: float | None) -> np.ndarray:
        seen.append(realism)
        return PHOTO

    data = Codec.load(checkpoint).compress(PHOTO)
    monkeypatch.setattr(Codec, "decompress", decompress)
    Image.open(io.BytesIO(data)).load()
    image = Image.open(io.BytesIO(data))
    image.realism = 0.25
    image.load()
    image.load()  # painted once
    register_opener(checkpoint, realism=0.5)
    Image.open(io.BytesIO(data)).load()
    register_opener(checkpoint)
    assert seen == [None, 0.25, 0.5]
    with pytest.raises(ValueError, match="realism must be in"):
        register_opener(checkpoint, realism=2)


def test_files_that_cannot_be_opened(model: Codec, tmp_path: Path) -> None:
    data = model.compress(PHOTO)
    for damaged in (data[:-1], data[:30] + b"?" + data[31:]):
        image = Image.open(io.BytesIO(damaged))
        with pytest.raises(OSError, match="checksum"):
            image.load()
    for other in (b"CGN", data[:15], data[:3] + b"\x01" + data[4:]):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(other))
    body = data[:6] + bytes(4) + data[10:-4]
    image = Image.open(io.BytesIO(body + zlib.crc32(body).to_bytes(4, "little")))
    with pytest.raises(OSError, match="made by another model"):
        image.load()
    path = tmp_path / "photo.cgn"
    with pytest.raises(ValueError, match="level must be in"):
        Image.fromarray(PHOTO).save(path, quality_level=9)
    assert not path.exists()


def test_copies_verifying_and_files_that_come_out_larger(
    model: Codec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = model.compress(PHOTO)
    image = Image.open(io.BytesIO(data))
    for twin in (pickle.loads(pickle.dumps(image)), copy.deepcopy(Image.open(io.BytesIO(data)))):
        np.testing.assert_array_equal(np.asarray(twin), model.decompress(data))
    Image.open(io.BytesIO(data)).verify()
    with pytest.raises(OSError, match="checksum"):
        Image.open(io.BytesIO(data[:-1] + b"?")).verify()
    Image.fromarray(PHOTO).save(tmp_path / "a.cgn", bpp=10)
    assert caplog.text == ""
    Image.fromarray(PHOTO).save(tmp_path / "a.cgn", size=19)
    assert "a.cgn: even the smallest file has" in caplog.text


def test_claims_of_a_huge_photo_meet_pillows_limit(model: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    data = model.compress(PHOTO)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))


@settings(max_examples=60)
@given(st.data())
def test_altered_files_raise_what_pillow_raises(model: Codec, data: st.DataObject) -> None:
    original = model.compress(PHOTO)
    position = data.draw(st.integers(0, len(original) - 1))
    altered = bytearray(original)
    altered[position] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):  # a forged checksum
        altered[-4:] = zlib.crc32(bytes(altered[:-4])).to_bytes(4, "little")
    cut = bytes(altered[: data.draw(st.integers(0, len(altered)))])
    try:
        image = Image.open(io.BytesIO(cut))
        if image.width * image.height < 2**16:
            image.load()
            assert np.asarray(image).shape == (image.height, image.width, 3)
    except (OSError, Image.DecompressionBombError):
        pass  # UnidentifiedImageError is an OSError
