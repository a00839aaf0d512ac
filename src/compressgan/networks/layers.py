"""Layers that the encoder and the generator share (Agustsson et al., arXiv 1804.02958, appendix A)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import layers

from compressgan.config import Config
from compressgan.networks.convolution import Conv2D, Conv2DTranspose


def norm(x: tf.Tensor, kind: str, name: str) -> tf.Tensor:
    """Normalizes over the whole image ("instance"), over the channels of each position ("channel"), or not at all."""
    if kind == "instance":
        return layers.GroupNormalization(groups=-1, epsilon=1e-5, name=f"{name}_norm")(x)
    if kind == "channel":
        return layers.LayerNormalization(epsilon=1e-3, name=f"{name}_norm")(x)
    return x


def conv(
    x: tf.Tensor,
    width: int,
    config: Config,
    name: str,
    *,
    kernel: int = 3,
    stride: int = 1,
    norm_kind: str | None = None,
) -> tf.Tensor:
    """Convolution, norm, ReLU: the paper's cKsS and d layers."""
    reflect = config.padding == "reflection" and stride == 1
    init = config.initializer
    x = Conv2D(width, kernel, stride, "same", reflect=reflect, kernel_initializer=init, name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(norm(x, norm_kind or config.norm, name))


def residual_block(
    x: tf.Tensor,
    config: Config,
    name: str,
    *,
    width: int | None = None,
    norm_kind: str | None = None,
    scale: float = 1.0,
    dtype: str | None = None,
) -> tf.Tensor:
    """Two 3x3 layers with an identity shortcut: the paper's R.

    Args:
        width: channels of the first layer; by default as many as the input has.
        norm_kind: norm after the first layer; by default `config.norm`.
        scale: factor on the branch.
        dtype: of the last layer and of the sum.
    """
    branch = conv(x, width or x.shape[-1], config, f"{name}_conv1", norm_kind=norm_kind)
    branch = Conv2D(
        x.shape[-1],
        3,
        padding="same",
        reflect=config.padding == "reflection",
        kernel_initializer="zeros" if config.zero_init_blocks else config.initializer,
        dtype=dtype,
        name=f"{name}_conv2",
    )(branch)
    branch = norm(branch, config.norm, f"{name}_conv2")
    if scale != 1:
        branch = layers.Rescaling(scale, dtype=dtype, name=f"{name}_scale")(branch)
    return layers.Add(dtype=dtype, name=f"{name}_add")([x, branch])


def trunk(x: tf.Tensor, blocks: int, config: Config) -> tf.Tensor:
    """Residual blocks at 1/16 of the photo's size."""
    norm_kind = config.norm if config.block_norm == "none" else config.block_norm
    for i in range(1, blocks + 1):
        x = residual_block(x, config, f"block{i}", norm_kind=norm_kind, scale=config.block_scale)
    return x


def doubling(x: tf.Tensor, width: int, config: Config, name: str) -> tf.Tensor:
    """Doubles the size, then norm and ReLU: the paper's u."""
    if config.upsampling == "transposed":
        x = Conv2DTranspose(width, 3, 2, "same", kernel_initializer=config.initializer, name=name)(x)
    else:
        reflect = config.padding == "reflection"
        x = Conv2D(4 * width, 3, 1, "same", reflect=reflect, kernel_initializer=config.initializer, name=name)(x)
        x = DepthToSpace(2, name=f"{name}_shuffle")(x)
    return layers.ReLU(name=f"{name}_relu")(norm(x, config.norm, name))


class Modulation(layers.Layer):
    """Scales and shifts channels by vectors that depend on the level and, if it is told, on the realism.

    x (1 + a_level + realism b) + c_level + realism d, at each position by itself, so tiles stay exact. The vectors
    start at zero, so all levels and realisms are the same function at first. Without levels and realism, it is the
    identity. DCVC-RT (Jia et al., arXiv 2502.20762) has 64 rates in this way.

    Args:
        levels: number of levels; 1: none.
        realism: whether it is told a realism.
    """

    def __init__(self, levels: int, realism: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._levels, self._realism = levels, realism

    def build(self, shapes: list[tuple]) -> None:
        width = shapes[0][-1]
        if self._levels > 1:
            self.scale = self.add_weight(name="scale", shape=(self._levels, width), initializer="zeros")
            self.shift = self.add_weight(name="shift", shape=(self._levels, width), initializer="zeros")
        if self._realism:
            self.realism_scale = self.add_weight(name="realism_scale", shape=(width,), initializer="zeros")
            self.realism_shift = self.add_weight(name="realism_shift", shape=(width,), initializer="zeros")

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Channels (B, H, W, C), level from 0 (B,) int32 and, if it is told, realism (B,) -> (B, H, W, C)."""
        x, level, *realism = inputs
        if self._levels == 1 and not self._realism:
            return x
        scale, shift = 0.0, 0.0
        if self._levels > 1:
            scale, shift = tf.gather(self.scale, level), tf.gather(self.shift, level)
        if self._realism:
            amount = realism[0][:, tf.newaxis]
            scale, shift = scale + amount * self.realism_scale, shift + amount * self.realism_shift
        # x (1 + scale) would round 1 + scale to the few digits of bfloat16.
        return x + (x * scale[:, tf.newaxis, tf.newaxis] + shift[:, tf.newaxis, tf.newaxis])

    def compute_output_shape(self, shapes: list[tuple]) -> tuple:
        return shapes[0]


class SpaceToDepth(layers.Layer):
    """Folds blocks of `block` x `block` pixels into channels: (B, H, W, C) -> (B, H/block, W/block, C block^2)."""

    def __init__(self, block: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.block = block

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.space_to_depth(x, self.block) if self.block > 1 else x

    def compute_output_shape(self, shape: tuple) -> tuple:
        batch, height, width, channels = shape
        sides = [None if side is None else side // self.block for side in (height, width)]
        return (batch, *sides, channels * self.block**2)


class DepthToSpace(layers.Layer):
    """Unfolds channels into blocks of `block` x `block` pixels: the inverse of `SpaceToDepth`."""

    def __init__(self, block: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.block = block

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.depth_to_space(x, self.block) if self.block > 1 else x

    def compute_output_shape(self, shape: tuple) -> tuple:
        batch, height, width, channels = shape
        sides = [None if side is None else side * self.block for side in (height, width)]
        return (batch, *sides, channels // self.block**2)
