from __future__ import annotations

import keras
import pytest
import tensorflow as tf

from convolution import Conv2D


@pytest.mark.parametrize(
    ("kernel", "stride", "filters"),
    [(3, 1, 5), (3, 1, 2), (7, 1, 3), (1, 1, 4), (3, 2, 6), (4, 2, 6), (4, 1, 5), (4, 1, 1), (3, 1, 1)],
)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_results_and_gradients_are_keras_own(kernel: int, stride: int, filters: int, dtype: str) -> None:
    ours, theirs = (kind(filters, kernel, stride, "same", dtype=dtype) for kind in (Conv2D, keras.layers.Conv2D))
    photos = tf.random.stateless_normal((2, 9, 12, 4), (1, 2))
    for layer in (ours, theirs):
        layer.build(photos.shape)
    ours.set_weights(theirs.get_weights())

    @tf.function
    def results(layer_is_ours: bool) -> list[tf.Tensor]:
        layer = ours if layer_is_ours else theirs
        with tf.GradientTape() as tape:
            tape.watch(photos)
            y = layer(photos)
            loss = tf.reduce_sum(tf.sin(tf.cast(y, tf.float32)))
        return [y, *tape.gradient(loss, [photos, *layer.trainable_weights])]

    for mine, other in zip(results(True), results(False), strict=True):
        assert mine.dtype == other.dtype
        scale = float(tf.reduce_max(tf.abs(other)))
        tolerance = (1e-5 if dtype == "float32" else 5e-2) * scale
        tf.debugging.assert_near(tf.cast(mine, tf.float32), tf.cast(other, tf.float32), atol=tolerance, rtol=0)
