from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from compressgan.config import Config
from compressgan.networks.model import CompressGAN
from compressgan.networks.quantizer import Quantizer


@settings(max_examples=50)
@given(
    latents=hnp.arrays(np.float32, (3, 4, 2), elements=st.floats(-1e4, 1e4, width=32)),
    centers=st.integers(2, 32),
    shuffle=st.randoms(use_true_random=False),
)
def test_output_is_always_the_nearest_center(latents: np.ndarray, centers: int, shuffle) -> None:
    quantizer = Quantizer(Config(centers=centers))
    values = quantizer._centers.numpy() * 0.7 + 0.1
    shuffle.shuffle(values)
    quantizer._centers.assign(values)
    output = quantizer(latents).numpy()
    nearest = np.min(np.abs(latents[..., None] - values), axis=-1)
    assert np.isin(output, values).all()
    np.testing.assert_allclose(np.abs(output - latents), nearest, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(quantizer.dequantize(quantizer.indices(latents)), output)


def test_centers_start_as_designed_and_are_sorted_on_use() -> None:
    quantizer = Quantizer(Config(centers=5))
    np.testing.assert_array_equal(quantizer.centers, [-2, -1, 0, 1, 2])
    quantizer._centers.assign([3.0, -1.0, 0.5, 2.0, -4.0])
    np.testing.assert_array_equal(quantizer.centers, [-4, -1, 0.5, 2, 3])
    np.testing.assert_array_equal(quantizer.indices(np.array([-9.0, 0.4, 9.0], np.float32)), [0, 2, 4])


def test_gradients_reach_every_encoder_weight_and_center(tiny: Config) -> None:
    # Before branches that start at zero, layers would get no gradient at the first step.
    model = CompressGAN(tiny.replace(zero_init_blocks=False))
    photos = tf.random.uniform((2, 64, 64, 3), -1, 1, seed=1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(photos - model(photos, tf.constant([2, 6]), tf.zeros(2))))
    variables = [*model.encoder.trainable_variables, *model.quantizer.trainable_variables]
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert float(tf.norm(tf.convert_to_tensor(gradient))) > 0, variable.path
    assert len(model.quantizer.trainable_variables) == 1


def test_soft_gradient_is_that_of_the_soft_assignment() -> None:
    quantizer = Quantizer(Config(centers=5))
    latents = tf.constant([-1.3, 0.2, 0.5, 1.9])
    with tf.GradientTape() as tape:
        tape.watch(latents)
        output = quantizer(latents, temperature=0.5)
    analytic = tape.gradient(output, latents).numpy()

    def soft(w: np.ndarray) -> np.ndarray:
        centers = np.arange(-2.0, 3.0)
        weights = np.exp(-((w[:, None] - centers) ** 2) / 0.5)
        return (weights * centers).sum(1) / weights.sum(1)

    w, h = latents.numpy().astype(np.float64), 1e-5
    np.testing.assert_allclose(analytic, (soft(w + h) - soft(w - h)) / (2 * h), rtol=1e-3)


def test_centers_get_the_gradient_of_the_latents_they_stand_for() -> None:
    quantizer = Quantizer(Config(centers=5))
    quantizer._centers.assign([1.0, -2.0, 0.0, 2.0, -1.0])
    with tf.GradientTape() as tape:
        output = quantizer(tf.constant([-2.2, 0.1, -0.2, 0.9]))
        loss = tf.reduce_sum(output * [1.0, 10.0, 100.0, 1000.0])
    np.testing.assert_array_equal(tape.gradient(loss, quantizer._centers), [1000, 1, 110, 0, 0])
