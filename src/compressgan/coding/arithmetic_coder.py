"""Entropy coding of the quantized latents: symbols <-> bytes on a range coder, with one of three models.

context   the trained prior, corrected by what the photo itself shows: the default
order0    adaptive counts per channel
block     all symbols equally likely
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from context_model import ContextModel, Prior
from order0_model import Order0Model
from range_coder import Decoder, Encoder

CODERS = ("context", "order0", "block")  # their numbers in the .bin format


def encode(symbols: np.ndarray, levels: int, prior: Prior, coder: str = "context") -> tuple[str, bytes]:
    """Codes symbols (height, width, channels), integers in 0 .. levels - 1.

    Args:
        prior: the context model's.
        coder: one of `CODERS`.

    Returns:
        The coder used and the payload; the coder is the one asked for, or "block" where that is smaller.
    """
    payload = _encode(symbols, levels, prior, coder)
    # Latents that look like none that the prior knows, or like noise, must not cost more than their bound.
    if coder != "block" and 8 * len(payload) > symbols.size * np.log2(levels):
        block = _encode(symbols, levels, prior, "block")
        if len(block) < len(payload):
            return "block", block
    return coder, payload


def decode(payload: bytes, shape: tuple[int, int, int], levels: int, prior: Prior, coder: str) -> np.ndarray:
    """Decodes what `encode` made: returns int32 symbols of the given (height, width, channels).

    Raises:
        ValueError: the payload cannot be this coder's.
    """
    return _model(shape, levels, prior, coder)(Decoder(payload).code, None)


def _encode(symbols: np.ndarray, levels: int, prior: Prior, coder: str) -> bytes:
    encoder = Encoder()
    _model(symbols.shape, levels, prior, coder)(encoder.code, symbols)
    return encoder.payload()


def _model(shape: tuple[int, int, int], levels: int, prior: Prior, coder: str) -> Callable:
    if coder == "context":
        return ContextModel(shape, levels, prior).code
    return Order0Model(shape, levels, increment={"order0": 2, "block": 0}[coder]).code
