"""The original project's block code as it was meant: a fixed number of bits a symbol. A baseline to measure against."""

from __future__ import annotations

import numpy as np


def pack_bits(symbols: np.ndarray, levels: int) -> bytes:
    """Packs integers in 0 .. levels - 1 at ceil(log2 L) bits each."""
    bits = (levels - 1).bit_length()
    return np.packbits(symbols.reshape(-1, 1) >> np.arange(bits)[::-1] & 1).tobytes()
