"""Validation: compressing whole photos to real bytes at every level with the averaged weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compressgan.codec import Codec
from compressgan.evaluation.metrics import Figures, Means, compare
from compressgan.images.pixels import to_float
from compressgan.networks.inference import TensorFlowNetworks
from compressgan.networks.model import CompressGAN
from compressgan.training.perceptual import PerceptualLoss

UNLIMITED = 2**62  # bytes: validation photos are small, so they are never tiled
REALISMS = (0.0, 0.5, 1.0)  # of the pictures shown


@dataclass(frozen=True)
class Validation:
    """Results of one validation.

    Attributes:
        rows: the figures of each photo at each level, by level, at realism 0.
        figures: mean figures by name. `score` is the weighted distortion over all levels at realism 0, plus the rate if
            it has no target, plus the weighted VGG19 distance at the default level and realism 1.
        pictures: for each photo, its reconstructions at the default level and several realisms, (H, W, 3) uint8 each.
        latents: latents of all photos at the default level, flat float32.
        symbols: their symbols, flat int32.
        centers: (L,) float32.
    """

    rows: dict[int, list[Figures]]
    figures: dict[str, float]
    pictures: list[list[np.ndarray]]
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
        shown = codec.default_level
        rows, errors, figures = {}, [], {}
        for level in range(1, codec.levels + 1):
            files = [codec.compress(photo, level) for photo in self.photos]
            reconstructions = [codec.decompress(file, realism=0.0) for file in files]
            rows[level] = [compare(codec, *job) for job in zip(self.photos, files, reconstructions, strict=True)]
            errors += [_mse(*pair) for pair in zip(self.photos, reconstructions, strict=True)]
            means = Means(rows[level])
            figures |= {f"level{level}/{name}": means.of(name) for name in ("psnr", "ms_ssim", "bpp")}
            if level == shown:
                more = self._realisms()[1:]
                pictures = [
                    [reconstruction, *(codec.decompress(file, realism) for realism in more)]
                    for file, reconstruction in zip(files, reconstructions, strict=True)
                ]
        rate = float(np.mean([figures[f"level{level}/bpp"] for level in rows]))
        figures |= {name: figures[f"level{shown}/{name}"] for name in ("psnr", "ms_ssim", "bpp")}
        figures |= self._score(float(np.mean(errors)), rate, [own[-1] for own in pictures])
        latents = [codec.latents(photo, shown) for photo in self.photos]
        symbols = [codec.quantize(own) for own in latents]
        flat_latents, flat_symbols = (np.concatenate([own.ravel() for own in kind]) for kind in (latents, symbols))
        return Validation(rows, figures, pictures, flat_latents, flat_symbols, self._networks.centers)

    def _realisms(self) -> tuple[float, ...]:
        return REALISMS if self._config.realism else REALISMS[:1]

    def _score(self, distortion: float, rate: float, most_real: list[np.ndarray]) -> dict[str, float]:
        config = self._config
        # A rate that is held at a target does not count, because its weight changes from step to step.
        score = config.distortion_coeff * distortion + (0.0 if config.rate_target else config.rate_coeff * rate)
        if self._perceptual is None:
            return {"score": score}
        pairs = zip(self.photos, most_real, strict=True)
        perceptual = float(np.mean([self._perceptual.distance(*pair) for pair in pairs]))
        return {"score": score + config.perceptual_coeff * perceptual, "perceptual": perceptual}


def _mse(photo: np.ndarray, reconstruction: np.ndarray) -> float:
    return float(np.mean(np.square(to_float(photo) - to_float(reconstruction))))
