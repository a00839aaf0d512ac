from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from compressgan.errors import CompressGANError
from compressgan.training.perceptual import PerceptualLoss, normalization_pictures
from conftest import VGG19_WIDTHS, write_vgg19


def test_distance_from_a_weights_file(tmp_path: Path) -> None:
    path = write_vgg19(tmp_path / "vgg.h5")
    loss = PerceptualLoss(path)
    kernel = h5py.File(path)["block1_conv1/block1_conv1/kernel:0"][()]
    scale = loss._extractor.get_layer("block1_conv1").get_weights()[0] / kernel  # one factor per channel
    np.testing.assert_allclose(scale, np.broadcast_to(scale[:1, :1, :1], scale.shape), rtol=1e-4)
    x = tf.random.uniform((1, 32, 32, 3), -1, 1, seed=1)
    y = tf.Variable(tf.random.uniform((1, 32, 32, 3), -1, 1, seed=2))
    assert [own.shape for own in loss.features(x)] == [(1, 8, 8, 128)]
    assert float(loss(x, x)) < 1e-3
    with tf.GradientTape() as tape:
        distance = loss(x, y)
    assert float(distance) > 1
    assert float(tf.norm(tape.gradient(distance, y))) > 0
    assert not loss._extractor.trainable_variables
    assert float(PerceptualLoss(path, "mixed_bfloat16")(x, y)) == pytest.approx(float(distance), rel=0.02)


def test_missing_weights_name_the_three_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**_) -> None:
        raise Exception("URL fetch failure")

    text = tmp_path / "text.h5"
    text.write_text("no weights")
    other = write_vgg19(tmp_path / "other.h5", ["block1_conv1"])
    for weights in (tmp_path / "none.h5", text, other):
        with pytest.raises(CompressGANError, match=r"internet.*--perceptual FILE\.h5.*--perceptual off"):
            PerceptualLoss(weights)
    monkeypatch.setattr(keras.applications, "VGG19", offline)
    with pytest.raises(CompressGANError, match=r"internet.*--perceptual FILE\.h5.*--perceptual off"):
        PerceptualLoss("imagenet")


def test_vgg19_gets_what_it_was_trained_on(tmp_path: Path) -> None:
    """Blue, green, red from 0 to 255, minus ImageNet's means: what Keras' `preprocess_input` makes of RGB pixels."""
    loss = PerceptualLoss(write_vgg19(tmp_path / "vgg.h5"))
    seen = []

    def extractor(x: tf.Tensor) -> tf.Tensor:
        seen.append(x)
        return x

    loss._extractor = extractor
    loss.features(tf.constant([[[[-1.0, 0.0, 1.0]]]]))
    np.testing.assert_allclose(seen[0][0, 0, 0], [255 - 103.939, 127.5 - 116.779, 0 - 123.68], atol=1e-3)


def test_the_scales_of_the_weights_do_not_matter(tmp_path: Path) -> None:
    """The same network with randomly rescaled channels gives the same distance."""
    path, other = write_vgg19(tmp_path / "vgg.h5"), write_vgg19(tmp_path / "rescaled.h5")
    rng, before = np.random.default_rng(0), np.ones(3)
    with h5py.File(other, "r+") as file:
        for name, (_, width) in VGG19_WIDTHS.items():
            scale = rng.uniform(0.05, 20, width)
            kernel, bias = (file[name][name][part] for part in ("kernel:0", "bias:0"))
            bias[...] = rng.normal(0, 5, width)
            with h5py.File(path, "r+") as original:
                original[name][name]["bias:0"][...] = bias[...]
            kernel[...] = kernel[...] / before[:, np.newaxis] * scale
            bias[...] = bias[...] * scale
            before = scale
    x, y = (tf.random.uniform((2, 32, 32, 3), -1, 1, seed=seed) for seed in (1, 2))
    first, second = PerceptualLoss(path), PerceptualLoss(other)
    np.testing.assert_allclose(first.features(x)[0], second.features(x)[0], rtol=2e-3, atol=1e-3)
    assert float(first(x, y)) == pytest.approx(float(second(x, y)), rel=1e-4)


def test_each_channel_has_a_mean_activation_of_one(tmp_path: Path) -> None:
    photos = normalization_pictures()
    loss = PerceptualLoss(write_vgg19(tmp_path / "vgg.h5"))
    layers = [loss._extractor.get_layer(name).output for name in VGG19_WIDTHS]
    pixels = keras.applications.vgg19.preprocess_input(tf.constant(photos, tf.float32))
    for activations in keras.Model(loss._extractor.input, layers)(pixels):
        means = tf.reduce_mean(activations, (0, 1, 2)).numpy()
        often = tf.reduce_mean(tf.cast(activations > 0, tf.float32), (0, 1, 2)).numpy() > 2e-3
        np.testing.assert_allclose(means[often], 1, rtol=1e-3)
        assert np.mean(often) > 0.8
