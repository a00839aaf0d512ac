"""Curves of quality against bytes: how many bytes a codec needs to be as good as the model."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from compressgan.evaluation.bench import Result, is_ours

BETTER = {"psnr": 1, "ssim": 1, "ms_ssim": 1, "ssimulacra2": 1, "vgg19_distance": -1}  # -1: lower is better
_RESAMPLES = 1000  # of the photos, for the interval


@dataclass(frozen=True)
class Comparison:
    """How many times the model's bytes a codec needs to be as good by one metric: the median over the photos.

    The median is 0 where even the codec's smallest files are better, and infinite where its largest measured files are
    not as good. The same goes for the ends of the interval, which contains the medians of 95% of resampled sets of
    photos.
    """

    model: str
    level: int
    codec: str
    metric: str
    times: float
    low: float
    high: float
    photos: int


def comparisons(results: list[Result]) -> Iterator[Comparison]:
    """Yields a comparison for each of the model's levels and realisms, each metric and each other codec."""
    files: dict[tuple[str, str], list[Result]] = defaultdict(list)  # by codec and photo
    for result in sorted(results, key=lambda result: result.bytes):
        files[result.codec, result.photo].append(result)
    kinds = sorted({(result.codec, result.setting) for result in results if is_ours(result.codec)})
    others = sorted({result.codec for result in results if not is_ours(result.codec)})
    for model, level in kinds:
        ours = [result for result in results if (result.codec, result.setting) == (model, level)]
        for metric, sign in BETTER.items():
            for codec in others:
                times = []
                for own in ours:
                    points = [(file.bytes, sign * getattr(file, metric)) for file in files[codec, own.photo]]
                    points = [(size, quality) for size, quality in points if math.isfinite(quality)]
                    quality = sign * getattr(own, metric)
                    if points and math.isfinite(quality):
                        times.append(bytes_needed(points, quality) / own.bytes)
                if times:
                    yield Comparison(model, level, codec, metric, *_median(times), len(times))


def bytes_needed(points: list[tuple[int, float]], quality: float) -> float:
    """Returns the bytes at which a codec reaches a quality, between its files by their logarithms.

    Args:
        points: bytes and quality of its files, by ascending bytes.
        quality: in the same unit, higher is better.

    Returns:
        The bytes; 0 if its smallest file is better, infinity if no file is as good.
    """
    if points[0][1] > quality:
        return 0.0
    for (less, worse), (more, better) in pairwise([*points[:1], *points]):
        if worse <= quality <= better:
            share = (quality - worse) / (better - worse) if better > worse else 0.0
            return less * (more / less) ** share
    return math.inf


def _median(times: list[float]) -> tuple[float, float, float]:
    """Returns the median and its 95% interval."""
    ordered = np.sort(times)
    count = len(ordered)
    # The lower of two middle values: a mean with infinity would be infinite.
    picked = np.sort(np.random.default_rng(0).integers(0, count, (_RESAMPLES, count)))[:, (count - 1) // 2]
    low, high = np.quantile(ordered[picked], (0.025, 0.975), method="inverted_cdf")
    return float(ordered[(count - 1) // 2]), float(low), float(high)
