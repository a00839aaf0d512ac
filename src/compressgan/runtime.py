"""The networks that the codec needs from a model, and loading them from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from compressgan.coding.context_model import Prior
from compressgan.config import Config


class Networks(Protocol):
    """The networks of one model, called with NumPy arrays. Levels count from 1.

    Attributes:
        config: the model's settings.
        encoder_halo: how far the encoder looks beyond a latent position, in latent positions.
        generator_halo: the same for the generator.
        bytes_per_position: approximate memory that the networks need per latent position.
    """

    config: Config
    encoder_halo: int
    generator_halo: int
    bytes_per_position: int

    @property
    def fingerprint(self) -> bytes:
        """4 bytes that distinguish this model from any other."""

    @property
    def centers(self) -> np.ndarray:
        """The quantization centers in ascending order, (L,) float32."""

    def prior(self, level: int) -> Prior:
        """The entropy coder's prior for a level."""

    def rate_weight(self, level: int) -> float:
        """The weight of a bit per pixel against the MSE on [-1, 1] with which a level was trained."""

    def encode(self, photo: np.ndarray, level: int) -> np.ndarray:
        """Photo (16 h, 16 w, 3) float32 in [-1, 1] -> latents (h, w, C) float32."""

    def generate(self, latents: np.ndarray, level: int, realism: float) -> np.ndarray:
        """Quantized latents (h, w, C) float32, realism in [0, 1] -> photo (16 h, 16 w, 3) float32 in [-1, 1]."""

    def loss_and_gradient(
        self, latents: np.ndarray, photo: np.ndarray, level: int, rate_weight: float
    ) -> tuple[float, np.ndarray]:
        """Latents (h, w, C) and photo (16 h, 16 w, 3) float32 -> loss, and its gradient with respect to the latents.

        The loss is the MSE on [-1, 1] at realism 0 + rate_weight * bits per pixel, both for the quantized latents.
        """


def load_networks(checkpoint: Path) -> Networks:
    """Loads the networks of a checkpoint folder.

    Raises:
        CompressGANError: the checkpoint is missing or damaged.
    """
    # TensorFlow takes seconds to import, so it is imported only when a model is loaded.
    from compressgan.networks.loading import import_tensorflow

    import_tensorflow()
    from compressgan.networks.inference import TensorFlowNetworks
    from compressgan.networks.model import CompressGAN

    return TensorFlowNetworks(CompressGAN.load(checkpoint))
