from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arithmetic_coder import decode, encode


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.integers(1, limit)) for limit in (40, 40, 12))
    levels = data.draw(st.integers(2, 32))
    # From constant to uniform.
    spread = data.draw(st.sampled_from([0.0, 0.3, 1.0, 100.0]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    symbols = np.clip(np.rint(rng.normal(levels / 2, spread, shape)), 0, levels - 1).astype(np.int32)
    np.testing.assert_array_equal(decode(encode(symbols, levels), shape, levels), symbols)


def smooth_symbols(height: int, width: int, channels: int) -> np.ndarray:
    y, x, c = np.mgrid[:height, :width, :channels]
    return (((x + 2 * y) // 9 + c) % 5).astype(np.int32)


def test_neighbours_are_used() -> None:
    """Latents that repeat their neighbours cost far less than the entropy of their values, which is log2(5) bits."""
    symbols = smooth_symbols(64, 64, 4)
    assert 8 * len(encode(symbols, 5)) < 0.6 * symbols.size * math.log2(5)


def test_noise_costs_little_more_than_the_bound() -> None:
    symbols = np.random.default_rng(0).integers(0, 5, (96, 64, 8))
    assert 8 * len(encode(symbols, 5)) < 1.02 * symbols.size * math.log2(5)


def test_the_bytes_are_the_same_everywhere() -> None:
    payload = encode(smooth_symbols(20, 30, 3), 5)
    assert hashlib.sha256(payload).hexdigest() == "a7e34f8e373fbd708d0459155bb08bb6fbe19995dee12e3ded4dc6895038dfb2"


def test_a_payload_of_odd_length_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        decode(b"abc", (1, 1, 1), 5)
