"""The codec's networks together: encoder, quantizer, generator and prior."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from compressgan.checkpoint import RATE_COEFFS, WEIGHTS_FILE, StoredModel, fingerprint, write_checkpoint
from compressgan.config import Config
from compressgan.errors import CompressGANError
from compressgan.geometry import STRIDE
from compressgan.networks.encoder import build_encoder
from compressgan.networks.generator import build_generator
from compressgan.networks.layers import at_realism_0
from compressgan.networks.prior import ContextPrior, code_length
from compressgan.networks.quantizer import Quantizer


@contextmanager
def keras_settings(precision: str) -> Iterator[None]:
    """Sets what Keras' layers depend on when they are built, and restores the user's settings."""
    config = keras.config
    before = config.floatx(), config.image_data_format(), config.dtype_policy()
    config.set_floatx("float32")
    config.set_image_data_format("channels_last")
    config.set_dtype_policy(precision)
    try:
        yield
    finally:
        config.set_floatx(before[0])
        config.set_image_data_format(before[1])
        config.set_dtype_policy(before[2])


class CompressGAN(keras.Model):
    """The codec's networks (figure 1 of the paper, without the discriminator) and the entropy coder's prior."""

    def __init__(self, config: Config) -> None:
        super().__init__(name="compressgan")
        self.config = config
        with keras_settings(config.precision):
            self.encoder = build_encoder(config)
            self.quantizer = Quantizer(config)
            self.generator = build_generator(config)
        self.prior = ContextPrior(config)
        # The weight of a bit per pixel at each level. Training moves it, and refining uses it.
        self.rate_coeffs = self.add_weight(
            name="rate_coeffs",
            shape=(config.levels,),
            initializer=keras.initializers.Constant(config.rate_coeff),
            dtype="float32",
            trainable=False,
        )
        self.built = True

    def call(self, photos: tf.Tensor, level: tf.Tensor, realism: tf.Tensor) -> tf.Tensor:
        """Photos (B, H, W, 3) float32 in [-1, 1], level from 0 (B,), realism (B,) -> reconstructions like the photos.

        H and W are multiples of 16.
        """
        return self.generator([self.quantizer(self.encoder([photos, level])), level, realism])

    def code_lengths(
        self, latents: tf.Tensor, level: tf.Tensor, temperature: float | tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Latents (B, h, w, C) float32, level from 0 (B,) -> bits per pixel (B,): actual code length, soft estimate.

        The first has a gradient only for the prior, the second only for the latents.
        """
        pixels = STRIDE**2 * tf.reduce_prod(tf.shape(latents)[1:3])
        symbols = self.quantizer.indices(latents)
        logits = self.prior(symbols, level)
        hard = code_length(tf.one_hot(symbols, self.config.centers), logits, pixels)
        soft = self.quantizer.assignments(latents, temperature)
        return hard, code_length(soft, tf.stop_gradient(logits), pixels)

    def refining_losses(
        self, latents: tf.Tensor, photo: tf.Tensor, importance: tf.Tensor, level: tf.Tensor, rate_weight: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the loss of a photo as it would be decoded at realism 0, and a differentiable version of that loss.

        Args:
            latents, photo: (h, w, C) and (16 h, 16 w, 3) float32.
            importance: weight of each pixel's error, (16 h, 16 w) float32.
            level: from 0, () int32.
            rate_weight: of a bit per pixel against the MSE on [-1, 1], () float32.
        """
        # No slices: LiteRT has no gradient for them.
        latents, photos, level = (tf.expand_dims(x, 0) for x in (latents, photo, level))
        temperature = self.config.final_temperature
        with at_realism_0():
            reconstructions = self.generator([self.quantizer(latents, temperature=temperature), level, tf.zeros(1)])
        errors = tf.math.squared_difference(photos, reconstructions)
        distortion = tf.reduce_mean(tf.expand_dims(tf.expand_dims(importance, 0), -1) * errors)
        hard, soft = map(tf.reduce_sum, self.code_lengths(latents, level, temperature))
        return distortion + rate_weight * hard, distortion + rate_weight * soft

    def named_arrays(self) -> dict[str, np.ndarray]:
        """Returns the weights by name as a checkpoint stores them: float16, except the rates' in float32."""
        return {
            name: variable.numpy().astype(np.float32 if name == RATE_COEFFS else np.float16)
            for name, variable in self._named_variables()
        }

    def fingerprint(self) -> bytes:
        """Returns 4 bytes that distinguish this model's weights and architecture from any other's."""
        return fingerprint(self.config, self.named_arrays())

    def _named_variables(self) -> Iterator[tuple[str, keras.Variable]]:
        for part in (self.encoder, self.quantizer, self.generator, self.prior):
            for variable in part.weights:
                yield f"{part.name}/{variable.path.removeprefix(f'{part.name}/')}", variable
        yield RATE_COEFFS, self.rate_coeffs

    def save_weights_for_inference(self, directory: Path, step: int) -> None:
        """Writes `config.json` and `model.weights.h5`: all that inference needs.

        Raises:
            CompressGANError: the folder cannot be written to.
        """
        write_checkpoint(directory, self.config, self.named_arrays(), step)

    @classmethod
    def load(cls, directory: Path) -> CompressGAN:
        """Rebuilds a model from its checkpoint folder, in float32.

        Raises:
            CompressGANError: a file is missing or damaged, or weights and settings do not belong together.
        """
        stored = StoredModel(directory)
        model = cls(stored.config.replace(precision="float32"))
        model.assign(stored)
        if model.fingerprint().hex() != stored.fingerprint:
            raise CompressGANError(f"{directory / WEIGHTS_FILE}: not the weights that its settings describe")
        return model

    def assign(self, stored: StoredModel) -> None:
        """Sets all weights to those stored in a checkpoint folder.

        Raises:
            CompressGANError: the file is damaged, or a weight is missing or has another shape.
        """
        variables = dict(self._named_variables())
        arrays = stored.weights({name: tuple(variable.shape) for name, variable in variables.items()})
        for name, variable in variables.items():
            variable.assign(arrays[name].astype(np.float32))
