"""Layers that the encoder and the generator share (Agustsson et al., arXiv 1804.02958, appendix A)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import tensorflow as tf
from keras import layers

from compressgan.config import Config
from compressgan.networks.convolution import Conv2D, Conv2DTranspose

REALISM = "realism"  # part of the names of all layers that realism adds
_at_0: ContextVar[bool] = ContextVar("at_0", default=False)


def norm(x: tf.Tensor, kind: str, name: str, dtype: str | None = None) -> tf.Tensor:
    """Normalizes over the whole image ("instance"), over the channels of each position ("channel"), or not at all."""
    if kind == "instance":
        return layers.GroupNormalization(groups=-1, epsilon=1e-5, dtype=dtype, name=f"{name}_norm")(x)
    if kind == "channel":
        return layers.LayerNormalization(epsilon=1e-3, dtype=dtype, name=f"{name}_norm")(x)
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
    realism: tf.Tensor | None = None,
) -> tf.Tensor:
    """Convolution, norm, ReLU: the paper's cKsS and d layers."""
    reflect = config.padding == "reflection" and stride == 1
    init = config.initializer
    y = Conv2D(width, kernel, stride, "same", reflect=reflect, kernel_initializer=init, name=name)(x)
    y = with_realism(y, x, realism, config, name, kernel=kernel)
    return layers.ReLU(name=f"{name}_relu")(norm(y, norm_kind or config.norm, name))


def with_realism(
    y: tf.Tensor, x: tf.Tensor, realism: tf.Tensor | None, config: Config, name: str, **kwargs: Any
) -> tf.Tensor:
    """Adds what realism (B,) changes about y, a convolution of x, unless `realism` is None. See `Realism`."""
    return y if realism is None else Realism(y.shape[-1], config, name=f"{name}_{REALISM}", **kwargs)([y, x, realism])


def residual_block(
    x: tf.Tensor,
    config: Config,
    name: str,
    *,
    width: int | None = None,
    norm_kind: str | None = None,
    scale: float = 1.0,
    dtype: str | None = None,
    realism: tf.Tensor | None = None,
) -> tf.Tensor:
    """Two 3x3 layers with an identity shortcut: the paper's R.

    Args:
        width: channels of the first layer; by default as many as the input has.
        norm_kind: norm after the first layer; by default `config.norm`.
        scale: factor on the branch.
        dtype: of the last layer, its norm and the sum.
    """
    inner = conv(x, width or x.shape[-1], config, f"{name}_conv1", norm_kind=norm_kind, realism=realism)
    branch = Conv2D(
        x.shape[-1],
        3,
        padding="same",
        reflect=config.padding == "reflection",
        kernel_initializer="zeros" if config.zero_init_blocks else config.initializer,
        dtype=dtype,
        name=f"{name}_conv2",
    )(inner)
    branch = norm(branch, config.norm, f"{name}_conv2", dtype)
    if scale != 1:
        branch = layers.Rescaling(scale, dtype=dtype, name=f"{name}_scale")(branch)
    # After the scale, which LiteRT can then fold into the same kernels with and without realism, and store them once.
    branch = with_realism(branch, inner, realism, config, f"{name}_conv2", scale=scale, dtype=dtype)
    return layers.Add(dtype=dtype, name=f"{name}_add")([x, branch])


def trunk(x: tf.Tensor, blocks: int, config: Config, realism: tf.Tensor | None = None) -> tf.Tensor:
    """Residual blocks at 1/16 of the photo's size."""
    norm_kind = config.norm if config.block_norm == "none" else config.block_norm
    for i in range(1, blocks + 1):
        x = residual_block(x, config, f"block{i}", norm_kind=norm_kind, scale=config.block_scale, realism=realism)
    return x


def doubling(x: tf.Tensor, width: int, config: Config, name: str, realism: tf.Tensor | None = None) -> tf.Tensor:
    """Doubles the size, then norm and ReLU: the paper's u."""
    if config.upsampling == "transposed":
        x = Conv2DTranspose(width, 3, 2, "same", kernel_initializer=config.initializer, name=name)(x)
    else:
        reflect = config.padding == "reflection"
        y = Conv2D(4 * width, 3, 1, "same", reflect=reflect, kernel_initializer=config.initializer, name=name)(x)
        x = with_realism(y, x, realism, config, name)
        x = DepthToSpace(2, name=f"{name}_shuffle")(x)
    return layers.ReLU(name=f"{name}_relu")(norm(x, config.norm, name))


class Modulation(layers.Layer):
    """Scales and shifts channels by vectors that depend on the level: x (1 + a_level) + c_level.

    It does so at each position by itself, so tiles stay exact. The vectors start at zero, so all levels are the same
    function at first. With one level, it is the identity. DCVC-RT (Jia et al., arXiv 2502.20762) has 64 rates in this
    way.
    """

    def __init__(self, levels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._levels = levels

    def build(self, shapes: list[tuple]) -> None:
        width = shapes[0][-1]
        if self._levels > 1:
            self.scale = self.add_weight(name="scale", shape=(self._levels, width), initializer="zeros")
            self.shift = self.add_weight(name="shift", shape=(self._levels, width), initializer="zeros")

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Channels (B, H, W, C) and level from 0 (B,) int32 -> (B, H, W, C)."""
        x, level = inputs
        if self._levels == 1:
            return x
        scale, shift = tf.gather(self.scale, level), tf.gather(self.shift, level)
        # x (1 + scale) would round 1 + scale to the few digits of bfloat16.
        return x + (x * scale[:, tf.newaxis, tf.newaxis] + shift[:, tf.newaxis, tf.newaxis])

    def compute_output_shape(self, shapes: list[tuple]) -> tuple:
        return shapes[0]


@contextmanager
def at_realism_0() -> Iterator[None]:
    """Networks called in this context treat every realism as 0, which costs less."""
    token = _at_0.set(True)
    try:
        yield
    finally:
        _at_0.reset(token)


class Realism(layers.Layer):
    """Adds to y, a convolution of x, what realism changes about it: a convolution of low rank, times the realism.

    Only these kernels are trained for realism, which does not change the generator at realism 0. Between 0 and 1, the
    sum is a convolution whose kernel is interpolated (Wang et al., arXiv 1811.10515). The second kernel starts at
    zero, as in LoRA (Hu et al., arXiv 2106.09685).

    Args:
        width: channels of y.
        config: the settings.
        kernel: size of the convolution.
        scale: factor on the change.
        dtype: of the sum.
    """

    def __init__(
        self,
        width: int,
        config: Config,
        *,
        kernel: int = 3,
        scale: float = 1.0,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        self._width, self._config, self._kernel, self._scale = width, config, kernel, scale

    def build(self, shapes: list[tuple]) -> None:
        config, channels = self._config, shapes[1][-1]
        rank, reflect = min(config.realism_rank, channels, self._width), config.padding == "reflection"
        arguments = {"use_bias": False, "kernel_initializer": config.initializer, "name": "in"}
        self.inner = Conv2D(rank, self._kernel, 1, "same", reflect=reflect, **arguments)
        self.outer = Conv2D(self._width, 1, kernel_initializer="zeros", dtype=self.dtype_policy, name="out")
        self.inner.build((None, None, None, channels))
        self.outer.build((None, None, None, rank))

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """y (B, H, W, width), x (B, H, W, C) and realism (B,) in [0, 1] -> (B, H, W, width)."""
        y, x, realism = inputs
        if _at_0.get():
            return y
        factor = tf.cast(self._scale * realism[:, tf.newaxis, tf.newaxis, tf.newaxis], y.dtype)
        return y + factor * self.outer(self.inner(x))

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
