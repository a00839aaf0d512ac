from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressgan.config import Config
from compressgan.networks.discriminator import build_discriminator
from compressgan.networks.encoder import build_encoder
from compressgan.networks.generator import build_generator
from config import PAPER, TINY
from conftest import encode, generate


def test_parameter_counts_of_the_paper() -> None:
    paper = PAPER
    counts = [build(paper).count_params() / 1e6 for build in (build_encoder, build_generator, build_discriminator)]
    assert counts == pytest.approx([5.6, 154.9, 8.3], abs=0.05)


SMALL_PAPER = PAPER.replace(
    encoder_widths=(4, 4, 4, 4, 4), generator_widths=(4, 4, 4, 4, 4), generator_blocks=1, discriminator_widths=(4, 4)
)


@pytest.mark.parametrize("config", [TINY, SMALL_PAPER], ids=["compact", "paper"])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 80), (48, 32)])
def test_shapes_and_ranges(config: Config, height: int, width: int) -> None:
    photo = tf.random.uniform((2, height, width, 3), -1, 1, seed=1)
    latents = encode(build_encoder(config), photo)
    assert latents.shape == (2, height // 16, width // 16, config.latent_channels)
    reconstruction = generate(build_generator(config), latents)
    assert reconstruction.shape == photo.shape
    assert np.all(np.abs(reconstruction) <= 1)


def test_latents_are_bounded_by_tanh_or_free() -> None:
    photo = 1000 * tf.random.normal((1, 64, 64, 3), seed=1)
    bounded = encode(build_encoder(TINY), photo)
    free = encode(build_encoder(TINY.replace(latent_bound=0.0)), photo)
    assert np.max(np.abs(bounded)) <= 2.5 < np.max(np.abs(free))
    # No ReLU on the bottleneck: negative centers must be reachable.
    assert np.min(free) < 0


@pytest.mark.parametrize("size", [64, 70])
def test_discriminator_scales(size: int) -> None:
    config = TINY.replace(discriminator_scales=3)
    outputs = build_discriminator(config)(
        [tf.zeros((1, size, size, 3)), tf.zeros((1, size, size, config.latent_channels))]
    )
    assert [len(scale) for scale in outputs] == [3, 3, 3]
    sides = [scale[-1].shape[1] for scale in outputs]
    assert sides[0] > sides[1] > sides[2]
    assert all(scale[-1].shape[-1] == 1 for scale in outputs)


def test_channel_norm_is_local_and_instance_norm_is_not() -> None:
    """Under channel norm, a distant change must not affect a pixel, or images could not be tiled."""
    keras.utils.set_random_seed(0)
    near = np.random.default_rng(0).uniform(-1, 1, (1, 16, 512, 3)).astype(np.float32)
    far = near.copy()
    far[:, :, 400:] = 1.0
    for norm, local in (("channel", True), ("none", True), ("instance", False)):
        encoder = build_encoder(TINY.replace(norm=norm))
        left_a, left_b = (encode(encoder, photo)[:, :, :8] for photo in (near, far))
        assert np.allclose(left_a, left_b, atol=1e-6) == local, norm


def test_residual_branches_start_at_zero() -> None:
    config = TINY
    with_blocks = build_generator(config.replace(generator_blocks=2, finish_width=8))
    without = build_generator(config.replace(generator_blocks=0))
    shared = {v.path: v for v in with_blocks.weights}
    for variable in without.weights:
        if "finish" not in variable.path:
            variable.assign(shared[variable.path])
    latents = tf.random.normal((1, 4, 4, config.latent_channels), seed=3)
    np.testing.assert_array_equal(generate(with_blocks, latents), generate(without, latents))


@pytest.mark.parametrize(("norm", "alive"), [("channel", True), ("none", False)])
def test_the_norm_keeps_blocks_from_falling_silent(norm: str, alive: bool) -> None:
    """Without the norm, once all of a ReLU's inputs are below zero, no gradient can raise them again."""
    config = TINY.replace(block_norm=norm, zero_init_blocks=False)
    generator = build_generator(config)
    first = generator.get_layer("block1_conv1")
    first.bias.assign(tf.fill(first.bias.shape, -100.0))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(generate(generator, tf.random.normal((1, 4, 4, config.latent_channels), seed=1)) ** 2)
    assert bool(np.any(tape.gradient(loss, first.kernel.value))) == alive


def test_the_scale_of_blocks() -> None:
    latents = tf.random.normal((1, 4, 4, TINY.latent_channels), seed=1)
    trunks = []
    for scale in (1.0, 0.5):
        keras.utils.set_random_seed(0)
        generator = build_generator(TINY.replace(block_scale=scale, zero_init_blocks=False))
        layers = [generator.get_layer(name).output for name in ("stem_relu", "block1_add")]
        before, after = generate(keras.Model(generator.inputs, layers), latents)
        trunks.append(after - before)
    np.testing.assert_allclose(trunks[0], 2 * trunks[1], rtol=1e-4, atol=1e-6)
