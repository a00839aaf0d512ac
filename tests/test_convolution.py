from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressgan.networks.convolution import Conv2D, Conv2DTranspose


@pytest.mark.parametrize(
    ("kernel", "stride", "filters"),
    [(3, 1, 5), (3, 1, 2), (7, 1, 3), (1, 1, 4), (3, 2, 6), (4, 2, 6), (4, 1, 5), (4, 1, 1), (3, 1, 1)],
)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_results_and_gradients_are_keras_own(kernel: int, stride: int, filters: int, dtype: str) -> None:
    ours, theirs = (kind(filters, kernel, stride, "same", dtype=dtype) for kind in (Conv2D, keras.layers.Conv2D))
    for layer in (ours, theirs):
        layer.build((2, 9, 12, 4))

    @tf.function
    def results(layer_is_ours: bool, photos: tf.Tensor) -> list[tf.Tensor]:
        layer = ours if layer_is_ours else theirs
        with tf.GradientTape() as tape:
            tape.watch(photos)
            y = layer(photos)
            loss = tf.reduce_sum(tf.sin(tf.cast(y, tf.float32)))
        return [y, *tape.gradient(loss, [photos, *layer.trainable_weights])]

    for draw in range(5):
        photos = tf.random.stateless_normal((2, 9, 12, 4), (draw, 2))
        weights = [0.2 * tf.random.stateless_normal(weight.shape, (draw, 3)) for weight in theirs.weights]
        for layer in (ours, theirs):
            layer.set_weights(weights)
        for mine, other in zip(results(True, photos), results(False, photos), strict=True):
            assert mine.dtype == other.dtype
            scale = float(tf.reduce_max(tf.abs(other)))
            tolerance = (1e-5 if dtype == "float32" else 7e-2) * scale
            tf.debugging.assert_near(tf.cast(mine, tf.float32), tf.cast(other, tf.float32), atol=tolerance, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (9, 12)])
def test_padding_by_reflection(size: tuple[int, int]) -> None:
    layer = Conv2D(4, 7, padding="same", reflect=True)
    photos = tf.random.stateless_normal((2, *size, 3), (0, 1))
    found = layer(photos)
    padded = np.pad(photos, [(0, 0), (3, 3), (3, 3), (0, 0)], mode="reflect")
    tf.debugging.assert_near(found, tf.nn.conv2d(padded, layer.kernel, 1, "VALID"), atol=1e-4)


@pytest.mark.parametrize(("kind", "kernel", "stride"), [(Conv2D, 3, 1), (Conv2D, 4, 1), (Conv2DTranspose, 3, 2)])
def test_bias_gradient_counts_every_position(kind: type[keras.layers.Layer], kernel: int, stride: int) -> None:
    layer = kind(3, kernel, stride, "same", dtype="mixed_bfloat16")
    layer.build((8, 32, 32, 4))

    @tf.function
    def gradient() -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            y = layer(tf.ones((8, 32, 32, 4)))
            loss = tf.reduce_sum(tf.cast(y, tf.float32))
        return tape.gradient(loss, layer.bias), tf.size(y[..., 0], tf.int32)

    counted, positions = gradient()
    # Added one by one in bfloat16, ones never exceed a sum of 256.
    assert positions >= 8 * 32 * 32
    tf.debugging.assert_equal(counted, tf.fill((3,), tf.cast(positions, tf.float32)))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_transposed_results_are_keras_own(dtype: str) -> None:
    ours, theirs = (kind(5, 3, 2, "same", dtype=dtype) for kind in (Conv2DTranspose, keras.layers.Conv2DTranspose))
    photos = tf.random.stateless_normal((2, 9, 12, 4), (1, 2))
    for layer in (ours, theirs):
        layer.build(photos.shape)
    weights = [0.2 * tf.random.stateless_normal(weight.shape, (1, 3)) for weight in theirs.weights]
    for layer in (ours, theirs):
        layer.set_weights(weights)
    tf.debugging.assert_equal(ours(photos), theirs(photos))
