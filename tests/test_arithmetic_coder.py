from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressgan.coding.arithmetic_coder import CODERS, decode, encode
from compressgan.coding.context_model import ContextModel, Prior


def random_prior(channels: int, centers: int, hidden: int = 3, seed: int = 0, largest: int = 80) -> Prior:
    """A prior of one level with random weights up to `largest`. With 0, all symbols are equally likely."""
    rng = np.random.default_rng(seed)
    window, (_, *hidden_bias), output, (_, *output_bias) = Prior.shapes(1, channels, centers, hidden).values()
    shapes = (window, hidden_bias, output, output_bias)
    return Prior(*(rng.integers(-largest, largest + 1, shape, dtype=np.int32) for shape in shapes))


def assert_round_trip(symbols: np.ndarray, centers: int, prior: Prior, coder: str) -> None:
    used, payload = encode(symbols, centers, prior, coder)
    np.testing.assert_array_equal(decode(payload, symbols.shape, centers, prior, used), symbols)


@settings(max_examples=80)
@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    """Any shape, from constant to uniform latents, with priors from blank to absurd."""
    channels, centers = data.draw(st.integers(1, 64)), data.draw(st.integers(2, 32))
    longest = max(1, 20_000 // (channels * centers))
    height = data.draw(st.integers(1, min(300, longest)))
    width = data.draw(st.integers(1, min(300, max(1, longest // height))))
    spread = data.draw(st.sampled_from([0.0, 0.3, 1.0, 100.0]))
    largest = data.draw(st.sampled_from([0, 10, 300, 32_767]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    symbols = np.random.default_rng(seed).normal(centers / 2, spread, (height, width, channels))
    symbols = np.clip(np.rint(symbols), 0, centers - 1).astype(np.int32)
    prior = random_prior(channels, centers, seed=seed, largest=largest)
    assert_round_trip(symbols, centers, prior, data.draw(st.sampled_from(CODERS)))


@pytest.mark.parametrize("shape", [(300, 300, 1), (1, 300, 64), (300, 1, 8), (300, 2, 5), (2, 300, 5)])
def test_round_trip_of_extreme_shapes(shape: tuple[int, int, int]) -> None:
    symbols = np.random.default_rng(0).integers(0, 5, shape, dtype=np.int32)
    assert_round_trip(symbols, 5, random_prior(shape[2], 5), "context")


def test_the_prior_need_not_be_right() -> None:
    """A channel's bias and gain adapt to the photo, so even a blank prior learns its statistics."""
    symbols = np.random.default_rng(0).choice(5, (96, 96, 4), p=[0.02, 0.08, 0.8, 0.08, 0.02])
    entropy = -sum(p * math.log2(p) for p in (0.02, 0.08, 0.8, 0.08, 0.02))
    _, payload = encode(symbols, 5, random_prior(4, 5, largest=0))
    assert 8 * len(payload) < 1.05 * entropy * symbols.size


@pytest.mark.parametrize("shape", [(1, 1, 1), (16, 16, 8), (96, 64, 8), (20, 20, 64), (1, 300, 2)])
@pytest.mark.parametrize("centers", [2, 5, 32])
@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("largest", [0, 300])
def test_noise_costs_hardly_more_than_the_bound(
    shape: tuple[int, int, int], centers: int, coder: str, largest: int
) -> None:
    symbols = np.random.default_rng(0).integers(0, centers, shape)
    _, payload = encode(symbols, centers, random_prior(shape[2], centers, largest=largest), coder)
    assert len(payload) <= 1.005 * symbols.size * math.log2(centers) / 8 + 24


def test_adversarial_latents_cost_hardly_more_than_the_bound() -> None:
    """Latents whose symbols are always those that the model considers least likely."""
    prior, shape = random_prior(8, 5, largest=100), (32, 32, 8)

    def least_likely(weights: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        return weights.argmin(axis=1).astype(np.int32)

    symbols = ContextModel(shape, 5, prior).code(least_likely, None)
    coder, payload = encode(symbols, 5, prior)
    assert coder == "block"
    assert len(payload) <= 1.005 * symbols.size * math.log2(5) / 8 + 24
    assert_round_trip(symbols, 5, prior, "context")


def test_the_bytes_are_the_same_everywhere() -> None:
    y, x, c = np.mgrid[:20, :30, :3]
    coder, payload = encode(((x + 2 * y) // 9 + c) % 5, 5, random_prior(3, 5, largest=60))
    assert (coder, len(payload)) == ("context", 505)
    assert hashlib.sha256(payload).hexdigest() == "5e4cfcc6c97571c77343b7e4bdcbc35157905af9cbda5a7df0ff40fe0ac98cef"


@settings(max_examples=100)
@given(st.binary(max_size=300), st.sampled_from(CODERS))
def test_any_payload_decodes_to_symbols_or_is_refused(payload: bytes, coder: str) -> None:
    try:
        symbols = decode(payload, (9, 7, 3), 5, random_prior(3, 5), coder)
    except ValueError:
        return
    assert symbols.shape == (9, 7, 3)
    assert 0 <= symbols.min() <= symbols.max() < 5
