"""The generator G (Agustsson et al., arXiv 1804.02958, appendix A)."""

from __future__ import annotations

import math

import keras
from keras import layers

from compressgan.config import Config
from compressgan.geometry import STRIDE
from compressgan.networks.convolution import Conv2D
from compressgan.networks.layers import DepthToSpace, conv, doubling, residual_block, trunk


def build_generator(config: Config) -> keras.Model:
    """Builds G: quantized latents (B, h, w, C) float -> photo (B, 16 h, 16 w, 3) float32 in [-1, 1].

    The last layers are float32 under every precision policy.
    """
    trunk_width, *up_widths = config.generator_widths
    x = inputs = keras.Input((None, None, config.latent_channels), name="latents")
    x = conv(x, trunk_width, config, "stem")
    x = trunk(x, config.generator_blocks, config)
    for i, width in enumerate(up_widths, start=1):
        x = doubling(x, width, config, f"up{i}")
    width, reflect = 3 * config.stem_block**2, config.padding == "reflection"
    x = Conv2D(width, config.stem_kernel, 1, "same", reflect=reflect, dtype="float32", name="head")(x)
    block = config.stem_block
    if config.finish_width:
        # The head generates each block without seeing its neighbours. This residual block sees across the borders.
        x = DepthToSpace(2, dtype="float32", name="unfold_half")(x)
        x = residual_block(x, config, "finish", width=config.finish_width, dtype="float32")
        block //= 2
    x = DepthToSpace(block, dtype="float32", name="unfold")(x)
    x = layers.Activation("tanh", dtype="float32", name="photo")(x)
    return keras.Model(inputs, x, name="generator")


def generator_halo(config: Config) -> int:
    """Returns how far the generator looks beyond a latent position, in latent positions, rounded up."""
    pixels, scale = STRIDE * (1 + 2 * config.generator_blocks), STRIDE
    for _ in config.generator_widths[1:]:
        pixels += scale
        scale //= 2
    pixels += (config.stem_kernel // 2) * config.stem_block
    if config.finish_width:
        pixels += config.stem_block  # two 3x3 layers at half the block size
    return math.ceil(pixels / STRIDE)
