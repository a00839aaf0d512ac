"""Feature distance of VGG19 (Simonyan and Zisserman, arXiv 1409.1556), as a loss and as a metric."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
from skimage import data

from compressgan.errors import CompressGANError
from compressgan.images.pixels import to_float
from compressgan.networks.model import keras_settings

FEATURE_LAYER = "block2_pool"
LEAST_ACTIVE = 1e-3  # share of the positions
NORMALIZED = ("block1_conv2", "block2_conv2")  # layers of the normalized distance
LAYERS = ("block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2")  # the convolutions up to there
WAYS_OUT = (
    "connect to the internet once so that Keras can download the ImageNet weights, "
    "or give a weights file with --perceptual FILE.h5, "
    "or do without VGG19 (train.py: --perceptual off)"
)


class PerceptualLoss:
    """Distance between VGG19 features, with a mean activation of 1 in each channel.

    "block2_pool" is the root mean square distance of the features there. "normalized" is the squared distance of
    feature vectors of length 1 at each position, summed over two layers, as in LPIPS (Zhang et al., arXiv 1801.03924).
    It does not let strong edges outweigh fine texture.

    Args:
        weights: "imagenet", which Keras downloads and caches, or the path of a Keras .h5 file that holds at least the
            layers up to block2_conv2 under their Keras names.
        precision: of the layers' arithmetic.
        kind: "block2_pool", which is also a metric, or "normalized".

    Raises:
        CompressGANError: the weights cannot be loaded; the message lists the alternatives.
    """

    def __init__(self, weights: str | Path, precision: str = "float32", kind: str = "block2_pool") -> None:
        with keras_settings(precision):
            vgg19 = _load_imagenet() if weights == "imagenet" else _load_file(Path(weights))
        normalize_channels(vgg19)
        self._normalized = kind == "normalized"
        layers = NORMALIZED if self._normalized else (FEATURE_LAYER,)
        outputs = [vgg19.get_layer(name).output for name in layers]
        self._extractor = keras.Model(vgg19.input, outputs, name="vgg19_features")
        self._extractor.trainable = False

    def features(self, photos: tf.Tensor) -> list[tf.Tensor]:
        """Returns features (B, h, w, n) float32 in each layer of photos (B, H, W, 3) float32 in [-1, 1]."""
        return [tf.cast(x, tf.float32) for x in tf.nest.flatten(self._extractor(_preprocessed(127.5 * (photos + 1.0))))]

    def __call__(self, photos: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
        """Returns the mean distance between photos, held constant, and reconstructions, both in [-1, 1]: a scalar."""
        pairs = zip(self.features(tf.stop_gradient(photos)), self.features(reconstructions), strict=True)
        if self._normalized:
            return tf.add_n([tf.reduce_mean(_squared_distance(*map(_unit, pair))) for pair in pairs])
        ((a, b),) = pairs
        # The small constant keeps the root's gradient finite if both are equal.
        return tf.reduce_mean(tf.sqrt(tf.reduce_mean(tf.square(a - b), axis=(1, 2, 3)) + 1e-12))

    def distance(self, photo: np.ndarray, reconstruction: np.ndarray) -> float:
        """Returns the distance between two photos (H, W, 3) uint8."""
        return float(self(*(to_float(pixels)[np.newaxis] for pixels in (photo, reconstruction))))


def _unit(features: tf.Tensor) -> tf.Tensor:
    # The small constant is inside the root, so that the gradient stays finite where nothing is active (MS-ILLM's fix).
    return features * tf.math.rsqrt(tf.reduce_sum(tf.square(features), axis=-1, keepdims=True) + 1e-6)


def _squared_distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(a - b), axis=-1)


def normalize_channels(vgg19: keras.Model) -> None:
    """Rescales each channel of the layers in use, so that its mean activation on `normalization_pictures` is 1.

    The next layer takes the factor back, so the network computes the same up to the scale of its features. Files of
    VGG19's weights differ in these scales: without this, one coefficient would mean something else for each. Gatys et
    al., arXiv 1505.07376, normalize over ImageNet.
    """
    x = _preprocessed(tf.constant(normalization_pictures(), tf.float32))
    before: np.ndarray | None = None
    for name in LAYERS:
        layer = vgg19.get_layer(name)
        kernel, bias = layer.get_weights()
        if before is not None:
            kernel = kernel * before[:, np.newaxis]
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME") + bias)
        mean, active = (tf.reduce_mean(y, (0, 1, 2)).numpy() for y in (x, tf.cast(x > 0, tf.float32)))
        # The mean of a channel that is hardly ever active would exaggerate it; its kernel's norm has the same scale.
        before = np.where(active > LEAST_ACTIVE, mean, np.sqrt(np.sum(np.square(kernel), axis=(0, 1, 2))))
        layer.set_weights([kernel / before, bias / before])
        x = x / before
        if name == "block1_conv2":
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")


def normalization_pictures() -> np.ndarray:
    """Returns ten pictures that activate every channel about as ImageNet does, (10, 256, 256, 3) uint8.

    They are three photos in muted colours, each in three orders of red, green and blue, and a grey texture. All of them
    come with scikit-image and are in the public domain or CC0.
    """
    pictures = [np.repeat(data.grass()[..., np.newaxis], 3, axis=-1)]
    for photo in (data.astronaut(), data.chelsea(), data.coffee()):
        muted = ((photo + photo.mean(axis=-1, keepdims=True)) / 2).astype(np.uint8)
        pictures += [muted[..., order] for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1])]
    corners = [((picture.shape[0] - 256) // 2, (picture.shape[1] - 256) // 2) for picture in pictures]
    return np.stack([p[top : top + 256, left : left + 256] for p, (top, left) in zip(pictures, corners, strict=True)])


def _preprocessed(pixels: tf.Tensor) -> tf.Tensor:
    """RGB pixels from 0 to 255 as VGG19 was trained on them: BGR, minus ImageNet's means."""
    return keras.applications.vgg19.preprocess_input(pixels, data_format="channels_last")


def _load_imagenet() -> keras.Model:
    try:
        return keras.applications.VGG19(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception when a download fails.
        raise CompressGANError(f"the VGG19 ImageNet weights could not be downloaded: {WAYS_OUT}") from error


def _load_file(path: Path) -> keras.Model:
    if not path.is_file():
        raise CompressGANError(f"{path}: no such VGG19 weights file: {WAYS_OUT}")
    vgg19 = keras.applications.VGG19(include_top=False, weights=None)
    try:
        with h5py.File(path, "r", locking=False) as file:
            layers = file.get("model_weights", file)
            missing = [name for name in LAYERS if name not in layers]
        if not missing:
            vgg19.load_weights(str(path), by_name=True)
    except (OSError, ValueError, KeyError) as error:
        raise CompressGANError(f"{path}: not VGG19 weights in Keras' .h5 format: {WAYS_OUT}") from error
    if missing:
        raise CompressGANError(f"{path}: has no layer {missing[0]}, so it is not VGG19: {WAYS_OUT}")
    return vgg19
