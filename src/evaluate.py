"""Measures a model against the codecs people use, on a folder of photos.

python src/evaluate.py -path photos -o output/evaluation
python src/evaluate.py -path photos -o output/evaluation -r checkpoints/mine --perceptual imagenet
python src/evaluate.py -path photos -o output/evaluation --codecs "JPEG 2000" AVIF

Every other codec is taken at the two settings whose mean rate on these photos brackets the model's, and at the two that
bracket twice the model's; where its smallest files are larger still, at that. Writes results.json (described by
src/results.schema.json), results.csv, rate_distortion.png and crops.png.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from settings import DEFAULT_CHECKPOINT, load_tensorflow

import numpy as np
from tqdm import tqdm

from errors import CompressGANError, UsageError, run, warn
from files import inputs_under, make_folder, replacing
from other_codecs import ComparedCodec, available_codecs
from photo import is_photo, read_photo

OURS = "CompressGAN"
MEANS = ("bytes", "bpp", "psnr", "ms_ssim", "ssimulacra2", "vgg19_distance", "encode_seconds", "decode_seconds")


@dataclass(frozen=True)
class Result:
    """One photo by one codec at one setting. Unknown figures are NaN."""

    codec: str
    setting: int | None  # None: the model has none
    photo: str
    width: int  # pixels
    height: int  # pixels
    bytes: int  # of the whole file
    bpp: float  # bits per pixel
    psnr: float  # dB, on 8-bit RGB
    ms_ssim: float
    ssimulacra2: float
    vgg19_distance: float  # RMSE of features at block2_pool; known where weights were given
    encode_seconds: float
    decode_seconds: float


class CodecFailed(Exception):  # noqa: N818, always caught
    """A codec cannot do a photo."""


class Bench:
    """Photos in memory, and every file that a codec has made of them, so that none is made twice."""

    def __init__(self, photos: dict[str, np.ndarray]) -> None:
        self.photos = photos
        self.failures: dict[tuple[str, str], tuple[int | None, str]] = {}  # by codec and photo: setting and reason
        self.encode = functools.cache(self._encode)

    def _encode(self, codec: ComparedCodec, setting: int | None, name: str) -> tuple[bytes, float]:
        """Returns a photo's file and the seconds that it took.

        Raises:
            CodecFailed: it fails, or has failed before, on this photo.
        """
        if (codec.name, name) in self.failures:
            raise CodecFailed
        start = time.perf_counter()
        try:
            data = codec.encode(self.photos[name], setting)
        except Exception as error:  # Codecs raise many kinds; whichever it is, the others go on.
            self._failed(codec, setting, name, error)
        return data, time.perf_counter() - start

    def _failed(self, codec: ComparedCodec, setting: int | None, name: str, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        self.failures[codec.name, name] = (setting, reason)
        warn(f"{codec.name}: {name}: {reason}; this photo is left out of its means")
        raise CodecFailed from None

    def mean_bpp(self, codec: ComparedCodec, setting: int | None) -> float:
        """Returns the mean rate over the photos that the codec can do; NaN if it can do none."""
        rates = []
        for name, photo in self.photos.items():
            try:
                data, _ = self.encode(codec, setting, name)
            except CodecFailed:
                continue
            rates.append(8 * len(data) / (photo.shape[0] * photo.shape[1]))
        return float(np.mean(rates)) if rates else math.nan

    def measure(self, codec: ComparedCodec, setting: int | None, name: str, vgg19: Callable | None) -> Result | None:
        """Returns all figures of one photo, or None if the codec cannot do it."""
        from metrics import ms_ssim, psnr, ssimulacra2

        photo = self.photos[name]
        try:
            data, encode_seconds = self.encode(codec, setting, name)
            start = time.perf_counter()
            try:
                decoded = codec.decode(data)
                decode_seconds = time.perf_counter() - start
                if decoded.shape != photo.shape:
                    raise ValueError(f"comes back as {decoded.shape[1]} x {decoded.shape[0]}")
            except Exception as error:
                self._failed(codec, setting, name, error)
        except CodecFailed:
            return None
        height, width = photo.shape[:2]
        return Result(
            codec=codec.name,
            setting=setting,
            photo=name,
            width=width,
            height=height,
            bytes=len(data),
            bpp=8 * len(data) / (height * width),
            psnr=psnr(photo, decoded),
            ms_ssim=ms_ssim(photo, decoded),
            ssimulacra2=ssimulacra2(photo, decoded),
            vgg19_distance=vgg19(photo, decoded) if vgg19 else math.nan,
            encode_seconds=encode_seconds,
            decode_seconds=decode_seconds,
        )


def first_reaching(settings: Sequence[int], size: Callable[[int], float], target: float) -> int:
    """Returns the position of the first setting whose size is at least the target; the last if none is.

    Sizes are taken to grow along the settings, so that few are tried.
    """
    low, high = 0, len(settings) - 1
    while low < high:
        middle = (low + high) // 2
        if size(settings[middle]) >= target:
            high = middle
        else:
            low = middle + 1
    return low


def bracketing(codec: ComparedCodec, bench: Bench, rates: tuple[float, ...]) -> list[int]:
    """Returns the codec's settings whose mean rates on the bench's photos enclose each of the rates, bits per pixel."""
    positions = set()
    for rate in rates:
        above = first_reaching(codec.settings, lambda setting: bench.mean_bpp(codec, setting), rate)
        positions |= {max(0, above - 1), above}
    # Where even the smallest files are larger than asked for, the next setting says nothing new.
    if bench.mean_bpp(codec, codec.settings[0]) >= max(rates):
        positions = {0}
    return [codec.settings[position] for position in sorted(positions)]


def means(results: list[Result]) -> list[dict]:
    """Returns the mean of each figure for every codec and setting, over the photos that have it, by rising rate."""
    table = []
    for codec, setting in dict.fromkeys((result.codec, result.setting) for result in results):
        rows = [result for result in results if (result.codec, result.setting) == (codec, setting)]
        row = {"codec": codec, "setting": setting, "photos": len(rows)}
        for name in MEANS:
            known = [value for result in rows if math.isfinite(value := getattr(result, name))]
            row[name] = float(np.mean(known)) if known else None
        table.append(row)
    return sorted(table, key=lambda row: (row["codec"] != OURS, row["codec"], row["bpp"]))


def write_results(
    folder: Path, results: list[Result], bench: Bench, model: dict[str, str], absent: list[str]
) -> list[dict]:
    """Writes results.json and results.csv, and returns the means."""
    table = means(results)
    known = [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(result).items()}
        for result in results
    ]
    failures = [
        {"codec": codec, "photo": photo, "setting": setting, "error": error}
        for (codec, photo), (setting, error) in bench.failures.items()
    ]
    document = {
        "schema": 1,
        "model": model,
        "photos": len(bench.photos),
        "means": table,
        "results": known,
        "failures": failures,
        "absent": absent,
    }
    with replacing(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    with (
        replacing(folder / "results.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, [field.name for field in fields(Result)])
        writer.writeheader()
        writer.writerows(known)
    return table


def print_means(table: list[dict]) -> None:
    print(
        "| codec | setting | photos | bpp | PSNR, dB | MS-SSIM | SSIMULACRA2 | VGG19 distance | encode, s | decode, s |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    columns = (("photos", "d"), ("bpp", ".4f"), ("psnr", ".2f"), ("ms_ssim", ".4f"), ("ssimulacra2", ".1f"))
    columns += (("vgg19_distance", ".3f"), ("encode_seconds", ".3f"), ("decode_seconds", ".3f"))
    for row in table:
        cells = ["" if row[name] is None else format(row[name], spec) for name, spec in columns]
        print(f"| {row['codec']} | {'' if row['setting'] is None else row['setting']} | {' | '.join(cells)} |")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-path", metavar="DIR", type=Path, required=True, help="folder of photos, best lossless ones")
    parser.add_argument("-o", metavar="DIR", type=Path, required=True, help="output folder; made if there is none")
    parser.add_argument("-r", metavar="DIR", type=Path, default=DEFAULT_CHECKPOINT, help="checkpoint; default: shipped")
    parser.add_argument("--codecs", metavar="NAME", nargs="*", help="other codecs; default: all that are there")
    parser.add_argument("--perceptual", metavar="imagenet|FILE", help="VGG19 weights, for the feature distance")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    codecs, absent = available_codecs()
    if arguments.codecs is not None:
        unknown = set(arguments.codecs) - {codec.name for codec in codecs}
        if unknown:
            here = ", ".join(codec.name for codec in codecs)
            raise UsageError(f"--codecs: not here: {', '.join(sorted(unknown))}; here are: {here}")
        codecs = [codec for codec in codecs if codec.name in arguments.codecs]
    elif absent:
        print(f"absent: {', '.join(absent)}")
    photos = read_all(arguments.path, arguments.o)
    make_folder(arguments.o)
    load_tensorflow()
    from codec import Codec
    from model import read_config
    from perceptual import PerceptualLoss
    from photo import to_float
    from plots import write_crops, write_rate_distortion

    vgg19 = None
    if arguments.perceptual:
        loss = PerceptualLoss(arguments.perceptual)

        def vgg19(x: np.ndarray, y: np.ndarray) -> float:
            return float(loss(to_float(x)[np.newaxis], to_float(y)[np.newaxis]))

    model = Codec.load(arguments.r)
    model.decompress(model.compress(next(iter(photos.values()))))  # the first run is slower
    ours = ComparedCodec(OURS, (), lambda photo, _: model.compress(photo), model.decompress)
    bench = Bench(photos)
    rate = bench.mean_bpp(ours, None)
    jobs = [(ours, None)]
    for codec in tqdm(codecs, desc="finding the settings", disable=None):
        jobs += [(codec, setting) for setting in bracketing(codec, bench, (rate, 2 * rate))]
    results = []
    for codec, setting in tqdm(jobs, desc="measuring", unit="setting", disable=None):
        results += filter(None, (bench.measure(codec, setting, name, vgg19) for name in photos))

    description = {"checkpoint": str(arguments.r), "fingerprint": read_config(arguments.r)[1]}
    table = write_results(arguments.o, results, bench, description, absent)
    print_means(table)
    write_rate_distortion(arguments.o / "rate_distortion.png", table, len(photos))
    write_crops(arguments.o / "crops.png", at_equal_bytes(bench, ours, codecs))
    return 0


def read_all(folder: Path, output: Path) -> dict[str, np.ndarray]:
    """Returns the photos of a folder by name; those that cannot be read are named and left out."""
    if not folder.is_dir():
        raise CompressGANError(f"{folder}: no such folder")
    photos = {}
    for file in inputs_under(folder, output, "images", is_photo):
        try:
            photos[str(file.relative_to(folder))] = read_photo(file)
        except CompressGANError as error:
            warn(f"{error}; left out")
    if not photos:
        raise CompressGANError(f"{folder}: no image that can be read")
    return photos


def at_equal_bytes(
    bench: Bench, ours: ComparedCodec, codecs: list[ComparedCodec], count: int = 6
) -> list[list[tuple[str, np.ndarray]]]:
    """Returns pictures to look at: for some photos the original, ours, and each codec's nearest size not below ours."""
    names = list(bench.photos)
    rows = []
    for name in names[:: max(1, len(names) // count)][:count]:
        data, _ = bench.encode(ours, None, name)
        row = [("original", bench.photos[name]), (f"{OURS}, {len(data):,} bytes", ours.decode(data))]
        for codec in codecs:
            try:
                position = first_reaching(
                    codec.settings,
                    lambda setting, codec=codec, name=name: len(bench.encode(codec, setting, name)[0]),
                    len(data),
                )
                other, _ = bench.encode(codec, codec.settings[position], name)
            except CodecFailed:
                continue
            row.append((f"{codec.name}, {len(other):,} bytes", codec.decode(other)))
        rows.append(row)
    return rows


if __name__ == "__main__":
    run(main)
