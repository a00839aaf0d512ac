"""PNG files before Pillow reads them: what it does not check, and what it does not tell."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from compressgan.images.damage import DamagedImage, UnsupportedImage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_TEXT = 2**20  # bytes of one text, inflated; Pillow refuses more
_MOST_TEXTS = 2**25  # bytes of all texts; Pillow refuses 2^26
_MOST_PROFILE = 2**24  # bytes of a colour profile, inflated
_GREY, _RGB, _PALETTE = 0, 2, 3  # colour types
_SRGB_GAMMA = 0.45455


class Png(NamedTuple):
    """A PNG file, and what Pillow does not tell of it.

    Attributes:
        data: the file as Pillow should see it: without colour profile, and without texts that are too long for it.
        profile: the colour profile, or None.
        grey_key: the transparent grey value, out of `grey_values` possible ones, or None.
        notes: what is lost or ignored.
    """

    data: bytes
    profile: bytes | None
    grey_key: int | None
    grey_values: int
    notes: list[str]


def parse(data: bytes) -> Png:
    """Checks a PNG file.

    Raises:
        DamagedImage: a checksum is wrong, or the palette is missing.
        UnsupportedImage: it has a transparent colour of 16 bits.
    """
    kept, notes, texts = [SIGNATURE], [], 0
    found: dict[bytes, bytes] = {}
    for kind, content, chunk in _chunks(data):
        found.setdefault(kind, content)
        if kind == b"iCCP":
            continue
        if kind in (b"zTXt", b"iTXt", b"tEXt"):
            size = _text_size(kind, content)
            texts += size
            if size >= _MOST_TEXT or texts >= _MOST_TEXTS:
                continue
        kept.append(chunk)
    header = found.get(b"IHDR", b"")
    if len(header) < 13:
        raise DamagedImage("no header")
    bits, colour_type = header[8], header[9]
    if colour_type == _PALETTE and b"PLTE" not in found:
        raise DamagedImage("no palette")
    key = found.get(b"tRNS")
    if key and colour_type == _RGB and bits == 16:
        raise UnsupportedImage("a transparent colour of 16 bits per channel")
    grey_key = struct.unpack(">H", key[:2])[0] if key and len(key) >= 2 and colour_type == _GREY else None
    profile = None
    if b"iCCP" in found:
        profile = _profile(found[b"iCCP"])
        if profile is None:
            notes.append("its colour profile is damaged and is ignored")
    elif b"sRGB" not in found:
        notes += _colour_notes(found)
    return Png(b"".join(kept), profile, grey_key, 2**bits, notes)


def with_transparent_grey(image: Image.Image, png: Png) -> Image.Image:
    """Returns a grey image with the alpha channel that its file's `grey_key` stands for."""
    values = np.asarray(image).astype(np.int64)
    white = 1 if image.mode == "1" else 255 if image.mode == "L" else 65535
    opaque = values * (png.grey_values - 1) != png.grey_key * white
    grey = np.rint(values * (255 / white)).astype(np.uint8)
    return Image.fromarray(np.stack([grey, 255 * opaque.astype(np.uint8)], axis=-1))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yields each chunk's kind, content and whole bytes. What follows the end of the picture is left out."""
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at : at + 12 + length]
        content = chunk[8 : 8 + length]
        # A capital first letter marks a critical chunk. Pillow checks the others.
        if kind[:1].isupper() and chunk[8 + length :] != struct.pack(">I", zlib.crc32(kind + content)):
            raise DamagedImage(f"the checksum of {kind.decode('ascii', 'replace')} is wrong")
        yield kind, content, chunk
        if kind == b"IEND":
            break
        at += len(chunk)


def _text_size(kind: bytes, content: bytes) -> int:
    """Returns the size of a text, inflated as far as that matters."""
    head, separator, rest = content.partition(b"\0")
    compressed = rest[1:]
    if kind == b"iTXt":
        if rest[:1] != b"\x01":
            return len(content)
        compressed = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif kind == b"tEXt" or not separator:
        return len(content)
    try:
        return len(head) + len(zlib.decompressobj().decompress(compressed, _MOST_TEXT))
    except zlib.error:
        return len(content)


def _profile(content: bytes) -> bytes | None:
    """Returns the colour profile of an iCCP chunk, or None if it cannot be inflated."""
    compressed = content.partition(b"\0")[2][1:]
    try:
        inflate = zlib.decompressobj()
        profile = inflate.decompress(compressed, _MOST_PROFILE)
        return profile if inflate.eof else None
    except zlib.error:
        return None


def _colour_notes(found: dict[bytes, bytes]) -> list[str]:
    """Returns a note for colours that are not sRGB according to a PNG file without a profile."""
    if len(cicp := found.get(b"cICP", b"")) >= 2:
        return nclx_notes(cicp[0], cicp[1])
    if len(gamma := found.get(b"gAMA", b"")) == 4:
        value = struct.unpack(">I", gamma)[0] / 100_000
        if abs(value - _SRGB_GAMMA) > 0.01:
            return [f"its gamma of {value:g} is ignored, so its brightness may be wrong"]
    return []


def nclx_notes(primaries: int, transfer: int) -> list[str]:
    """Returns a note if colours named by code points (ITU-T H.273) are far from sRGB.

    Args:
        primaries, transfer: the code points; 2 means unknown.
    """
    # BT.709, BT.601 and sRGB have nearly the same primaries and transfer.
    if primaries in (1, 2, 5, 6, 7) and transfer in (1, 2, 6, 13, 14, 15):
        return []
    return [f"its colours are treated as sRGB, but are not (H.273: primaries {primaries}, transfer {transfer})"]
