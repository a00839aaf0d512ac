"""A model's networks as the codec calls them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from compressgan.coding.context_model import Prior
from compressgan.config import Config
from compressgan.geometry import STRIDE
from compressgan.networks.encoder import encoder_halo
from compressgan.networks.generator import generator_halo
from compressgan.networks.model import CompressGAN


class TensorFlowNetworks:
    """The networks of a CompressGAN for `Codec`: an implementation of `runtime.Networks`.

    They raise MemoryError when TensorFlow runs out of memory. They always use the model's current weights.
    """

    def __init__(self, model: CompressGAN) -> None:
        self._model = model
        self.config = model.config
        self.encoder_halo = encoder_halo(model.config)
        self.generator_halo = generator_halo(model.config)
        self.bytes_per_position = bytes_per_position(model.config)

    @property
    def fingerprint(self) -> bytes:
        return self._model.fingerprint()

    @property
    def centers(self) -> np.ndarray:
        return self._model.quantizer.centers.numpy()

    @property
    def prior(self) -> Prior:
        return self._model.prior.integers()

    def encode(self, photo: np.ndarray) -> np.ndarray:
        with _memory_errors():
            return self._encode(photo).numpy()

    def generate(self, latents: np.ndarray) -> np.ndarray:
        with _memory_errors():
            return self._generate(latents).numpy()

    def loss_and_gradient(self, latents: np.ndarray, photo: np.ndarray, rate_weight: float) -> tuple[float, np.ndarray]:
        with _memory_errors():
            loss, gradient = self._loss_and_gradient(latents, photo, rate_weight)
            return float(loss), gradient.numpy()

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3))])
    def _encode(self, photo: tf.Tensor) -> tf.Tensor:
        return self._model.encoder(photo[tf.newaxis])[0]

    @tf.function(input_signature=[tf.TensorSpec((None, None, None))])
    def _generate(self, latents: tf.Tensor) -> tf.Tensor:
        latents = tf.ensure_shape(latents, (None, None, self.config.latent_channels))
        return self._model.generator(latents[tf.newaxis])[0]

    @tf.function(input_signature=[tf.TensorSpec((None, None, None)), tf.TensorSpec((None, None, 3)), tf.TensorSpec(())])
    def _loss_and_gradient(
        self, latents: tf.Tensor, photo: tf.Tensor, rate_weight: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(latents)
            loss, smooth = self._losses(latents, photo, rate_weight)
        return loss, tape.gradient(smooth, latents)

    def _losses(self, latents: tf.Tensor, photo: tf.Tensor, rate_weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the loss of the photo as it would be decoded, and a differentiable version of that loss."""
        model, photos, latents = self._model, photo[tf.newaxis], latents[tf.newaxis]
        latents = tf.ensure_shape(latents, (1, None, None, self.config.latent_channels))
        temperature = self.config.final_temperature
        reconstructions = model.generator(model.quantizer(latents, temperature=temperature))
        distortion = tf.reduce_mean(tf.math.squared_difference(photos, reconstructions))
        hard, soft = model.code_lengths(latents, temperature, tf.size(photo) // 3)
        return distortion + rate_weight * hard, distortion + rate_weight * soft


def bytes_per_position(config: Config) -> int:
    """Returns the approximate memory that the networks need per latent position, in bytes.

    It is three times the largest activation (its input, itself and its ReLU) and twice the photo, all in float32.
    """
    encoder = [width * (STRIDE / config.stem_block) ** 2 / 4**i for i, width in enumerate(config.encoder_widths)]
    generator = [width * 4**i for i, width in enumerate(config.generator_widths)]
    generator.append(config.finish_width * (2 * STRIDE / config.stem_block) ** 2)
    return int(4 * (3 * max(encoder + generator) + 2 * 3 * STRIDE**2))


@contextmanager
def _memory_errors() -> Iterator[None]:
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(error.message.splitlines()[0]) from None
