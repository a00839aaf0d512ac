"""The controller of the rate's weight alone."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from compressgan.config import Config
from compressgan.training.rate_control import next_rate_coeff

CONFIG = Config(rate_coeff=0.05, rate_target=0.06)


@pytest.mark.parametrize(
    ("rate", "logarithm"), [(0.06, 0.0), (0.066, 0.0005), (0.054, -0.0005), (0.6, 0.0025), (0.0, -0.0025)]
)
def test_the_speed(rate: float, logarithm: float) -> None:
    """Half a percent per step and relative excess, which counts up to a half."""
    found = next_rate_coeff(tf.constant(2.0), tf.constant(rate), CONFIG)
    assert np.log(found / 2.0) == pytest.approx(logarithm, abs=1e-6)


def run(rate: float, steps: int, start: float) -> float:
    @tf.function
    def loop(coeff: tf.Tensor) -> tf.Tensor:
        for _ in tf.range(steps):
            coeff = next_rate_coeff(coeff, tf.constant(rate), CONFIG)
        return coeff

    return float(loop(tf.constant(start)))


def test_the_weight_stays_within_bounds_and_comes_back_in_time() -> None:
    """After however long under or above the target, the way back is as long as the range, and no weight is infinite."""
    low = run(0.054, 20_000, CONFIG.rate_coeff)
    assert low == pytest.approx(CONFIG.rate_coeff / 1000, rel=1e-3)
    assert run(0.066, 13_900, low) == pytest.approx(CONFIG.rate_coeff, rel=0.05)
    assert run(6.0, 50_000, CONFIG.rate_coeff) == pytest.approx(CONFIG.rate_coeff * 1000, rel=1e-3)
