"""Writing a model for `docs/decoder/`, the page that compresses and reconstructs in a browser.

LiteRT.js runs networks of one fixed size, so the page works tile by tile, each with its halo. What lies outside the
photo is masked before every convolution, which then pads as at the photo's border: tiles are exact.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from compressgan.coding.context_model import Prior
from compressgan.config import Config
from compressgan.errors import CompressGANError
from compressgan.footprint import encoder_halo, generator_halo
from compressgan.geometry import STRIDE
from compressgan.images.files import make_folder, replacing, write_json
from compressgan.networks.convolution import only_inside
from compressgan.networks.export import Signature, converted
from compressgan.networks.model import CompressGAN

TILE = 64  # latent positions per side, with the halo


def export_for_browser(checkpoint: Path, folder: Path) -> None:
    """Writes the model of a checkpoint folder for the page.

    Raises:
        CompressGANError: the checkpoint is missing or damaged, its networks cannot run in tiles, or a file cannot be
            written.
    """
    model = CompressGAN.load(checkpoint)
    config = model.config
    halo = max(encoder_halo(config), generator_halo(config))
    if config.norm == "instance" or config.padding != "zeros" or 2 * halo >= TILE:
        raise CompressGANError(f"{checkpoint}: the networks of this model cannot run in tiles of a fixed size")
    make_folder(folder)
    for name, signature in (("encoder", _encode(model)), ("generator", _generate(model))):
        path = folder / f"{name}.tflite"
        network = converted({name: signature}, path)
        with replacing(path) as temporary:
            temporary.write_bytes(network)
    priors = [model.prior.integers(level) for level in range(config.levels)]
    write_prior(folder, config, model.fingerprint(), model.quantizer.centers.numpy(), priors)


def write_prior(folder: Path, config: Config, fingerprint: bytes, centers: np.ndarray, priors: list[Prior]) -> None:
    """Writes `prior.bin`, the integers of all levels' priors, and finally `model.json`, which names the model.

    Raises:
        CompressGANError: a file cannot be written.
    """
    arrays = [priors[0].window, priors[0].output]
    for prior in priors:
        arrays += [prior.hidden_bias, prior.output_bias]
    with replacing(folder / "prior.bin") as temporary:
        temporary.write_bytes(b"".join(array.astype("<i4").tobytes() for array in arrays))
    description = {
        "fingerprint": fingerprint.hex(),
        "channels": config.latent_channels,
        "centers": centers.tolist(),
        "levels": config.levels,
        "default_level": config.default_level,
        "realism": config.realism,
        "default_realism": config.default_realism,
        "hidden": priors[0].hidden_bias.shape[-1],
        "tile": TILE,
        "encoder_halo": encoder_halo(config),
        "generator_halo": generator_halo(config),
    }
    write_json(folder / "model.json", description)


_INSIDE = tf.TensorSpec((TILE, TILE), name="inside")  # 1 in the photo, 0 outside
_LEVEL, _REALISM = tf.TensorSpec((1,), tf.int32, name="level"), tf.TensorSpec((1,), name="realism")


def _encode(model: CompressGAN) -> Signature:
    """Returns the encoder of a tile, its inputs, and the name of its output."""
    photo = tf.TensorSpec((STRIDE * TILE, STRIDE * TILE, 3), name="photo")

    def encode(photo: tf.Tensor, inside: tf.Tensor, level: tf.Tensor) -> list[tf.Tensor]:
        with only_inside(inside[tf.newaxis, ..., tf.newaxis]):
            return [model.encoder([photo[tf.newaxis], level])[0]]

    return encode, [photo, _INSIDE, _LEVEL], ["latents"]


def _generate(model: CompressGAN) -> Signature:
    """Returns the generator of a tile, its inputs, and the name of its output."""
    latents = tf.TensorSpec((TILE, TILE, model.config.latent_channels), name="latents")

    def generate(latents: tf.Tensor, inside: tf.Tensor, level: tf.Tensor, realism: tf.Tensor) -> list[tf.Tensor]:
        with only_inside(inside[tf.newaxis, ..., tf.newaxis]):
            return [model.generator([latents[tf.newaxis], level, realism])[0]]

    return generate, [latents, _INSIDE, _LEVEL, _REALISM], ["photo"]
