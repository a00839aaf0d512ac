"""Measuring codecs on photos. Each file is made once, and a codec that fails on a photo does not end the run."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compressgan.errors import logger
from compressgan.evaluation.metrics import ms_ssim, psnr, ssim, ssimulacra2
from compressgan.evaluation.other_codecs import ComparedCodec

if TYPE_CHECKING:
    from compressgan.codec import Codec

OURS = "CompressGAN"  # the model's names begin with this
_RATIO = 1.6  # at most, between the rates of neighbouring settings
SHOWN = 6  # photos on the sheet of crops
_MEASURING = min(4, os.cpu_count() or 1)  # photos measured at once; SSIMULACRA2 may take a gigabyte for each


@dataclass(frozen=True)
class Result:
    """Figures of one photo by one codec at one setting. Unknown figures are NaN."""

    codec: str
    setting: int  # of the model: its level
    photo: str
    width: int  # pixels
    height: int  # pixels
    bytes: int  # of the whole file
    bpp: float  # bits per pixel
    psnr: float  # dB, on 8-bit RGB
    ssim: float
    ms_ssim: float
    ssimulacra2: float
    vgg19_distance: float  # RMSE of features at block2_pool; NaN without VGG19 weights
    encode_seconds: float
    decode_seconds: float


Distance = Callable[[np.ndarray, np.ndarray], float]  # of two photos (H, W, 3) uint8


class CodecFailed(Exception):  # noqa: N818, always caught
    """A codec failed on a photo."""


class Bench:
    """Photos in memory, and every file that a codec has made from them."""

    def __init__(self, photos: dict[str, np.ndarray]) -> None:
        self.photos = photos
        self.failures: dict[tuple[str, str], tuple[int, str]] = {}  # by codec and photo: setting and reason
        self._files: dict[tuple[Callable, int, str], tuple[bytes, float]] = {}

    def encode(self, codec: ComparedCodec, setting: int, name: str) -> tuple[bytes, float]:
        """Returns a photo's file and its encoding time in seconds.

        Raises:
            CodecFailed: the codec fails on this photo, or has failed on it before.
        """
        key = (codec.encode, setting, name)  # the same file for every realism
        with self._failing(codec, setting, name):
            if key not in self._files:
                start = time.perf_counter()
                data = codec.encode(self.photos[name], setting)
                self._files[key] = data, time.perf_counter() - start
            return self._files[key]

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
                rates.append(8 * len(data) / (photo.shape[0] * photo.shape[1]))
        return float(np.mean(rates)) if rates else math.nan

    def measure(self, codec: ComparedCodec, setting: int, vgg19: Distance | None) -> list[Result]:
        """Returns all figures of the photos on which neither the codec nor the measurement fails."""
        decoded = {}
        for name in self.photos:
            with suppress(CodecFailed):
                decoded[name] = self.decode(codec, setting, name)

        def result(name: str) -> Result | None:
            with suppress(CodecFailed), self._failing(codec, setting, name):
                return self._result(codec, setting, name, *decoded[name], vgg19)

        # Measuring starts after all decoding, because decoding is timed.
        with ThreadPoolExecutor(_MEASURING) as pool:
            return [found for found in pool.map(result, decoded) if found]

    def _result(
        self,
        codec: ComparedCodec,
        setting: int,
        name: str,
        decoded: np.ndarray,
        decode_seconds: float,
        vgg19: Distance | None,
    ) -> Result:
        photo = self.photos[name]
        height, width = photo.shape[:2]
        data, encode_seconds = self.encode(codec, setting, name)
        return Result(
            codec=codec.name,
            setting=setting,
            photo=name,
            width=width,
            height=height,
            bytes=len(data),
            bpp=8 * len(data) / (height * width),
            psnr=psnr(photo, decoded),
            ssim=ssim(photo, decoded),
            ms_ssim=ms_ssim(photo, decoded),
            ssimulacra2=ssimulacra2(photo, decoded),
            vgg19_distance=vgg19(photo, decoded) if vgg19 else math.nan,
            encode_seconds=encode_seconds,
            decode_seconds=decode_seconds,
        )


def first_reaching(settings: Sequence[int], size: Callable[[int], float], target: float) -> int:
    """Returns the position of the first setting whose size is at least the target, or the last position.

    Sizes must grow along the settings, because this is a bisection.
    """
    low, high = 0, len(settings) - 1
    while low < high:
        middle = (low + high) // 2
        if size(settings[middle]) >= target:
            high = middle
        else:
            low = middle + 1
    return low


def is_ours(name: str) -> bool:
    """Returns whether this is a name of the model."""
    return name.startswith(OURS)


def our_codecs(model: Codec) -> list[ComparedCodec]:
    """Returns the model as a codec whose settings are its levels: at realism 0, and at its default realism."""
    encode, levels = model.compress, range(1, model.levels + 1)

    def codec(name: str, realism: float | None) -> ComparedCodec:
        return ComparedCodec(name, levels, encode, lambda data: model.decompress(data, realism))

    if not model.realism:
        return [codec(OURS, None)]
    return [codec(f"{OURS}, realism {r:g}", r) for r in dict.fromkeys((0.0, model.default_realism))]


def spanning(codec: ComparedCodec, bench: Bench, low: float, high: float) -> list[int]:
    """Returns settings of the codec whose mean rates on its photos span those from `low` to `high`, evenly.

    Args:
        codec, bench: the codec and the photos.
        low, high: bits per pixel.
    """
    count = max(2, math.ceil(math.log(high / low) / math.log(_RATIO)) + 1)
    positions = set()
    for rate in np.geomspace(low, high, count):
        above = first_reaching(codec.settings, lambda setting: bench.mean_bpp(codec, setting), rate)
        positions |= {above} if positions else {max(0, above - 1), above}
    # If even the smallest files are larger than all rates, one setting is enough.
    if bench.mean_bpp(codec, codec.settings[0]) >= high:
        positions = {0}
    return [codec.settings[position] for position in sorted(positions)]


def at_equal_bytes(
    bench: Bench, ours: ComparedCodec, level: int, codecs: list[ComparedCodec]
) -> list[list[tuple[str, np.ndarray]]]:
    """Returns pictures to compare: for some photos the original, ours at a level, and each codec's next larger file."""
    names = [name for name in bench.photos if (ours.name, name) not in bench.failures]
    rows = []
    for name in names[:: max(1, len(names) // SHOWN)][:SHOWN]:
        with suppress(CodecFailed):
            least = len(bench.encode(ours, level, name)[0])
            row = [("original", bench.photos[name])]
            row.append((f"{ours.name}, {least:,} bytes", bench.decode(ours, level, name)[0]))
            for codec in codecs:

                def size(setting: int, codec: ComparedCodec = codec, name: str = name) -> int:
                    return len(bench.encode(codec, setting, name)[0])

                with suppress(CodecFailed):
                    setting = codec.settings[first_reaching(codec.settings, size, least)]
                    row.append((f"{codec.name}, {size(setting):,} bytes", bench.decode(codec, setting, name)[0]))
            rows.append(row)
    return rows
