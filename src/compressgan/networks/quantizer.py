"""Soft-to-hard quantization with learnable centers (section 3.1 of the paper; Agustsson et al., arXiv 1704.00648)."""

from __future__ import annotations

import keras
import tensorflow as tf

from compressgan.config import Config


class Quantizer(keras.layers.Layer):
    """Maps each latent to one of L learnable centers.

    They start at -(L // 2), -(L // 2) + 1, and so on. They are sorted on use, so an index means the same rank
    wherever training moves them. Always float32.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(name="quantizer", dtype="float32")
        start = [float(i - config.centers // 2) for i in range(config.centers)]
        self._centers = self.add_weight(
            name="centers", shape=(config.centers,), initializer=lambda shape, dtype: tf.constant(start, dtype)
        )
        self.built = True

    @property
    def centers(self) -> tf.Tensor:
        """The centers in ascending order, (L,) float32."""
        return tf.sort(tf.convert_to_tensor(self._centers))

    def indices(self, latents: tf.Tensor) -> tf.Tensor:
        """Returns the index of the nearest center for each latent: float (...) -> int32 (...)."""
        return tf.argmin(self._distances(latents), axis=-1, output_type=tf.int32)

    def dequantize(self, indices: tf.Tensor) -> tf.Tensor:
        """Returns the centers that the indices stand for: int32 (...) -> float32 (...)."""
        return tf.gather(self.centers, indices)

    def assignments(self, latents: tf.Tensor, temperature: float | tf.Tensor) -> tf.Tensor:
        """Returns the soft assignment of each latent to the centers: float (...) -> float32 (..., L), summing to 1."""
        return tf.nn.softmax(-self._distances(latents) / temperature)

    def call(self, latents: tf.Tensor, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        """Returns the centers nearest to the latents, float32 (...).

        `tf.round` or argmin alone has no gradient, so the encoder would never train. The latents get the gradient of
        the soft assignment (straight-through). The centers get the gradient of the hard one: the soft one would move
        them according to values that the generator never sees.
        """
        soft = tf.reduce_sum(self.assignments(latents, temperature) * tf.stop_gradient(self.centers), axis=-1)
        # hard + (soft - constant soft) is exactly the center; soft + (hard - soft) would round differently.
        return self.dequantize(self.indices(latents)) + (soft - tf.stop_gradient(soft))

    def _distances(self, latents: tf.Tensor) -> tf.Tensor:
        return tf.math.squared_difference(tf.expand_dims(latents, -1), tf.stop_gradient(self.centers))
