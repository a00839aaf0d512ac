from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressgan import refining
from compressgan.checkpoint import shipped_checkpoint
from compressgan.codec import Codec
from compressgan.config import Config
from compressgan.images.pixels import to_float
from compressgan.images.reading import read_photo
from compressgan.networks.inference import TensorFlowNetworks
from compressgan.networks.model import CompressGAN
from compressgan.networks.prior import code_length
from compressgan.refining import Refiner
from compressgan.training import losses
from conftest import ROOT, make_photo


@pytest.fixture
def model(tiny: Config) -> CompressGAN:
    """An untrained model whose prior prefers some symbols to others."""
    keras.utils.set_random_seed(1)
    model = CompressGAN(tiny.replace(zero_init_blocks=False))
    model.prior.output_bias.assign(np.random.default_rng(0).normal(0, 1, model.prior.output_bias.shape))
    return model


def loss(model: CompressGAN, latents: np.ndarray, photo: np.ndarray) -> float:
    """Returns the distortion and the weighted rate of the photo decoded from the latents, added up."""
    symbols = model.quantizer.indices(latents[np.newaxis])
    reconstruction = model.generator(model.quantizer.dequantize(symbols))
    distortion = losses.distortion(to_float(photo)[np.newaxis], reconstruction)
    chosen = tf.one_hot(symbols, model.config.levels)
    rate = code_length(chosen, model.prior(symbols), tf.constant(photo.size // 3))
    return float(distortion + model.config.refining_rate_coeff * rate)


@pytest.mark.parametrize("window", [48, 6], ids=["whole", "six windows"])
def test_more_steps_leave_less_loss(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(refining, "WINDOW", window)
    model = CompressGAN.load(shipped_checkpoint())
    photo = read_photo(ROOT / "images" / "portrait.jpg")[80:240, 60:268]
    networks = TensorFlowNetworks(model)
    latents = Codec(networks).latents(photo)
    found = [loss(model, latents, photo)]
    found += [loss(model, Refiner(networks, steps)(latents, photo), photo) for steps in (1, 2, 6)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.97 * found[0]


def test_latents_that_cannot_be_bettered_stay(model: CompressGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refining, "STEP", 100.0)  # far too large
    photo = make_photo(64, 64)
    networks = TensorFlowNetworks(model)
    latents = Codec(networks).latents(photo)
    np.testing.assert_array_equal(Refiner(networks, 3)(latents, photo), latents)


def test_the_codec_refines_as_much_as_it_is_told(model: CompressGAN) -> None:
    photo = make_photo(70, 90)
    padded = np.pad(photo, ((0, 10), (0, 6), (0, 0)), mode="reflect")
    networks = TensorFlowNetworks(model)
    plain, refined = Codec(networks, effort=0), Codec(networks, effort=4)
    latents = plain.latents(photo)
    np.testing.assert_array_equal(plain.symbols(photo), plain.quantize(latents))
    np.testing.assert_array_equal(refined.symbols(photo), plain.quantize(Refiner(networks, 4)(latents, padded)))
    assert not np.array_equal(refined.symbols(photo), plain.symbols(photo))
    np.testing.assert_array_equal(refined.decompress(plain.compress(photo)), plain.decompress(plain.compress(photo)))


def test_models_with_instance_norm_are_left_alone(tiny: Config) -> None:
    codec = Codec(TensorFlowNetworks(CompressGAN(tiny.replace(norm="instance"))), effort=4)
    photo = make_photo(64, 64)
    np.testing.assert_array_equal(codec.symbols(photo), codec.quantize(codec.latents(photo)))


def test_the_weight_of_the_rate_is_the_checkpoints(model: CompressGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    networks, seen = TensorFlowNetworks(model), []
    networks.config = model.config.replace(refining_rate_coeff=0.7)
    loss_and_gradient = networks.loss_and_gradient

    def watching(latents: np.ndarray, photo: np.ndarray, rate_weight: float) -> tuple[float, np.ndarray]:
        seen.append(rate_weight)
        return loss_and_gradient(latents, photo, rate_weight)

    monkeypatch.setattr(networks, "loss_and_gradient", watching)
    Codec(networks, effort=2).compress(make_photo(40, 40))
    assert seen == [0.7, 0.7]
