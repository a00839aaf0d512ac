"""Results of an evaluation: means, results.json (described by results.schema.json) and results.csv."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compressgan.evaluation.bench import Bench, Result, is_ours
from compressgan.evaluation.curves import bd_rates, comparisons, of_sets
from compressgan.evaluation.metrics import Means, known
from compressgan.images.files import write_csv, write_json

MEANS = ("bytes", "bpp", "psnr", "ssim", "ms_ssim", "ssimulacra2", "vgg19_distance", "lpips")
MEANS += ("encode_seconds", "decode_seconds")
_Kid = Callable[[str, int, list[str]], float]  # of photos decoded from a codec's files at a setting


def means(results: list[Result], kid: _Kid = lambda codec, setting, photos: math.nan) -> list[dict]:
    """Returns the mean of each figure and the KID for every codec and setting, by ascending rate.

    A photo counts only if every codec worked on it at every setting that worked on any photo. Each figure's mean is
    over those photos that have it.
    """
    table = []
    kinds = list(dict.fromkeys((result.codec, result.setting) for result in results))
    done = Counter(result.photo for result in results)
    results = [result for result in results if done[result.photo] == len(kinds)]
    for codec, setting in kinds if results else []:
        rows = [result for result in results if (result.codec, result.setting) == (codec, setting)]
        row = {"codec": codec, "setting": setting, "photos": len(rows)}
        of_all = Means(rows)
        row |= {name: known(of_all.of(name)) for name in MEANS}
        row["kid"] = known(kid(codec, setting, [result.photo for result in rows]))
        table.append(row)
    return sorted(table, key=lambda row: (not is_ours(row["codec"]), row["codec"], row["bpp"]))


def write_results(
    folder: Path, results: list[Result], bench: Bench, model: dict[str, str | int], absent: list[str]
) -> dict:
    """Writes results.json and results.csv, and returns the document of the first.

    Raises:
        CompressGANError: a file cannot be written.
    """
    table = means(results, bench.kid)
    failures = [
        {"codec": codec, "photo": photo, "setting": setting, "error": error}
        for (codec, photo), (setting, error) in bench.failures.items()
    ]
    document = {
        "schema": 3,
        "model": model,
        "photos": len(bench.photos),
        "means": table,
        "comparisons": _known([*comparisons(results), *of_sets(table)]),
        "bd_rates": _known(bd_rates(table)),
        "results": _known(results),
        "failures": failures,
        "absent": absent,
    }
    write_json(folder / "results.json", document)
    write_csv(folder / "results.csv", document["results"])
    return document


def _known(rows: Iterable[Any]) -> list[dict]:
    """Returns dataclasses as tables hold them."""
    return [{name: known(value) for name, value in asdict(row).items()} for row in rows]
