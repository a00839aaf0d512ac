"""Reading photos as 8-bit sRGB, in any format that Pillow knows."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from compressgan.errors import CompressGANError, os_reason
from compressgan.geometry import MAX_PIXELS

# A file with one of these suffixes is meant to be a photo, so failing to read it is an error.
HEIC_SUFFIXES = (".heic", ".heif")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".ppm", *HEIC_SUFFIXES)

_SUBFILE_TYPE = 254  # TIFF tag whose first bit marks a smaller version of another picture

# Colours from all over the RGB cube, to test whether a profile changes anything.
_SAMPLES = Image.fromarray(np.indices((9, 9, 9), np.uint8).reshape(3, 1, -1).transpose(1, 2, 0) * 31)


def register_heic() -> bool:
    """Makes Pillow read and write HEIC for the whole process, and returns whether pillow-heif is installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def has_heic() -> bool:
    """Returns whether Pillow reads HEIC in this process."""
    return ".heic" in Image.registered_extensions()


class _PixelLimitLifted:
    """Lifts Pillow's process-wide limit on pixels for as long as any thread is reading.

    The limit protects servers from malicious files, but a panorama may have more pixels. Reading has its own limit,
    `MAX_PIXELS`, which is checked before a picture is decoded.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0

    def __enter__(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                Image.MAX_IMAGE_PIXELS = self._limit


_pixel_limit_lifted = _PixelLimitLifted()


def read_photo(path: str | Path, note: Callable[[str], None] = lambda text: None) -> np.ndarray:
    """Reads a photo as (H, W, 3) uint8 sRGB: upright by its EXIF data, transparency on white, the first frame.

    Args:
        path: a file in any format that Pillow reads, including HEIC after `register_heic`.
        note: is called with a short text for anything in the file that is lost.

    Raises:
        CompressGANError: the file cannot be read, is not an image, or is damaged or too large.
    """
    with _pixel_limit_lifted, _naming_damage(path), Image.open(path) as image:
        return _upright_srgb(image, path, note)


@contextmanager
def _naming_damage(name: str | Path) -> Iterator[None]:
    """Turns Pillow's exceptions into one-line errors that name the image."""
    try:
        yield
    except UnidentifiedImageError:
        unread_heic = str(name).lower().endswith(HEIC_SUFFIXES) and not has_heic()
        hint = "; for HEIC: pip install pillow-heif" if unread_heic else ""
        raise CompressGANError(f"{name}: not an image that can be read{hint}") from None
    except OSError as error:
        reason = os_reason(error) if error.strerror else f"damaged image ({error})"
        raise CompressGANError(f"{name}: {reason}") from None
    except MemoryError:
        raise CompressGANError(f"{name}: not enough memory to read it") from None
    except CompressGANError:
        raise
    except Exception as error:  # Pillow's readers raise many kinds of exceptions on damaged files.
        raise CompressGANError(f"{name}: damaged image ({error})") from None


def _upright_srgb(image: Image.Image, name: str | Path, note: Callable[[str], None] = lambda text: None) -> np.ndarray:
    if getattr(image, "n_frames", 1) > 1:
        note("only the first frame of an animated or multi-page image is used")
    if getattr(image, "tag_v2", {}).get(_SUBFILE_TYPE, 0) & 1:
        raise CompressGANError(f"{name}: a camera raw file; only its small preview can be read")
    if image.width * image.height > MAX_PIXELS:
        raise CompressGANError(f"{name}: {image.width} x {image.height} is more than 2^28 pixels")
    image.load()
    return np.asarray(_to_srgb(_upright(image, note), image.info.get("icc_profile"), note))


def _upright(image: Image.Image, note: Callable[[str], None]) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow's EXIF reader raises many kinds of exceptions; the picture itself has been read.
        note("its EXIF data cannot be read, so it may be rotated wrongly")
        return image


def as_photo(image: np.ndarray | Image.Image) -> np.ndarray:
    """Converts an image passed to the Python API to (H, W, 3) uint8 sRGB.

    Args:
        image: a Pillow image of any mode, or a uint8 array: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

    Raises:
        CompressGANError: the array has another type or shape, or a side of 0, or the image is damaged or too large.
    """
    if isinstance(image, Image.Image):
        with _pixel_limit_lifted, _naming_damage("image"):
            return _upright_srgb(image, "image")
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise CompressGANError(f"an image array must hold uint8 values from 0 to 255, not {pixels.dtype}")
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))) or not pixels.size:
        raise CompressGANError(f"an image array must be (H, W), (H, W, 3) or (H, W, 4), not {pixels.shape}")
    return pixels if pixels.shape[2:] == (3,) else as_photo(Image.fromarray(pixels))


def _to_srgb(image: Image.Image, icc_profile: bytes | None, note: Callable[[str], None]) -> Image.Image:
    """Converts to sRGB, using the embedded profile if there is one, and shows transparency on white."""
    image = _eight_bit(image)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    try:
        colours = _by_profile(image, icc_profile) if icc_profile else image.convert("RGB")
    except (ImageCms.PyCMSError, OSError):
        note("its colour profile cannot be used and is ignored")
        colours = image.convert("RGB")
    if alpha and alpha.getextrema()[0] < 255:
        note("transparency is shown on white")
        colours = Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)
    return colours


def _eight_bit(image: Image.Image) -> Image.Image:
    """Converts grey images with more than 8 bits or with floating-point values to 8 bits."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    # 16-bit grey has the mode I;16 or, from some writers, I. Floats go up to 1 or slightly more, or up to 255.
    scale = 1 / 257 if image.mode != "F" else 255.0 if values.max(initial=0.0) <= 2.0 else 1.0
    return Image.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))


def _by_profile(image: Image.Image, icc_profile: bytes) -> Image.Image:
    """Returns the image in sRGB, without its transparency.

    Raises:
        PyCMSError, OSError: the profile is damaged, or for another colour space.
    """
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    space = profile.profile.xcolor_space.strip()
    modes = {"CMYK": ("CMYK",), "GRAY": ("L", "LA", "1")}.get(space, (image.mode,))
    if space not in ("RGB", "CMYK", "GRAY") or image.mode not in modes:
        raise ImageCms.PyCMSError("profile of another colour space")
    mode = "L" if space == "GRAY" else space
    to_srgb = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    samples = _SAMPLES.convert(mode)
    change = np.asarray(ImageCms.applyTransform(samples, to_srgb), np.int16) - samples.convert("RGB")
    # Rounding must not change a photo that is already sRGB. The profile's name is not a reliable sign of that.
    return image.convert("RGB") if np.abs(change).max() <= 1 else ImageCms.applyTransform(image.convert(mode), to_srgb)


def is_image(path: Path) -> bool:
    """Returns whether Pillow can read the file's format, from its first bytes alone."""
    try:
        with _pixel_limit_lifted, Image.open(path) as image:
            # Pillow identifies some formats that it cannot read, including HDF5, the format of the path indexes.
            return not isinstance(image, ImageFile.StubImageFile)
    except Exception:  # Pillow's readers raise many kinds of exceptions on damaged files.
        return False


def is_photo(path: Path) -> bool:
    """Returns whether a file is an image or, by its name, is meant to be one."""
    return path.suffix.lower() in SUFFIXES or is_image(path)
