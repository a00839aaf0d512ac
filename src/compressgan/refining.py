"""Refining the latents of one photo before they are coded.

The encoder computes the latents in one pass, with weights that were best for its training photos on average. A few
gradient steps on the latents, through the generator and the entropy coder's prior, improve them for this photo (Campos
et al., Content Adaptive Optimization for Neural Image Compression, arXiv 1906.01223). Decoding stays the same.
"""

from __future__ import annotations

import math

import numpy as np

from compressgan.geometry import STRIDE
from compressgan.images.pixels import to_float
from compressgan.images.tiling import run_in_tiles
from compressgan.runtime import Networks

STEP = 0.04  # length of the first step, for a gradient with a mean square of 1 per channel; centers are about 1 apart
STEP_FALL = 1.5  # step i of n has (1 - i / n)^STEP_FALL times the first length, because the last steps must be small
ALONE = 0.4  # share of that length for a single step, which no shorter one follows
HARM = 1.05  # factor by which the long first steps may raise the loss before the last steps lower it
WINDOW, HALO = 48, 4  # side of a window that is refined at once, and margin that is only read; latent positions


class Refiner:
    """Moves latents to lower the distortion and the rate of the photo decoded from them.

    A model that was trained without a rate term is refined for the distortion alone.

    Args:
        networks: a model's networks, without instance norm, whose statistics would differ in a window.
        steps: number of gradient steps, 1 or more. The step lengths depend on it.
    """

    def __init__(self, networks: Networks, steps: int) -> None:
        self._networks = networks
        self._steps = steps

    def __call__(
        self,
        latents: np.ndarray,
        photo: np.ndarray,
        level: int,
        rate_factor: float = 1.0,
        importance: np.ndarray | None = None,
    ) -> np.ndarray:
        """Returns refined latents, (h, w, C) float32, for a photo (16 h, 16 w, 3) uint8 at a level.

        A `rate_factor` above 1 makes the file smaller than usual at this level, one below 1 larger. With an
        `importance`, (16 h, 16 w) float32 from 0 to 1, errors count that much; by default, all of them count in full.

        Large photos are refined in windows of a fixed size, so the file does not depend on the memory available. The
        generator looks further than `HALO`, so the loss near a window's border differs slightly from the whole photo's.
        """
        rate_weight = rate_factor * self._networks.rate_weight(level)

        def refined(positions: np.ndarray) -> np.ndarray:
            (top, left), (bottom, right) = positions[0, 0], positions[-1, -1] + 1
            pixels = slice(top * STRIDE, bottom * STRIDE), slice(left * STRIDE, right * STRIDE)
            seen = to_float(photo[pixels])
            weights = np.ones(seen.shape[:2], np.float32) if importance is None else importance[pixels]
            return self._refine(latents[top:bottom, left:right], seen, weights, level, rate_weight)

        positions = np.moveaxis(np.indices(latents.shape[:2]), 0, -1)
        return run_in_tiles(refined, positions, (1, 1), HALO, WINDOW)

    def _refine(
        self, latents: np.ndarray, photo: np.ndarray, importance: np.ndarray, level: int, rate_weight: float
    ) -> np.ndarray:
        best, least = latents, math.inf
        first = STEP * (ALONE if self._steps == 1 else 1.0)
        for i in range(self._steps):
            loss, gradient = self._networks.loss_and_gradient(latents, photo, importance, level, rate_weight)
            if loss < least:
                best, least = latents, loss
            scale = np.sqrt(np.mean(np.square(gradient), axis=(0, 1))) + np.float32(1e-12)
            latents = latents - np.float32(first * (1 - i / self._steps) ** STEP_FALL) * gradient / scale
        # Measuring the loss after the last step would cost half a step. It is trusted unless the one before did harm.
        return latents if loss < HARM * least else best
