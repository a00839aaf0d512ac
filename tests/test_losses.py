from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from compressgan.training import losses


def outputs(*logits: float) -> losses.ScaleFeatures:
    return [[tf.fill((1, 2, 2, 3), 2.0 * value), tf.fill((1, 2, 2, 1), value)] for value in logits]


def test_lsgan() -> None:
    real, fake = outputs(0.5, 1.0), outputs(0.0, 2.0)
    assert float(losses.generator_adversarial(fake, vanilla=False)) == pytest.approx((1 + 1) / 2)
    expected = (0.25 + 0) / 2 + (0 + 4) / 2
    assert float(losses.discriminator_adversarial(real, fake, vanilla=False)) == pytest.approx(expected)


def test_vanilla_gan_is_the_non_saturating_cross_entropy() -> None:
    softplus = np.logaddexp
    real, fake = outputs(1.5), outputs(-0.5)
    assert float(losses.generator_adversarial(fake, vanilla=True)) == pytest.approx(softplus(0, 0.5))
    expected = softplus(0, -1.5) + softplus(0, -0.5)
    assert float(losses.discriminator_adversarial(real, fake, vanilla=True)) == pytest.approx(expected)


def test_distortion_is_the_mean_squared_error() -> None:
    """One for each photo of a batch."""
    x, y = tf.ones((2, 4, 4, 3)), tf.stack([-tf.ones((4, 4, 3)), tf.zeros((4, 4, 3))])
    assert losses.distortion(x, y).numpy() == pytest.approx([4.0, 1.0])


@pytest.mark.parametrize("side", [4, 16])
def test_pattern_is_what_neighbouring_blocks_have_in_common(side: int) -> None:
    x = tf.random.uniform((2, 128, 256, 3), -1, 1, seed=1)

    def share(error: tf.Tensor) -> float:
        return float(losses.pattern(x, x + error) / tf.reduce_mean(losses.distortion(x, x + error)))

    block = tf.random.uniform((1, side, side, 3), -0.1, 0.1, seed=2)
    weave = tf.tile(block - tf.reduce_mean(block, (1, 2), keepdims=True), (2, 128 // side, 256 // side, 1))
    assert share(weave) > 0.95
    # Detail that differs from block to block nearly cancels in the mean of 64; a plain colour does not count.
    assert share(tf.random.uniform(x.shape, -0.1, 0.1, seed=3)) < 0.05
    assert share(tf.fill(x.shape, 0.1)) < 1e-6


def test_feature_matching_leaves_logits_out_and_trains_only_the_generator() -> None:
    x = tf.Variable(1.0)
    y = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        real, fake = [[tf.reshape(x, (1, 1, 1, 1)), tf.zeros(1)]], [[tf.reshape(y, (1, 1, 1, 1)), tf.fill((1,), 99.0)]]
        loss = losses.feature_matching(real, fake)
    assert float(loss) == pytest.approx(2.0)
    gradients = tape.gradient(loss, [x, y])
    assert gradients[0] is None
    assert float(gradients[1]) == pytest.approx(1.0)
