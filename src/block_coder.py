"""Fixed-length codes, which know nothing of the symbols' statistics: baselines.

The original project means ceil(log2 L) bits a symbol (`pack_bits`); whole blocks of symbols as digits of one number in
base L take less (`encode`, `decode`).
"""

from __future__ import annotations

import numpy as np

_BLOCK_BYTES = 8


def _digits(levels: int) -> int:
    """Returns how many base-L digits a block of 8 bytes holds."""
    digits = 0
    while levels ** (digits + 1) <= 2 ** (8 * _BLOCK_BYTES):
        digits += 1
    return digits


def size(count: int, levels: int) -> int:
    """Returns the bytes that `encode` makes of `count` symbols."""
    whole, rest = divmod(count, _digits(levels))
    return whole * _BLOCK_BYTES + ((levels**rest - 1).bit_length() + 7) // 8


def encode(symbols: np.ndarray, levels: int) -> bytes:
    """Packs integers in 0 .. levels - 1: blocks of base-L digits, 8 bytes each, the last one only as long as needed."""
    flat = symbols.reshape(-1)
    digits = _digits(levels)
    padded = np.pad(flat, (0, -flat.size % digits)).astype(np.uint64).reshape(-1, digits)
    blocks = np.zeros(len(padded), np.uint64)
    for column in padded.T[::-1]:
        blocks = blocks * np.uint64(levels) + column
    return blocks.astype("<u8").tobytes()[: size(flat.size, levels)]


def decode(payload: bytes, count: int, levels: int) -> np.ndarray:
    """Unpacks `count` symbols, (count,) int32.

    Raises:
        ValueError: the payload is none that `encode` writes.
    """
    if len(payload) != size(count, levels):
        raise ValueError("the payload's length does not fit the size of the photo")
    blocks = np.frombuffer(payload + bytes(-len(payload) % _BLOCK_BYTES), "<u8").astype(np.uint64)
    symbols = np.empty((len(blocks), _digits(levels)), np.int32)
    for column in symbols.T:
        column[:] = blocks % np.uint64(levels)
        blocks //= np.uint64(levels)
    if blocks.any():
        raise ValueError("the payload is not valid")
    return symbols.reshape(-1)[:count]


def pack_bits(symbols: np.ndarray, levels: int) -> bytes:
    """Packs integers in 0 .. levels - 1 at ceil(log2 L) bits each: the original's block code as it was meant."""
    bits = (levels - 1).bit_length()
    return np.packbits(symbols.reshape(-1, 1) >> np.arange(bits)[::-1] & 1).tobytes()
