"""Results of an evaluation: means, results.json (described by results.schema.json) and results.csv."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from compressgan.evaluation.bench import Bench, Result, is_ours
from compressgan.evaluation.curves import comparisons
from compressgan.evaluation.metrics import known, mean
from compressgan.images.files import write_csv, write_json

MEANS = ("bytes", "bpp", "psnr", "ssim", "ms_ssim", "ssimulacra2", "vgg19_distance", "encode_seconds", "decode_seconds")


def means(results: list[Result]) -> list[dict]:
    """Returns the mean of each figure for every codec and setting, by ascending rate.

    Only photos on which no codec failed count. Each figure's mean is over those photos that have it.
    """
    table = []
    kinds = list(dict.fromkeys((result.codec, result.setting) for result in results))
    done = Counter(result.photo for result in results)
    results = [result for result in results if done[result.photo] == len(kinds)]
    for codec, setting in kinds if results else []:
        rows = [result for result in results if (result.codec, result.setting) == (codec, setting)]
        row = {"codec": codec, "setting": setting, "photos": len(rows)}
        for name in MEANS:
            row[name] = known(mean(rows, name))
        table.append(row)
    return sorted(table, key=lambda row: (not is_ours(row["codec"]), row["codec"], row["bpp"]))


def write_results(
    folder: Path, results: list[Result], bench: Bench, model: dict[str, str | int], absent: list[str]
) -> tuple[list[dict], list[dict]]:
    """Writes results.json and results.csv, and returns the means and the comparisons.

    Raises:
        CompressGANError: a file cannot be written.
    """
    table = means(results)
    rows = [{name: known(value) for name, value in asdict(result).items()} for result in results]
    compared = [{name: known(value) for name, value in asdict(found).items()} for found in comparisons(results)]
    failures = [
        {"codec": codec, "photo": photo, "setting": setting, "error": error}
        for (codec, photo), (setting, error) in bench.failures.items()
    ]
    document = {
        "schema": 2,
        "model": model,
        "photos": len(bench.photos),
        "means": table,
        "comparisons": compared,
        "results": rows,
        "failures": failures,
        "absent": absent,
    }
    write_json(folder / "results.json", document)
    write_csv(folder / "results.csv", rows)
    return table, compared
