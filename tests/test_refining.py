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


def loss(model: CompressGAN, latents: np.ndarray, photo: np.ndarray, level: int) -> float:
    """Returns the distortion and the weighted rate of the photo decoded from the latents, added up."""
    told = tf.constant([level - 1])
    symbols = model.quantizer.indices(latents[np.newaxis])
    reconstruction = model.generator([model.quantizer.dequantize(symbols), told, tf.zeros(1)])
    distortion = losses.distortion(to_float(photo)[np.newaxis], reconstruction)[0]
    chosen = tf.one_hot(symbols, model.config.centers)
    rate = code_length(chosen, model.prior(symbols, told), tf.constant(photo.size // 3))[0]
    return float(distortion + model.rate_coeffs[level - 1] / model.config.distortion_coeff * rate)


@pytest.mark.parametrize("window", [48, 6], ids=["whole", "six windows"])
def test_more_steps_leave_less_loss(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(refining, "WINDOW", window)
    model = CompressGAN.load(shipped_checkpoint())
    photo = read_photo(ROOT / "images" / "portrait.jpg")[80:240, 60:268]
    networks = TensorFlowNetworks(model)
    level = model.config.default_level
    latents = Codec(networks).latents(photo, level)
    found = [loss(model, latents, photo, level)]
    found += [loss(model, Refiner(networks, steps)(latents, photo, level), photo, level) for steps in (1, 2, 6)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.97 * found[0]


def test_latents_that_cannot_be_bettered_stay(model: CompressGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refining, "STEP", 100.0)  # far too large
    photo = make_photo(64, 64)
    networks = TensorFlowNetworks(model)
    latents = Codec(networks).latents(photo)
    np.testing.assert_array_equal(Refiner(networks, 3)(latents, photo, 5), latents)


def test_the_codec_refines_as_much_as_it_is_told(model: CompressGAN) -> None:
    photo = make_photo(70, 90)
    padded = np.pad(photo, ((0, 10), (0, 6), (0, 0)), mode="reflect")
    networks = TensorFlowNetworks(model)
    plain, refined = Codec(networks, effort=0), Codec(networks, effort=4)
    latents = plain.latents(photo)
    np.testing.assert_array_equal(plain.symbols(photo), plain.quantize(latents))
    np.testing.assert_array_equal(refined.symbols(photo), plain.quantize(Refiner(networks, 4)(latents, padded, 5)))
    assert not np.array_equal(refined.symbols(photo), plain.symbols(photo))
    np.testing.assert_array_equal(refined.decompress(plain.compress(photo)), plain.decompress(plain.compress(photo)))


def test_models_with_instance_norm_are_left_alone(tiny: Config) -> None:
    codec = Codec(TensorFlowNetworks(CompressGAN(tiny.replace(norm="instance"))), effort=4)
    photo = make_photo(64, 64)
    np.testing.assert_array_equal(codec.symbols(photo), codec.quantize(codec.latents(photo)))


def test_each_level_has_its_own_weight_of_the_rate(model: CompressGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    model.rate_coeffs.assign(12 * np.arange(1, 9))
    networks, seen = TensorFlowNetworks(model), []
    loss_and_gradient = networks.loss_and_gradient

    def watching(*arguments: np.ndarray | float) -> tuple[float, np.ndarray]:
        seen.append(arguments[-2:])
        return loss_and_gradient(*arguments)

    monkeypatch.setattr(networks, "loss_and_gradient", watching)
    Codec(networks, effort=2).compress(make_photo(40, 40), level=3)
    assert seen == [(3, 3.0), (3, 3.0)]
