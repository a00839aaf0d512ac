"""Refining latents against the photo that they stand for, before they are written.

The encoder guesses the latents in one pass, by what served the photos that it was trained on. A few gradient steps on
the latents themselves, through the generator and the entropy coder's prior, serve this one (Campos et al., Content
Adaptive Optimization for Neural Image Compression, arXiv 1906.01223). Decoding stays as it is.
"""

from __future__ import annotations

import math

from settings import STRIDE

import numpy as np
import tensorflow as tf

import losses
from model import CompressGAN
from photo import to_float
from tiling import run_in_tiles

STEP = 0.04  # the first, for a gradient whose mean square is 1 in its channel; centers are about 1 apart
STEP_FALL = 1.5  # the i-th of n steps is (1 - i / n)^this of the first: the last ones must be small
HARM = 1.05  # times the least loss: the first steps, which are long, may do so much, and the last ones mend it
RATE_WEIGHT = 0.1  # what a bit per pixel counts against the MSE on [-1, 1]: about what keeps the shipped model's rate
WINDOW, HALO = 48, 4  # sides of what is refined at once, and of what is only looked at around it, latent positions


class Refiner:
    """Moves latents to where distortion and rate, of what is decoded from them, are less.

    Args:
        model: in float32, and without instance norm, whose generator would see other statistics in a window than in
            the whole.
        steps: of the gradient, 1 or more; how small they become depends on how many there are.
    """

    def __init__(self, model: CompressGAN, steps: int) -> None:
        self._model = model
        self._steps = steps
        self._temperature = model.config.final_temperature

    def __call__(self, latents: np.ndarray, photo: np.ndarray) -> np.ndarray:
        """Returns better latents, (h, w, C) float32, for a photo (16 h, 16 w, 3) uint8.

        Large photos are done in windows, always the same, so that the memory at hand does not change the file. The
        generator looks further than `HALO`, so that the loss near a window's borders is not quite that of the whole.
        """

        def refined(positions: np.ndarray) -> np.ndarray:
            (top, left), (bottom, right) = positions[0, 0], positions[-1, -1] + 1
            pixels = photo[top * STRIDE : bottom * STRIDE, left * STRIDE : right * STRIDE]
            return self._refine(tf.constant(latents[top:bottom, left:right]), tf.constant(to_float(pixels)))

        positions = np.moveaxis(np.indices(latents.shape[:2]), 0, -1)
        return run_in_tiles(refined, positions, (1, 1), HALO, WINDOW)

    def _refine(self, latents: tf.Tensor, photo: tf.Tensor) -> np.ndarray:
        best, least = latents, math.inf
        for i in range(self._steps):
            loss, gradient = self._loss_and_gradient(latents, photo)
            if loss < least:
                best, least = latents, loss
            scale = tf.sqrt(tf.reduce_mean(tf.square(gradient), axis=(0, 1))) + 1e-12
            latents -= STEP * (1 - i / self._steps) ** STEP_FALL * gradient / scale
        # To measure the last step would take half as long as a step: it is trusted unless the one before it did harm.
        return (latents if loss < HARM * least else best).numpy()

    @tf.function(input_signature=[tf.TensorSpec((None, None, None)), tf.TensorSpec((None, None, 3))])
    def _loss_and_gradient(self, latents: tf.Tensor, photo: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(latents)
            loss, smooth = self._losses(latents, photo)
        return loss, tape.gradient(smooth, latents)

    def _losses(self, latents: tf.Tensor, photo: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the loss of what would be decoded, and one of the same photo that has a gradient."""
        model, photos, latents = self._model, photo[tf.newaxis], latents[tf.newaxis]
        latents = tf.ensure_shape(latents, (1, None, None, model.config.latent_channels))
        reconstructions = model.generator(model.quantizer(latents, temperature=self._temperature))
        distortion = losses.distortion(photos, reconstructions)
        hard, soft = model.code_lengths(latents, self._temperature, tf.size(photo) // 3)
        return distortion + RATE_WEIGHT * hard, distortion + RATE_WEIGHT * soft
