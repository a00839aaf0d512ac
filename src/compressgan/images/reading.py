"""Reading photos as 8-bit sRGB, in any format that Pillow knows."""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageFile, ImageOps, UnidentifiedImageError

from compressgan.errors import CompressGANError, os_reason
from compressgan.geometry import MAX_PIXELS
from compressgan.images import jpeg, png, tiff
from compressgan.images.colours import to_srgb
from compressgan.images.containers import colour_notes, forgotten_rotation, is_heic, is_jxl
from compressgan.images.damage import Corruption, DamagedImage, UnsupportedImage
from compressgan.images.files import open_regular
from compressgan.images.pixel_limit import pixel_limit_lifted
from compressgan.quiet import without_lines

ImageLike = np.ndarray | Image.Image | str | Path  # what `as_photo` accepts

_HEIC_SUFFIXES = (".heic", ".heif", ".heics", ".hif")
_RAW_SUFFIXES = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw")
# A file with one of these suffixes is meant to be a photo, so failing to read it is an error.
_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".j2k", ".jpf")
_SUFFIXES += (".ppm", ".tga", ".ico", ".icns", ".jxl", ".avif", ".avifs", *_HEIC_SUFFIXES, *_RAW_SUFFIXES)
_FIRST_ONLY = "only the first frame of an animated or multi-page image is used"
_NO_PICTURES = ("MPEG",)  # formats that Pillow identifies, but cannot read
_LIBTIFFS_LINES = re.compile(rb"(_?[A-Z]\w*|Neither[^:]*|tempfile[^:]*): .*\.$")  # a function's name, and a sentence


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


def read_photo(path: str | Path, note: Callable[[str], None] = lambda text: None) -> np.ndarray:
    """Reads a photo as (H, W, 3) uint8 sRGB: upright by its EXIF data, transparency on white, the first frame.

    Args:
        path: a file in any format that Pillow reads, including HEIC after `register_heic`.
        note: is called with a short text for anything in the file that is lost.

    Raises:
        CompressGANError: the file cannot be read, is not an image, is damaged or too large, or of a kind that cannot be
            read right.
    """
    try:
        opened = open_regular(path)
    except OSError as error:
        raise CompressGANError(f"{path}: {os_reason(error)}") from None
    # By a path, Pillow would map some TIFF files with the wrong size.
    with opened as file, pixel_limit_lifted, _naming_damage(path, file):
        return _read(file, note)


def _read(file: BinaryIO, note: Callable[[str], None]) -> np.ndarray:
    facts = None
    if file.read(len(png.SIGNATURE)) == png.SIGNATURE:
        file.seek(0)
        facts = png.parse(file.read())
        file = io.BytesIO(facts.data)
        for text in facts.notes:
            note(text)
    file.seek(0)
    try:
        opened = Image.open(file)
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(4) not in tiff.MAGIC:
            raise
        return _upright_srgb(tiff.read(file), note)
    with opened as image:
        if image.format in _NO_PICTURES or isinstance(image, ImageFile.StubImageFile):
            raise UnsupportedImage(f"{image.format} is not a picture format")
        if facts:
            image.info["icc_profile"] = facts.profile
        for text in colour_notes(image, file):
            note(text)
        if image.format in ("JPEG", "MPO") and (text := jpeg.corruption(file)):
            note(Corruption(f"its decoder reports: {text}"))
        if rotation := forgotten_rotation(image, file):
            image.getexif()[ExifTags.Base.Orientation] = rotation
        if image.format == "ICO":
            return _upright_srgb(_best_entry(image), note)
        if image.format != "TIFF":
            return _upright_srgb(image, note, facts)
        if tiff.is_raw(image):
            raise UnsupportedImage("a camera raw file")
        tiff.select_photo(image)
        if tiff.misread_by_pillow(image):
            if _frames(image) > 1:
                note(_FIRST_ONLY)
            photo = _upright_srgb(tiff.read(file, image.tell()), note)
            if tiff.has_long_integers(image):
                note("its 32-bit integers are read as 8 or 16 bits, whichever holds the largest value")
            return photo
        photo = _read_by_libtiff(image, note)
        if tiff.has_wrong_checksum(image, file):
            note(Corruption("the checksum of its data is wrong"))
        return photo


def _read_by_libtiff(image: Image.Image, note: Callable[[str], None]) -> np.ndarray:
    """Reads a TIFF image by libtiff, whose messages become a note, or the reason why it cannot be read."""
    failure = None
    with without_lines(_LIBTIFFS_LINES) as lines:
        try:
            photo = _upright_srgb(image, note)
        except Exception as error:
            failure = error
    reported = lines[0].decode(errors="replace").split(": ", 1)[-1].strip() if lines else ""
    if failure:
        if "not configured" in reported or "not supported" in reported:
            raise UnsupportedImage(reported)
        told = isinstance(failure, CompressGANError | UnsupportedImage | MemoryError)
        raise failure if told or not reported else DamagedImage(reported)
    if reported:
        note(Corruption(f"its decoder reports: {reported}"))
    return photo


def _best_entry(image: Image.Image) -> Image.Image:
    """Returns the entry of an ICO file with the most pixels and, among these, the most colours."""
    entries = image.ico.entry
    return image.ico.frame(max(range(len(entries)), key=lambda i: (entries[i].square, entries[i].bpp)))


@contextmanager
def _naming_damage(name: str | Path, file: BinaryIO | None = None) -> Iterator[None]:
    """Turns Pillow's exceptions into one-line errors that name the image."""
    try:
        yield
    except CompressGANError:
        raise
    except UnidentifiedImageError:
        raise CompressGANError(f"{name}: {_unidentified(name, file)}") from None
    except UnsupportedImage as error:
        raise CompressGANError(f"{name}: not supported: {error}") from None
    except Image.DecompressionBombError:
        raise CompressGANError(f"{name}: more than 2^28 pixels") from None
    except MemoryError:
        raise CompressGANError(f"{name}: not enough memory to read it") from None
    except Exception as error:  # Pillow's readers raise many kinds of exceptions on damaged files.
        if isinstance(error, OSError) and error.strerror and error.errno != errno.EINVAL:
            raise CompressGANError(f"{name}: {error.strerror}") from None
        words = r"unsupported|not supported|not implemented"
        unsupported = not isinstance(error, TypeError) and re.search(words, str(error), re.IGNORECASE)
        kind = "not supported" if unsupported else "damaged image"
        raise CompressGANError(f"{name}: {kind} ({error})") from None


def _unidentified(name: str | Path, file: BinaryIO | None) -> str:
    """Returns what is wrong with a file that Pillow does not know."""
    head = b""
    if file:
        file.seek(0)
        head = file.read(32)
    suffix = Path(name).suffix.lower()
    if suffix in _RAW_SUFFIXES:
        return "not supported: a camera raw file"
    if is_jxl(head) or suffix == ".jxl":
        return "not supported: JPEG XL"
    if (is_heic(head) or suffix in _HEIC_SUFFIXES) and not has_heic():
        return "not an image that can be read; for HEIC: pip install pillow-heif"
    return "not an image that can be read"


def _check_pixels(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise UnsupportedImage(f"{image.width} x {image.height} is more than 2^28 pixels")


def _upright_srgb(
    image: Image.Image, note: Callable[[str], None] = lambda text: None, facts: png.Png | None = None
) -> np.ndarray:
    if _frames(image) > 1:
        note(_FIRST_ONLY)
    _check_pixels(image)
    covered = image.tile[0][1] if image.format == "GIF" and image.tile and not image.tell() else None
    image.load()
    profile = image.info.get("icc_profile")
    if facts and facts.grey_key is not None:
        image = png.with_transparent_grey(_upright(image, note), facts)
    elif image.format in ("JPEG", "MPO") and image.mode == "CMYK" and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes them as inverted, other programs only with Adobe's marker
    elif covered and covered != (0, 0, *image.size):
        image = _on_nothing(image, covered)
    return np.asarray(to_srgb(_upright(image, note), profile, note))


def _frames(image: Image.Image) -> int:
    """Returns the number of frames, or 2 if a later one is damaged: only the current one is read."""
    at = image.tell()
    try:
        return getattr(image, "n_frames", 1)
    except Exception:  # Pillow's readers raise many kinds of exceptions on damaged files.
        image.seek(at)  # Pillow stops at the damaged frame
        return 2


def _on_nothing(image: Image.Image, covered: tuple[int, int, int, int]) -> Image.Image:
    """Returns a GIF image whose canvas is transparent where its first frame does not cover it."""
    canvas = Image.new("RGBA", image.size)
    canvas.paste(image.convert("RGBA").crop(covered), covered[:2])
    return canvas


def _upright(image: Image.Image, note: Callable[[str], None]) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow's EXIF reader raises many kinds of exceptions; the picture itself has been read.
        note("its EXIF data cannot be read, so it may be rotated wrongly")
        return image


def as_photo(image: ImageLike, note: Callable[[str], None] = lambda text: None) -> np.ndarray:
    """Converts an image passed to the Python API to (H, W, 3) uint8 sRGB.

    Args:
        image: the path of a file, a Pillow image of any mode, or a uint8 array: (H, W) grey, (H, W, 3) RGB or
            (H, W, 4) RGBA.
        note: is called with a short text for anything in the image that is lost.

    Raises:
        CompressGANError: the array has another type or shape, or a side of 0, or the image is damaged or too large.
    """
    if isinstance(image, str | Path):
        return read_photo(image, note)
    if isinstance(image, Image.Image):
        with pixel_limit_lifted, _naming_damage("image"):
            if image.format == "TIFF" and hasattr(image, "tag_v2") and tiff.misread_by_pillow(image):
                raise UnsupportedImage("Pillow reads this TIFF image wrongly; pass the file's path instead")
            return _upright_srgb(image, note)
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise CompressGANError(f"an image array must hold uint8 values from 0 to 255, not {pixels.dtype}")
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))) or not pixels.size:
        raise CompressGANError(f"an image array must be (H, W), (H, W, 3) or (H, W, 4), not {pixels.shape}")
    return pixels if pixels.shape[2:] == (3,) else as_photo(Image.fromarray(pixels), note)


def is_image(path: Path) -> bool:
    """Returns whether the file's format can be read, from its first bytes alone."""
    try:
        with open_regular(path) as file:
            if file.read(4) in tiff.MAGIC:  # which Pillow does not know in every form
                return True
            file.seek(0)
            with pixel_limit_lifted, Image.open(file) as image:
                pass
            # Pillow identifies some formats that it cannot read, including HDF5, the format of the path indexes.
            return not isinstance(image, ImageFile.StubImageFile) and image.format not in _NO_PICTURES
    except Exception:  # Pillow's readers raise many kinds of exceptions on damaged files.
        return False


def is_photo(path: Path) -> bool:
    """Returns whether a file is an image or, by its name, is meant to be one."""
    return is_named_as_photo(path) or is_image(path)


def is_named_as_photo(path: PurePath) -> bool:
    """Returns whether a file is meant to be an image, by its name alone."""
    return path.suffix.lower() in _SUFFIXES
