"""TIFF files that Pillow alone reads wrongly, or not at all: each is read right, noted, or refused in one line."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, TiffImagePlugin

from compressgan.errors import CompressGANError
from compressgan.images.reading import as_photo
from conftest import run_cli
from odd_photos import GREY, PHOTO, assert_reads, assert_refused, read


def short_tiff(values: bytes, width: int, bits: int) -> bytes:
    """Returns an uncompressed grey TIFF file of packed rows."""
    height = len(values) // (width * bits // 8)
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(values)}
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return b"II*\0" + struct.pack("<I", 8 + len(values)) + values + directory + bytes(4)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
@pytest.mark.parametrize(("orientation", "turns"), [(6, -1), (8, 1)])
def test_turned_uncompressed_tiff(tmp_path: Path, mode: str, orientation: int, turns: int) -> None:
    image = Image.fromarray(PHOTO).convert(mode)
    image.save(tmp_path / "turned.tif", tiffinfo={274: orientation})
    assert_reads(tmp_path / "turned.tif", np.rot90(np.asarray(image.convert("RGB")), turns))


def test_tiff_of_many_bits(tmp_path: Path) -> None:
    deep = PHOTO.astype(np.uint16) * 257
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, np.moveaxis(deep, -1, 0), photometric="rgb", planarconfig="separate")
    assert_reads(path, PHOTO)
    for order in "<>":
        tifffile.imwrite(path, 65535 - deep[..., 0], photometric="miniswhite", byteorder=order)
        assert_reads(path, GREY)
    twelve = np.rint(GREY * (4095 / 255)).astype(np.int64).reshape(-1, 2)
    packed = np.stack([twelve[:, 0] >> 4, (twelve[:, 0] & 15) << 4 | twelve[:, 1] >> 8, twelve[:, 1] & 255], axis=-1)
    path.write_bytes(short_tiff(packed.astype(np.uint8).tobytes(), 64, 12))
    assert_reads(path, GREY)
    path.write_bytes(short_tiff(packed.astype(np.uint8).tobytes()[: 48 * 60], 48, 10))
    assert_refused(path, "not supported: a TIFF image with this compression and bit depth")


def test_tiff_of_floats_and_long_integers(tmp_path: Path) -> None:
    path = tmp_path / "values.tif"
    linear = (GREY / 255).astype(np.float32)
    bright = linear.copy()
    bright[:12] = 5.0
    tifffile.imwrite(path, bright)
    assert_reads(path, np.clip(np.rint(bright * 255), 0, 255))
    tifffile.imwrite(path, GREY.astype(np.float32))
    assert_reads(path, GREY)
    tifffile.imwrite(path, np.repeat(linear[..., np.newaxis], 3, axis=-1), photometric="rgb")
    assert_reads(path, GREY)
    for kind in (np.int32, np.uint32):
        tifffile.imwrite(path, GREY.astype(kind))
        assert_reads(path, GREY, "read as 8 or 16 bits")
        tifffile.imwrite(path, GREY.astype(kind) * 257)
        assert_reads(path, GREY, "read as 8 or 16 bits")
        tifffile.imwrite(path, GREY.astype(kind) * 8_000_000)
        assert_refused(path, "not supported: 32-bit integers")


def test_tiff_with_associated_alpha(tmp_path: Path) -> None:
    alpha = np.full_like(GREY, 255)
    alpha[:, :20] = 128
    stored = np.stack([np.rint(GREY * (alpha / 255.0)), alpha], axis=-1).astype(np.uint8)
    tifffile.imwrite(tmp_path / "la.tif", stored, photometric="minisblack", extrasamples=["assocalpha"])
    expected = np.rint(GREY * (alpha / 255.0) + (255 - alpha))
    assert_reads(tmp_path / "la.tif", expected, "transparency is shown on white", tolerance=2)


def test_grey_with_alpha_that_pillow_reads(tmp_path: Path) -> None:
    alpha = np.full_like(GREY, 255)
    Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)]).save(tmp_path / "la.tif", compression="tiff_lzw")
    assert_reads(tmp_path / "la.tif", GREY)


def test_huge_tiff_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    data = short_tiff(bytes(48 * 60), 48, 10).replace(
        struct.pack("<HHII", 256, 4, 1, 48), struct.pack("<HHII", 256, 4, 1, 10**8)
    )
    (tmp_path / "huge.tif").write_bytes(data)
    assert_refused(tmp_path / "huge.tif", "more than 2.28 pixels")


def test_pillow_images_that_pillow_reads_wrongly_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "negative.tif"
    tifffile.imwrite(path, 65535 - GREY.astype(np.uint16) * 257, photometric="miniswhite")
    with pytest.raises(CompressGANError, match="pass the file's path instead"):
        as_photo(Image.open(path))
    assert np.abs(as_photo(path)[..., 0].astype(int) - GREY).max() <= 1


def test_pages_of_tiff(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(PHOTO[::4, ::4], photometric="rgb", subfiletype=1)
        writer.write(PHOTO, photometric="rgb")
    assert_reads(path, PHOTO, "only the first")
    with tifffile.TiffWriter(path) as writer:
        for pixels in (PHOTO, PHOTO[::-1], PHOTO[:, ::-1]):
            writer.write(pixels, photometric="rgb")
    data = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        offsets = [page.offset for page in tiff.pages]
    for at in offsets[1:]:  # damage in a later page
        path.write_bytes(data[:at] + b"\xff" * 40 + data[at + 40 :])
        assert_reads(path, PHOTO, "only the first")
    for seed in range(30):
        at = offsets[2] + int(np.random.default_rng(seed).integers(0, 120))
        path.write_bytes(data[:at] + bytes([seed * 8]) + data[at + 1 :])
        assert_reads(path, PHOTO, "only the first")


def test_dng(tmp_path: Path) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[50706] = 1
    tags[50706] = b"\1\4\0\0"
    Image.fromarray(PHOTO).save(tmp_path / "photo.dng", "TIFF", tiffinfo=tags)
    assert_refused(tmp_path / "photo.dng", "not supported: a camera raw file")


def test_libtiffs_messages_name_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fax.tif"
    Image.fromarray(GREY > 127).save(path, compression="group4")
    data = bytearray(path.read_bytes())
    with Image.open(path) as image:
        start = image.tag_v2[273][0]
    data[start + 20 : start + 24] = b"\0\0\0\0"
    path.write_bytes(data)
    try:
        _, notes = read(path)
        assert [text for text in notes if "its decoder reports: " in text]
    except CompressGANError as error:
        assert str(path) in str(error)
    assert capfd.readouterr().err == ""


def test_what_pillow_logs_is_not_shown(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "samples.tif"
    Image.fromarray(PHOTO).save(path)
    samples = struct.pack("<HHI", 277, 3, 1)  # tag, type and count of SamplesPerPixel
    data = path.read_bytes()
    assert data.count(samples + b"\3\0") == 1
    path.write_bytes(data.replace(samples + b"\3\0", samples + b"\xff\x7f"))
    result = run_cli("inference.py", "-r", checkpoint, "-path", path, "-o", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {path}: damaged image") and result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize("more", [1000, -4], ids=["too much", "cut"])
def test_damage_that_libtiff_does_not_report(tmp_path: Path, more: int) -> None:
    path = tmp_path / "photo.tif"
    data = bytearray(zlib.compress(PHOTO.tobytes() + bytes(max(more, 0)), 0))  # level 0: a wrong byte is a wrong pixel
    damaged = data.copy()
    damaged[len(data) // 2] ^= 128
    for stored, wrong in ((data, 0), (damaged[: min(more, 0) or None], 1)):
        segments = iter([bytes(stored)])
        tifffile.imwrite(path, segments, shape=PHOTO.shape, dtype=np.uint8, photometric="rgb", compression="deflate")
        found, notes = read(path)
        assert np.sum(found != PHOTO) == wrong
        assert notes == ["the checksum of its data is wrong"] * wrong
