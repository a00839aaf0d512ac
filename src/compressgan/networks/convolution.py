"""Keras' convolutions with gradients that are faster on a CPU. Weights, results and gradients are equal up to rounding.

oneDNN takes up to nine times as long for a gradient as for the same arithmetic in a forward convolution. The ratio is
worst for small pictures and few channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf

_inside: ContextVar[tf.Tensor | None] = ContextVar("inside", default=None)


@contextmanager
def only_inside(inside: tf.Tensor) -> Iterator[None]:
    """Convolutions called in this context see zeros where `inside` is 0, as if their inputs ended there.

    Args:
        inside: (1, h, w, 1), of known shape. The inputs may be larger by whole factors.
    """
    token = _inside.set(inside)
    try:
        yield
    finally:
        _inside.reset(token)


class Conv2D(keras.layers.Conv2D):
    """Convolution with "same" padding, without dilation or groups, in the channels-last format.

    Args:
        reflect: pad by reflection instead of zeros; only with stride 1 and odd kernels.
    """

    def __init__(self, *args: Any, reflect: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reflect = reflect

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """(B, H, W, in), (rows, columns, in, out) -> (B, H / stride, W / stride, out), all of one dtype."""
        kernel = tf.convert_to_tensor(kernel)
        if self._reflect:
            rows, columns = (side // 2 for side in self.kernel_size)
            height, width = tf.unstack(tf.shape(inputs)[1:3])
            outputs = _of_odd_kernel(_reflected(_reflected(inputs, 1, rows), 2, columns), kernel)
            return tf.slice(outputs, (0, rows, columns, 0), (-1, height, width, -1))
        if self.strides == (1, 1):
            if self.filters == 1:
                return _to_one_channel(inputs, kernel)
            if all(side % 2 for side in self.kernel_size):
                return _of_odd_kernel(inputs, kernel)
        return super().convolution_op(inputs, kernel)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Applies `convolution_op`, the bias and the activation."""
        return _finished(self, self.convolution_op(_masked(inputs), self.kernel))


class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """Keras' transposed convolution with a more accurate gradient of the bias."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """(B, H, W, in) -> (B, H * stride, W * stride, out) with "same" padding, with bias and activation."""
        return _finished(self, keras.ops.conv_transpose(_masked(inputs), self.kernel, self.strides, self.padding))


def _masked(inputs: tf.Tensor) -> tf.Tensor:
    inside = _inside.get()
    if inside is None:
        return inputs
    factor = inputs.shape[1] // inside.shape[1]
    return inputs * tf.cast(tf.repeat(tf.repeat(inside, factor, axis=1), factor, axis=2), inputs.dtype)


def _finished(layer: Conv2D | Conv2DTranspose, outputs: tf.Tensor) -> tf.Tensor:
    if layer.use_bias:
        outputs = _plus_bias(outputs, tf.convert_to_tensor(layer.bias))
    return layer.activation(outputs)


@tf.custom_gradient
def _of_odd_kernel(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """With stride 1 and equal padding on both sides, turning the kernel swaps the roles of inputs and outputs."""

    def gradients(gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        turned = _turned(kernel)
        to_inputs = tf.nn.conv2d(gradient, turned, 1, "SAME")
        if kernel.shape[3] < kernel.shape[2]:
            return to_inputs, _turned(_kernel_gradient(gradient, inputs, turned.shape))
        return to_inputs, _kernel_gradient(inputs, gradient, kernel.shape)

    return tf.nn.conv2d(inputs, kernel, 1, "SAME"), gradients


def _reflected(x: tf.Tensor, axis: int, margin: int) -> tf.Tensor:
    """Pads an axis by reflection. Unlike `tf.pad`, it allows any length: a single element is repeated."""
    length = tf.shape(x)[axis]
    period = tf.maximum(2 * (length - 1), 1)
    place = tf.math.floormod(tf.range(-margin, length + margin), period)
    return tf.gather(x, tf.minimum(place, period - place), axis=axis)


def _turned(kernel: tf.Tensor) -> tf.Tensor:
    """(rows, columns, in, out) -> the kernel for the opposite direction, (rows, columns, out, in)."""
    return tf.transpose(tf.reverse(kernel, (0, 1)), (0, 1, 3, 2))


def _kernel_gradient(inputs: tf.Tensor, gradient: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    return tf.raw_ops.Conv2DBackpropFilter(
        input=inputs, filter_sizes=shape.as_list(), out_backprop=gradient, strides=[1, 1, 1, 1], padding="SAME"
    )


@tf.custom_gradient
def _plus_bias(outputs: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """`tf.nn.bias_add` with its own gradient. TensorFlow's sums in bfloat16, which can lose half of a batch."""
    return tf.nn.bias_add(outputs, bias), lambda gradient: (gradient, tf.reduce_sum(gradient, (0, 1, 2)))


def _to_one_channel(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """One matrix product computes every tap of the kernel at every position; their shifted sum is the convolution."""
    rows, columns, channels, _ = kernel.shape
    taps = tf.matmul(inputs, tf.reshape(kernel, (rows * columns, channels)), transpose_b=True)
    sides = [((side - 1) // 2, side // 2) for side in (rows, columns)]
    taps = tf.pad(taps, [(0, 0), *sides, (0, 0)])
    height, width = tf.unstack(tf.shape(inputs)[1:3])
    shifted = [
        taps[:, row : row + height, column : column + width, row * columns + column, tf.newaxis]
        for row in range(rows)
        for column in range(columns)
    ]
    return tf.add_n(shifted)
