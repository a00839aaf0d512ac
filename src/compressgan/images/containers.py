"""What files of several formats say about their colours, which Pillow does not tell."""

from __future__ import annotations

import struct
from typing import BinaryIO

from PIL import Image

from compressgan.images.damage import UnsupportedImage
from compressgan.images.png import nclx_notes

_HEAD = 2**20  # bytes in which a file's boxes are looked for
_INTEROPERABILITY, _INDEX = 0xA005, 1  # EXIF's directory, and its tag for the colour space
_SIZ = b"\xff\x4f\xff\x51"  # start of a JPEG 2000 codestream
_PCX_PALETTE = 769  # bytes at the end of a PCX file, the first of which is 12
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_JXL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")


def is_heic(head: bytes) -> bool:
    """Returns whether a file that begins with these bytes is HEIC."""
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS


def is_jxl(head: bytes) -> bool:
    """Returns whether a file that begins with these bytes is JPEG XL."""
    return head.startswith(_JXL)


def forgotten_rotation(image: Image.Image, file: BinaryIO) -> int | None:
    """Returns a HEIC image's EXIF orientation if its file has no rotation, which decoders would apply, or None."""
    orientation = image.info.get("original_orientation") if image.format == "HEIF" else None
    own = orientation and any(box in _head(file) for box in (b"irot", b"imir"))
    return None if own else orientation


def colour_notes(image: Image.Image, file: BinaryIO) -> list[str]:
    """Returns what is ignored of an image's colours. A JPEG 2000 file's profile is put into its `info`.

    Raises:
        UnsupportedImage: JPEG 2000 of more than 8 bits, whose white Pillow makes black.
    """
    if image.format == "JPEG2000":
        return _of_jpeg2000(image, _head(file))
    if image.info.get("icc_profile"):
        return []
    if image.format in ("AVIF", "HEIF"):
        head = _head(file)
        at = head.find(b"colrnclx")
        return nclx_notes(*struct.unpack(">HH", head[at + 8 : at + 12])) if 0 <= at <= len(head) - 12 else []
    if image.format == "PCX" and image.mode == "L" and not _has_palette(file):
        return ["it has no palette, so its colours are treated as grey"]
    if image.format in ("JPEG", "MPO"):
        if image.mode == "CMYK" and "adobe" not in image.info:
            return ["it does not say whether its CMYK colours are inverted; they are taken as not inverted"]
        try:
            if image.getexif().get_ifd(_INTEROPERABILITY).get(_INDEX) == "R03":
                return ["its colours are Adobe RGB according to its EXIF data, but are treated as sRGB"]
        except Exception:  # Pillow's EXIF reader raises many kinds of exceptions on damaged data.
            return []
    return []


def _of_jpeg2000(image: Image.Image, head: bytes) -> list[str]:
    start = head.find(_SIZ)
    if start < 0:
        return []
    count = struct.unpack(">H", head[start + 40 : start + 42])[0]
    components = head[start + 42 : start + 42 + 3 * count : 3]
    if any((depth & 0x7F) + 1 > 8 for depth in components):
        raise UnsupportedImage("a JPEG 2000 image with more than 8 bits per channel")
    at = head.find(b"colr\x02", 0, start)  # method 2: a restricted profile
    if at >= 4:
        length = struct.unpack(">I", head[at - 4 : at])[0]
        image.info["icc_profile"] = head[at + 7 : at - 4 + length]
    return []


def _has_palette(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read()[-_PCX_PALETTE : -_PCX_PALETTE + 1] == b"\x0c"


def _head(file: BinaryIO) -> bytes:
    at = file.tell()
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(at)
    return head
