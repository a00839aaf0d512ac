"""The loss terms of the paper's section 3 (adversarial, distortion, feature matching), and one against patterns.

The rate term is in `networks/prior.py`, the VGG19 term in `perceptual.py`.

A discriminator's output has one list of feature maps per scale, which ends with the logits. Every term but the
distortion is a float32 scalar, averaged over the batch.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from compressgan.geometry import STRIDE

ScaleFeatures = list[list[tf.Tensor]]


def generator_adversarial(fake: ScaleFeatures, vanilla: bool) -> tf.Tensor:
    """LSGAN, mean (D(G) - 1)^2 averaged over the scales; or the non-saturating cross-entropy on logits."""
    return _mean_over_scales(fake, lambda logits: _distance_to(logits, 1.0, vanilla))


def discriminator_adversarial(real: ScaleFeatures, fake: ScaleFeatures, vanilla: bool) -> tf.Tensor:
    """LSGAN, mean (D(x) - 1)^2 + mean D(G)^2 averaged over the scales; or the cross-entropy on logits."""
    loss_real = _mean_over_scales(real, lambda logits: _distance_to(logits, 1.0, vanilla))
    loss_fake = _mean_over_scales(fake, lambda logits: _distance_to(logits, 0.0, vanilla))
    return loss_real + loss_fake


def distortion(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Mean squared error of each photo, (B, H, W, 3) in [-1, 1] -> (B,)."""
    return tf.reduce_mean(tf.math.squared_difference(x, y), axis=(1, 2, 3))


def pattern(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Mean square of the error of photos (B, H, W, 3) that neighbouring blocks have in common at each position.

    Where the latents say nothing about a texture, all the generator knows about a pixel is its position in a block. It
    then generates the detail that the adversarial and perceptual terms ask for as one repeated pattern, a weave.
    Photos do not have such a pattern, so this term penalizes only the weave. Blocks have 4 and 16 pixels per side, and
    8 x 8 of them are neighbours. Their mean colour is left out. H and W are multiples of 16.
    """
    terms = []
    for side in (4, STRIDE):
        blocks = tf.nn.space_to_depth(y - x, side)
        neighbours = min(8, blocks.shape[1], blocks.shape[2])
        common = tf.nn.avg_pool2d(blocks, neighbours, neighbours, "VALID")
        common = tf.reshape(common, (-1, side * side, 3))
        terms.append(tf.reduce_mean(tf.math.reduce_variance(common, axis=1)))
    return tf.add_n(terms)


def feature_matching(real: ScaleFeatures, fake: ScaleFeatures) -> tf.Tensor:
    """Mean L1 distance between the discriminator's features of x, held constant, and of G(x), without the logits.

    Source: Wang et al., pix2pixHD, arXiv 1711.11585, equation 4.
    """
    terms = [
        tf.reduce_mean(tf.abs(tf.cast(tf.stop_gradient(r), tf.float32) - tf.cast(f, tf.float32)))
        for real_scale, fake_scale in zip(real, fake, strict=True)
        for r, f in zip(real_scale[:-1], fake_scale[:-1], strict=True)
    ]
    return tf.add_n(terms) / len(terms)


def _mean_over_scales(outputs: ScaleFeatures, loss: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    return tf.add_n([loss(scale[-1]) for scale in outputs]) / len(outputs)


def _distance_to(logits: tf.Tensor, label: float, vanilla: bool) -> tf.Tensor:
    labels = tf.fill(tf.shape(logits), label)
    if vanilla:
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))
    return tf.reduce_mean(tf.math.squared_difference(logits, labels))
