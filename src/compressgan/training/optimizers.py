"""Adam and Muon for Keras, both faster than Keras' own."""

from __future__ import annotations

import keras
import tensorflow as tf

MUON_ITERATIONS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the odd polynomial that maps singular values in (0, 1] to about 1
_RMS = 0.2  # of an update at learning rate 1; Adam's is about the same, so one learning rate suits both


class Adam(keras.optimizers.Adam):
    """Keras' Adam, equal up to rounding, in one pass over memory with TensorFlow's fused operation.

    Keras makes ten passes over the weights, which take a tenth of a step of the `paper` preset.
    """

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _handle(variable: keras.Variable | tf.Variable) -> tf.Tensor:
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


class Muon(Adam):
    """Muon for the kernels of convolutions, which move by their orthogonalized momentum; Adam for everything else.

    Jordan et al. 2024 (kellerjordan.github.io/posts/muon), scaled as in Liu et al., arXiv 2502.16982. A kernel (height,
    width, in, out) is treated as the matrix (height * width * in, out). Keras' Muon leaves out the kernels of
    convolutions, which hold nearly all weights here.
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
        ahead = gradient + self.momentum * average  # Nesterov's momentum
        matrix = tf.reshape(ahead, (-1, variable.shape[-1]))
        length = _RMS * max(matrix.shape) ** 0.5 * tf.cast(learning_rate, matrix.dtype)
        self.assign_sub(variable, tf.reshape(orthogonalized(matrix, length), variable.shape))


def orthogonalized(matrix: tf.Tensor, length: float | tf.Tensor = 1.0) -> tf.Tensor:
    """Returns a matrix with the same singular vectors, (m, n) float32, and all singular values about `length`.

    This is the Newton-Schulz iteration X <- X (a I + b A + c A^2) with A = X^T X, done on A alone, or on X X^T if that
    is smaller. The polynomials commute, so their product is applied to X once, at the end. All factors are
    applied to the small matrices, because a pass over the large one costs as much as a product.
    """
    tall = matrix.shape[0] >= matrix.shape[1]
    gram = tf.matmul(matrix, matrix, transpose_a=tall, transpose_b=not tall)
    square = tf.linalg.trace(gram) + 1e-24  # the squared Frobenius norm
    gram /= square
    a, b, c = _COEFFICIENTS
    identity = tf.eye(gram.shape[0])
    product = None
    for _ in range(MUON_ITERATIONS):
        polynomial = a * identity + tf.matmul(gram, b * identity + c * gram)
        product = polynomial if product is None else tf.matmul(polynomial, product)
        gram = tf.matmul(polynomial, tf.matmul(gram, polynomial))
    product *= length * tf.math.rsqrt(square)
    return tf.matmul(matrix, product) if tall else tf.matmul(product, matrix)
