"""The controller of the rate's weight alone."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from compressgan.config import Config
from compressgan.training.rate_control import next_rate_coeffs

CONFIG = Config(levels=3, default_level=1, batch_size=6, rate_coeff=0.05, rate_target=0.03, highest_rate_target=0.12)


def test_targets_are_spaced_evenly_in_their_logarithm() -> None:
    assert CONFIG.rate_targets == pytest.approx((0.03, 0.06, 0.12))
    found = Config().rate_targets
    assert found == pytest.approx((0.020, 0.026, 0.034, 0.045, 0.058, 0.076, 0.099, 0.130), abs=6e-4)
    assert Config(levels=1, default_level=1, rate_target=0.05).rate_targets == (0.05,)


@pytest.mark.parametrize(
    ("rate", "logarithm"), [(0.06, 0.0), (0.066, 0.0005), (0.054, -0.0005), (0.6, 0.0025), (0.0, -0.0025)]
)
def test_the_speed(rate: float, logarithm: float) -> None:
    """Half a percent per batch and relative excess, which counts up to a half; the others are at their targets."""
    rates, photos = tf.constant([2 * 0.03, 2 * rate, 2 * 0.12]), tf.constant([2.0, 2.0, 2.0])
    found = next_rate_coeffs(tf.constant([1.0, 2.0, 3.0]), rates, photos, CONFIG)
    assert np.log(found / [1.0, 2.0, 3.0]) == pytest.approx([0.0, logarithm, 0.0], abs=1e-6)


def test_levels_move_by_how_many_photos_they_have() -> None:
    rates, photos = tf.constant([0.06, 0.0, 5 * 0.24]), tf.constant([1.0, 0.0, 5.0])
    found = next_rate_coeffs(tf.ones(3), rates, photos, CONFIG)
    assert np.log(found) == pytest.approx([0.00125, 0.0, 0.00625], abs=1e-6)


def run(rate: float, steps: int, start: float) -> float:
    """The weight of a level of target 0.06 after steps at this rate."""

    @tf.function
    def loop(coeffs: tf.Tensor) -> tf.Tensor:
        for _ in tf.range(steps):
            coeffs = next_rate_coeffs(coeffs, tf.constant([0.0, 2 * rate, 0.0]), tf.constant([2.0] * 3), CONFIG)
        return coeffs

    return float(loop(tf.fill((3,), start))[1])


def test_the_weight_stays_within_bounds_and_comes_back_in_time() -> None:
    """After however long under or above the target, the way back is as long as the range, and no weight is infinite."""
    low = run(0.054, 20_000, CONFIG.rate_coeff)
    assert low == pytest.approx(CONFIG.rate_coeff / 1000, rel=1e-3)
    assert run(0.066, 13_900, low) == pytest.approx(CONFIG.rate_coeff, rel=0.05)
    assert run(6.0, 50_000, CONFIG.rate_coeff) == pytest.approx(CONFIG.rate_coeff * 1000, rel=1e-3)
