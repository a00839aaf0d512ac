from __future__ import annotations

from settings import DEFAULT_CHECKPOINT, Config

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import PROJECT, make_photo

import losses
import refine
from codec import Codec
from model import CompressGAN
from photo import read_photo, to_float
from refine import RATE_WEIGHT, Refiner


@pytest.fixture
def model(tiny: Config) -> CompressGAN:
    """An untrained model, of which the prior prefers some symbols to others."""
    keras.utils.set_random_seed(1)
    model = CompressGAN(tiny.replace(zero_init_blocks=False))
    model.prior.output_bias.assign(np.random.default_rng(0).normal(0, 1, model.prior.output_bias.shape))
    return model


def loss(model: CompressGAN, latents: np.ndarray, photo: np.ndarray) -> float:
    """What is decoded from the latents costs this much, in distortion and rate."""
    symbols = model.quantizer.indices(latents[np.newaxis])
    distortion = losses.distortion(to_float(photo)[np.newaxis], model.indices_to_photo(symbols))
    chosen = tf.one_hot(symbols, model.config.levels)
    rate = losses.code_length(chosen, model.prior(symbols), tf.constant(photo.size // 3))
    return float(distortion + RATE_WEIGHT * rate)


@pytest.mark.parametrize("window", [48, 6], ids=["whole", "six windows"])
def test_more_steps_leave_less_loss(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(refine, "WINDOW", window)
    model = CompressGAN.load(DEFAULT_CHECKPOINT)
    photo = read_photo(PROJECT / "images" / "portrait.jpg")[80:240, 60:268]
    latents = Codec(model).latents(photo)
    found = [loss(model, latents, photo)]
    found += [loss(model, Refiner(model, steps)(latents, photo), photo) for steps in (1, 2, 6)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.97 * found[0]


def test_latents_that_cannot_be_bettered_stay(model: CompressGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refine, "STEP", 100.0)  # far beyond anything good
    photo = make_photo(64, 64)
    latents = Codec(model).latents(photo)
    np.testing.assert_array_equal(Refiner(model, 3)(latents, photo), latents)


def test_the_codec_refines_as_much_as_it_is_told(model: CompressGAN) -> None:
    photo = make_photo(70, 90)
    padded = np.pad(photo, ((0, 10), (0, 6), (0, 0)), mode="reflect")
    plain, refined = Codec(model, effort=0), Codec(model, effort=4)
    latents = plain.latents(photo)
    np.testing.assert_array_equal(plain.symbols(photo), plain.quantize(latents))
    np.testing.assert_array_equal(refined.symbols(photo), plain.quantize(Refiner(model, 4)(latents, padded)))
    assert not np.array_equal(refined.symbols(photo), plain.symbols(photo))
    np.testing.assert_array_equal(refined.decompress(plain.compress(photo)), plain.decompress(plain.compress(photo)))


def test_models_with_instance_norm_are_left_alone(tiny: Config) -> None:
    codec = Codec(CompressGAN(tiny.replace(norm="instance")), effort=4)
    photo = make_photo(64, 64)
    np.testing.assert_array_equal(codec.symbols(photo), codec.quantize(codec.latents(photo)))
