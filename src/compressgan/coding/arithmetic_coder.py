"""Entropy coding of the quantized latents: symbols <-> bytes by a range coder with one of three models.

context   the trained prior, adapted to the photo; the default
order0    adaptive counts per channel
block     all symbols equally likely
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compressgan.coding.context_model import ContextModel, Prior
from compressgan.coding.order0_model import Order0Model
from compressgan.coding.range_coder import Decoder, Encoder

CODERS = ("context", "order0", "block")  # the .bin format stores a coder's position here
FREE = -1  # in place of a symbol that may be any


def encode(symbols: np.ndarray, centers: int, prior: Prior, coder: str = "context") -> tuple[str, bytes]:
    """Encodes symbols (height, width, channels), integers in 0 .. centers - 1.

    Args:
        prior: the context model's prior.
        coder: one of `CODERS`.

    Returns:
        The coder used and the payload. The coder is the requested one, or "block" if that makes a smaller file.
    """
    payload = _encode(symbols, centers, prior, coder)
    # Latents unlike any that the prior has seen must not cost more than the bound.
    if coder != "block" and 8 * len(payload) > symbols.size * np.log2(centers):
        block = _encode(symbols, centers, prior, "block")
        if len(block) < len(payload):
            return "block", block
    return coder, payload


def decode(payload: bytes, shape: tuple[int, int, int], centers: int, prior: Prior, coder: str) -> np.ndarray:
    """Decodes a payload that `encode` made, and returns int32 symbols of the given shape (height, width, channels).

    Raises:
        ValueError: this coder cannot have made the payload.
    """
    return _model(shape, centers, prior, coder)(Decoder(payload).code, None)


def with_likeliest(symbols: np.ndarray, centers: int, prior: Prior) -> np.ndarray:
    """Returns symbols like `encode`'s, with the one that costs least after those before it in place of each `FREE`."""

    def choose(weights: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        return np.where(symbols == FREE, weights.argmax(axis=1), symbols).astype(np.int32)

    return ContextModel(symbols.shape, centers, prior).code(choose, symbols)


def _encode(symbols: np.ndarray, centers: int, prior: Prior, coder: str) -> bytes:
    encoder = Encoder()
    _model(symbols.shape, centers, prior, coder)(encoder.code, symbols)
    return encoder.payload()


def _model(shape: tuple[int, int, int], centers: int, prior: Prior, coder: str) -> Callable:
    if coder == "context":
        return ContextModel(shape, centers, prior).code
    return Order0Model(shape, centers, increment={"order0": 2, "block": 0}[coder]).code
