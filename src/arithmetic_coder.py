"""Adaptive arithmetic coding of the quantized latents, with constriction's range coder.

Encoder and decoder walk through the latents along the same wavefronts and keep the same integer counts, so that
decoding gives the same symbols on every machine: the only floating-point operation is the division of two integers,
which IEEE 754 fixes exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import constriction
import numpy as np

_RANGE_CODER_MODEL = constriction.stream.model.Categorical(perfect=False)
_INCREMENT = 2  # added to a symbol's count, which starts at 1: the Krichevsky-Trofimov estimator, doubled


class ContextModel:
    """Counts of each symbol, per channel and context; the context is the sum of the symbols to the left and above.

    Args:
        height, width, channels: shape of the latents.
        levels: number of symbols L.
    """

    def __init__(self, height: int, width: int, channels: int, levels: int) -> None:
        self._levels = levels
        # A frame of middle symbols stands for the neighbours outside.
        self._symbols = np.full((height + 1, width + 1, channels), levels // 2, np.int32)
        self._counts = np.ones((channels, 2 * levels - 1, levels), np.int64)
        self._channels = np.arange(channels)

    @property
    def symbols(self) -> np.ndarray:
        """The symbols seen so far, (height, width, channels) int32."""
        return self._symbols[1:, 1:]

    def wavefronts(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields rows and columns of positions whose neighbours all lie on earlier wavefronts: the diagonals."""
        height, width = self.symbols.shape[:2]
        for diagonal in range(height + width - 1):
            rows = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
            yield rows, diagonal - rows

    def code(self, rows: np.ndarray, columns: np.ndarray, coder: Callable[[np.ndarray], np.ndarray]) -> None:
        """Codes one wavefront and learns from it.

        Args:
            rows, columns: the wavefront's positions, (n,) each.
            coder: is given probabilities (n * channels, levels) float64 and returns the symbols (n * channels,).
        """
        left = self._symbols[rows + 1, columns]
        above = self._symbols[rows, columns + 1]
        where = (np.broadcast_to(self._channels, left.shape), left + above)
        counts = self._counts[where].reshape(-1, self._levels)
        symbols = coder(counts / counts.sum(axis=-1, keepdims=True)).reshape(left.shape)
        self._symbols[rows + 1, columns + 1] = symbols
        np.add.at(self._counts, (*where, symbols), _INCREMENT)


def encode(symbols: np.ndarray, levels: int) -> bytes:
    """Codes symbols (height, width, channels) of integers in 0 .. levels - 1."""
    encoder = constriction.stream.queue.RangeEncoder()
    model = ContextModel(*symbols.shape, levels)
    symbols = symbols.astype(np.int32)
    for rows, columns in model.wavefronts():
        front = np.ascontiguousarray(symbols[rows, columns].reshape(-1))

        def coder(probabilities: np.ndarray, front: np.ndarray = front) -> np.ndarray:
            encoder.encode(front, _RANGE_CODER_MODEL, probabilities)
            return front

        model.code(rows, columns, coder)
    return encoder.get_compressed().astype("<u4").tobytes()


def decode(payload: bytes, shape: tuple[int, int, int], levels: int) -> np.ndarray:
    """Decodes what `encode` made: returns int32 symbols of the given (height, width, channels).

    Raises:
        ValueError: the payload cannot be this coder's.
    """
    if len(payload) % 4:
        raise ValueError("the payload's length is not a multiple of 4")
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(payload, "<u4").astype(np.uint32))
    model = ContextModel(*shape, levels)
    try:
        for rows, columns in model.wavefronts():
            model.code(rows, columns, lambda probabilities: decoder.decode(_RANGE_CODER_MODEL, probabilities))
    except AssertionError as error:  # constriction's own check of the data
        raise ValueError("the payload is not valid") from error
    return model.symbols.copy()
