"""Muon: momentum whose directions are made equally long, for convolution kernels; Adam for everything else.

Jordan et al. 2024 (kellerjordan.github.io/posts/muon), scaled as in Liu et al., arXiv 2502.16982. In Keras, Muon leaves
out kernels of convolutions, which are nearly all weights here.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from adam import Adam

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the odd polynomial that takes singular values in (0, 1] to about 1
ITERATIONS = 5
_RMS = 0.2  # of an update at learning rate 1, which is about Adam's, so that one rate suits both


class Muon(Adam):
    """Adam, but for the kernels of convolutions: those move by their orthogonalized momentum.

    A kernel (height, width, in, out) counts as the matrix (height * width * in, out).
    """

    def __init__(self, momentum: float = 0.95, **kwargs) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        if len(variable.shape) != 4:
            super().update_step(gradient, variable, learning_rate)
            return
        average = self._momentums[self._get_variable_index(variable)]
        self.assign(average, self.momentum * average + gradient)
        ahead = gradient + self.momentum * average  # Nesterov's
        matrix = tf.reshape(ahead, (-1, variable.shape[-1]))
        length = _RMS * max(matrix.shape) ** 0.5 * tf.cast(learning_rate, matrix.dtype)
        self.assign_sub(variable, tf.reshape(orthogonalized(matrix, length), variable.shape))


def orthogonalized(matrix: tf.Tensor, length: float | tf.Tensor = 1.0) -> tf.Tensor:
    """Returns a matrix of the same singular vectors, (m, n) float32, whose singular values are about `length`.

    The Newton-Schulz iteration X <- X (a I + b A + c A^2) with A = X^T X, done on A alone, or on X X^T where that is
    smaller: the polynomials commute, so their product is applied to X once, at the end. All factors go into the small
    matrices, since a pass over the large one costs as much as a product.
    """
    tall = matrix.shape[0] >= matrix.shape[1]
    gram = tf.matmul(matrix, matrix, transpose_a=tall, transpose_b=not tall)
    square = tf.linalg.trace(gram) + 1e-24  # of the Frobenius norm
    gram /= square
    a, b, c = _COEFFICIENTS
    identity = tf.eye(gram.shape[0])
    product = None
    for _ in range(ITERATIONS):
        polynomial = a * identity + tf.matmul(gram, b * identity + c * gram)
        product = polynomial if product is None else tf.matmul(polynomial, product)
        gram = tf.matmul(polynomial, tf.matmul(gram, polynomial))
    product *= length * tf.math.rsqrt(square)
    return tf.matmul(matrix, product) if tall else tf.matmul(product, matrix)
