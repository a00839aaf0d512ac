"""The `.bin` container: a header, the arithmetic coder's payload and a checksum, 18 bytes around the payload.

    offset  size  content
    0       3     "CGN"
    3       1     format version, 2, in the low four bits; number of the coder in the high four
    4       1     number of latent channels that follow
    5       1     level, from 1 on, which the prior and the generator are told
    6       4     fingerprint of the model that can decode the file
    10      1-3   height in pixels, varint
    ..      1-3   width in pixels, varint
    ..      n     payload
    end-4   4     CRC-32 (zlib's) of everything before it, little-endian

A varint holds 7 bits per byte, the lowest first; the high bit says that another byte follows. Sides are 1 .. 2^20 - 1,
and their product is at most 2^28. The file contains no pickle, table or float.

The payload of version 2 holds the symbols of all ceil(height / 16) x ceil(width / 16) x channels latents, range-coded.
Its bytes are the digits of a binary fraction, the most significant first; digits after the end are zero. The range
coder is the one of constriction 0.4 and 0.5: 32-bit words, 64-bit state, `Categorical(perfect=False)`, probabilities of
24 bits. Each call to it gets a matrix of weights, one row per symbol. The coder's number says what the weights are:

    0  context  One call per front t = 0 .. w - 1 + 2 (h - 1) + g, where g is the last channel's group; there are four
                groups of channels, in order. A call's symbols are sorted by channel, then by row, from the first r with
                t - 2 r <= w - 1 + g to the last with 2 r <= t. Symbol (r, c, k) has c = t - 2 r - group of k; where
                that is outside 0 .. w - 1, the symbol is the middle one, with weight 1, and all others have weight 0.
                Fronts without rows have no call. `context_model.py` defines the weights: the exp table (`_exp_table`)
                of the distance to the best score, where score = logit * gain + bias. The logits come from the
                checkpoint's prior. Bias and gain change after every second call (`_learn`).
    1  order0   One call per row, its symbols sorted by column, then by channel. A weight is 1 + 2 * the symbol's count
                in the same channel in all rows above.
    2  block    One call per row, as in 1. All weights are 1.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

from compressgan.coding.arithmetic_coder import CODERS
from compressgan.errors import CompressGANError
from compressgan.geometry import size_fits

MAGIC = b"CGN"
FORMAT_VERSION = 2
HEADER = 16  # bytes: the longest header, and the shortest file


class BitstreamError(CompressGANError):
    """The bytes are not a complete, unaltered `.bin` file of this format and model."""


@dataclass(frozen=True)
class Bitstream:
    """The contents of a `.bin` file.

    Attributes:
        height, width: of the photo, pixels.
        channels: latent channels.
        level: from 1 on.
        fingerprint: of the model that made the file, 4 bytes.
        coder: one of `CODERS`.
        payload: the coded symbols.
    """

    height: int
    width: int
    channels: int
    level: int
    fingerprint: bytes
    coder: str
    payload: bytes

    def to_bytes(self) -> bytes:
        """Returns the file's bytes.

        Raises:
            BitstreamError: the format cannot hold a photo of this size.
        """
        assert_size_fits(self.height, self.width)
        kind = FORMAT_VERSION | CODERS.index(self.coder) << 4
        head = MAGIC + bytes([kind, self.channels, self.level]) + self.fingerprint
        body = head + _varint(self.height) + _varint(self.width) + self.payload
        return body + zlib.crc32(body).to_bytes(4, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> Bitstream:
        """Parses the file's bytes.

        Raises:
            BitstreamError: the file is of another kind or version, truncated, or altered.
        """
        _check_kind(data)
        if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise BitstreamError("truncated or altered: the checksum is wrong")
        stream, offset = _parse_header(data)
        if offset > len(data) - 4:
            raise BitstreamError("altered: the header is invalid")
        return replace(stream, payload=data[offset:-4])

    @classmethod
    def from_header(cls, data: bytes) -> Bitstream:
        """Parses the header, which lies in a file's first 16 bytes. The payload is left empty, nothing is verified.

        Raises:
            BitstreamError: the file is of another kind or version, or shorter, or its header is invalid.
        """
        _check_kind(data)
        return _parse_header(data)[0]


def _check_kind(data: bytes) -> None:
    if data[:3] != MAGIC[: len(data)] or not data:
        raise BitstreamError("not a CompressGAN .bin file")
    if len(data) < HEADER:
        raise BitstreamError("truncated: shorter than a header")


def _parse_header(data: bytes) -> tuple[Bitstream, int]:
    """Returns the header, and where the payload starts."""
    version, coder = data[3] & 15, data[3] >> 4
    if version != FORMAT_VERSION or coder >= len(CODERS):
        raise BitstreamError(f"written in format {version}.{coder}, which this version cannot read")
    height, offset = _read_varint(data, 10)
    width, offset = _read_varint(data, offset)
    if not size_fits(height, width):
        raise BitstreamError("altered: the header is invalid")
    return Bitstream(height, width, data[4], data[5], data[6:10], CODERS[coder], b""), offset


def assert_size_fits(height: int, width: int) -> None:
    """Checks that the format can hold a photo of this size.

    Raises:
        BitstreamError: it cannot; see `geometry.size_fits`.
    """
    if not size_fits(height, width):
        raise BitstreamError(f"a photo of {width} x {height} pixels does not fit the .bin format")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _read_varint(data: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for shift in (0, 7, 14):
        byte = data[offset] if offset < len(data) else 0
        value |= (byte & 0x7F) << shift
        offset += 1
        if byte < 0x80:
            return value, offset
    raise BitstreamError("altered: the header is invalid")
