"""CompressGAN: encoder, quantizer and generator together, and the checkpoint files that inference reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from settings import ARCHITECTURE, BEFORE_SETTING, VERSION, Config

import h5py
import keras
import numpy as np
import tensorflow as tf

import losses
from entropy_model import ContextPrior
from errors import CompressGANError, os_reason
from files import replacing_h5, write_json
from network import build_encoder, build_generator
from quantizer import Quantizer

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.weights.h5"


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Builds Keras layers under a precision policy, and restores the one before."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class CompressGAN(keras.Model):
    """The codec's networks (figure 1 of the paper, without the discriminator) and the entropy coder's prior."""

    def __init__(self, config: Config) -> None:
        super().__init__(name="compressgan")
        self.config = config
        with dtype_policy(config.precision):
            self.encoder = build_encoder(config)
            self.quantizer = Quantizer(config)
            self.generator = build_generator(config)
        self.prior = ContextPrior(config)
        self.built = True

    def call(self, photos: tf.Tensor) -> tf.Tensor:
        """Photos (B, H, W, 3) float32 in [-1, 1], sides multiples of 16 -> reconstructions of the same shape."""
        return self.generator(self.quantizer(self.encoder(photos)))

    def code_lengths(
        self, latents: tf.Tensor, temperature: float | tf.Tensor, pixels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Latents (B, h, w, C) float32 of so many pixels -> bits per pixel, as they are coded and as a soft estimate.

        The first has a gradient for the prior alone, the second for the latents alone.
        """
        symbols = self.quantizer.indices(latents)
        logits = self.prior(symbols)
        hard = losses.code_length(tf.one_hot(symbols, self.config.levels), logits, pixels)
        soft = self.quantizer.assignments(latents, temperature)
        return hard, losses.code_length(soft, tf.stop_gradient(logits), pixels)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])
    def photo_to_latents(self, photos: tf.Tensor) -> tf.Tensor:
        """Photos as in `call` -> latents (B, H/16, W/16, C) float32."""
        return self.encoder(photos)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, None), tf.int32)])
    def indices_to_photo(self, indices: tf.Tensor) -> tf.Tensor:
        """Center indices (B, h, w, C) int32 -> photos (B, 16 h, 16 w, 3) float32 in [-1, 1]."""
        indices = tf.ensure_shape(indices, (None, None, None, self.config.latent_channels))
        return self.generator(self.quantizer.dequantize(indices))

    def named_arrays(self) -> dict[str, np.ndarray]:
        """Returns the weights by name as a checkpoint stores them: half precision, the few centers in full."""
        return {
            name: variable.numpy().astype(np.float32 if name.startswith("quantizer/") else np.float16)
            for name, variable in self._named_variables()
        }

    def fingerprint(self) -> bytes:
        """Returns 4 bytes that tell this model's weights and architecture from any other's."""
        return fingerprint(self.config, self.named_arrays())

    def _named_variables(self) -> Iterator[tuple[str, keras.Variable]]:
        for part in (self.encoder, self.quantizer, self.generator, self.prior):
            for variable in part.weights:
                yield f"{part.name}/{variable.path.removeprefix(f'{part.name}/')}", variable

    def save_weights_for_inference(self, directory: Path, step: int) -> None:
        """Writes `config.json` and `model.weights.h5`: all that inference needs.

        Raises:
            CompressGANError: the folder cannot be written.
        """
        arrays = self.named_arrays()
        with replacing_h5(directory / WEIGHTS_FILE) as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array, compression="gzip", shuffle=True)
        description = {
            "version": VERSION,
            "step": step,
            "fingerprint": fingerprint(self.config, arrays).hex(),
            "config": self.config.to_json(),
        }
        write_json(directory / CONFIG_FILE, description)

    @classmethod
    def load(cls, directory: Path) -> CompressGAN:
        """Rebuilds a model from its checkpoint folder, in float32.

        Raises:
            CompressGANError: a file is missing, damaged, or does not belong to the other.
        """
        config, expected = read_config(directory)
        model = cls(config.replace(precision="float32"))
        model.assign_from(directory)
        if model.fingerprint().hex() != expected:
            raise CompressGANError(f"{directory / WEIGHTS_FILE}: not the weights that {CONFIG_FILE} describes")
        return model

    def assign_from(self, directory: Path) -> None:
        """Sets all weights to those of a checkpoint folder.

        Raises:
            CompressGANError: the file is missing or damaged, or a weight is missing or has another shape.
        """
        path = directory / WEIGHTS_FILE
        if not path.is_file():
            raise CompressGANError(f"{path}: no such file, so there is no trained model in {directory}")
        try:
            with h5py.File(path, "r") as file:
                arrays = {name: file[name][()] if name in file else None for name, _ in self._named_variables()}
        except (OSError, TypeError, RuntimeError, KeyError, OverflowError, ValueError) as error:
            reason = os_reason(error) if isinstance(error, OSError) else error
            raise CompressGANError(f"{path}: damaged ({reason})") from None
        for name, variable in self._named_variables():
            if arrays[name] is None:
                raise CompressGANError(f"{path}: has no {name}")
            if arrays[name].shape != tuple(variable.shape):
                shapes = f"{arrays[name].shape}, not {tuple(variable.shape)}"
                raise CompressGANError(f"{path}: {name} has the shape {shapes} as these settings need")
        for name, variable in self._named_variables():
            variable.assign(arrays[name].astype(np.float32))


def read_config(directory: Path) -> tuple[Config, str]:
    """Reads a checkpoint's `config.json`: its Config, and the fingerprint of its weights in hexadecimal.

    Raises:
        CompressGANError: the folder or file is missing, damaged, or holds unknown settings.
    """
    path = directory / CONFIG_FILE
    try:
        description = json.loads(path.read_text())
        return Config.from_json(description["config"]), description["fingerprint"]
    except FileNotFoundError:
        raise CompressGANError(f"{path}: no such file, so {directory} is no checkpoint") from None
    except OSError as error:
        raise CompressGANError(f"{path}: {os_reason(error)}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CompressGANError(f"{path}: not the settings of a checkpoint ({error})") from None


def fingerprint(config: Config, arrays: dict[str, np.ndarray]) -> bytes:
    """Returns the first 4 bytes of a SHA-256 over the architecture and the weights as stored."""
    digest = hashlib.sha256()
    settings_ = config.to_json()
    # Without what was so before it became a setting, so that the fingerprints of older models stay.
    named = {name: settings_[name] for name in ARCHITECTURE if settings_[name] != BEFORE_SETTING.get(name)}
    digest.update(json.dumps(named).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<")).tobytes())
    return digest.digest()[:4]
