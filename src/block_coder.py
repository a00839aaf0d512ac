"""Codes that know nothing of the symbols' statistics: baselines, and what noise is coded with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


class BlockModel:
    """All symbols equally likely: on a range coder a photo becomes one number in base L, log2(L) bits a symbol.

    Args:
        shape: (height, width, channels) of the latents.
        levels: number of symbols L.
    """

    def __init__(self, shape: tuple[int, int, int], levels: int) -> None:
        self._shape = shape
        self._weights = np.ones((shape[1] * shape[2], levels))

    def code(self, coder: Callable[[np.ndarray, np.ndarray], np.ndarray], symbols: np.ndarray | None) -> np.ndarray:
        """Codes all symbols, as `ContextModel.code` does."""
        symbols = np.zeros(self._shape, np.int32) if symbols is None else symbols.astype(np.int32)
        for row in symbols:
            row[:] = coder(self._weights, row.reshape(-1)).reshape(row.shape)
        return symbols


def pack_bits(symbols: np.ndarray, levels: int) -> bytes:
    """Packs integers in 0 .. levels - 1 at ceil(log2 L) bits each: the original's block code as it was meant."""
    bits = (levels - 1).bit_length()
    return np.packbits(symbols.reshape(-1, 1) >> np.arange(bits)[::-1] & 1).tobytes()
