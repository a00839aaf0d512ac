"""Metrics of a reconstruction, all on 8-bit photos and on the bytes of the whole `.bin` file."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity
from skimage.transform import downscale_local_mean

from compressgan.geometry import bits_per_pixel
from compressgan.images.masks import importance

if TYPE_CHECKING:
    from compressgan.codec import Codec
    from compressgan.images.reading import ImageLike

SSIM_MIN_SIDE = 11  # pixels, the size of its window
MS_SSIM_MIN_SIDE = 161  # pixels: the fifth scale then has (161 + 15) // 16 = 11
SSIMULACRA2_MIN_SIDE = 8  # pixels
SSIMULACRA2_MAX_PIXELS = 2**21  # more pixels would need more than a gigabyte

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of MS-SSIM, from the finest scale to the coarsest
_STRIP = 256  # rows measured at once, because SSIM takes many times the memory of its input
_RADIUS = 5  # pixels, of SSIM's window


@dataclass(frozen=True)
class Figures:
    """Figures of one photo. Unknown figures are NaN."""

    file: str  # path under the input folder
    width: int  # pixels
    height: int  # pixels
    original_bytes: float  # of the photo's original file
    bytes: int  # of the whole .bin file
    ratio: float  # original_bytes / bytes
    bpp: float  # bits per pixel of the whole .bin file
    bound_bpp: float  # bits per pixel of the whole .bin file if all symbols were equally likely
    psnr: float  # dB, on 8-bit RGB
    ms_ssim: float  # NaN for photos too small for it
    ssimulacra2: float  # 100 for the original; only on request, because it takes longer than the codec
    level: int | None = None  # of the .bin file
    realism: float = math.nan  # of the reconstruction
    region_psnr: float = math.nan  # dB, with each pixel's error weighted by the mask

    def __str__(self) -> str:
        similarity = "".join(
            f", {label} {value:{digits}}"
            for label, value, digits in (("MS-SSIM", self.ms_ssim, ".4f"), ("SSIMULACRA2", self.ssimulacra2, ".1f"))
            if not math.isnan(value)
        )
        region = "" if math.isnan(self.region_psnr) else f" ({self.region_psnr:.2f} dB where it matters)"
        return (
            f"{self.file}: {self.width} x {self.height}, {self.bytes:,} bytes, {self.bpp:.4f} bpp "
            f"(at most {self.bound_bpp:.4f}), PSNR {self.psnr:.2f} dB{region}{similarity}"
        )


def compare(
    codec: Codec,
    photo: np.ndarray,
    data: bytes,
    reconstruction: np.ndarray,
    *,
    file: str = "",
    original_bytes: float = math.nan,
    with_ssimulacra2: bool = False,
    level: int | None = None,
    realism: float = math.nan,
    mask: ImageLike | None = None,
) -> Figures:
    """Measures a reconstruction (H, W, 3) uint8 against its photo, and the bytes of its `.bin`."""
    height, width = photo.shape[:2]
    return Figures(
        file=file,
        width=width,
        height=height,
        original_bytes=original_bytes,
        bytes=len(data),
        ratio=original_bytes / len(data),
        bpp=bits_per_pixel(len(data), height, width),
        bound_bpp=codec.bound(height, width),
        psnr=psnr(photo, reconstruction),
        ms_ssim=ms_ssim(photo, reconstruction),
        ssimulacra2=ssimulacra2(photo, reconstruction) if with_ssimulacra2 else math.nan,
        level=level,
        realism=realism,
        region_psnr=math.nan if mask is None else region_psnr(photo, reconstruction, importance(mask, height, width)),
    )


class Means:
    """The means of all figures over photos; each over those for which it is finite.

    Args:
        rows: an object for each photo, whose attributes are its figures. More can be added one by one.
    """

    def __init__(self, rows: Iterable = ()) -> None:
        self.photos = 0
        self.exact = 0  # photos reconstructed without any error
        self.counts: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        for row in rows:
            self.add(row)

    def add(self, figures: object) -> None:
        self.photos += 1
        self.exact += math.isinf(figures.psnr)
        for name, value in vars(figures).items():
            if isinstance(value, int | float) and math.isfinite(value):
                self.counts[name] += 1
                self._sums[name] += value

    def of(self, name: str) -> float:
        """Returns the mean of a figure, or NaN if it is known for no photo."""
        return self._sums[name] / self.counts[name] if self.counts[name] else math.nan


def known(value: float | str) -> float | str | None:
    """Returns a figure as tables hold it: None if it is unknown or infinite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def mean_line(rows: Iterable[Figures]) -> str:
    """Returns the mean figures of several photos as one readable line."""
    means = Means(rows)
    similarity = ""
    for label, name, digits in (("MS-SSIM", "ms_ssim", ".4f"), ("SSIMULACRA2", "ssimulacra2", ".1f")):
        count = means.counts[name]
        if count:
            similarity += f", {label} {means.of(name):{digits}}" + (f" (of {count})" if count < means.photos else "")
    decibels = math.inf if means.exact == means.photos else means.of("psnr")
    return (
        f"mean of {means.photos}: {means.of('bytes'):,.0f} bytes, {means.of('bpp'):.4f} bpp, "
        f"PSNR {decibels:.2f} dB{similarity}"
    )


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all channels of two (H, W, 3) uint8 photos; inf if they are equal."""
    total = 0
    for top in range(0, x.shape[0], _STRIP):
        rows = slice(top, top + _STRIP)
        # scikit-image's mean_squared_error lies in a module that takes SciPy's statistics half a second to import.
        total += int(np.sum(np.square(x[rows].astype(np.int64) - y[rows])))
    return 10 * math.log10(255.0**2 * x.size / total) if total else math.inf


def region_psnr(x: np.ndarray, y: np.ndarray, importance: np.ndarray) -> float:
    """PSNR of two (H, W, 3) uint8 photos whose errors are weighted by an importance (H, W) from 0 to 1, not all 0."""
    total = 0.0
    for top in range(0, x.shape[0], _STRIP):
        rows = slice(top, top + _STRIP)
        errors = np.square(x[rows].astype(np.int64) - y[rows]).sum(axis=2)
        total += float(np.sum(importance[rows] * errors))
    return 10 * math.log10(255.0**2 * 3 * float(importance.sum()) / total) if total else math.inf


def ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004) of two (H, W, 3) uint8 photos, mean over RGB.

    NaN if a side is below `SSIM_MIN_SIDE` pixels, the size of its window.
    """
    if min(x.shape[:2]) < SSIM_MIN_SIDE:
        return math.nan
    return _mean_over_channels(_ssim, x, y)


def ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Multiscale structural similarity (Wang et al. 2003) of two (H, W, 3) uint8 photos, mean over RGB.

    NaN if a side is below `MS_SSIM_MIN_SIDE` pixels, where the five scales are not defined.
    """
    if min(x.shape[:2]) < MS_SSIM_MIN_SIDE:
        return math.nan
    return _mean_over_channels(_ms_ssim, x, y)


def _mean_over_channels(metric: Callable[[np.ndarray, np.ndarray], float], x: np.ndarray, y: np.ndarray) -> float:
    """Returns the mean of a metric of single channels, (H, W) float32, one at a time to save memory."""
    return float(np.mean([metric(*(photo[..., i].astype(np.float32) for photo in (x, y))) for i in range(3)]))


def _ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """MS-SSIM of one channel, (H, W) float32: contrast at the finer scales, contrast and luminance at the coarsest."""
    similarity = 1.0
    for scale, weight in enumerate(_SCALE_WEIGHTS, start=1):
        last = scale == len(_SCALE_WEIGHTS)
        # With such a large K1, SSIM's luminance factor is 1, and only its contrast factor remains.
        similarity *= max(0.0, _ssim(x, y) if last else _ssim(x, y, K1=1e6)) ** weight
        if not last:
            x, y = _halved(x), _halved(y)
    return similarity


def _ssim(x: np.ndarray, y: np.ndarray, **options: float) -> float:
    """SSIM of one channel as in the papers: an 11 x 11 Gaussian window, which stays inside the picture."""
    height, total = x.shape[0], 0.0
    for top in range(_RADIUS, height - _RADIUS, _STRIP):
        bottom = min(top + _STRIP, height - _RADIUS)
        strip = slice(top - _RADIUS, bottom + _RADIUS)
        total += (bottom - top) * structural_similarity(
            x[strip], y[strip], data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, **options
        )
    return total / (height - 2 * _RADIUS)


def _halved(x: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels; an odd last row or column counts twice."""
    even = np.pad(x, [(0, side % 2) for side in x.shape], mode="symmetric")
    return downscale_local_mean(even, (2, 2)).astype(np.float32)


def ssimulacra2_version() -> str:
    """Returns the name and version of the package that computes SSIMULACRA2."""
    return f"ssimulacra2 {version('ssimulacra2')}"


def ssimulacra2(x: np.ndarray, y: np.ndarray) -> float:
    """SSIMULACRA2 (Sneyers 2023) of two (H, W, 3) uint8 photos: 100 if equal, 30 for low quality, sometimes below 0.

    NaN if a side is below `SSIMULACRA2_MIN_SIDE` pixels, or if there are more than `SSIMULACRA2_MAX_PIXELS`.

    Raises:
        ImportError: the package ssimulacra2, an extra, is not installed.
    """
    from ssimulacra2 import compute_ssimulacra2

    if min(x.shape[:2]) < SSIMULACRA2_MIN_SIDE or x.shape[0] * x.shape[1] > SSIMULACRA2_MAX_PIXELS:
        return math.nan
    files = [io.BytesIO(), io.BytesIO()]
    for file, pixels in zip(files, (x, y), strict=True):
        Image.fromarray(pixels).save(file, format="BMP")
    return float(compute_ssimulacra2(*files))
