"""What part of its input a network looks at, and how much memory it needs, from the settings alone."""

from __future__ import annotations

import math

from compressgan.config import Config
from compressgan.geometry import STRIDE


def encoder_halo(config: Config) -> int:
    """Returns how far the encoder looks beyond a latent position, in latent positions, rounded up."""
    pixels, scale = (config.stem_kernel // 2) * config.stem_block, config.stem_block
    for _ in config.encoder_widths[1:]:
        pixels += scale
        scale *= 2
    pixels += STRIDE * (2 * config.encoder_blocks + 1)
    return math.ceil(pixels / STRIDE)


def generator_halo(config: Config) -> int:
    """Returns how far the generator looks beyond a latent position, in latent positions, rounded up."""
    return 1 + 2 * config.generator_blocks + upsampling_halo(config)


def upsampling_halo(config: Config) -> int:
    """Returns how far the layers after the trunk look beyond a latent position, in latent positions, rounded up."""
    pixels, scale = 0, STRIDE
    for _ in config.generator_widths[1:]:
        pixels += scale
        scale //= 2
    pixels += (config.stem_kernel // 2) * config.stem_block
    if config.finish_width:
        pixels += config.stem_block  # two 3x3 layers at half the block size
    return math.ceil(pixels / STRIDE)


def bytes_per_position(config: Config) -> int:
    """Returns the approximate memory that encoder and upsampling need per latent position, in bytes.

    It is the largest activation four times (its input, itself, its ReLU and a copy), with realism three times more
    (realism's change of a convolution, the same times the realism, and the sum), and the photo twice, all in float32.
    """
    encoder = [width * (STRIDE / config.stem_block) ** 2 / 4**i for i, width in enumerate(config.encoder_widths)]
    generator = [width * 4**i for i, width in enumerate(config.generator_widths)]
    generator.append(config.finish_width * (2 * STRIDE / config.stem_block) ** 2)
    return int(4 * ((7 if config.realism else 4) * max(encoder + generator) + 2 * 3 * STRIDE**2))


def trunk_bytes_per_position(config: Config) -> int:
    """Returns the approximate memory that the generator's trunk needs per latent position, in bytes.

    It is five activations in float32, of which one is the trunk's output.
    """
    return 4 * 5 * config.generator_widths[0]
