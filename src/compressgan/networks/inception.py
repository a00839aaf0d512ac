"""Features of InceptionV3 (Szegedy et al., arXiv 1512.00567), by which KID compares sets of pictures."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from compressgan.errors import CompressGANError
from compressgan.networks.model import keras_settings

_SIDE = 299  # pixels, the size that it was trained on
_BATCH = 16
_WAYS_OUT = "give a weights file in Keras' format with --inception FILE, or leave --inception out"


class InceptionFeatures:
    """The means of InceptionV3's last features over each picture.

    Keras' weights are others than those of published FIDs and KIDs, so figures compare only among themselves.

    Args:
        weights: "imagenet", which Keras downloads and caches, or a file that Keras' InceptionV3 without its last layer
            can load.

    Raises:
        CompressGANError: the weights cannot be loaded.
    """

    def __init__(self, weights: str) -> None:
        if weights != "imagenet" and not Path(weights).is_file():
            raise CompressGANError(f"{weights}: no such InceptionV3 weights file: {_WAYS_OUT}")
        try:
            with keras_settings("float32"):
                self._network = keras.applications.InceptionV3(include_top=False, weights=weights, pooling="avg")
        except Exception as error:  # Keras raises a bare Exception when a download fails
            raise CompressGANError(f"{weights}: InceptionV3's weights could not be loaded: {_WAYS_OUT}") from error

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures (n, H, W, 3) uint8 -> features (n, 2048) float32."""
        found = [self._features(tf.constant(pictures[i : i + _BATCH])).numpy() for i in range(0, len(pictures), _BATCH)]
        return np.concatenate(found) if found else np.zeros((0, self._network.output_shape[-1]), np.float32)

    @tf.function(reduce_retracing=True)
    def _features(self, pictures: tf.Tensor) -> tf.Tensor:
        pixels = tf.image.resize(tf.cast(pictures, tf.float32), (_SIDE, _SIDE), antialias=True)
        scaled = keras.applications.inception_v3.preprocess_input(pixels, data_format="channels_last")
        return self._network(scaled, training=False)
