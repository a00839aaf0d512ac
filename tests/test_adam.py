from __future__ import annotations

import keras
import numpy as np

from adam import Adam


def test_moves_as_keras_adam_does() -> None:
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
