"""The networks of Agustsson et al., arXiv 1804.02958, appendix A: encoder, generator, multiscale discriminator.

Each has one builder, which reads every width and block count from the `Config`. The bottleneck, the generator's last
layer and the discriminators' logits are float32 under every precision policy.
"""

from __future__ import annotations

from settings import Config

import keras
import tensorflow as tf
from keras import layers

from convolution import Conv2D, Conv2DTranspose


def _norm(x: tf.Tensor, kind: str, name: str) -> tf.Tensor:
    if kind == "instance":
        return layers.GroupNormalization(groups=-1, epsilon=1e-5, name=f"{name}_norm")(x)
    if kind == "channel":
        return layers.LayerNormalization(epsilon=1e-3, name=f"{name}_norm")(x)
    return x


def _conv(
    x: tf.Tensor, width: int, config: Config, name: str, *, kernel: int = 3, stride: int = 1, norm: str | None = None
) -> tf.Tensor:
    """Convolution, norm, ReLU: the paper's cKsS and d layers."""
    x = Conv2D(width, kernel, stride, "same", kernel_initializer="he_normal", name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(_norm(x, norm or config.norm, name))


def _residual_block(
    x: tf.Tensor,
    config: Config,
    name: str,
    *,
    width: int | None = None,
    norm: str | None = None,
    scale: float = 1.0,
    dtype: str | None = None,
) -> tf.Tensor:
    """Two 3x3 layers around an identity: the paper's R.

    Args:
        width: of the first layer; the input's by default.
        norm: after the first layer; `config.norm` by default.
        scale: what the branch is multiplied with.
        dtype: of the last layer and of the sum.
    """
    branch = _conv(x, width or x.shape[-1], config, f"{name}_conv1", norm=norm)
    init = "zeros" if config.zero_init_blocks else "he_normal"
    branch = Conv2D(x.shape[-1], 3, 1, "same", kernel_initializer=init, dtype=dtype, name=f"{name}_conv2")(branch)
    branch = _norm(branch, config.norm, f"{name}_conv2")
    if scale != 1:
        branch = layers.Rescaling(scale, dtype=dtype, name=f"{name}_scale")(branch)
    return layers.Add(dtype=dtype, name=f"{name}_add")([x, branch])


def _trunk(x: tf.Tensor, blocks: int, config: Config) -> tf.Tensor:
    """Residual blocks at 1/16 of the photo's size."""
    norm = config.norm if config.block_norm == "none" else config.block_norm
    for i in range(1, blocks + 1):
        x = _residual_block(x, config, f"block{i}", norm=norm, scale=config.block_scale)
    return x


def _double(x: tf.Tensor, width: int, config: Config, name: str) -> tf.Tensor:
    """Doubles the size, norm, ReLU: the paper's u."""
    if config.upsampling == "transposed":
        x = Conv2DTranspose(width, 3, 2, "same", kernel_initializer="he_normal", name=name)(x)
    else:
        x = Conv2D(4 * width, 3, 1, "same", kernel_initializer="he_normal", name=name)(x)
        x = DepthToSpace(2, name=f"{name}_shuffle")(x)
    return layers.ReLU(name=f"{name}_relu")(_norm(x, config.norm, name))


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


def build_encoder(config: Config) -> keras.Model:
    """Builds E: (B, H, W, 3) float in [-1, 1] -> latents (B, H/16, W/16, C) float32; H and W multiples of 16.

    The bottleneck is linear (no norm, no ReLU: the original's ReLU there left the negative centers unused), or bounded
    by `latent_bound` * tanh.
    """
    x = inputs = keras.Input((None, None, 3), name="photo")
    x = SpaceToDepth(config.stem_block, name="fold")(x)
    x = _conv(x, config.encoder_widths[0], config, "stem", kernel=config.stem_kernel)
    for i, width in enumerate(config.encoder_widths[1:], start=1):
        x = _conv(x, width, config, f"down{i}", stride=2)
    x = _trunk(x, config.encoder_blocks, config)
    x = Conv2D(config.latent_channels, 3, 1, "same", dtype="float32", name="bottleneck")(x)
    if config.latent_bound:
        x = layers.Lambda(lambda w: config.latent_bound * tf.tanh(w), dtype="float32", name="bound")(x)
    return keras.Model(inputs, x, name="encoder")


def build_generator(config: Config) -> keras.Model:
    """Builds G: quantized latents (B, h, w, C) float -> photo (B, 16 h, 16 w, 3) float32 in [-1, 1]."""
    trunk_width, *up_widths = config.generator_widths
    x = inputs = keras.Input((None, None, config.latent_channels), name="latents")
    x = _conv(x, trunk_width, config, "stem")
    x = _trunk(x, config.generator_blocks, config)
    for i, width in enumerate(up_widths, start=1):
        x = _double(x, width, config, f"up{i}")
    x = Conv2D(3 * config.stem_block**2, config.stem_kernel, 1, "same", dtype="float32", name="head")(x)
    block = config.stem_block
    if config.finish_width:
        # The head paints each block without seeing what it paints beside it: here they see each other.
        x = DepthToSpace(2, dtype="float32", name="unfold_half")(x)
        x = _residual_block(x, config, "finish", width=config.finish_width, dtype="float32")
        block //= 2
    x = DepthToSpace(block, dtype="float32", name="unfold")(x)
    x = layers.Activation("tanh", dtype="float32", name="photo")(x)
    return keras.Model(inputs, x, name="generator")


def build_discriminator(config: Config) -> keras.Model:
    """Builds D: photo (B, H, W, 3) float in [-1, 1] -> for each scale a list of feature maps, the last the logits.

    The scales see the photo at 1, 1/2, 1/4, ... of its size (3x3 stride-2 average pooling) and have their own weights
    (Wang et al., pix2pixHD, as cited in section 3 of the paper). Logits are float32 (B, h, w, 1).
    """
    x = inputs = keras.Input((None, None, 3), name="photo")
    outputs = []
    for scale in range(config.discriminator_scales):
        if scale:
            x = layers.AveragePooling2D(3, 2, "same", name=f"half{scale}")(x)
        features, y = [], x
        for i, width in enumerate(config.discriminator_widths):
            name = f"scale{scale}_conv{i}"
            y = Conv2D(width, 4, 2, "same", kernel_initializer="he_normal", name=name)(y)
            if i:
                y = _norm(y, "instance", name)
            y = layers.LeakyReLU(0.2, name=f"{name}_relu")(y)
            features.append(y)
        logits = Conv2D(1, 4, 1, "same", dtype="float32", name=f"scale{scale}_logits")(y)
        outputs.append([*features, logits])
    return keras.Model(inputs, outputs, name="discriminator")
