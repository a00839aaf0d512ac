"""Running a network on a large photo tile by tile, with the same result as on the whole photo.

Without instance norm, a network computes each output from a window of its input. If a tile comes with a margin as wide
as this window reaches, its halo, its output is the same as in the whole photo. At the photo's own border there is no
halo, and the network pads the tile as it would pad the whole photo.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compressgan.errors import CompressGANError, interrupted


def run_in_tiles(
    network: Callable[[np.ndarray], np.ndarray], x: np.ndarray, block: tuple[int, int], halo: int, side: int
) -> np.ndarray:
    """Runs a network on the tiles of `x` and joins the results.

    Args:
        network: maps (h * block[0], w * block[0], n) to (h * block[1], w * block[1], m).
        x: (H * block[0], W * block[0], n).
        block: size of one latent position in the input and in the output, per side.
        halo: margin that a tile needs around it, in latent positions.
        side: side of a tile without its halo, in latent positions.

    Returns:
        (H * block[1], W * block[1], m).

    Raises:
        CompressGANError: the user pressed Ctrl-C, for which Python interrupts only the main thread.
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
