"""The encoder E (Agustsson et al., arXiv 1804.02958, appendix A)."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from compressgan.config import Config
from compressgan.networks.convolution import Conv2D
from compressgan.networks.layers import Modulation, SpaceToDepth, conv, trunk


def build_encoder(config: Config) -> keras.Model:
    """Builds E: (B, H, W, 3) float in [-1, 1], levels (B,) int32 -> latents (B, H/16, W/16, C) float32.

    H and W are multiples of 16; levels count from 0. The bottleneck is float32 under every precision policy. It is
    linear, or bounded by `latent_bound` * tanh. It has no norm and no ReLU: with the original's ReLU, the negative
    centers were never used.
    """

    def modulated(x: tf.Tensor, name: str, dtype: str | None = None) -> tf.Tensor:
        return Modulation(config.levels, dtype=dtype, name=f"{name}_modulation")([x, level])

    photo, level = keras.Input((None, None, 3), name="photo"), keras.Input((), dtype="int32", name="level")
    x = SpaceToDepth(config.stem_block, name="fold")(photo)
    x = conv(x, config.encoder_widths[0], config, "stem", kernel=config.stem_kernel)
    x = modulated(x, "stem")
    for i, width in enumerate(config.encoder_widths[1:], start=1):
        x = conv(x, width, config, f"down{i}", stride=2)
    x = modulated(trunk(x, config.encoder_blocks, config), "trunk")
    width, reflect = config.latent_channels, config.padding == "reflection"
    x = Conv2D(width, 3, 1, "same", reflect=reflect, dtype="float32", name="bottleneck")(x)
    x = modulated(x, "bottleneck", "float32")
    if config.latent_bound:
        x = layers.Lambda(lambda w: config.latent_bound * tf.tanh(w), dtype="float32", name="bound")(x)
    return keras.Model([photo, level], x, name="encoder")
