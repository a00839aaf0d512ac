"""Measuring codecs on photos. Each file is made once, and a codec that fails on a photo does not end the run."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from compressgan.errors import logger
from compressgan.evaluation.kid import kid
from compressgan.evaluation.metrics import ms_ssim, psnr, ssim, ssimulacra2, ssimulacra2_version
from compressgan.evaluation.other_codecs import ComparedCodec
from compressgan.evaluation.store import Store
from compressgan.geometry import bits_per_pixel
from compressgan.version import __version__

OURS = "CompressGAN"  # the model's names begin with this
_MEASURING = min(4, os.cpu_count() or 1)  # photos measured at once; SSIMULACRA2 may take a gigabyte for each

Distance = Callable[[np.ndarray, np.ndarray], float]  # of two photos (H, W, 3) uint8


@dataclass(frozen=True)
class Figures:
    """Figures of one decoded photo. Unknown figures are NaN."""

    psnr: float  # dB, on 8-bit RGB
    ssim: float
    ms_ssim: float
    ssimulacra2: float
    vgg19_distance: float  # RMSE of features at block2_pool; NaN without VGG19's weights
    lpips: float  # NaN unless asked for
    decode_seconds: float


@dataclass(frozen=True)
class Result(Figures):
    """Figures of one photo by one codec at one setting."""

    codec: str
    setting: int  # of the model: its level
    photo: str
    width: int  # pixels
    height: int  # pixels
    bytes: int  # of the whole file
    bpp: float  # bits per pixel
    encode_seconds: float


@dataclass(frozen=True)
class NetworkMetrics:
    """Metrics by networks, which the user has to ask for."""

    distances: Mapping[str, Distance] = field(default_factory=dict)  # by field of `Figures`
    features: Callable[[np.ndarray], np.ndarray] | None = None  # of the patches of a photo (H, W, 3) uint8: (n, d)
    weights: str = ""  # tells them from the same metrics with other weights


class CodecFailed(Exception):  # noqa: N818, always caught
    """A codec failed on a photo."""


class Bench:
    """Photos in memory, and all that was made of them.

    Args:
        photos: (H, W, 3) uint8, by name.
        store: where files and figures are kept; by default in memory.
        metrics: metrics by networks.
    """

    def __init__(
        self,
        photos: dict[str, np.ndarray],
        store: Store | None = None,
        metrics: NetworkMetrics = NetworkMetrics(),
    ) -> None:
        self.photos = photos
        self.failures: dict[tuple[str, str], tuple[int, str]] = {}  # by codec and photo: setting and reason
        self._store = store or Store()
        self._metrics = metrics
        names = [figure.name for figure in fields(Figures)]
        self._measurement = ", ".join([__version__, *names, ssimulacra2_version(), metrics.weights])
        self._digests = {name: _digest(photo) for name, photo in photos.items()}
        self._features: dict[tuple[str, int, str], np.ndarray] = {}  # of patches, by codec, setting and photo
        self._originals: dict[str, np.ndarray] = {}  # of the photos' own patches

    def encode(self, codec: ComparedCodec, setting: int, name: str) -> tuple[bytes, float]:
        """Returns a photo's file and its encoding time in seconds.

        Raises:
            CodecFailed: the codec fails on this photo, or has failed on it before.
            CompressGANError: the store cannot be used. All other methods raise it, too.
        """
        key = (codec.encoder, setting, self._digests[name])
        found = self._store.file(*key)
        if not found:
            with self._failing(codec, setting, name):
                start = time.perf_counter()
                data = codec.encode(self.photos[name], setting)
                found = data, time.perf_counter() - start
            self._store.add_file(*key, *found)
        return found

    def decode(self, codec: ComparedCodec, setting: int, name: str) -> tuple[np.ndarray, float]:
        """Returns the decoded photo, (H, W, 3) uint8, and its decoding time in seconds.

        Raises:
            CodecFailed: as for `encode`, or the decoded photo has another size.
        """
        data, _ = self.encode(codec, setting, name)
        with self._failing(codec, setting, name):
            start = time.perf_counter()
            decoded = codec.decode(data)
            seconds = time.perf_counter() - start
            height, width = self.photos[name].shape[:2]
            if decoded.shape[0] - height not in (0, 1) or decoded.shape[1] - width not in (0, 1):
                raise ValueError(f"decoded to another size, {decoded.shape[1]} x {decoded.shape[0]}")
            return decoded[:height, :width], seconds

    @contextmanager
    def _failing(self, codec: ComparedCodec, setting: int, name: str) -> Iterator[None]:
        if (codec.name, name) in self.failures:
            raise CodecFailed
        try:
            yield
        except Exception as error:  # codecs raise many kinds
            reason = " ".join(str(error).split()) or type(error).__name__
            self.failures[codec.name, name] = (setting, reason)
            logger.warning("%s: %s: %s; skipped", codec.name, name, reason)
            raise CodecFailed from None

    def mean_bpp(self, codec: ComparedCodec, setting: int) -> float:
        """Returns the mean rate over the photos on which the codec does not fail; NaN if it fails on all of them."""
        rates = []
        for name, photo in self.photos.items():
            with suppress(CodecFailed):
                data, _ = self.encode(codec, setting, name)
                rates.append(bits_per_pixel(len(data), *photo.shape[:2]))
        return float(np.mean(rates)) if rates else math.nan

    def measure(self, codec: ComparedCodec, setting: int) -> list[Result]:
        """Returns all figures of the photos on which neither the codec nor the measurement fails."""

        def key(name: str) -> tuple[str, int, str, str]:
            return f"{codec.name}, {codec.encoder}", setting, self._digests[name], self._measurement

        measured, decoded = {}, {}
        for name in self.photos:
            with suppress(CodecFailed):
                if found := self._store.figures(*key(name)):
                    measured[name] = found
                else:
                    decoded[name] = self.decode(codec, setting, name)

        def figures(name: str) -> tuple[str, tuple[dict[str, Any], np.ndarray | None]] | None:
            with suppress(CodecFailed), self._failing(codec, setting, name):
                return name, self._measured(name, *decoded[name])

        # Measuring starts after all decoding, because decoding is timed.
        with ThreadPoolExecutor(_MEASURING) as pool:
            for name, found in filter(None, pool.map(figures, decoded)):
                self._store.add_figures(*key(name), *found)
                measured[name] = found
        return [self._result(codec, setting, name, *measured[name]) for name in self.photos if name in measured]

    def _measured(
        self, name: str, decoded: np.ndarray, decode_seconds: float
    ) -> tuple[dict[str, Any], np.ndarray | None]:
        """Returns the figures of a decoded photo by name, and the features of its patches if they are wanted."""
        photo, distances = self.photos[name], dict.fromkeys(("vgg19_distance", "lpips"), math.nan)
        distances |= {metric: distance(photo, decoded) for metric, distance in self._metrics.distances.items()}
        found = Figures(
            psnr=psnr(photo, decoded),
            ssim=ssim(photo, decoded),
            ms_ssim=ms_ssim(photo, decoded),
            ssimulacra2=ssimulacra2(photo, decoded),
            decode_seconds=decode_seconds,
            **distances,
        )
        return asdict(found), self._metrics.features(decoded) if self._metrics.features else None

    def _result(
        self, codec: ComparedCodec, setting: int, name: str, figures: dict[str, Any], features: np.ndarray | None
    ) -> Result:
        if features is not None:
            self._features[codec.name, setting, name] = features
        data, encode_seconds = self.encode(codec, setting, name)
        height, width = self.photos[name].shape[:2]
        return Result(
            codec=codec.name,
            setting=setting,
            photo=name,
            width=width,
            height=height,
            bytes=len(data),
            bpp=bits_per_pixel(len(data), height, width),
            encode_seconds=encode_seconds,
            **figures,
        )

    def kid(self, codec: str, setting: int, photos: list[str]) -> float:
        """Returns the kernel inception distance x 1000 of measured photos; NaN if it is not wanted or not defined."""
        if not self._metrics.features:
            return math.nan
        for name in photos:
            if name not in self._originals:
                self._originals[name] = self._metrics.features(self.photos[name])
        with_patches = [name for name in photos if len(self._originals[name])]
        if not with_patches:
            return math.nan
        made = [self._features[codec, setting, name] for name in with_patches]
        return kid(np.concatenate([self._originals[name] for name in with_patches]), np.concatenate(made))


def is_ours(name: str) -> bool:
    """Returns whether this is a name of the model."""
    return name.startswith(OURS)


def _digest(photo: np.ndarray) -> str:
    return hashlib.sha256(repr(photo.shape).encode() + photo.tobytes()).hexdigest()
