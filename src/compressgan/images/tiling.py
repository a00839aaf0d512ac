"""Running a network on a large photo piece by piece, with the same result as on the whole.

A network without instance norm computes each output from a window of its input. A tile that is given as much of its
surroundings as that window reaches, its halo, therefore comes out as it would in the whole; at the photo's own border
there is no halo, and the network pads as it would there.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from settings import STRIDE, Config

import numpy as np

from errors import CompressGANError, interrupted


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
    pixels, scale = STRIDE * (1 + 2 * config.generator_blocks), STRIDE
    for _ in config.generator_widths[1:]:
        pixels += scale
        scale //= 2
    pixels += (config.stem_kernel // 2) * config.stem_block
    if config.finish_width:
        pixels += config.stem_block  # two 3x3 layers at half that
    return math.ceil(pixels / STRIDE)


def bytes_per_position(config: Config) -> int:
    """Returns about how much memory the networks take for one latent position, bytes.

    That is three of the largest activation, its input, itself and its ReLU, and the photo twice, all in float32.
    """
    encoder = [width * (STRIDE / config.stem_block) ** 2 / 4**i for i, width in enumerate(config.encoder_widths)]
    generator = [width * 4**i for i, width in enumerate(config.generator_widths)]
    generator.append(config.finish_width * (2 * STRIDE / config.stem_block) ** 2)
    return int(4 * (3 * max(encoder + generator) + 2 * 3 * STRIDE**2))


def run_in_tiles(
    network: Callable[[np.ndarray], np.ndarray], x: np.ndarray, block: tuple[int, int], halo: int, side: int
) -> np.ndarray:
    """Runs a network on tiles of `x` and puts the results together.

    Args:
        network: maps (h * block[0], w * block[0], n) to (h * block[1], w * block[1], m).
        x: (H * block[0], W * block[0], n).
        block: sides of one latent position in the input and in the output.
        halo: what a tile needs around it, in latent positions.
        side: of a tile without its halo, in latent positions.

    Returns:
        (H * block[1], W * block[1], m).

    Raises:
        CompressGANError: Ctrl-C has come, which only the main thread is told of.
    """
    source, target = block
    rows, columns = x.shape[0] // source, x.shape[1] // source
    result = None
    for top in range(0, rows, side):
        for left in range(0, columns, side):
            if interrupted.is_set():
                raise CompressGANError("interrupted")
            first_row, first_column = max(0, top - halo), max(0, left - halo)
            y = network(
                x[
                    first_row * source : (top + side + halo) * source,
                    first_column * source : (left + side + halo) * source,
                ]
            )
            inner = y[(top - first_row) * target :, (left - first_column) * target :][: side * target, : side * target]
            if result is None:
                result = np.empty((rows * target, columns * target, y.shape[-1]), y.dtype)
            result[top * target :, left * target :][: side * target, : side * target] = inner
    return result
