"""The generator G (Agustsson et al., arXiv 1804.02958, appendix A)."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from compressgan.config import Config
from compressgan.networks.convolution import Conv2D
from compressgan.networks.layers import (
    REALISM,
    DepthToSpace,
    Modulation,
    conv,
    doubling,
    residual_block,
    trunk,
    with_realism,
)


def build_generator(config: Config) -> keras.Model:
    """Builds G: quantized latents (B, h, w, C) float, levels (B,) int32, realism (B,) float -> photos.

    Levels count from 0, realism is in [0, 1]. Photos are (B, 16 h, 16 w, 3) float32 in [-1, 1]. The head, the
    last convolution and all sums after it are float32 under every precision policy.
    """

    def modulated(x: tf.Tensor, name: str) -> tf.Tensor:
        return Modulation(config.levels, name=f"{name}_modulation")([x, level])

    latents = keras.Input((None, None, config.latent_channels), name="latents")
    level, realism = keras.Input((), dtype="int32", name="level"), keras.Input((), name="realism")
    amount = realism if config.realism else None
    trunk_width, *up_widths = config.generator_widths
    x = conv(modulated(latents, "latents"), trunk_width, config, "stem", realism=amount)
    x = modulated(x, "stem")
    x = modulated(trunk(x, config.generator_blocks, config, amount), "trunk")
    for i, width in enumerate(up_widths, start=1):
        x = modulated(doubling(x, width, config, f"up{i}", amount), f"up{i}")
    width, reflect = 3 * config.stem_block**2, config.padding == "reflection"
    y = Conv2D(width, config.stem_kernel, 1, "same", reflect=reflect, dtype="float32", name="head")(x)
    x = with_realism(y, x, amount, config, "head", kernel=config.stem_kernel, dtype="float32")
    block = config.stem_block
    if config.finish_width:
        # The head generates each block without seeing its neighbours. This residual block sees across the borders.
        x = DepthToSpace(2, dtype="float32", name="unfold_half")(x)
        x = residual_block(x, config, "finish", width=config.finish_width, dtype="float32", realism=amount)
        block //= 2
    x = DepthToSpace(block, dtype="float32", name="unfold")(x)
    x = layers.Activation("tanh", dtype="float32", name="photo")(x)
    return keras.Model([latents, level, realism], x, name="generator")


def split_generator(generator: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Returns G in two parts that share its weights.

    The trunk maps G's inputs to features (B, h, w, width of the trunk) at 1/16 of the photo's size. The upsampling maps
    features, levels and realism to photos. It needs nearly all of G's memory, but sees only a few positions around
    each, so a large photo is best upsampled in tiles after the trunk has seen it as a whole.
    """
    _, level, realism = generator.inputs
    features = generator.get_layer("trunk_modulation").output
    trunk = keras.Model(generator.inputs, features, name="trunk")
    return trunk, keras.Model([features, level, realism], generator.output, name="upsampling")


def of_realism(variable: keras.Variable) -> bool:
    """Returns whether a weight of the generator does nothing at realism 0."""
    return REALISM in variable.path
