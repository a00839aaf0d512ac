from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from compressgan.errors import CompressGANError
from compressgan.training.perceptual import PerceptualLoss
from conftest import write_vgg19


def test_distance_from_a_weights_file(tmp_path: Path) -> None:
    path = write_vgg19(tmp_path / "vgg.h5")
    loss = PerceptualLoss(path)
    kernel = h5py.File(path)["block1_conv1/block1_conv1/kernel:0"][()]
    np.testing.assert_array_equal(loss._extractor.get_layer("block1_conv1").get_weights()[0], kernel)
    x = tf.random.uniform((1, 32, 32, 3), -1, 1, seed=1)
    y = tf.Variable(tf.random.uniform((1, 32, 32, 3), -1, 1, seed=2))
    assert loss.features(x).shape == (1, 8, 8, 128)
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
