"""Image files that Pillow alone reads wrongly, or not at all: each is read right, noted, or refused in one line."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageChops, ImageCms, TiffImagePlugin

from compressgan.errors import CompressGANError
from compressgan.images.reading import as_photo, has_heic, is_photo, read_photo
from conftest import make_photo, run_cli

PHOTO = make_photo(48, 64)
GREY = PHOTO[..., 0]


def read(path: Path) -> tuple[np.ndarray, list[str]]:
    """Returns a photo and what was noted about it."""
    notes: list[str] = []
    return read_photo(path, notes.append), notes


def assert_reads(path: Path, expected: np.ndarray, *notes: str, tolerance: int = 1) -> None:
    """Asserts that a file is read as these pixels, with exactly these notes, or notes that hold these words."""
    found, noted = read(path)
    expected = np.broadcast_to(expected[..., np.newaxis] if expected.ndim == 2 else expected, (*expected.shape[:2], 3))
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= tolerance
    assert len(noted) == len(notes), noted
    for words, text in zip(notes, noted, strict=True):
        assert words in text


def assert_refused(path: Path, words: str) -> None:
    with pytest.raises(CompressGANError, match=f"^{path}: .*{words}") as refused:
        read_photo(path)
    assert "\n" not in str(refused.value)


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
    assert_refused(path, "not supported: a TIFF image of this compression and these bits")


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
    assert_refused(tmp_path / "deep.jp2", "not supported: a JPEG 2000 image of more than 8 bits per channel")
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
