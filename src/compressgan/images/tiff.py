"""TIFF files that Pillow reads wrongly or not at all, which tifffile reads, and damage that libtiff does not report."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import ExifTags, Image

from compressgan.geometry import MAX_PIXELS
from compressgan.images.damage import DamagedImage, UnsupportedImage

if TYPE_CHECKING:
    from tifffile import TiffPage

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Tags and their values.
_SUBFILE_TYPE, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 258, 259, 262
_STRIPS, _TILES = (273, 279), (324, 325)  # offsets and bytes
_SAMPLES, _PLANAR, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _PROFILE, _DNG = 277, 284, 338, 339, 34675, 50706
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _CFA, _LINEAR_RAW = 0, 1, 2, 32803, 34892
_SEPARATE, _ASSOCIATED, _UNASSOCIATED, _FLOAT = 2, 1, 2, 3
_DEFLATE = (8, 32946)
_PIECE = 2**20  # bytes decompressed at a time


def is_raw(image: Image.Image) -> bool:
    """Returns whether a TIFF image opened by Pillow is a camera's raw file, of which Pillow shows the preview."""
    return _DNG in image.tag_v2 or image.tag_v2.get(_PHOTOMETRIC) in (_CFA, _LINEAR_RAW)


def select_photo(image: Image.Image) -> None:
    """Goes to the first page of a TIFF image that is not a smaller version of another one.

    Raises:
        UnsupportedImage: there is none, as in some cameras' raw files.
    """
    for page in range(16):
        try:
            image.seek(page)
        except (EOFError, ValueError):
            break
        if not image.tag_v2.get(_SUBFILE_TYPE, 0) & 1:
            return
    raise UnsupportedImage("a camera raw file; only its small preview could be read")


def misread_by_pillow(image: Image.Image) -> bool:
    """Returns whether a TIFF image, opened but not loaded, is of a kind that Pillow reads wrongly."""
    tags = image.tag_v2
    bits, samples = max(tags.get(_BITS, (1,))), tags.get(_SAMPLES, 1)
    grey = tags.get(_PHOTOMETRIC) in (_MIN_IS_WHITE, _MIN_IS_BLACK)
    return (
        (bits > 8 and (tags.get(_PLANAR) == _SEPARATE or tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE))
        or bits not in (1, 2, 4, 8, 16, 32)
        or has_long_integers(image)
        or (grey and samples > 1 and (image.mode != "LA" or tags.get(_PLANAR) == _SEPARATE))
    )


def has_long_integers(image: Image.Image) -> bool:
    """Returns whether the samples of a TIFF image are integers of 32 bits."""
    return max(image.tag_v2.get(_BITS, (1,))) == 32 and _FLOAT not in image.tag_v2.get(_SAMPLE_FORMAT, (1,))


def has_wrong_checksum(image: Image.Image, file: BinaryIO) -> bool:
    """Returns whether data compressed with Deflate fail their checksum, which libtiff does not always check."""
    tags = image.tag_v2
    if tags.get(_COMPRESSION) not in _DEFLATE:
        return False
    offsets, sizes = (tags.get(tag, ()) for tag in (_TILES if _TILES[0] in tags else _STRIPS))
    for offset, size in zip(offsets, sizes, strict=False):
        file.seek(offset)
        data, stream = file.read(size), zlib.decompressobj()
        try:
            while data:
                stream.decompress(data, _PIECE)
                data = stream.unconsumed_tail
        except zlib.error:
            return True
        if not stream.eof:
            return True
    return False


def read(file: BinaryIO, page: int | None = None) -> Image.Image:
    """Reads a page of a TIFF file as an 8-bit image, not yet upright, with its profile in `info`.

    Args:
        file: the file, open for reading.
        page: number of the page; by default, the first that is not a smaller version of another one.

    Raises:
        UnsupportedImage: it is of a kind that cannot be read right.
        Exception: it is damaged; of any kind, since tifffile raises many.
    """
    import tifffile  # takes a moment, and few photos need it

    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            if not len(tiff.pages):
                raise DamagedImage("it holds no picture")
            if page is None:
                page = next((i for i, page in enumerate(tiff.pages) if not page.subfiletype & 1), 0)
            if tiff.pages[page].imagewidth * tiff.pages[page].imagelength > MAX_PIXELS:
                raise UnsupportedImage("more than 2^28 pixels")
            tags = {tag.code: tag.value for tag in tiff.pages[page].tags}
            bits = int(np.max(tags.get(_BITS, 1)))
            values = _twelve_bits(tiff.pages[page]) if bits == 12 else tiff.pages[page].asarray()
    except Exception as error:  # tifffile raises many kinds
        if "imagecodecs" in str(error):
            raise UnsupportedImage("a TIFF image with this compression and bit depth") from None
        raise
    if tags.get(_PLANAR) == _SEPARATE and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    photo = _image(values, int(tags.get(_PHOTOMETRIC, _MIN_IS_BLACK)), bits, tags.get(_EXTRA_SAMPLES, ()))
    photo.info["icc_profile"] = tags.get(_PROFILE)
    photo.getexif()[ExifTags.Base.Orientation] = int(tags.get(ExifTags.Base.Orientation, 1))
    return photo


def _twelve_bits(page: TiffPage) -> np.ndarray:
    """Unpacks an uncompressed grey page, each row of whole bytes."""
    rows, columns = page.shape[:2]
    if page.compression != 1 or page.samplesperpixel != 1 or page.fillorder != 1 or page.is_tiled:
        raise UnsupportedImage("a TIFF image of 12 bits that is compressed, tiled, or not grey")
    handle, data = page.parent.filehandle, b""
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        handle.seek(offset)
        data += handle.read(size)
    packed = np.frombuffer(data, np.uint8, rows * -(-columns * 3 // 2)).reshape(rows, -1)
    packed = np.pad(packed, [(0, 0), (0, -packed.shape[1] % 3)]).reshape(rows, -1, 3).astype(np.uint16)
    first, second = packed[..., 0] << 4 | packed[..., 1] >> 4, (packed[..., 1] & 15) << 8 | packed[..., 2]
    return np.stack([first, second], axis=-1).reshape(rows, -1)[:, :columns]


def _image(values: np.ndarray, photometric: int, bits: int, extra_samples: tuple[int, ...] | int) -> Image.Image:
    """Returns an image of the samples, (H, W) or (H, W, samples)."""
    if values.ndim not in (2, 3) or bits < 8 or photometric not in (_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB):
        raise UnsupportedImage(f"a TIFF image of {bits} bits with photometric interpretation {photometric}")
    samples = eight_bits(values.reshape(*values.shape[:2], -1), bits)
    colours = 3 if photometric == _RGB else 1
    colour, extra = samples[..., :colours], np.atleast_1d(extra_samples)
    if photometric == _MIN_IS_WHITE:
        colour = 255 - colour
    if samples.shape[-1] > colours and len(extra) and extra[0] in (_ASSOCIATED, _UNASSOCIATED):
        alpha = samples[..., colours : colours + 1]
        if extra[0] == _ASSOCIATED:
            colour = np.minimum(255, np.rint(colour * (255.0 / np.maximum(alpha, 1)))).astype(np.uint8)
        colour = np.concatenate([colour, alpha], axis=-1)
    return Image.fromarray(colour[..., 0] if colour.shape[-1] == 1 else colour)


def eight_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Scales samples to 8 bits: integers of up to 16 bits by their white, others as 0 .. 1, 0 .. 255 or 0 .. 65535.

    Raises:
        UnsupportedImage: integers of more bits that are larger or negative.
    """
    if np.issubdtype(values.dtype, np.floating):
        values = np.nan_to_num(values.astype(np.float64))
        # From 0 to 1, highlights may be far above 1. From 0 to 255, a dark photo may have few values above 1.
        whole = values.max(initial=0.0) > 1 and (values == np.rint(values)).all()
        white = 255.0 if whole or np.median(values) > 1.0 else 1.0
    elif bits <= 16:
        white = 2.0**bits - 1
    else:
        # No white is agreed on. Most such files hold fewer bits.
        most = values.max(initial=0)
        if most > 65535 or values.min(initial=0) < 0:
            raise UnsupportedImage(f"{bits}-bit integers, which have no agreed value for white")
        white = 255.0 if most <= 255 else 65535.0
    return np.clip(np.rint(values * (255 / white)), 0, 255).astype(np.uint8)
