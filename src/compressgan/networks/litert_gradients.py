"""Gradients made of operations that LiteRT has.

TensorFlow's own gradients of these operations use others (ReluGrad, TanhGrad, BroadcastGradientArgs) that the LiteRT
converter refuses. These assume that unknown dimensions, the heights and widths, are equal, not broadcast.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
import tensorflow as tf

_PREFIX = "LiteRT"
_REPLACED = ("Relu", "Tanh", "Rsqrt", "AddV2", "Sub", "Mul", "SquaredDifference", "Sum", "Mean")

Gradients = tuple[tf.Tensor | None, ...] | tf.Tensor


def convertible_gradients() -> AbstractContextManager[None]:
    """Operations made in this context, inside a `tf.function`, get gradients that LiteRT can run.

    `tf.gradients` uses them, `tf.GradientTape` does not.
    """
    graph = tf.compat.v1.get_default_graph()
    return graph.gradient_override_map({name: _PREFIX + name for name in _REPLACED})


@tf.RegisterGradient(f"{_PREFIX}Relu")
def _relu(op: tf.Operation, gradient: tf.Tensor) -> Gradients:
    return gradient * tf.cast(op.outputs[0] > 0, gradient.dtype)


@tf.RegisterGradient(f"{_PREFIX}Tanh")
def _tanh(op: tf.Operation, gradient: tf.Tensor) -> Gradients:
    return gradient * (1 - op.outputs[0] * op.outputs[0])


@tf.RegisterGradient(f"{_PREFIX}Rsqrt")
def _rsqrt(op: tf.Operation, gradient: tf.Tensor) -> Gradients:
    root = op.outputs[0]
    return -0.5 * gradient * (root * root * root)


@tf.RegisterGradient(f"{_PREFIX}AddV2")
def _add(op: tf.Operation, gradient: tf.Tensor) -> Gradients:
    return tuple(_summed(gradient, operand) for operand in op.inputs)


@tf.RegisterGradient(f"{_PREFIX}Sub")
def _sub(op: tf.Operation, gradient: tf.Tensor) -> Gradients:
    return _summed(gradient, op.inputs[0]), _summed(-gradient, op.inputs[1])


@tf.RegisterGradient(f"{_PREFIX}Mul")
def _mul(op: tf.Operation, gradient: tf.Tensor) -> Gradients:
    x, y = op.inputs
    return _summed(gradient * y, x), _summed(gradient * x, y)


@tf.RegisterGradient(f"{_PREFIX}SquaredDifference")
def _squared_difference(op: tf.Operation, gradient: tf.Tensor) -> Gradients:
    x, y = op.inputs
    difference = 2 * gradient * (x - y)
    return _summed(difference, x), _summed(-difference, y)


@tf.RegisterGradient(f"{_PREFIX}Sum")
def _sum(op: tf.Operation, gradient: tf.Tensor) -> Gradients:
    gradient, _ = _spread(op, gradient)
    return gradient, None


@tf.RegisterGradient(f"{_PREFIX}Mean")
def _mean(op: tf.Operation, gradient: tf.Tensor) -> Gradients:
    gradient, axes = _spread(op, gradient)
    count = tf.reduce_prod(tf.gather(tf.shape(op.inputs[0]), axes))
    return gradient / tf.cast(count, gradient.dtype), None


def _summed(gradient: tf.Tensor, operand: tf.Tensor) -> tf.Tensor:
    """Sums a gradient over the axes along which the operand was broadcast."""
    added = gradient.shape.rank - operand.shape.rank
    axes = [added + i for i, side in enumerate(operand.shape) if side == 1 and gradient.shape[added + i] != 1]
    if axes:
        gradient = tf.reduce_sum(gradient, axes, keepdims=True)
    return tf.reduce_sum(gradient, list(range(added))) if added else gradient


def _spread(op: tf.Operation, gradient: tf.Tensor) -> tuple[tf.Tensor, list[int]]:
    """Repeats the gradient of a reduction along the reduced axes, and returns these, too."""
    reduced = op.inputs[0]
    axes = sorted(int(axis) % reduced.shape.rank for axis in np.atleast_1d(tf.get_static_value(op.inputs[1])))
    if not op.get_attr("keep_dims"):
        for axis in axes:
            gradient = tf.expand_dims(gradient, axis)
    return gradient + tf.zeros_like(reduced), axes
