from __future__ import annotations

import logging
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from compressgan.errors import CompressGANError
from compressgan.images.pixels import to_float, to_uint8
from compressgan.images.reading import as_photo, has_heic, is_image, is_photo, read_photo
from conftest import make_photo

PHOTO = make_photo(20, 30)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "jpg", "gif"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    lossy = {"quality": 95} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(PHOTO).save(path, **lossy)
    photo = read_photo(path)
    assert (photo.shape, photo.dtype) == (PHOTO.shape, np.uint8)
    limit = {"jpg": 15, "gif": 30}.get(suffix, 0)
    assert np.mean(np.abs(photo.astype(int) - PHOTO)) <= limit


def test_grey_palette_and_cmyk(tmp_path: Path) -> None:
    for mode, suffix in (("L", "png"), ("1", "png"), ("P", "png"), ("CMYK", "tiff"), ("YCbCr", "tiff")):
        image = Image.fromarray(PHOTO).convert(mode)
        path = tmp_path / f"{mode}.{suffix}"
        image.save(path)
        np.testing.assert_array_equal(read_photo(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_composited_on_white_and_said(tmp_path: Path, mode: str) -> None:
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[:, 3:, 3] = 255
    path = tmp_path / "alpha.png"
    if mode == "P":
        palette = Image.fromarray((rgba[..., 3] > 0).astype(np.uint8), "P")
        palette.putpalette([255, 0, 0, 0, 0, 0])
        palette.save(path, transparency=0)
    else:
        Image.fromarray(rgba).convert(mode).save(path)
    notes: list[str] = []
    photo = read_photo(path, notes.append)
    assert (photo[:, :3] == 255).all()
    assert (photo[:, 3:] == 0).all()
    assert notes == ["transparency is shown on white"]


def test_opaque_alpha_says_nothing(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).convert("RGBA").save(tmp_path / "opaque.png")
    notes: list[str] = []
    np.testing.assert_array_equal(read_photo(tmp_path / "opaque.png", notes.append), PHOTO)
    assert notes == []


def test_16_bit_and_float(tmp_path: Path) -> None:
    grey = PHOTO[..., 0]
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(grey.astype(np.int32) * 257).save(tmp_path / "deep.tiff")
    Image.fromarray(grey.astype(np.float32) / 255).save(tmp_path / "float.tiff")
    for name in ("deep.png", "deep.tiff", "float.tiff"):
        np.testing.assert_array_equal(read_photo(tmp_path / name), np.repeat(grey[..., None], 3, axis=2))
    bright = grey.astype(np.float32) / 255
    bright[0, :2] = 1.01, np.nan
    Image.fromarray(bright).save(tmp_path / "bright.tiff")
    np.testing.assert_array_equal(read_photo(tmp_path / "bright.tiff")[1:, :, 0], grey[1:])


def test_exif_rotation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    Image.fromarray(PHOTO).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "turned.png"), np.rot90(PHOTO, -1))


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    notes: list[str] = []
    assert (read_photo(tmp_path / "moving.gif", notes.append) == (255, 0, 0)).all()
    assert len(notes) == 1


def test_a_later_frame_is_whole(tmp_path: Path) -> None:
    """A frame of a GIF file holds only what has changed since the one before."""
    frames = [Image.new("RGB", (8, 8), "red") for _ in range(2)]
    frames[1].putpixel((5, 5), (0, 0, 255))
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "moving.gif") as image:
        image.seek(1)
        np.testing.assert_array_equal(as_photo(image), np.asarray(frames[1]))


def test_bad_files_are_named(tmp_path: Path) -> None:
    good = tmp_path / "good.jpg"
    Image.fromarray(make_photo(200, 200)).save(good)
    (tmp_path / "text.jpg").write_text("not a photo")
    (tmp_path / "empty.png").touch()
    (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:3000])
    for name in ("text.jpg", "empty.png", "cut.jpg", "none.jpg"):
        with pytest.raises(CompressGANError, match=name):
            read_photo(tmp_path / name)
    assert is_image(good)
    assert not is_image(tmp_path / "text.jpg")


def test_a_raw_files_preview_is_not_taken_for_the_photo(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "raw.dng", format="TIFF", tiffinfo={254: 1})
    with pytest.raises(CompressGANError, match=r"raw\.dng: not supported: a camera raw file"):
        read_photo(tmp_path / "raw.dng")


def test_heic(tmp_path: Path) -> None:
    """Without pillow-heif, a HEIC file is reported rather than ignored."""
    path = tmp_path / "phone.HEIC"
    path.write_bytes(b"not a photo")
    assert is_photo(path)
    with pytest.raises(CompressGANError, match="can be read$" if has_heic() else "pip install pillow-heif"):
        read_photo(path)
    if has_heic():
        Image.fromarray(PHOTO).save(path, format="HEIF", quality=95)
        assert np.mean(np.abs(read_photo(path).astype(int) - PHOTO)) < 15


def test_every_8_bit_value_survives_the_float_range() -> None:
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(to_float(values)), values)
    np.testing.assert_array_equal(to_uint8(np.array([-3.0, 3.0])), [0, 255])


def wide_gamut_profile() -> bytes:
    """An altered sRGB profile, because LCMS cannot create a wide-gamut one such as Display P3 without a file."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # Swaps the tags of red and green, so the conversion swaps the channels.
    red, green = data.find(b"rXYZ"), data.find(b"gXYZ")
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data)


def test_colour_profiles_are_converted_to_srgb(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (200, 40, 90))
    image.save(tmp_path / "other.png", icc_profile=wide_gamut_profile())
    np.testing.assert_allclose(read_photo(tmp_path / "other.png")[0, 0], (40, 200, 90), atol=2)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "srgb.png", icc_profile=srgb)
    np.testing.assert_array_equal(read_photo(tmp_path / "srgb.png")[0, 0], (200, 40, 90))


@pytest.mark.parametrize("profile", [b"nonsense", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()])
def test_unusable_colour_profiles_are_said(tmp_path: Path, profile: bytes) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "photo.png", icc_profile=profile)
    notes: list[str] = []
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png", notes.append), PHOTO)
    assert notes == ["its colour profile cannot be used and is ignored"]


def test_a_photo_too_large_for_the_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(image: Image.Image) -> None:
        raise MemoryError

    path = tmp_path / "large.png"
    Image.fromarray(PHOTO).save(path)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(CompressGANError, match=r"large\.png: not enough memory"):
        read_photo(path)


def test_too_many_pixels(tmp_path: Path) -> None:
    """A file of a few hundred bytes that claims billions of pixels is refused before memory is allocated."""
    for width, height in ((20_000, 20_000), (100_000, 100_000)):
        header = b"P6 %d %d 255\n" % (width, height)
        (tmp_path / "bomb.ppm").write_bytes(header + bytes(100))
        with pytest.raises(CompressGANError, match=r"more than 2\^28 pixels"):
            read_photo(tmp_path / "bomb.ppm")


def test_damaged_files_of_any_kind_are_one_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Pillow raises many kinds of exceptions, but a damaged photo always raises ours, and nothing else is printed."""
    rng = np.random.default_rng(0)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # as the command lines do
    tifffile.imwrite(tmp_path / "photo.tif", np.moveaxis(PHOTO.astype(np.uint16) * 257, -1, 0), planarconfig="separate")
    suffixes = ("jpg", "png", "gif", "tiff", "webp", "bmp", "jp2", "ico", "ppm", "tga", "tif")
    for suffix in suffixes + (("avif",) if ".avif" in Image.registered_extensions() else ()):
        if suffix != "tif":
            Image.fromarray(PHOTO).save(tmp_path / f"photo.{suffix}")
        data = bytearray((tmp_path / f"photo.{suffix}").read_bytes())
        for _ in range(40):
            damaged = data.copy()
            for place in rng.integers(0, min(len(damaged), 120), 4):
                damaged[place] = rng.integers(0, 256)
            path = tmp_path / f"damaged.{suffix}"
            path.write_bytes(damaged[: rng.integers(1, len(damaged) + 1)])
            try:
                assert read_photo(path).dtype == np.uint8
            except CompressGANError as error:
                assert str(error).startswith(str(path))
            assert is_image(path) in (True, False)
    assert capfd.readouterr().err == ""


def linear_srgb_profile() -> bytes:
    """sRGB's colours with linear curves, under sRGB's name."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    curve = data.find(b"para")
    data[curve : curve + 16] = b"para" + bytes(8) + b"\0\1\0\0"  # gamma 1
    return bytes(data)


def linear_grey_profile() -> bytes:
    """A minimal grey profile that LCMS accepts: a white point, a curve of gamma 1, and a name that contains sRGB."""
    name = "Grayscale with sRGB TRC".encode("utf-16-be")
    parts = {
        b"desc": b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(name), 28) + name + bytes(2),
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">III", 63190, 65536, 54061),
        b"kTRC": b"para" + bytes(8) + b"\0\1\0\0",
    }
    table, body, start = struct.pack(">I", len(parts)), b"", 128 + 4 + 12 * len(parts)
    for tag, part in parts.items():
        table += struct.pack(">4sII", tag, start + len(body), len(part))
        body += part
    header = bytearray(128)
    header[8:24] = b"\4\0\0\0mntrGRAYXYZ "
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">III", 63190, 65536, 54061)
    header[:4] = struct.pack(">I", start + len(body))
    return bytes(header) + table + body


@pytest.mark.parametrize(("mode", "profile"), [("RGB", linear_srgb_profile()), ("L", linear_grey_profile())])
def test_a_profile_is_not_taken_for_srgb_by_its_name(tmp_path: Path, mode: str, profile: bytes) -> None:
    Image.new("RGB", (8, 8), (55, 55, 55)).convert(mode).save(tmp_path / "photo.png", icc_profile=profile)
    photo = read_photo(tmp_path / "photo.png")
    assert photo.shape == (8, 8, 3)
    np.testing.assert_allclose(photo[0, 0], 128, atol=2)  # 55 / 255 of the light


def test_grey_with_a_profile_and_transparency_or_more_bits(tmp_path: Path) -> None:
    alpha = np.full((8, 8, 2), (55, 255), np.uint8)
    alpha[0] = 0
    Image.fromarray(alpha, "LA").save(tmp_path / "alpha.png", icc_profile=linear_grey_profile())
    Image.fromarray(alpha[..., 0]).save(tmp_path / "key.png", icc_profile=linear_grey_profile(), transparency=0)
    deep = alpha[..., 0].astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png", icc_profile=linear_grey_profile())
    for name, first in (("alpha.png", 255), ("key.png", 255), ("deep.png", 0)):
        photo = read_photo(tmp_path / name)
        np.testing.assert_allclose(photo[1:], 128, atol=2)
        assert (photo[0] == first).all(), name


def test_odd_exif_data_is_no_damage(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "photo.png", exif=b"Exif\x00\x00no tiff header")
    notes: list[str] = []
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png", notes.append), PHOTO)
    assert "EXIF" in notes[0]


def test_pillows_limit_is_lifted_while_any_thread_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(make_photo(60, 60)).save(tmp_path / "photo.png")
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "photo.png")
    with ThreadPoolExecutor(4) as pool:
        photos = list(pool.map(read_photo, [tmp_path / "photo.png"] * 40))
    assert all(photo.shape == (60, 60, 3) for photo in photos)
    assert is_image(tmp_path / "photo.png")
    assert Image.MAX_IMAGE_PIXELS == 100
