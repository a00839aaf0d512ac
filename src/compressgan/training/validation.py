"""Validation: compressing whole photos to real bytes with the averaged weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compressgan.codec import Codec
from compressgan.evaluation.metrics import Figures, compare, mean
from compressgan.images.pixels import to_float
from compressgan.networks.inference import TensorFlowNetworks
from compressgan.networks.model import CompressGAN
from compressgan.training.perceptual import PerceptualLoss

UNLIMITED = 2**62  # bytes: validation photos are small, so they are never tiled


@dataclass(frozen=True)
class Validation:
    """Results of one validation.

    Attributes:
        rows: the figures of each photo.
        figures: mean figures by name. `score` is the generator's loss without its adversarial terms.
        reconstructions: (H, W, 3) uint8 each.
        latents: latents of all photos, flat float32.
        symbols: symbols of all photos, flat int32.
        centers: (L,) float32.
    """

    rows: list[Figures]
    figures: dict[str, float]
    reconstructions: list[np.ndarray]
    latents: np.ndarray
    symbols: np.ndarray
    centers: np.ndarray


class Validator:
    """Compresses photos with a model's current weights, without refinement, and measures the reconstructions.

    Args:
        model: the model with averaged weights.
        photos: (H, W, 3) uint8 each.
        perceptual: the VGG19 term, or None if `perceptual_coeff` is 0.
    """

    def __init__(self, model: CompressGAN, photos: list[np.ndarray], perceptual: PerceptualLoss | None) -> None:
        self._config = model.config
        self._networks = TensorFlowNetworks(model)
        self._perceptual = perceptual
        self.photos = photos

    def __call__(self) -> Validation:
        codec = Codec(self._networks, memory=UNLIMITED, effort=0)
        latents = [codec.latents(photo) for photo in self.photos]
        symbols = [codec.quantize(own) for own in latents]
        files = [codec.to_bytes(own, *photo.shape[:2]) for own, photo in zip(symbols, self.photos, strict=True)]
        reconstructions = [codec.decompress(file) for file in files]
        rows = [compare(codec, *job) for job in zip(self.photos, files, reconstructions, strict=True)]
        figures = {name: mean(rows, name) for name in ("psnr", "ms_ssim", "bpp")}
        figures |= self._score(figures["bpp"], reconstructions)
        flat_latents, flat_symbols = (np.concatenate([own.ravel() for own in kind]) for kind in (latents, symbols))
        return Validation(rows, figures, reconstructions, flat_latents, flat_symbols, self._networks.centers)

    def _score(self, bpp: float, reconstructions: list[np.ndarray]) -> dict[str, float]:
        config = self._config
        pairs = [
            tuple(to_float(x)[np.newaxis] for x in pair) for pair in zip(self.photos, reconstructions, strict=True)
        ]
        # A rate that is held at a target does not count, because its weight changes from step to step.
        score = 0.0 if config.rate_target else config.rate_coeff * bpp
        score += config.distortion_coeff * float(np.mean([np.mean((x - y) ** 2) for x, y in pairs]))
        if self._perceptual is None:
            return {"score": score}
        perceptual = float(np.mean([float(self._perceptual(x, y)) for x, y in pairs]))
        return {"score": score + config.perceptual_coeff * perceptual, "perceptual": perceptual}
