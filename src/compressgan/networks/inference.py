"""A model's networks as the codec calls them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from compressgan.coding.context_model import Prior
from compressgan.networks.generator import split_generator
from compressgan.networks.model import CompressGAN

_PHOTO, _LATENTS = tf.TensorSpec((None, None, 3)), tf.TensorSpec((None, None, None))  # or the trunk's features
_MAP, _LEVEL, _NUMBER = tf.TensorSpec((None, None)), tf.TensorSpec((), tf.int32), tf.TensorSpec(())


class TensorFlowNetworks:
    """The networks of a CompressGAN for `Codec`: an implementation of `runtime.Networks`.

    They raise MemoryError when TensorFlow runs out of memory. They always use the model's current weights.
    """

    def __init__(self, model: CompressGAN) -> None:
        self._model = model
        self._trunk, self._upsampling = split_generator(model.generator)
        self.config = model.config

    @property
    def fingerprint(self) -> bytes:
        return self._model.fingerprint()

    @property
    def centers(self) -> np.ndarray:
        return self._model.quantizer.centers.numpy()

    def prior(self, level: int) -> Prior:
        return self._model.prior.integers(level - 1)

    def rate_weight(self, level: int) -> float:
        return float(self._model.rate_coeffs.numpy()[level - 1]) / self.config.distortion_coeff

    def encode(self, photo: np.ndarray, level: int) -> np.ndarray:
        with _memory_errors():
            return self._encode(photo, level - 1).numpy()

    def features(self, latents: np.ndarray, level: int, realism: float) -> np.ndarray:
        with _memory_errors():
            return self._features(latents, level - 1, realism).numpy()

    def upsample(self, features: np.ndarray, level: int, realism: float) -> np.ndarray:
        with _memory_errors():
            return self._upsample(features, level - 1, realism).numpy()

    def loss_and_gradient(
        self, latents: np.ndarray, photo: np.ndarray, importance: np.ndarray, level: int, rate_weight: float
    ) -> tuple[float, np.ndarray]:
        with _memory_errors():
            loss, gradient = self._loss_and_gradient(latents, photo, importance, level - 1, rate_weight)
            return float(loss), gradient.numpy()

    @tf.function(input_signature=[_PHOTO, _LEVEL])
    def _encode(self, photo: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
        return self._model.encoder([photo[tf.newaxis], level[tf.newaxis]])[0]

    @tf.function(input_signature=[_LATENTS, _LEVEL, _NUMBER])
    def _features(self, latents: tf.Tensor, level: tf.Tensor, realism: tf.Tensor) -> tf.Tensor:
        latents = tf.ensure_shape(latents, (None, None, self.config.latent_channels))
        features = self._trunk([latents[tf.newaxis], level[tf.newaxis], realism[tf.newaxis]])[0]
        return tf.cast(features, tf.float32)

    @tf.function(input_signature=[_LATENTS, _LEVEL, _NUMBER])
    def _upsample(self, features: tf.Tensor, level: tf.Tensor, realism: tf.Tensor) -> tf.Tensor:
        features = tf.ensure_shape(features, (None, None, self.config.generator_widths[0]))
        return self._upsampling([features[tf.newaxis], level[tf.newaxis], realism[tf.newaxis]])[0]

    @tf.function(input_signature=[_LATENTS, _PHOTO, _MAP, _LEVEL, _NUMBER])
    def _loss_and_gradient(
        self, latents: tf.Tensor, photo: tf.Tensor, importance: tf.Tensor, level: tf.Tensor, rate_weight: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        latents = tf.ensure_shape(latents, (None, None, self.config.latent_channels))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(latents)
            loss, smooth = self._model.refining_losses(latents, photo, importance, level, rate_weight)
        return loss, tape.gradient(smooth, latents)


@contextmanager
def _memory_errors() -> Iterator[None]:
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(error.message.splitlines()[0]) from None
