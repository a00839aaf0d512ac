"""Feature distance of VGG19 (Simonyan and Zisserman, arXiv 1409.1556), as a loss and as a metric."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import tensorflow as tf

from compressgan.errors import CompressGANError
from compressgan.networks.model import dtype_policy

FEATURE_LAYER = "block2_pool"
WAYS_OUT = (
    "connect to the internet once so that Keras can download the ImageNet weights, "
    "or give a weights file with --perceptual FILE.h5, "
    "or train without VGG19 with --perceptual off"
)


class PerceptualLoss:
    """Root mean square distance between VGG19 features at block2_pool.

    Args:
        weights: "imagenet", which Keras downloads and caches, or the path of a Keras .h5 file that holds at least the
            layers up to block2_conv2 under their Keras names.
        precision: of the layers' arithmetic.

    Raises:
        CompressGANError: the weights cannot be loaded; the message lists the alternatives.
    """

    def __init__(self, weights: str | Path, precision: str = "float32") -> None:
        with dtype_policy(precision):
            vgg19 = _load_imagenet() if weights == "imagenet" else _load_file(Path(weights))
        self._extractor = keras.Model(vgg19.input, vgg19.get_layer(FEATURE_LAYER).output, name="vgg19_features")
        self._extractor.trainable = False

    def features(self, photos: tf.Tensor) -> tf.Tensor:
        """Returns features (B, H/4, W/4, 128) of photos (B, H, W, 3) float32 in [-1, 1]."""
        pixels = 127.5 * (photos + 1.0)
        return tf.cast(self._extractor(keras.applications.vgg19.preprocess_input(pixels)), tf.float32)

    def __call__(self, photos: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
        """Returns the mean distance between photos, held constant, and reconstructions, both in [-1, 1]: a scalar."""
        difference = tf.stop_gradient(self.features(photos)) - self.features(reconstructions)
        # The small constant keeps the root's gradient finite if both are equal.
        return tf.reduce_mean(tf.sqrt(tf.reduce_mean(tf.square(difference), axis=(1, 2, 3)) + 1e-12))


def _load_imagenet() -> keras.Model:
    try:
        return keras.applications.VGG19(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception when a download fails.
        raise CompressGANError(f"the VGG19 ImageNet weights could not be downloaded: {WAYS_OUT}") from error


def _load_file(path: Path) -> keras.Model:
    if not path.is_file():
        raise CompressGANError(f"{path}: no such VGG19 weights file: {WAYS_OUT}")
    vgg19 = keras.applications.VGG19(include_top=False, weights=None)
    needed = [layer.name for layer in vgg19.layers if layer.weights]
    needed = needed[: needed.index("block2_conv2") + 1]
    try:
        with h5py.File(path, "r") as file:
            layers = file.get("model_weights", file)
            missing = [name for name in needed if name not in layers]
        if not missing:
            vgg19.load_weights(str(path), by_name=True)
    except (OSError, ValueError, KeyError) as error:
        raise CompressGANError(f"{path}: not VGG19 weights in Keras' .h5 format: {WAYS_OUT}") from error
    if missing:
        raise CompressGANError(f"{path}: has no layer {missing[0]}, so it is not VGG19: {WAYS_OUT}")
    return vgg19
