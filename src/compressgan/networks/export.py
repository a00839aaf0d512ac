"""Writing a model's networks for LiteRT, which runs them without TensorFlow: `codec.tflite`."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from compressgan.checkpoint import LITERT_FILE, write_litert
from compressgan.errors import CompressGANError
from compressgan.networks.generator import split_generator
from compressgan.networks.litert_gradients import convertible_gradients
from compressgan.networks.model import CompressGAN
from compressgan.quiet import without_lines

_ALL = re.compile(rb"")
Network = Callable[..., list[tf.Tensor]]
Signature = tuple[Network, list[tf.TensorSpec], list[str]]  # with its inputs and the names of its outputs


def export(directory: Path) -> Path:
    """Writes `codec.tflite` of the model in a checkpoint folder, and returns its path.

    Raises:
        CompressGANError: the checkpoint is missing or damaged, the file cannot be written, or LiteRT lacks an operation
            that the model needs.
    """
    model = CompressGAN.load(directory)
    path = directory / LITERT_FILE
    write_litert(directory, converted(_signatures(model), path), model.fingerprint().hex())
    return path


def converted(signatures: dict[str, Signature], path: Path) -> bytes:
    """Converts networks to a LiteRT model with weights in float16, in which checkpoints store them.

    Args:
        signatures: the networks by name.
        path: where the model will be written, for the message.

    Raises:
        CompressGANError: LiteRT lacks an operation that a network needs.
    """
    with without_lines(_ALL):  # the converter prints a lot, and does not document its exceptions
        try:
            return _converted(signatures)
        except Exception as error:
            failure = next(iter(str(error).strip().splitlines()), type(error).__name__)
    raise CompressGANError(f"{path}: this model cannot be converted for LiteRT ({failure})")


def _converted(signatures: dict[str, Signature]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        frozen = {name: _frozen(*signature) for name, signature in signatures.items()}
        # Custom gradients need not be saved: nothing is differentiated any more.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), folder, signatures=frozen, options=options)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(frozen))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def _signatures(model: CompressGAN) -> dict[str, Signature]:
    """Returns the networks that `codec.tflite` holds.

    Its signatures, for any height and width, with levels from 0; all arrays are float32, except level, int32:

        encode    photo (16 h, 16 w, 3) in [-1, 1], level ()                     -> latents (h, w, C)
        trunk     quantized latents (h, w, C), level (), realism ()              -> features (h, w, width of the trunk)
        upsample  features (h, w, width of the trunk), level (), realism ()      -> photo (16 h, 16 w, 3) in [-1, 1]
        refine    latents (h, w, C), photo (16 h, 16 w, 3), importance (16 h, 16 w), level (), rate_weight ()
                  -> loss (), its gradient with respect to the latents (h, w, C); not for instance norm
    """
    latents = tf.TensorSpec((None, None, model.config.latent_channels), name="latents")
    photo, level = tf.TensorSpec((None, None, 3), name="photo"), tf.TensorSpec((), tf.int32, name="level")
    realism, rate_weight = tf.TensorSpec((), name="realism"), tf.TensorSpec((), name="rate_weight")
    importance = tf.TensorSpec((None, None), name="importance")
    features = tf.TensorSpec((None, None, model.config.generator_widths[0]), name="features")
    trunk, upsampling = split_generator(model.generator)

    def batch(*one: tf.Tensor) -> list[tf.Tensor]:
        return [tf.expand_dims(x, 0) for x in one]

    def encode(photo: tf.Tensor, level: tf.Tensor) -> list[tf.Tensor]:
        return [tf.squeeze(model.encoder(batch(photo, level)), 0)]

    def generate_features(latents: tf.Tensor, level: tf.Tensor, realism: tf.Tensor) -> list[tf.Tensor]:
        return [tf.squeeze(trunk(batch(latents, level, realism)), 0)]

    def upsample(features: tf.Tensor, level: tf.Tensor, realism: tf.Tensor) -> list[tf.Tensor]:
        return [tf.squeeze(upsampling(batch(features, level, realism)), 0)]

    def refine(latents: tf.Tensor, *others: tf.Tensor) -> list[tf.Tensor]:
        with convertible_gradients():
            loss, smooth = model.refining_losses(latents, *others)
        return [loss, *tf.gradients(smooth, latents)]

    signatures = {"encode": (encode, [photo, level], ["latents"])}
    signatures["trunk"] = (generate_features, [latents, level, realism], ["features"])
    signatures["upsample"] = (upsample, [features, level, realism], ["photo"])
    if model.config.norm != "instance":
        signatures["refine"] = (refine, [latents, photo, importance, level, rate_weight], ["loss", "gradient"])
    return signatures


def _frozen(
    network: Network, inputs: list[tf.TensorSpec], outputs: list[str]
) -> tf.types.experimental.ConcreteFunction:
    """Returns the network with constants for its variables, or the file would hold no weights."""
    frozen = convert_variables_to_constants_v2(tf.function(network).get_concrete_function(*inputs))
    # Freezing takes away the names of its tensors.
    named = tf.function(lambda *tensors: dict(zip(outputs, frozen(*tensors), strict=True)))
    return named.get_concrete_function(*inputs)
