"""Image files that Pillow alone reads wrongly, or not at all: each is read right, noted, or refused in one line.

Those that are TIFF are in `test_odd_tiffs.py`.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms

from compressgan.errors import CompressGANError
from compressgan.images.reading import has_heic, is_photo, read_photo
from conftest import make_photo
from odd_photos import GREY, PHOTO, assert_reads, assert_refused, read


def png(bits: int, colour_type: int, width: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Returns a PNG file of packed rows, each with its filter byte."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height = len(rows) // (1 + -(-width * bits * (3 if colour_type == 2 else 1) // 8))
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = b"".join(chunk(*pair) for pair in chunks)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def rgb_png(*chunks: tuple[bytes, bytes]) -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in PHOTO)
    return png(8, 2, PHOTO.shape[1], rows, *chunks)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_with_lost_data(mode: str, progressive: bool, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(make_photo(200, 300)).convert(mode).save(path, quality=90, progressive=progressive)
    data = path.read_bytes()
    assert read(path)[1] == []
    found = []
    for start in range(len(data) // 5, len(data) * 4 // 5, len(data) // 10):
        path.write_bytes(data[:start] + data[start + 512 :])
        found += read(path)[1]
    assert len(found) >= 4  # of 6 or 7; libjpeg does not miss a scan of a progressive file that is lost as a whole
    assert all(note.startswith("its decoder reports: Corrupt JPEG data") for note in found)


def packed_rows(values: np.ndarray, bits: int) -> bytes:
    """Packs grey values, (H, W), into rows of a PNG file."""
    planes = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(*values.shape, 2), axis=-1)[..., 16 - bits :]
    return b"".join(b"\0" + np.packbits(row.reshape(-1)).tobytes() for row in planes)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_transparent_grey_of_png(tmp_path: Path, bits: int) -> None:
    most = 2**bits - 1
    values = np.rint(GREY * (most / 255)).astype(np.int64)
    key = int(values[0, 0])
    path = tmp_path / "key.png"
    path.write_bytes(png(bits, 0, 64, packed_rows(values, bits), (b"tRNS", struct.pack(">H", key))))
    expected = np.where(values == key, 255, np.rint(values * (255 / most)))
    assert_reads(path, expected, "transparency is shown on white")
    exif = Image.Exif()
    exif[0x0112] = 6
    chunks = [(b"tRNS", struct.pack(">H", key)), (b"eXIf", exif.tobytes()[6:])]
    path.write_bytes(png(bits, 0, 64, packed_rows(values, bits), *chunks))
    assert_reads(path, np.rot90(expected, -1), "transparency is shown on white")


def test_transparent_colour_of_png(tmp_path: Path) -> None:
    path = tmp_path / "key.png"
    path.write_bytes(rgb_png((b"tRNS", struct.pack(">HHH", *PHOTO[0, 0]))))
    expected = np.where((PHOTO[0, 0] == PHOTO).all(axis=-1, keepdims=True), 255, PHOTO)
    assert_reads(path, expected, "transparency is shown on white")
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in PHOTO)
    path.write_bytes(png(16, 2, 64, rows, (b"tRNS", struct.pack(">HHH", 1, 2, 3))))
    assert_refused(path, "not supported: a transparent colour of 16 bits")


def test_damaged_png(tmp_path: Path) -> None:
    path = tmp_path / "damaged.png"
    data = rgb_png()
    at = data.index(b"IDAT") + 100
    path.write_bytes(data[:at] + bytes(1) + data[at + 1 :])
    assert_refused(path, "damaged image .the checksum of IDAT is wrong")
    path.write_bytes(png(8, 3, 4, b"\0\1\2\3\4" * 4))
    assert_refused(path, "damaged image .no palette")


@pytest.mark.parametrize(
    ("chunks", "note"),
    [
        ([(b"gAMA", struct.pack(">I", 100_000))], "its gamma of 1 is ignored"),
        ([(b"gAMA", struct.pack(">I", 45_455))], None),
        ([(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))], None),
        ([(b"cICP", bytes((12, 13, 0, 1)))], "primaries 12, transfer 13"),
        ([(b"cICP", bytes((9, 16, 0, 1)))], "primaries 9, transfer 16"),
        ([(b"cICP", bytes((1, 13, 0, 1)))], None),
        ([(b"iCCP", b"name\0\0nonsense")], "its colour profile is damaged and is ignored"),
        ([(b"zTXt", b"long\0\0" + zlib.compress(bytes(3 << 20)))], None),
        ([(b"iTXt", b"long\0\1\0\0\0" + zlib.compress(b"x" * (3 << 20)))], None),
        ([(b"tEXt", b"short\0text")] * 3, None),
    ],
)
def test_what_png_says(tmp_path: Path, chunks: list[tuple[bytes, bytes]], note: str | None) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(rgb_png(*chunks))
    assert_reads(path, PHOTO, *([note] if note else []))


def test_profiles(tmp_path: Path) -> None:
    """A profile in PNG and JPEG 2000 is used; that of another colour space is not, and is noted."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # Red and blue change places.
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    swapped = PHOTO[..., ::-1]
    path = tmp_path / "photo.png"
    path.write_bytes(rgb_png((b"iCCP", b"name\0\0" + zlib.compress(bytes(profile)))))
    assert_reads(path, swapped, tolerance=3)
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "JPEG2000")
    data = buffer.getvalue()
    header, colour = data.index(b"jp2h") - 4, data.index(b"colr") - 4
    (header_size,), (size,) = (struct.unpack(">I", data[at : at + 4]) for at in (header, colour))
    box = struct.pack(">I", 11 + len(profile)) + b"colr\2\0\0" + profile
    data = data[:colour] + box + data[colour + size :]
    data = data[:header] + struct.pack(">I", header_size + len(box) - size) + data[header + 4 :]
    path.write_bytes(data)
    assert_reads(path, swapped, tolerance=3)
    Image.fromarray(PHOTO).convert("CMYK").save(tmp_path / "cmyk.tif", icc_profile=bytes(profile))
    assert_reads(tmp_path / "cmyk.tif", PHOTO, "its colour profile cannot be used and is ignored")


def test_deep_jpeg_2000(tmp_path: Path) -> None:
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "deep.jp2")
    assert_refused(tmp_path / "deep.jp2", "not supported: a JPEG 2000 image with more than 8 bits per channel")
    Image.fromarray(GREY).save(tmp_path / "grey.jp2")
    assert_reads(tmp_path / "grey.jp2", GREY)


@pytest.mark.skipif(".avif" not in Image.registered_extensions(), reason="Pillow without AVIF")
def test_colours_of_avif(tmp_path: Path) -> None:
    path = tmp_path / "photo.avif"
    Image.fromarray(PHOTO).save(path, quality=100)
    assert read(path)[1] == []
    data = path.read_bytes()
    at = data.index(b"colrnclx") + 8
    path.write_bytes(data[:at] + struct.pack(">H", 12) + data[at + 2 :])
    assert "primaries 12" in read(path)[1][0]


def test_colours_of_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0xA005: {1: "R03"}}
    Image.fromarray(PHOTO).save(tmp_path / "adobe.jpg", exif=exif)
    assert "Adobe RGB" in read(tmp_path / "adobe.jpg")[1][0]
    buffer = io.BytesIO()
    ImageChops.invert(Image.fromarray(PHOTO).convert("CMYK")).save(buffer, "JPEG", quality=100)  # Pillow inverts, too
    data = buffer.getvalue()
    at = data.index(b"\xff\xee")
    assert data[at + 4 : at + 9] == b"Adobe"
    length = struct.unpack(">H", data[at + 2 : at + 4])[0]
    (tmp_path / "cmyk.jpg").write_bytes(data[:at] + data[at + 2 + length :])
    assert_reads(tmp_path / "cmyk.jpg", PHOTO, "taken as not inverted", tolerance=12)


def test_gif_whose_first_frame_is_smaller(tmp_path: Path) -> None:
    path = tmp_path / "small.gif"
    Image.fromarray(GREY).save(path)
    data = bytearray(path.read_bytes())
    data[6:10] = struct.pack("<HH", 80, 60)
    path.write_bytes(data)
    expected = np.full((60, 80), 255)
    expected[:48, :64] = GREY
    assert_reads(path, expected, "transparency is shown on white")


def ico(*entries: tuple[int, int, bytes]) -> bytes:
    """Returns an ICO file of entries: side, bits per pixel, content."""
    directory, contents = struct.pack("<HHH", 0, 1, len(entries)), b""
    for side, bits, content in entries:
        at = 6 + 16 * len(entries) + len(contents)
        directory += struct.pack("<BBBBHHII", side, side, 0, 0, 1, bits, len(content), at)
        contents += content
    return directory + contents


def test_entries_of_ico(tmp_path: Path) -> None:
    few, many = np.full((32, 32, 3), 50, np.uint8), PHOTO[:32, :32]

    def content(pixels: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()

    path = tmp_path / "icon.ico"
    path.write_bytes(ico((32, 8, content(few)), (32, 32, content(many)), (16, 32, content(few[:16, :16]))))
    assert_reads(path, many)


def large_ico() -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, 20_000, 40_000, 1, 24, 0, 0, 0, 0, 0, 0)
    return ico((0, 24, header + bytes(100)))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("large.ico", large_ico, "more than 2.28 pixels|damaged image"),
        ("photo.jxl", lambda: b"\xff\x0a" + bytes(20), "not supported: JPEG XL"),
        ("photo.cr3", lambda: b"\0\0\0\x18ftypcrx " + bytes(20), "not supported: a camera raw file"),
        ("photo.jfif", lambda: b"\xff\xd8\xff\xe0" + bytes(3), "not an image that can be read"),
        (
            "photo.bmp",
            lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 80, 0, 54, 40, 4, 4, 1, 16, 9, 32, 0, 0, 0, 0),
            "not supported",
        ),
        ("film.mpg", lambda: b"\0\0\1\xb3\x04\x00\x40" + bytes(20), "not supported: MPEG is not a picture format"),
    ],
)
def test_other_kinds(tmp_path: Path, name: str, content: Callable[[], bytes], words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content())
    assert is_photo(path) == (name != "film.mpg")
    assert_refused(path, words)


def test_pcx_without_its_palette(tmp_path: Path) -> None:
    path = tmp_path / "photo.pcx"
    coloured = Image.fromarray(PHOTO).quantize(64)
    coloured.save(path)
    assert_reads(path, np.asarray(coloured.convert("RGB")))
    path.write_bytes(path.read_bytes()[:-700])
    _, notes = read(path)
    assert notes == ["it has no palette, so its colours are treated as grey"]
    Image.fromarray(GREY).save(path)
    assert_reads(path, GREY)


def test_heic_by_another_name_gets_the_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compressgan.images.reading.has_heic", lambda: False)
    (tmp_path / "photo.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    with pytest.raises(CompressGANError, match="for HEIC: pip install pillow-heif"):
        read_photo(tmp_path / "photo.jpg")


def test_a_pipe_is_no_photo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert_refused(tmp_path / "pipe.jpg", "not a regular file")
    assert is_photo(tmp_path / "pipe.jpg")


@pytest.mark.skipif(not has_heic(), reason="needs pillow-heif")
def test_heic_that_only_exif_turns(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PHOTO).save(tmp_path / "turned.heic", quality=95, exif=exif)
    found, _ = read(tmp_path / "turned.heic")
    assert np.abs(found.astype(int) - np.rot90(PHOTO, -1)).mean() < 15


@pytest.mark.skipif(not has_heic(), reason="needs pillow-heif")
@pytest.mark.parametrize("orientation", [None, 6])
def test_heic_that_turns_itself_is_turned_once(orientation: int | None, tmp_path: Path) -> None:
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    path = tmp_path / "turned.heic"
    Image.fromarray(PHOTO).save(path, quality=95, exif=exif)
    data = path.read_bytes()
    # Its last property but one says how many bits it has. It becomes a rotation, which must be the last.
    at, order = data.index(b"pixi"), b"\x81\x02\x03\x05\x84"
    assert data.count(order) == 1
    for quarters in range(4):
        turned = data[:at] + b"irot" + bytes([quarters]) + data[at + 5 :]
        path.write_bytes(turned.replace(order, b"\x81\x02\x03\x84\x85"))
        found, _ = read(path)
        assert np.abs(found.astype(int) - np.rot90(PHOTO, quarters)).mean() < 15
