"""Metrics by networks for `evaluate`: VGG19's and InceptionV3's by Keras, LPIPS by the package of its authors."""

from __future__ import annotations

import argparse
import hashlib
import math
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compressgan.cli.options import require_extra
from compressgan.errors import CompressGANError

if TYPE_CHECKING:
    from compressgan.evaluation.bench import Distance, NetworkMetrics

_LPIPS_SIDE = 64  # pixels, what AlexNet's layers need at least


def add_metric_options(parser: argparse.ArgumentParser) -> None:
    """Adds --perceptual, --inception and --lpips."""
    parser.add_argument("--perceptual", metavar="imagenet|FILE", help="VGG19 weights, for the feature distance")
    parser.add_argument("--inception", metavar="imagenet|FILE", help="InceptionV3 weights, for the KID")
    parser.add_argument("--lpips", action="store_true", help="measure LPIPS, too; needs pip install '.[lpips]'")


def load_metrics(perceptual: str | None, inception: str | None, lpips: bool) -> NetworkMetrics:
    """Loads the networks of the metrics that are asked for.

    Args:
        perceptual, inception: "imagenet", a weights file, or None.
        lpips: whether LPIPS is asked for.

    Raises:
        CompressGANError: weights cannot be loaded, or a package is missing.
    """
    from compressgan.evaluation.bench import NetworkMetrics  # brings SciPy, which takes a while
    from compressgan.evaluation.kid import patches

    distances, features, weights = {}, None, []
    if perceptual or inception:
        require_extra("train", "tensorflow", "keras")
        from compressgan.networks.loading import import_tensorflow

        import_tensorflow()
    if perceptual:
        from compressgan.training.perceptual import PerceptualLoss

        distances["vgg19_distance"] = PerceptualLoss(perceptual).distance
        weights.append(f"VGG19 {_digest(perceptual)}")
    if inception:
        from compressgan.networks.inception import InceptionFeatures

        network = InceptionFeatures(inception)
        weights.append(f"InceptionV3 {_digest(inception)}")

        def features(photo: np.ndarray) -> np.ndarray:
            return network(patches(photo))

    if lpips:
        distances["lpips"] = _lpips()
        weights.append(f"LPIPS {version('lpips')}")
    return NetworkMetrics(distances, features, ", ".join(weights))


def _digest(weights: str) -> str:
    if weights == "imagenet":
        return f"imagenet, Keras {version('keras')}"
    return hashlib.sha256(Path(weights).read_bytes()).hexdigest()


def _lpips() -> Distance:
    require_extra("lpips", "lpips", "torch")
    import lpips
    import torch

    from compressgan.images.pixels import to_float

    try:
        network = lpips.LPIPS(net="alex", verbose=False).eval()
    except OSError as error:  # AlexNet's weights are downloaded
        raise CompressGANError(f"LPIPS: AlexNet's weights could not be downloaded: {error}") from None

    def distance(x: np.ndarray, y: np.ndarray) -> float:
        if min(x.shape[:2]) < _LPIPS_SIDE:
            return math.nan
        with torch.inference_mode():
            pictures = (torch.from_numpy(to_float(photo).transpose(2, 0, 1)[np.newaxis].copy()) for photo in (x, y))
            return float(network(*pictures))

    return distance
