"""Constriction's range coder (Bamler, arXiv 2201.01741), with one interface for both directions and minimal payloads.

Both classes have `code(weights, symbols)`. `weights` (n, L) float64 are the probabilities times any constant. The
result (n,) int32 holds the symbols. The encoder returns its argument. The decoder ignores the argument and returns the
decoded symbols.
"""

from __future__ import annotations

import constriction
import numpy as np

_CATEGORICAL = constriction.stream.model.Categorical(perfect=False)
_WORD_BITS, _STATE_BITS = 32, 64


class Encoder:
    """Writes symbols."""

    def __init__(self) -> None:
        self._encoder = constriction.stream.queue.RangeEncoder()

    def code(self, weights: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """Appends symbols (n,) int32 and returns them."""
        self._encoder.encode(symbols, _CATEGORICAL, weights)
        return symbols

    def payload(self) -> bytes:
        """Returns the shortest payload that decodes to the symbols. Bytes after its end count as zeros."""
        words, (low, width) = self._encoder.pos()
        bits = words * _WORD_BITS + _STATE_BITS
        sealed = self._encoder.get_compressed().astype(">u4").tobytes()
        # The bytes are a binary fraction, and every fraction in [first, first + width) decodes to the same symbols.
        some = int.from_bytes(sealed, "big") << (bits - 8 * len(sealed))
        first = some - ((some - low) % 2**_STATE_BITS)
        dropped = width.bit_length() + 7
        while True:
            dropped -= 1
            shortest = -(-first >> dropped) << dropped
            if shortest < first + width:
                return shortest.to_bytes(bits // 8, "big").rstrip(b"\0")


class Decoder:
    """Reads symbols from a payload."""

    def __init__(self, payload: bytes) -> None:
        padded = payload + bytes(-len(payload) % (_WORD_BITS // 8) + _STATE_BITS // 8)
        self._decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))

    def code(self, weights: np.ndarray, symbols: np.ndarray | None = None) -> np.ndarray:
        """Returns the next symbols (n,) int32.

        Raises:
            ValueError: no encoder writes such a payload.
        """
        try:
            return self._decoder.decode(_CATEGORICAL, weights)
        except AssertionError as error:  # constriction's own check of the data
            raise ValueError("the payload is not valid") from error
