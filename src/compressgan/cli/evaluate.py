"""Compares a model with other codecs, on a folder of photos.

python src/evaluate.py -path photos -o output/evaluation
python src/evaluate.py -path photos -o output/evaluation -r checkpoints/mine --perceptual imagenet
python src/evaluate.py -path photos -o output/evaluation --codecs "JPEG 2000" AVIF
python src/evaluate.py --dataset kodak FOLDER -o output/kodak

The model is measured at all its levels, at realism 0 and at its default realism. Every other codec is measured at
settings whose mean rates on these photos reach from the model's lowest rate to four times its highest. The command
writes results.json (described by src/compressgan/evaluation/results.schema.json), results.csv, rate_distortion.png and
crops.png. All files and figures are also kept in evaluation.sqlite, so a stopped call can be resumed, and one with
another codec or metric does not compress anything twice.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from compressgan.cli.jobs import note_once
from compressgan.cli.network_metrics import add_metric_options, load_metrics
from compressgan.cli.options import (
    add_checkpoint_option,
    add_effort_option,
    add_output_option,
    make_parser,
    require_extra,
)
from compressgan.cli.originals import is_original
from compressgan.cli.project import Project
from compressgan.errors import CompressGANError, UsageError, logger
from compressgan.images.files import inputs_under, make_folder
from compressgan.images.reading import read_photo

if TYPE_CHECKING:
    from compressgan.evaluation.other_codecs import ComparedCodec

REACH = 4  # times the model's highest rate, up to which other codecs are measured
KEPT = "evaluation.sqlite"
OUTPUTS = ("results.json", "results.csv", "rate_distortion.png", "crops.png")


def main(project: Project) -> int:
    parser = make_parser(__doc__)
    photos = parser.add_mutually_exclusive_group(required=True)
    photos.add_argument("-path", "--path", metavar="DIR", type=Path, help="folder of photos, ideally lossless")
    photos.add_argument(
        "--dataset",
        metavar=("kodak", "DIR"),
        nargs=2,
        help="folder with the 24 Kodak photos, which are verified; also prints published figures",
    )
    add_checkpoint_option(parser, project.default_checkpoint)
    add_effort_option(parser, project.effort)
    add_options(parser)
    return evaluate(parser.parse_args())


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds -o, --codecs, --perceptual, --inception and --lpips."""
    add_output_option(parser)
    parser.add_argument("--codecs", metavar="NAME", nargs="*", help="codecs to compare with; default: all available")
    add_metric_options(parser)


def evaluate(arguments: argparse.Namespace) -> int:
    """Evaluates on the photos of `arguments.path` or `arguments.dataset`, and returns the exit code."""
    require_extra("evaluate", "matplotlib", "ssimulacra2", "bjontegaard")
    from compressgan.codec import Codec
    from compressgan.evaluation.bench import Bench
    from compressgan.evaluation.kodak import SHA256, kodak_table
    from compressgan.evaluation.plots import write_crops, write_rate_distortion
    from compressgan.evaluation.results import write_results
    from compressgan.evaluation.selection import at_equal_bytes, our_codecs, spanning
    from compressgan.evaluation.store import Store
    from compressgan.evaluation.tables import print_bd_rates, print_comparisons, print_table

    codecs, absent = chosen_codecs(arguments.codecs)
    photos, skipped = read_all(photo_folder(arguments), arguments.o)
    if arguments.dataset:
        photos = {name: photos[name] for name in SHA256}
    assert_own(arguments.o)
    make_folder(arguments.o)
    store = Store(arguments.o / KEPT)
    if count := store.count():
        print(f"{arguments.o / KEPT}: {count:,} files of earlier calls are reused")
    bench = Bench(photos, store, load_metrics(arguments.perceptual, arguments.inception, arguments.lpips))
    model = Codec.load(arguments.r, effort=arguments.effort)
    model.decompress(model.compress(np.zeros((64, 64, 3), np.uint8)))  # a warm-up, because the first run is slower
    ours = our_codecs(model, arguments.effort)
    levels = tqdm(ours[0].settings, desc="compressing at each level", unit="level", disable=None)
    rates = [bench.mean_bpp(ours[0], level) for level in levels]
    if not all(rate > 0 for rate in rates):
        raise CompressGANError(f"{arguments.r}: this model fails on all photos")
    jobs = [(codec, level) for codec in ours for level in codec.settings]
    for codec in tqdm(codecs, desc="finding the settings", unit="codec", disable=None):
        jobs += [(codec, setting) for setting in spanning(codec, bench, min(rates), REACH * max(rates))]
    results = []
    for codec, setting in tqdm(jobs, desc="measuring", unit="setting", disable=None):
        results += bench.measure(codec, setting)
    if not results:
        raise CompressGANError("no photo could be measured")
    fingerprint = model.fingerprint.hex()
    description = {"checkpoint": str(arguments.r), "fingerprint": fingerprint, "effort": arguments.effort}
    document = write_results(arguments.o, results, bench, description, absent)
    table = document["means"]
    if not table:
        raise CompressGANError("no photo worked with every codec: use other photos, or fewer --codecs")
    print_table(table)
    print_bd_rates(document["bd_rates"])
    print_comparisons(document["comparisons"])
    if arguments.dataset:
        print(f"\nCompared with published figures ({table[0]['photos']} of {len(SHA256)} photos):\n")
        print_table(kodak_table(table))
    write_rate_distortion(arguments.o / "rate_distortion.png", table)
    # This comes last, because it tries further settings, whose failures must not affect the figures.
    if rows := at_equal_bytes(bench, ours[-1], model.default_level, codecs):
        write_crops(arguments.o / "crops.png", rows)
    return 1 if skipped or bench.failures else 0


def chosen_codecs(names: list[str] | None) -> tuple[list[ComparedCodec], list[str]]:
    """Returns the codecs of these names, or all that are available, and the names of those that are not.

    Raises:
        UsageError: one of the names is not available.
    """
    from compressgan.evaluation.other_codecs import available_codecs

    codecs, absent = available_codecs()
    if names is None:
        for codec in absent:
            print(f"not available: {codec}")
        return codecs, absent
    available = [codec.name for codec in codecs]
    if unknown := sorted(set(names) - set(available)):
        raise UsageError(f"--codecs: {', '.join(unknown)} not available; available: {', '.join(available)}")
    return [codec for codec in codecs if codec.name in names], absent


def photo_folder(arguments: argparse.Namespace) -> Path:
    """Returns the folder of `arguments.path` or `arguments.dataset`, whose photos are verified.

    Raises:
        UsageError: there is no such dataset.
        CompressGANError: the folder does not hold the dataset's photos.
    """
    from compressgan.evaluation.kodak import check_kodak

    if arguments.path is not None:
        return arguments.path
    dataset, folder = arguments.dataset[0], Path(arguments.dataset[1])
    if dataset != "kodak":
        raise UsageError(f"--dataset: {dataset} is not known, only kodak")
    check_kodak(folder)
    return folder


def assert_own(output: Path) -> None:
    """Checks that outputs that exist are those of an earlier call, which are replaced.

    Raises:
        UsageError: they are not, so they may be anything.
    """
    for name in () if (output / KEPT).exists() else OUTPUTS:
        if (output / name).exists():
            raise UsageError(f"{output / name}: would be overwritten; move it, or choose another -o")


def read_all(folder: Path, output: Path) -> tuple[dict[str, np.ndarray], int]:
    """Returns a folder's photos by name, and the number of unreadable ones, each of which is logged."""
    if not folder.is_dir():
        raise CompressGANError(f"{folder}: no such folder")
    files, photos = inputs_under(folder, output, "images", is_original), {}
    for file in files:
        try:
            photos[str(file.relative_to(folder))] = read_photo(file, partial(note_once, file))
        except CompressGANError as error:
            logger.warning(f"{error}; skipped")
    if not photos:
        raise CompressGANError(f"{folder}: none of its images can be read")
    return photos, len(files) - len(photos)
