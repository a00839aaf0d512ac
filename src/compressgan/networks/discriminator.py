"""The multiscale discriminator D (Agustsson et al., arXiv 1804.02958, section 3 and appendix A)."""

from __future__ import annotations

import keras
from keras import layers

from compressgan.config import Config
from compressgan.networks.convolution import Conv2D
from compressgan.networks.layers import norm


def build_discriminator(config: Config) -> keras.Model:
    """Builds D: photo (B, H, W, 3) float in [-1, 1] -> per scale, a list of feature maps that ends with the logits.

    With `discriminator_sees_latents`, it takes [photo, latents], the latents enlarged to (B, H, W, C), so it can judge
    whether the photo belongs to them (Mentzer et al., HiFiC, arXiv 2006.09965).

    The scales see the photo at 1, 1/2, 1/4, ... of its size (3x3 stride-2 average pooling) and have their own weights
    (Wang et al., pix2pixHD, arXiv 1711.11585). Logits are (B, h, w, 1) float32 under every precision policy.
    """
    x = photo = keras.Input((None, None, 3), name="photo")
    inputs = [photo]
    if config.discriminator_sees_latents:
        inputs.append(keras.Input((None, None, config.latent_channels), name="latents"))
        x = layers.Concatenate(name="photo_and_latents")(inputs)
    outputs = []
    for scale in range(config.discriminator_scales):
        if scale:
            x = layers.AveragePooling2D(3, 2, "same", name=f"half{scale}")(x)
        features, y = [], x
        for i, width in enumerate(config.discriminator_widths):
            name = f"scale{scale}_conv{i}"
            y = Conv2D(width, 4, 2, "same", kernel_initializer=config.initializer, name=name)(y)
            if i:
                y = norm(y, config.discriminator_norm, name)
            y = layers.LeakyReLU(0.2, name=f"{name}_relu")(y)
            features.append(y)
        logits = Conv2D(1, 4, 1, "same", dtype="float32", name=f"scale{scale}_logits")(y)
        outputs.append([*features, logits])
    return keras.Model(inputs, outputs, name="discriminator")
