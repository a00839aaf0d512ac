from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressgan.codec import Codec
from compressgan.config import Config
from compressgan.errors import CompressGANError, interrupted
from compressgan.footprint import encoder_halo, generator_halo, upsampling_halo
from compressgan.networks.encoder import build_encoder
from compressgan.networks.generator import build_generator, split_generator
from compressgan.networks.inference import TensorFlowNetworks
from compressgan.networks.model import CompressGAN
from config import PAPER, TINY
from conftest import encode, generate, make_photo


def reach(network: Callable[[tf.Tensor], tf.Tensor], shape: tuple[int, ...], block: tuple[int, int]) -> int:
    """Returns how many latent positions away an input still changes the middle output, measured by its gradient."""
    x = tf.random.normal((1, *shape))
    source, target = block
    middle = shape[0] // source // 2
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = network(x)
        y = tf.reduce_sum(
            tf.abs(y[:, middle * target : (middle + 1) * target, middle * target : (middle + 1) * target])
        )
    touched = np.abs(tape.gradient(y, x).numpy()[0]).max(axis=-1) > 0
    rows = np.nonzero(touched.any(axis=1))[0] // source
    return max(middle - rows.min(), rows.max() - middle)


@pytest.mark.parametrize(
    "config",
    [
        TINY.replace(zero_init_blocks=False),
        TINY.replace(zero_init_blocks=False, encoder_blocks=2, generator_blocks=3, norm="channel"),
        TINY.replace(zero_init_blocks=False, stem_kernel=5),  # here the finishing block needs one more position
        PAPER.replace(
            norm="none", encoder_widths=(4,) * 5, generator_widths=(4,) * 5, generator_blocks=2, latent_channels=2
        ),
    ],
    ids=["tiny", "channel", "finish", "paper"],
)
def test_halos_reach_as_far_as_the_networks_look(config: Config) -> None:
    keras.utils.set_random_seed(0)
    encoder, generator = build_encoder(config), build_generator(config)
    found = reach(lambda x: encode(encoder, x), (25 * 16, 25 * 16, 3), (16, 1))
    assert found <= encoder_halo(config) <= found + 1
    found = reach(lambda x: generate(generator, x), (25, 25, config.latent_channels), (1, 16))
    assert found <= generator_halo(config) <= found + 1
    _, upsampling = split_generator(generator)
    found = reach(lambda x: generate(upsampling, x), (11, 11, config.generator_widths[0]), (1, 16))
    assert found <= upsampling_halo(config) <= found + 1


@pytest.mark.parametrize("size", [(300, 500), (33, 700), (16, 16)])
@pytest.mark.parametrize("padding", ["zeros", "reflection"])
def test_tiles_equal_the_whole(tiny: Config, size: tuple[int, int], padding: str) -> None:
    keras.utils.set_random_seed(3)
    model = CompressGAN(tiny.replace(zero_init_blocks=False, padding=padding))
    whole, tiled = Codec(TensorFlowNetworks(model)), Codec(TensorFlowNetworks(model), memory=1)
    photo = make_photo(*size)
    np.testing.assert_array_equal(whole.symbols(photo), tiled.symbols(photo))
    data = whole.compress(photo)
    assert tiled.compress(photo) == data
    difference = whole.decompress(data).astype(int) - tiled.decompress(data)
    assert np.abs(difference).max() <= 1


def test_ctrl_c_ends_a_large_photo_between_its_windows(tiny: Config) -> None:
    codec = Codec(TensorFlowNetworks(CompressGAN(tiny)))
    interrupted.set()
    try:
        with pytest.raises(CompressGANError, match="interrupted"):
            codec.compress(make_photo(40, 40))
    finally:
        interrupted.clear()


def test_instance_norm_cannot_be_tiled(tiny: Config) -> None:
    codec = Codec(TensorFlowNetworks(CompressGAN(tiny.replace(norm="instance"))), memory=1)
    with pytest.raises(CompressGANError, match="instance norm"):
        codec.compress(make_photo(200, 300))
