from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import make_photo
from PIL import Image

from errors import CompressGANError
from photo import is_image, read_photo, to_float, to_uint8

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


def test_every_8_bit_value_survives_the_float_range() -> None:
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(to_float(values)), values)
    np.testing.assert_array_equal(to_uint8(np.array([-3.0, 3.0])), [0, 255])
