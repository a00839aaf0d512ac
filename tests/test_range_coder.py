from __future__ import annotations

import contextlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from compressgan.coding.range_coder import Decoder, Encoder


@settings(max_examples=200)
@given(st.integers(0, 80), st.integers(2, 9), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_round_trip_in_the_fewest_bytes(count: int, centers: int, skew: int, seed: int) -> None:
    """With one call or several, and likely or unlikely symbols, the payload decodes and no shorter one does."""
    rng = np.random.default_rng(seed)
    weights = rng.random((count, centers)) ** skew + 1e-9
    likely = weights.argmax(axis=1)
    symbols = np.where(rng.random(count) < 0.8, likely, rng.integers(0, centers, count)).astype(np.int32)
    encoder = Encoder()
    middle = count // 2
    encoder.code(weights[:middle], symbols[:middle])
    encoder.code(weights[middle:], symbols[middle:])
    payload = encoder.payload()
    np.testing.assert_array_equal(Decoder(payload).code(weights), symbols)
    if payload:
        shorter = payload[:-1]
        neighbours = [shorter]
        number = int.from_bytes(shorter, "big") + 1
        if number < 256 ** len(shorter):
            neighbours.append(number.to_bytes(len(shorter), "big"))
        for candidate in neighbours:
            with contextlib.suppress(ValueError):
                assert (Decoder(candidate).code(weights) != symbols).any()
