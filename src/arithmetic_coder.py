"""Entropy coding of the quantized latents: symbols <-> bytes, with one of three coders.

context   the trained prior, corrected by what the photo itself shows, on a range coder: the default
order0    adaptive counts per channel on a range coder
block     fixed-length blocks of base-L digits
"""

from __future__ import annotations

import numpy as np

import block_coder
from context_model import ContextModel, Prior
from order0_model import Order0Model
from range_coder import Decoder, Encoder

CODERS = ("context", "order0", "block")  # their numbers in the .bin format


def encode(symbols: np.ndarray, levels: int, prior: Prior, coder: str = "context") -> bytes:
    """Codes symbols (height, width, channels), integers in 0 .. levels - 1.

    Args:
        prior: the context coder's.
    """
    if coder == "block":
        return block_coder.encode(symbols, levels)
    encoder = Encoder()
    _model(symbols.shape, levels, prior, coder).code(encoder.code, symbols)
    return encoder.payload()


def decode(
    payload: bytes, shape: tuple[int, int, int], levels: int, prior: Prior, coder: str = "context"
) -> np.ndarray:
    """Decodes what `encode` made: returns int32 symbols of the given (height, width, channels).

    Raises:
        ValueError: the payload cannot be this coder's.
    """
    if coder == "block":
        return block_coder.decode(payload, int(np.prod(shape)), levels).reshape(shape)
    return _model(shape, levels, prior, coder).code(Decoder(payload).code, None)


def _model(shape: tuple[int, int, int], levels: int, prior: Prior, coder: str) -> ContextModel | Order0Model:
    return ContextModel(shape, levels, prior) if coder == "context" else Order0Model(shape, levels)
