"""Adapting the weight of the rate term of each level, so that its rate reaches its target."""

from __future__ import annotations

import tensorflow as tf

from compressgan.config import Config

SPEED = 0.005  # change of a weight's logarithm per batch and relative excess of the rate
LARGEST_EXCESS = 0.5  # relative; a rate that is further off does not move the weight faster
RANGE = 1e3  # a weight stays between 1 / RANGE and RANGE times `rate_coeff`, or it could not find back in time


def next_rate_coeffs(rate_coeffs: tf.Tensor, rates: tf.Tensor, photos: tf.Tensor, config: Config) -> tf.Tensor:
    """Returns the weights of the rate term for the next step.

    All photos of a level share one weight, which adapts slowly: detailed photos may take more bits than plain ones.

    Args:
        rate_coeffs: the weights in this step, (K,) float32.
        rates: the sum of the rates of each level's photos in this step, bits per pixel, (K,) float32.
        photos: the number of those photos, (K,) float32.
        config: with a `rate_target` above 0.
    """
    mean = rates / tf.maximum(photos, 1.0)
    excess = tf.clip_by_value(mean / tf.constant(config.rate_targets) - 1.0, -LARGEST_EXCESS, LARGEST_EXCESS)
    # A level with its fair share of the batch moves by SPEED, however many levels there are.
    share = photos * config.levels / config.batch_size
    moved = rate_coeffs * tf.exp(SPEED * excess * share)
    return tf.clip_by_value(moved, config.rate_coeff / RANGE, config.rate_coeff * RANGE)
