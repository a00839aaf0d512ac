"""Levels and realism in the networks."""

from __future__ import annotations

from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressgan.codec import Codec
from compressgan.config import Config
from compressgan.networks.encoder import build_encoder
from compressgan.networks.generator import build_generator, of_realism
from compressgan.networks.inference import TensorFlowNetworks
from compressgan.networks.layers import Realism, at_realism_0
from compressgan.networks.model import CompressGAN
from conftest import encode, generate, make_photo, random_model


def modulations(network: keras.Model) -> list[keras.Variable]:
    return [variable for variable in network.weights if "modulation" in variable.path]


def of_realism_in(generator: keras.Model) -> list[keras.Variable]:
    return [variable for variable in generator.weights if of_realism(variable)]


@pytest.fixture
def model(tiny: Config) -> CompressGAN:
    """A model whose levels and realisms differ, at random."""
    model, rng = random_model(tiny), np.random.default_rng(0)
    for variable in (model.prior.hidden_bias, model.prior.output_bias):
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return model


def test_at_the_start_all_levels_and_realisms_are_one_function(tiny: Config) -> None:
    keras.utils.set_random_seed(0)
    encoder, generator = build_encoder(tiny), build_generator(tiny)
    photo = tf.random.uniform((1, 32, 48, 3), -1, 1, seed=1)
    latents = encode(encoder, photo)
    first = generate(generator, latents)
    for level, realism in ((3, 0.0), (7, 1.0), (0, 0.5)):
        np.testing.assert_array_equal(encode(encoder, photo, level), latents)
        np.testing.assert_array_equal(generate(generator, latents, level, realism), first)


def test_one_rate_without_realism_is_the_plain_network(one_rate: Config) -> None:
    model = CompressGAN(one_rate)
    assert modulations(model.encoder) == modulations(model.generator) == of_realism_in(model.generator) == []
    # Stem, two layers of a block, two doublings, head, two layers of the finish: two kernels and a bias each.
    assert len(of_realism_in(build_generator(one_rate.replace(realism=True)))) == 3 * 8


def test_realism_0_is_the_generator_without_realism(model: CompressGAN) -> None:
    latents = tf.random.uniform((2, 3, 4, model.config.latent_channels), -1, 1, seed=1)
    plain = build_generator(model.config.replace(realism=False))
    plain.set_weights([v.numpy() for v in model.generator.weights if not of_realism(v)])
    expected = generate(plain, latents, 3)
    np.testing.assert_allclose(generate(model.generator, latents, 3, 0.0), expected, atol=1e-6)
    with at_realism_0():
        np.testing.assert_array_equal(generate(model.generator, latents, 3, 0.7), expected)
    assert np.abs(generate(model.generator, latents, 3, 0.7) - expected).mean() > 0.05


def test_realism_adds_a_convolution_of_low_rank(tiny: Config) -> None:
    layer, rng = Realism(6, tiny.replace(realism_rank=3), scale=0.5), np.random.default_rng(0)
    x, y, realism = (rng.normal(0, 1, shape).astype(np.float32) for shape in ((2, 5, 4, 8), (2, 5, 4, 6), (2,)))
    np.testing.assert_array_equal(layer([y, x, realism]), y)
    inner, outer, bias = layer.trainable_variables
    assert (inner.shape, outer.shape) == ((3, 3, 8, 3), (1, 1, 3, 6))
    for variable in (outer, bias):
        variable.assign(rng.normal(0, 1, variable.shape))
    kernel = np.einsum("hwcr,ro->hwco", inner, outer[0, 0])
    expected = y + 0.5 * realism[:, None, None, None] * (tf.nn.conv2d(x, kernel, 1, "SAME") + bias)
    np.testing.assert_allclose(layer([y, x, realism]), expected, rtol=1e-3, atol=1e-4)


def test_gradients_reach_every_vector_of_the_level_and_no_other(tiny: Config) -> None:
    keras.utils.set_random_seed(0)
    model = CompressGAN(tiny.replace(zero_init_blocks=False))
    photos = tf.random.uniform((2, 32, 48, 3), -1, 1, seed=1)
    level = tf.constant([2, 5])
    with tf.GradientTape() as tape:
        latents = model.encoder([photos, level])
        y = model.generator([model.quantizer(latents), level, tf.constant([0.0, 1.0])])
        loss = tf.reduce_sum(tf.square(y - photos))
    variables = [*modulations(model.encoder), *modulations(model.generator)]
    assert len(variables) == 2 * 3 + 2 * 5
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        gradient = tf.convert_to_tensor(gradient).numpy()
        assert np.flatnonzero(np.abs(gradient).max(axis=1)).tolist() == [2, 5], variable.path


def test_a_mixed_batch_equals_its_photos_one_by_one(model: CompressGAN) -> None:
    photos = tf.random.uniform((4, 32, 48, 3), -1, 1, seed=1)
    levels, realisms = [7, 0, 3, 0], [0.0, 1.0, 0.25, 0.0]
    together = model(photos, tf.constant(levels), tf.constant(realisms)).numpy()
    for i, (level, realism) in enumerate(zip(levels, realisms, strict=True)):
        alone = model(photos[i : i + 1], tf.constant([level]), tf.constant([realism])).numpy()
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-5)
    np.testing.assert_raises(
        AssertionError,
        np.testing.assert_allclose,
        model(photos, tf.constant([6] * 4), tf.zeros(4)),
        together,
        atol=0.01,
    )


def test_tiles_equal_the_whole_at_any_level_and_realism(model: CompressGAN) -> None:
    whole, tiled = (Codec(TensorFlowNetworks(model), memory, effort=1) for memory in (2**30, 1))
    photo = make_photo(200, 330)
    for level, realism in ((2, 0.7), (8, 1.0)):
        data = whole.compress(photo, level)
        assert tiled.compress(photo, level) == data
        difference = whole.decompress(data, realism).astype(int) - tiled.decompress(data, realism)
        assert np.abs(difference).max() <= 1


def test_the_file_knows_its_level_and_realism_is_free(model: CompressGAN) -> None:
    codec = Codec(TensorFlowNetworks(model), effort=0)
    photo = make_photo(64, 80)
    files = {level: codec.compress(photo, level) for level in range(1, 9)}
    assert len(set(files.values())) == 8
    assert codec.compress(photo) == files[5]
    for level, data in files.items():
        symbols, height, width, found = codec.from_bytes(data)
        assert (height, width, found) == (64, 80, level)
        np.testing.assert_array_equal(symbols, codec.quantize(codec.latents(photo, level)))
    pictures = [codec.decompress(files[5], realism).astype(int) for realism in (0.0, 0.5, 1.0)]
    assert all(np.abs(a - b).mean() > 0.1 for a, b in pairwise(pictures))
    np.testing.assert_array_equal(codec.decompress(files[5]), pictures[2])
