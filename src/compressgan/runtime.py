"""The networks that the codec needs from a model, and running them without TensorFlow."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from compressgan.checkpoint import CENTERS, LITERT_FILE, PRIOR, RATE_COEFFS, StoredModel, fingerprint, read_litert
from compressgan.coding.context_model import Prior
from compressgan.config import Config
from compressgan.errors import CompressGANError, logger
from compressgan.geometry import STRIDE
from compressgan.quiet import without_lines

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import SignatureRunner

_LARGE = 2048  # latent positions
_LITERTS_LINES = re.compile(rb"(INFO|WARNING): |[WI]\d{4} ")


class Networks(Protocol):
    """The networks of one model, called with NumPy arrays. Levels count from 1. They raise MemoryError.

    Attributes:
        config: the model's settings.
    """

    config: Config

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

    def features(self, latents: np.ndarray, level: int, realism: float) -> np.ndarray:
        """Quantized latents (h, w, C) float32, realism in [0, 1] -> features of the generator's trunk (h, w, width)."""

    def upsample(self, features: np.ndarray, level: int, realism: float) -> np.ndarray:
        """Features (h, w, width) float32, realism in [0, 1] -> photo (16 h, 16 w, 3) float32 in [-1, 1]."""

    def loss_and_gradient(
        self, latents: np.ndarray, photo: np.ndarray, importance: np.ndarray, level: int, rate_weight: float
    ) -> tuple[float, np.ndarray]:
        """Latents (h, w, C) and photo (16 h, 16 w, 3) float32 -> loss, and its gradient with respect to the latents.

        The loss is the MSE on [-1, 1] at realism 0 + rate_weight * bits per pixel, both for the quantized latents. Each
        pixel's error is multiplied by its importance, (16 h, 16 w) float32.
        """


class LiteRTNetworks:
    """The networks of a checkpoint folder as LiteRT runs them: an implementation of `Networks`.

    Threads may call it at the same time; the calls run one after another.

    Args:
        stored: the folder's weights, of which only those of the entropy coder are read.
        model: the LiteRT model, as `read_litert` returns it.
        threads: how many threads the networks use.

    Raises:
        CompressGANError: the stored weights are damaged.
    """

    def __init__(self, stored: StoredModel, model: bytes, threads: int) -> None:
        config = stored.config
        prior = Prior.shapes(config.levels, config.latent_channels, config.centers, config.prior_width)
        shapes = {f"{PRIOR}{name}": shape for name, shape in prior.items()}
        arrays = stored.weights(shapes | {CENTERS: (config.centers,), RATE_COEFFS: (config.levels,)})
        # With other centers or another prior, every file would be painted wrongly, without a word.
        if stored.coding not in (None, fingerprint(config, arrays).hex()):
            raise CompressGANError(f"{stored.path}: damaged")
        self.config = config
        self.fingerprint = bytes.fromhex(stored.fingerprint)
        self.centers = np.sort(arrays[CENTERS].astype(np.float32))
        self._rate_coeffs = arrays[RATE_COEFFS]
        self._prior = [arrays[name] for name in shapes]
        self._model, self._threads = model, threads
        self._runners: dict[str, SignatureRunner] = {}
        self._positions: dict[str, int] = {}  # in each one's last call
        self._lock = threading.Lock()

    def prior(self, level: int) -> Prior:
        window, hidden_bias, output, output_bias = self._prior
        return Prior.rounded(window, hidden_bias[level - 1], output, output_bias[level - 1])

    def rate_weight(self, level: int) -> float:
        return float(self._rate_coeffs[level - 1]) / self.config.distortion_coeff

    def encode(self, photo: np.ndarray, level: int) -> np.ndarray:
        positions = photo.shape[0] * photo.shape[1] // STRIDE**2
        return self._run("encode", positions, level, photo=photo)["latents"]

    def features(self, latents: np.ndarray, level: int, realism: float) -> np.ndarray:
        positions = latents.shape[0] * latents.shape[1] // 16  # each needs a sixteenth of the memory that others need
        return self._run("trunk", positions, level, latents=latents, realism=np.float32(realism))["features"]

    def upsample(self, features: np.ndarray, level: int, realism: float) -> np.ndarray:
        positions = features.shape[0] * features.shape[1]
        return self._run("upsample", positions, level, features=features, realism=np.float32(realism))["photo"]

    def loss_and_gradient(
        self, latents: np.ndarray, photo: np.ndarray, importance: np.ndarray, level: int, rate_weight: float
    ) -> tuple[float, np.ndarray]:
        inputs = {"latents": latents, "photo": photo, "importance": importance, "rate_weight": np.float32(rate_weight)}
        found = self._run("refine", latents.shape[0] * latents.shape[1], level, **inputs)
        return float(found["loss"]), found["gradient"]

    def _run(
        self, signature: str, positions: int, level: int, **inputs: np.ndarray | np.float32
    ) -> dict[str, np.ndarray]:
        with self._lock:
            if positions > _LARGE:
                # Each network keeps its memory. Those of a large photo must not add up.
                for name in self._runners.keys() - {signature}:
                    if self._positions[name] > _LARGE:
                        del self._runners[name]
            self._positions[signature] = positions
            try:
                if signature not in self._runners:
                    self._runners[signature] = self._load(signature, {"level", *inputs})
                return self._runners[signature](level=np.int32(level - 1), **inputs)
            except RuntimeError as error:  # the inputs fit, so it is memory
                self._runners.pop(signature, None)  # in an undefined state
                raise MemoryError(f"LiteRT: {error}") from None

    def _load(self, signature: str, inputs: set[str]) -> SignatureRunner:
        from ai_edge_litert.interpreter import Interpreter

        smallest = {
            "photo": np.zeros((STRIDE, STRIDE, 3), np.float32),
            "latents": np.zeros((1, 1, self.config.latent_channels), np.float32),
            "features": np.zeros((1, 1, self.config.generator_widths[0]), np.float32),
            "importance": np.zeros((STRIDE, STRIDE), np.float32),
            "level": np.int32(0),
            "realism": np.float32(0),
            "rate_weight": np.float32(0),
        }
        with without_lines(_LITERTS_LINES):
            interpreter = Interpreter(model_content=self._model, num_threads=self._threads)
            known = interpreter.get_signature_list().get(signature, {"inputs": ()})
            if set(known["inputs"]) != inputs:
                raise CompressGANError(f"{LITERT_FILE} was written by another version; rewrite it with src/export.py")
            runner = interpreter.get_signature_runner(signature)
            runner(**{name: smallest[name] for name in runner.get_input_details()})  # announces what LiteRT uses
        return runner


def load_networks(checkpoint: Path, threads: int | None = None) -> Networks:
    """Loads a checkpoint's networks: `codec.tflite`, or with TensorFlow if that is missing or of other weights.

    Args:
        checkpoint: the folder.
        threads: how many threads the networks use; by default, one for each CPU. TensorFlow takes as many as it wants.

    Raises:
        CompressGANError: the checkpoint is missing or damaged, or TensorFlow is needed and missing.
    """
    stored = StoredModel(checkpoint)
    model = read_litert(checkpoint, stored.fingerprint)
    if model is not None:
        return LiteRTNetworks(stored, model, threads or available_cpus())
    missing = f"{checkpoint}: no {LITERT_FILE} for these weights"
    try:
        from compressgan.networks.loading import import_tensorflow

        import_tensorflow()
    except ImportError:
        raise CompressGANError(
            f"{missing}, so TensorFlow is needed: pip install '.[train]' in the project's folder"
        ) from None
    from compressgan.networks.inference import TensorFlowNetworks
    from compressgan.networks.model import CompressGAN

    logger.warning(
        f"{missing}, so TensorFlow is used, which is slower; to write one: python src/export.py -r {checkpoint}"
    )
    return TensorFlowNetworks(CompressGAN.load(checkpoint))


def available_cpus() -> int:
    """Returns the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
