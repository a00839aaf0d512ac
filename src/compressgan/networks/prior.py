"""The entropy coder's prior as TensorFlow trains it: the probabilities of a symbol, given those coded before it.

It is a small masked network per latent channel, like PixelCNN (van den Oord et al., arXiv 1601.06759) and the context
models of learned compression (Minnen et al., arXiv 1809.02736). It also tells the encoder the rate of its latents, for
the rate term of the paper's equation 4. `coding/context_model.py` runs the same network in exact integers and defines
which symbols see which.
"""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from compressgan.coding.context_model import COLUMNS_ASIDE, PLANES, ROWS_ABOVE, Prior, delays
from compressgan.config import Config


class ContextPrior(keras.layers.Layer):
    """Logits of every symbol, from the symbols in its window that are coded earlier. Always float32.

    The output starts at zero, so all symbols are equally likely at first.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(name="prior", dtype="float32")
        channels, hidden, self._centers = config.latent_channels, config.prior_width, config.centers
        shapes = Prior.shapes(config.levels, channels, self._centers, hidden)
        visible = delays(channels) > 0
        self._visible = visible[:, :, np.newaxis, :, :, np.newaxis].astype(np.float32)
        deviation = float((PLANES * visible.sum() / channels) ** -0.5)
        # Weights of invisible symbols start at zero and, without a gradient, stay there.
        self.window = self.add_weight(
            name="window",
            shape=shapes["window"],
            initializer=lambda shape, dtype: (
                tf.random.stateless_normal(shape, (config.seed, 0), 0.0, deviation, dtype) * self._visible
            ),
        )
        self.hidden_bias, self.output_kernel, self.output_bias = (
            self.add_weight(name=name, shape=shapes[name], initializer="zeros")
            for name in ("hidden_bias", "output", "output_bias")
        )
        self.built = True

    def call(self, symbols: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
        """Symbols (B, h, w, C) int32 in 0 .. L - 1, level from 0 (B,) int32 -> logits (B, h, w, C, L) float32."""
        rank = tf.cast(symbols - self._centers // 2, tf.float32)
        planes = tf.concat([rank, tf.abs(rank)], axis=-1)
        planes = tf.pad(planes, [[0, 0], [ROWS_ABOVE, 0], [COLUMNS_ASIDE, COLUMNS_ASIDE], [0, 0]])
        rows, columns, _, channels, _, hidden = self.window.shape
        kernel = tf.reshape(self.window * self._visible, (rows, columns, PLANES * channels, channels * hidden))
        x = tf.nn.conv2d(planes, kernel, 1, "VALID")
        hidden_bias, output_bias = (
            tf.gather(bias, level)[:, tf.newaxis, tf.newaxis] for bias in (self.hidden_bias, self.output_bias)
        )
        x = tf.nn.relu(tf.reshape(x, (*tf.unstack(tf.shape(symbols)), hidden)) + hidden_bias)
        return tf.einsum("bhwck,ckl->bhwcl", x, self.output_kernel) + output_bias

    def integers(self, level: int) -> Prior:
        """Returns the weights of a level, from 0, rounded to a checkpoint's float16, then to the coder's integers."""
        weights = (self.window, self.hidden_bias[level], self.output_kernel, self.output_bias[level])
        return Prior.rounded(*(np.asarray(weight) for weight in weights))


def code_length(assignments: tf.Tensor, logits: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Bits per pixel that the entropy coder spends on each photo (B,): the cross-entropy with logits (B, h, w, C, L).

    With hard assignments and a gradient to the logits, it trains the prior. With soft assignments and constant logits,
    it is the rate term of the paper's equation 4, beta H(w), with neighbours as context.
    """
    nats = -tf.reduce_sum(assignments * tf.nn.log_softmax(logits), (1, 2, 3, 4))
    return nats / math.log(2) / tf.cast(pixels, tf.float32)
