from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from compressgan.coding.arithmetic_coder import encode
from compressgan.coding.context_model import ContextModel, delays
from compressgan.config import Config
from compressgan.networks.prior import ContextPrior

LEVEL = tf.constant([2])


@pytest.fixture(scope="module")
def config(tiny: Config) -> Config:
    return tiny.replace(latent_channels=6)


@pytest.fixture
def prior(config: Config) -> ContextPrior:
    """A prior with random weights."""
    layer = ContextPrior(config)
    rng = np.random.default_rng(0)
    for weight in layer.weights[1:]:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    return layer


def random_symbols(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 5, shape, dtype=np.int32)


def test_blank_at_first(config: Config) -> None:
    assert np.all(ContextPrior(config)(random_symbols(1, 4, 5, 6), LEVEL) == 0)


def test_only_earlier_fronts_are_seen(prior: ContextPrior) -> None:
    """Changing a symbol changes only the logits of later neighbours, not those of its own front or earlier ones."""
    height, width, channels = 6, 9, 6
    symbols = random_symbols(1, height, width, channels)
    row, column, channel = 3, 4, 2
    changed = symbols.copy()
    changed[0, row, column, channel] = (changed[0, row, column, channel] + 1) % 5
    difference = np.abs(prior(symbols, LEVEL) - prior(changed, LEVEL))[0].max(axis=-1)
    r, c, k = np.indices((height, width, channels))
    delay = (c + 2 * r + k * 4 // channels) - (column + 2 * row + channel * 4 // channels)
    near = (r >= row) & (r <= row + 2) & (np.abs(c - column) <= 2)
    assert np.all(difference[(delay <= 0) | ~near] == 0)
    assert np.all(difference[(delay > 0) & near] > 0)


def test_delays_of_eight_channels() -> None:
    delay = delays(8)
    assert delay.shape == (3, 5, 8, 8)
    assert delay[2, 2, 0, 0] == 0  # itself
    assert delay[2, 1, 0, 0] == 1  # left
    assert delay[1, 2, 0, 0] == 2  # above
    assert delay[2, 2, 0, 7] == 3  # the last channel sees the first
    assert delay[2, 2, 6, 7] == 0  # the same group


def test_the_coder_runs_the_same_network_in_integers(prior: ContextPrior) -> None:
    symbols = random_symbols(7, 11, 6)
    expected = tf.nn.softmax(prior(symbols[np.newaxis], LEVEL))[0].numpy()
    model = ContextModel(symbols.shape, 5, prior.integers(2))
    model._learn = lambda *_: None  # the prior alone
    predicted = []

    def coder(weights: np.ndarray, given: np.ndarray) -> np.ndarray:
        predicted.append((given, weights / weights.sum(axis=1, keepdims=True)))
        return given

    np.testing.assert_array_equal(model.code(coder, symbols), symbols)
    # Front by front, in the order channel, row.
    place = iter(predicted)
    _, columns, channels = symbols.shape
    for front in range(columns + 2 * 7 - 2 + 3):
        _, probabilities = next(place)
        first, end = max(0, (front - (columns + 2 * 7 - 2 + 3)) // 2 + 7), min(7, front // 2 + 1)
        probabilities = probabilities.reshape(channels, end - first, 5)
        for k in range(channels):
            for i, r in enumerate(range(first, end)):
                c = front - 2 * r - k * 4 // channels
                if 0 <= c < columns:
                    np.testing.assert_allclose(probabilities[k, i], expected[r, c, k], atol=0.03)


def test_training_the_prior_shortens_the_code(config: Config) -> None:
    y, x, k = np.mgrid[:24, :24, :6]
    symbols = (((x + y) // 5 + k) % 5).astype(np.int32)
    layer = ContextPrior(config)
    _, before = encode(symbols, 5, layer.integers(2))
    optimizer = tf.keras.optimizers.Adam(0.02)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            logits = layer(symbols[np.newaxis], LEVEL)
            nats = tf.nn.sparse_softmax_cross_entropy_with_logits(symbols[np.newaxis], logits)
            loss = tf.reduce_mean(nats)
        variables = layer.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for _ in range(60):
        step()
    _, after = encode(symbols, 5, layer.integers(2))
    assert len(after) < 0.5 * len(before)


def test_each_photo_of_a_batch_has_its_own_level(prior: ContextPrior) -> None:
    symbols = random_symbols(3, 4, 5, 6)
    levels = [7, 0, 3]
    together = prior(symbols, tf.constant(levels)).numpy()
    for i, level in enumerate(levels):
        alone = prior(symbols[i : i + 1], tf.constant([level])).numpy()
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-5)
    assert np.abs(prior(symbols, tf.constant([7, 7, 7])) - together)[1:].max() > 0.1
