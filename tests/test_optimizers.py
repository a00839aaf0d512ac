from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressgan.training.optimizers import Adam, Muon, orthogonalized


@pytest.mark.parametrize("shape", [(90, 16), (16, 90), (12, 12)])
def test_orthogonalized_matrices_keep_their_directions_and_have_equal_lengths(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    rank = min(shape)
    u, _ = np.linalg.qr(rng.normal(size=(shape[0], rank)))
    v, _ = np.linalg.qr(rng.normal(size=(shape[1], rank)))
    matrix = (u * np.geomspace(1e-3, 10, rank)) @ v.T
    result = orthogonalized(tf.constant(1e-6 * matrix, tf.float32)).numpy()
    inner = u.T @ result @ v
    assert np.abs(inner - np.diag(np.diag(inner))).max() < 1e-3
    # The iteration does not converge to 1, but ends between these bounds.
    assert np.diag(inner)[rank // 2 :].min() > 0.65
    assert np.diag(inner).max() < 1.25


def test_lengths() -> None:
    matrix = tf.random.stateless_normal((30, 8), (0, 0))
    np.testing.assert_allclose(orthogonalized(matrix, 0.01), 0.01 * orthogonalized(matrix).numpy(), rtol=1e-5)
    np.testing.assert_array_equal(orthogonalized(0 * matrix), np.zeros((30, 8)))
    assert np.abs(orthogonalized(1e-25 * matrix)).max() < 1


def test_kernels_move_by_muon_and_the_rest_by_adam() -> None:
    rng = np.random.default_rng(0)
    kernel = keras.Variable(rng.normal(size=(3, 3, 8, 16)).astype(np.float32))
    bias, adams_bias = (keras.Variable(np.zeros(16, np.float32)) for _ in range(2))
    before = kernel.numpy()
    gradient = rng.normal(size=kernel.shape).astype(np.float32)
    muon, adam = Muon(learning_rate=0.1), keras.optimizers.Adam(learning_rate=0.1)
    for scale in (1.0, 100.0):
        muon.apply([scale * gradient, scale * gradient[0, 0, 0]], [kernel, bias])
        adam.apply([scale * gradient[0, 0, 0]], [adams_bias])
    np.testing.assert_allclose(bias.numpy(), adams_bias.numpy(), rtol=1e-4)
    # The gradient's direction did not change, so both steps are equal, whatever its length: about 0.2 * 0.1 per entry.
    moved = kernel.numpy() - before
    assert np.sqrt(np.mean(moved**2)) == pytest.approx(2 * 0.2 * 0.1, rel=0.2)
    assert np.sum(moved * gradient) < 0


def test_adam_moves_as_keras_adam_does() -> None:
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 3, 4, 8), (8,))]
    moved = []
    for kind in (Adam, keras.optimizers.Adam):
        variables = [keras.Variable(values) for values in start]
        optimizer = kind(learning_rate=0.1, beta_1=0.8)
        for step in range(5):
            gradients = [
                np.cos(step + np.arange(values.size, dtype=np.float32)).reshape(values.shape) for values in start
            ]
            optimizer.learning_rate = 0.1 / (step + 1)
            optimizer.apply(gradients, variables)
        moved.append([variable.numpy() for variable in variables])
    for ours, theirs, before in zip(*moved, start, strict=True):
        assert np.abs(ours - before).mean() > 0.05
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
