"""Curves of quality against bytes: how many bytes a codec needs to be as good as the model."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from compressgan.evaluation.bench import Result, is_ours

# -1: lower is better.
BETTER = {"psnr": 1, "ssim": 1, "ms_ssim": 1, "ssimulacra2": 1, "vgg19_distance": -1, "lpips": -1}
OF_SETS = {"kid": -1}  # metrics that single photos do not have
_COMMON = 0.25  # least share of the model's range of qualities over which a BD-rate is taken
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


@dataclass(frozen=True)
class BDRate:
    """How many percent more bytes than the model a codec needs for the same quality, on average over their curves.

    The mean of the logarithm of the rates' ratio over the qualities that both reach (Bjontegaard, VCEG-M33), between
    means over the photos, by piecewise cubic interpolation. NaN if a curve has fewer than two settings, or if they have
    less than a quarter of the model's range of qualities in common, of which little could be said.
    """

    model: str
    codec: str
    metric: str
    percent: float


def bd_rates(means: list[dict]) -> Iterator[BDRate]:
    """Yields the rates of all other codecs against each of the model's realisms, for each metric that they have.

    Args:
        means: of each codec and setting, by ascending rate within a codec.
    """
    names = list(dict.fromkeys(row["codec"] for row in means))
    for model in filter(is_ours, names):
        for metric, sign in (BETTER | OF_SETS).items():
            curves = {name: _rising([row for row in means if row["codec"] == name], metric, sign) for name in names}
            for codec in names:
                if not is_ours(codec) and curves[codec] and curves[model]:
                    yield BDRate(model, codec, metric, _bd_rate(curves[model], curves[codec]))


def _rising(rows: list[dict], metric: str, sign: int) -> list[tuple[float, float]]:
    """Returns rates and qualities, without the settings that are no better than one with fewer bytes."""
    points: list[tuple[float, float]] = []
    for row in rows:
        if row[metric] is not None and (not points or sign * row[metric] > points[-1][1]):
            points.append((row["bpp"], sign * row[metric]))
    return points


def _bd_rate(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> float:
    least, most = max(ours[0][1], theirs[0][1]), min(ours[-1][1], theirs[-1][1])
    if min(len(ours), len(theirs)) < 2 or most - least < _COMMON * (ours[-1][1] - ours[0][1]):
        return math.nan
    from bjontegaard import bd_rate

    curves = (axis for curve in (ours, theirs) for axis in zip(*curve, strict=True))
    return float(bd_rate(*curves, method="pchip", require_matching_points=False, min_overlap=0))


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


def of_sets(means: list[dict]) -> Iterator[Comparison]:
    """Yields the same comparisons for metrics of whole sets of photos, by the means; the interval is only the value."""
    for row in means:
        for metric, sign in OF_SETS.items():
            if not is_ours(row["codec"]) or row[metric] is None:
                continue
            for codec in dict.fromkeys(other["codec"] for other in means if not is_ours(other["codec"])):
                others = [other for other in means if other["codec"] == codec and other[metric] is not None]
                points = sorted((other["bytes"], sign * other[metric]) for other in others)
                if points:
                    times = bytes_needed(points, sign * row[metric]) / row["bytes"]
                    yield Comparison(row["codec"], row["setting"], codec, metric, times, times, times, row["photos"])


def _median(times: list[float]) -> tuple[float, float, float]:
    """Returns the median and its 95% interval."""
    ordered = np.sort(times)
    count = len(ordered)
    # The lower of two middle values: a mean with infinity would be infinite.
    picked = np.sort(np.random.default_rng(0).integers(0, count, (_RESAMPLES, count)))[:, (count - 1) // 2]
    low, high = np.quantile(ordered[picked], (0.025, 0.975), method="inverted_cdf")
    return float(ordered[(count - 1) // 2]), float(low), float(high)
