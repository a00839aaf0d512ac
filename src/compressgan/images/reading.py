"""Photos: reading any format that Pillow knows as 8-bit RGB, writing pictures, the networks' range of values."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from settings import MAX_PIXELS

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from errors import CompressGANError, os_reason
from files import replacing

try:
    import pillow_heif

    pillow_heif.register_heif_opener()
    HAS_HEIC = True
except ImportError:  # an extra
    HAS_HEIC = False

# A file so named is meant to be a photo: one that cannot be read is an error, not something else in the folder.
HEIC_SUFFIXES = (".heic", ".heif")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".ppm", *HEIC_SUFFIXES)

# Suffixes of the pictures that can be written: Pillow's name, the most pixels a side, options.
FORMATS = {
    "png": ("PNG", 2**31 - 1, {"compress_level": 3}),  # three times as fast as Pillow's 6, and 10% larger
    "webp": ("WEBP", 16383, {"quality": 95}),
    "jpg": ("JPEG", 65500, {"quality": 95, "subsampling": "4:4:4"}),
}

# Pillow's limit is meant for servers that read strangers' files; whoever compresses a panorama on purpose needs more.
# `read_photo` has its own, that of the .bin format.
Image.MAX_IMAGE_PIXELS = None
# What Pillow finds odd in a file is no concern of the user's while the photo can be read.
warnings.filterwarnings("ignore", module="PIL")

_SUBFILE_TYPE = 254  # tag of TIFF, whose first bit says that the picture is a smaller version of another one

# Colours all over the cube, which show whether a profile changes anything.
_SAMPLES = Image.fromarray(np.indices((9, 9, 9), np.uint8).reshape(3, 1, -1).transpose(1, 2, 0) * 31)


def read_photo(path: str | Path, note: Callable[[str], None] = lambda text: None) -> np.ndarray:
    """Reads a photo as (H, W, 3) uint8 sRGB: upright by its EXIF data, transparency on white, the first frame.

    Args:
        path: file in any format that Pillow reads.
        note: is told, in a few words, what of the file is lost.

    Raises:
        CompressGANError: the file cannot be read, or is no image, or is damaged.
    """
    with _naming_damage(path), Image.open(path) as image:
        return _upright_srgb(image, path, note)


@contextmanager
def _naming_damage(name: str | Path) -> Iterator[None]:
    """Turns what Pillow raises into a line that names the image."""
    try:
        yield
    except UnidentifiedImageError:
        unread_heic = not HAS_HEIC and str(name).lower().endswith(HEIC_SUFFIXES)
        hint = "; for HEIC: pip install pillow-heif" if unread_heic else ""
        raise CompressGANError(f"{name}: not an image that can be read{hint}") from None
    except OSError as error:
        reason = os_reason(error) if error.strerror else f"damaged image ({error})"
        raise CompressGANError(f"{name}: {reason}") from None
    except MemoryError:
        raise CompressGANError(f"{name}: not enough memory to read it") from None
    except CompressGANError:
        raise
    except Exception as error:  # Pillow's readers raise many kinds on damaged files.
        raise CompressGANError(f"{name}: damaged image ({error})") from None


def _upright_srgb(image: Image.Image, name: str | Path, note: Callable[[str], None] = lambda text: None) -> np.ndarray:
    if getattr(image, "n_frames", 1) > 1:
        note("only the first frame of an animated or many-page image is used")
    if getattr(image, "tag_v2", {}).get(_SUBFILE_TYPE, 0) & 1:
        raise CompressGANError(f"{name}: a camera's raw file, of which only a small preview can be read")
    if image.width * image.height > MAX_PIXELS:
        raise CompressGANError(f"{name}: {image.width} x {image.height} is more than 2^28 pixels")
    image.load()
    return np.asarray(_to_srgb(_upright(image, note), image.info.get("icc_profile"), note))


def _upright(image: Image.Image, note: Callable[[str], None]) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow's reader of EXIF raises many kinds; the picture itself has been read.
        note("its EXIF data cannot be read, so it may come out turned")
        return image


def as_photo(image: np.ndarray | Image.Image) -> np.ndarray:
    """Returns an image of the Python API as (H, W, 3) uint8 sRGB.

    Args:
        image: a Pillow image of any mode, or a uint8 array: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

    Raises:
        CompressGANError: an array of another type or shape, or a side of 0; or a damaged or too large image.
    """
    if isinstance(image, Image.Image):
        with _naming_damage("image"):
            return _upright_srgb(image, "image")
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise CompressGANError(f"an image array holds uint8 values from 0 to 255, not {pixels.dtype}")
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))) or not pixels.size:
        raise CompressGANError(f"an image array is (H, W), (H, W, 3) or (H, W, 4), not {pixels.shape}")
    return pixels if pixels.shape[2:] == (3,) else as_photo(Image.fromarray(pixels))


def _to_srgb(image: Image.Image, icc_profile: bytes | None, note: Callable[[str], None]) -> Image.Image:
    """Converts to RGB, from the colours of an embedded profile to sRGB, and shows transparency on white."""
    image = _eight_bit(image)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    try:
        colours = _by_profile(image, icc_profile) if icc_profile else image.convert("RGB")
    except (ImageCms.PyCMSError, OSError):
        note("its colour profile cannot be used and is left out")
        colours = image.convert("RGB")
    if alpha and alpha.getextrema()[0] < 255:
        note("transparency is shown on white")
        colours = Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)
    return colours


def _eight_bit(image: Image.Image) -> Image.Image:
    """Converts grey of more bits, or of floating point, to 8 bits."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    # 16-bit grey comes as I;16 or, from some writers, as I; floats reach to 1 and a little beyond it, or to 255.
    scale = 1 / 257 if image.mode != "F" else 255.0 if values.max(initial=0.0) <= 2.0 else 1.0
    return Image.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))


def _by_profile(image: Image.Image, icc_profile: bytes) -> Image.Image:
    """Returns the image in sRGB, without its transparency.

    Raises:
        PyCMSError, OSError: the profile is damaged, or for colours of another kind.
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
    # A photo that already is sRGB must not change by rounding; names of profiles do not tell which one is.
    return image.convert("RGB") if np.abs(change).max() <= 1 else ImageCms.applyTransform(image.convert(mode), to_srgb)


def is_image(path: Path) -> bool:
    """Says whether Pillow can read the file's format, from its first bytes alone."""
    try:
        with Image.open(path) as image:
            # Pillow knows some formats by name only, HDF5 among them, in which the path indexes are.
            return not isinstance(image, ImageFile.StubImageFile)
    except Exception:  # Pillow's readers raise many kinds on damaged files.
        return False


def is_photo(path: Path) -> bool:
    """Says whether a file is an image or, by its name, is meant to be one."""
    return path.suffix.lower() in SUFFIXES or is_image(path)


def check_size(path: Path, height: int, width: int) -> None:
    """Checks that a picture of this size can be written in the format that the name ends in.

    Raises:
        CompressGANError: that format cannot hold so many pixels a side.
    """
    name, most, _ = FORMATS[path.suffix.removeprefix(".")]
    if max(height, width) > most:
        raise CompressGANError(f"{path}: {name} holds at most {most} pixels a side, not {width} x {height}")


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Writes (H, W, 3) uint8 pixels in the format that the name ends in, one of `FORMATS`.

    Raises:
        CompressGANError: the file cannot be written, or its format cannot hold that many pixels a side.
    """
    check_size(path, *pixels.shape[:2])
    name, _, options = FORMATS[path.suffix.removeprefix(".")]
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format=name, **options)


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Scales uint8 pixels to float32 in [-1, 1]."""
    return pixels.astype(np.float32) / 127.5 - 1.0


def to_uint8(photo: np.ndarray) -> np.ndarray:
    """Scales float pixels in [-1, 1] to uint8, rounding to the nearest and clipping."""
    return np.clip(np.rint((photo + 1.0) * 127.5), 0, 255).astype(np.uint8)
