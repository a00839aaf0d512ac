"""Models without context: integer counts of each symbol per channel. They serve as baselines and for noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


class Order0Model:
    """Predicts one row of symbols at a time from how often each symbol has occurred in its channel.

    Args:
        shape: (height, width, channels) of the latents.
        centers: number of symbols L.
        increment: added to a symbol's count, which starts at 1. 2 is the Krichevsky-Trofimov estimator, doubled. With
            0, all symbols stay equally likely, so the range coder writes a photo as one number in base L.
    """

    def __init__(self, shape: tuple[int, int, int], centers: int, increment: int) -> None:
        self._shape = shape
        self._increment = increment
        self._counts = np.ones((shape[2], centers))

    def code(self, coder: Callable[[np.ndarray, np.ndarray], np.ndarray], symbols: np.ndarray | None) -> np.ndarray:
        """Codes all symbols, as `ContextModel.code` does."""
        symbols = np.zeros(self._shape, np.int32) if symbols is None else symbols.astype(np.int32)
        _, width, channels = self._shape
        for row in symbols:
            row[:] = coder(np.tile(self._counts, (width, 1)), row.reshape(-1)).reshape(row.shape)
            np.add.at(self._counts, (np.arange(channels), row), self._increment)
        return symbols
