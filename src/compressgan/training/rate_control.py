"""Adapting the weight of the rate term, so that the rate reaches its target."""

from __future__ import annotations

import tensorflow as tf

from compressgan.config import Config

SPEED = 0.005  # change of the weight's logarithm per step and relative excess of the rate
LARGEST_EXCESS = 0.5  # relative; a rate that is further off does not move the weight faster
RANGE = 1e3  # the weight stays between 1 / RANGE and RANGE times `rate_coeff`, or it could not find back in time


def next_rate_coeff(rate_coeff: tf.Tensor, code_length: tf.Tensor, config: Config) -> tf.Tensor:
    """Returns the weight of the rate term for the next step.

    All photos share one weight, which adapts slowly: detailed photos may take more bits than plain ones.

    Args:
        rate_coeff: the weight in this step, a float32 scalar.
        code_length: the batch's rate in this step, bits per pixel, a float32 scalar.
        config: with a `rate_target` above 0.
    """
    excess = tf.clip_by_value(code_length / config.rate_target - 1.0, -LARGEST_EXCESS, LARGEST_EXCESS)
    moved = rate_coeff * tf.exp(SPEED * excess)
    return tf.clip_by_value(moved, config.rate_coeff / RANGE, config.rate_coeff * RANGE)
