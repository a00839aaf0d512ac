"""Repeats the original project's experiments, sized to run on a small machine.

python src/experiments.py dataset-size -path photos --minutes 20   # a third of the photos against all of them
python src/experiments.py quantization -path photos --minutes 40   # channels C x levels L of the latents
python src/experiments.py perceptual -path photos --perceptual imagenet   # with and without the VGG19 term
python src/experiments.py coders -path photos                      # the entropy coders, on the latents of one model

Each writes results.csv, plot.png and settings.json under output/experiments/NAME. All but `coders` train a small model
for each row, all for the same number of steps, so many that they take the minutes given in all: figures compare the
rows with each other, not with a model that was trained to the end. A twentieth of the photos, or the folder
--validation, is kept apart to measure on.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from settings import DEFAULT_CHECKPOINT, EXPERIMENTS_DIR, PRESETS, VERSION, Config, load_tensorflow

import numpy as np

from errors import CompressGANError, UsageError, run
from files import make_folder, write_csv, write_json

# Small enough to see many crops in minutes. The original has no rate term.
SMALL = PRESETS["compact"].replace(
    encoder_widths=(48, 96, 96),
    encoder_blocks=2,
    generator_widths=(96, 64, 32),
    generator_blocks=4,
    finish_width=0,
    latent_channels=8,
    rate_coeff=0.0,
    rate_target=0.0,
    perceptual_coeff=0.0,
    adversarial_from=10**9,
    crop_size=128,
    batch_size=8,
    learning_rate=1e-3,
    warmup_steps=50,
    ema_decay=0.99,
    save_every=10**9,
)
QUANTIZATIONS = ((4, 5), (8, 3), (8, 5), (8, 9), (16, 5))  # C, L
PERCEPTUAL_COEFF = 0.5  # its pull is then stronger than that of the distortion
_TIMED_STEPS = 5


@dataclass(frozen=True)
class Variant:
    """One row of an experiment."""

    name: str
    config: Config
    train_paths: list[str]


def dataset_size(train_paths: list[str]) -> list[Variant]:
    """The same training on a third and on all of the photos."""
    third = sorted(random.Random(0).sample(train_paths, max(1, len(train_paths) // 3)))
    return [Variant(f"{len(paths):,} photos", SMALL, paths) for paths in (third, train_paths)]


def quantization(train_paths: list[str]) -> list[Variant]:
    """The same training with several numbers of channels and levels."""
    return [
        # The bound leaves each center its share of the latents' range.
        Variant(
            f"C = {channels}, L = {levels}",
            SMALL.replace(latent_channels=channels, levels=levels, latent_bound=levels / 2),
            train_paths,
        )
        for channels, levels in QUANTIZATIONS
    ]


def perceptual(train_paths: list[str]) -> list[Variant]:
    """The same training without and with the VGG19 term."""
    return [
        Variant("without VGG19", SMALL, train_paths),
        Variant("with VGG19", SMALL.replace(perceptual_coeff=PERCEPTUAL_COEFF), train_paths),
    ]


TRAINED = {"dataset-size": dataset_size, "quantization": quantization, "perceptual": perceptual}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=(*TRAINED, "coders"), help="which experiment")
    parser.add_argument("-path", metavar="DIR", type=Path, nargs="+", required=True, help="folders of photos")
    parser.add_argument(
        "--validation",
        metavar="DIR",
        type=Path,
        help="photos to measure on and never to train on; default: a share of -path",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=20.0, help="for all rows together; default: %(default)g")
    length.add_argument("--steps", type=int, help="of each row, instead")
    parser.add_argument("--perceptual", metavar="imagenet|FILE", help="VGG19 weights, for `perceptual`")
    parser.add_argument("-r", metavar="DIR", type=Path, default=DEFAULT_CHECKPOINT, help="checkpoint, for `coders`")
    parser.add_argument("-o", metavar="DIR", type=Path, default=EXPERIMENTS_DIR, help="default: output/experiments")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    if arguments.name == "perceptual" and not arguments.perceptual:
        raise UsageError("perceptual needs the VGG19 weights: --perceptual imagenet, or a Keras .h5 file of them")
    if not 0 < arguments.minutes < math.inf or (arguments.steps is not None and arguments.steps < 1):
        raise UsageError("--minutes and --steps must be above 0")
    load_tensorflow()
    from metrics import known
    from plots import write_bars
    from tables import print_table

    folder = arguments.o / arguments.name
    make_folder(folder)
    train_paths, photos = find_photos(arguments)
    settings: dict = {"version": VERSION, "validation_photos": len(photos)}
    rows = []
    # After each row, so that a call that is ended has not been in vain.
    if arguments.name == "coders":
        measured = coders(arguments.r, photos, settings)
    else:
        measured = trained(arguments, train_paths, photos, folder, settings)
    for row in measured:
        rows.append({name: known(value) for name, value in row.items()})
        write_csv(folder / "results.csv", rows)
        write_json(folder / "settings.json", settings)
    title = f"{arguments.name}: {settings['title']}, {len(photos)} validation photos"
    write_bars(folder / "plot.png", rows, title)
    print(f"\n{title}\n")
    print_table(rows)
    return 0


def find_photos(arguments: argparse.Namespace) -> tuple[list[str], list[np.ndarray]]:
    """Returns the paths to train on and the photos to measure on."""
    from data import find_images, split, validation_photos

    images, _ = find_images(arguments.path)
    train, test = images, []
    if arguments.validation:
        test, _ = find_images([arguments.validation])
        train = sorted(set(images) - set(test))
    elif arguments.name == "coders":
        test = images
    else:
        train, test = split(images, SMALL)
    side = 2**20 if arguments.name == "coders" else SMALL.validation_max_side  # VGG19 takes gigabytes for large ones
    config = SMALL.replace(validation_images=len(test), validation_max_side=side)
    photos = validation_photos([str(path) for path in test], config)
    if not photos:
        raise CompressGANError("no photos are left to measure on; give more, or a folder of them with --validation")
    if not train and arguments.name != "coders":
        raise CompressGANError("no photos are left to train on: --validation holds all of them")
    return [str(path) for path in train], photos


def trained(
    arguments: argparse.Namespace, train_paths: list[str], photos: list[np.ndarray], folder: Path, settings: dict
) -> Iterator[dict]:
    """Trains and measures each row; yields its figures, and adds what was set to `settings`."""
    from perceptual import PerceptualLoss

    variants = TRAINED[arguments.name](train_paths)
    vgg19 = PerceptualLoss(arguments.perceptual) if arguments.name == "perceptual" else None
    steps = arguments.steps
    if steps is None:
        steps = max(1, round(60 * arguments.minutes / sum(seconds_per_step(variant, vgg19) for variant in variants)))
    settings["title"] = f"{steps:,} steps of {SMALL.batch_size} crops of {SMALL.crop_size} x {SMALL.crop_size}"
    settings["steps"], settings["rows"] = steps, []
    for number, variant in enumerate(variants, start=1):
        print(
            f"{variant.name}: row {number} of {len(variants)}, {steps:,} steps on {len(variant.train_paths):,} photos"
        )
        config = variant.config.replace(steps=steps)
        if config.perceptual_coeff:
            config = config.replace(vgg19_weights=Path(arguments.perceptual).name)
        start = time.perf_counter()
        figures = train_and_measure(variant, config, photos, folder / f"row{number}", vgg19)
        settings["rows"].append(
            {
                "row": variant.name,
                "training_photos": len(variant.train_paths),
                "minutes": round((time.perf_counter() - start) / 60, 2),
                "config": config.to_json(),
            }
        )
        yield {"row": variant.name, **figures}


def seconds_per_step(variant: Variant, vgg19) -> float:
    """Returns how long a training step takes on this machine."""
    import tensorflow as tf

    from data import training_dataset
    from train_step import TrainStep

    config = variant.config
    train_step = TrainStep(config, tf.distribute.get_strategy(), vgg19 if config.perceptual_coeff else None)
    batches = iter(training_dataset(variant.train_paths, config, 0))
    for step in range(_TIMED_STEPS + 1):
        if step == 1:  # the first one traces
            start = time.perf_counter()
        terms = train_step(next(batches), step)
        float(terms["generator"])
    return (time.perf_counter() - start) / _TIMED_STEPS


def train_and_measure(
    variant: Variant, config: Config, photos: list[np.ndarray], folder: Path, vgg19
) -> dict[str, float]:
    """Trains a model from a blank start and returns its mean figures on the validation photos."""
    from codec import Codec
    from metrics import compare, mean
    from photo import to_float
    from trainer import Trainer, TrainingEnded

    shutil.rmtree(folder, ignore_errors=True)
    trainer = Trainer(config, folder, folder / "tensorboard", vgg19 if config.perceptual_coeff else None)
    try:
        trainer.fit(variant.train_paths, [])
    except TrainingEnded:
        raise KeyboardInterrupt from None
    codec = Codec.load(folder, effort=0)  # what the networks do, which refining would make more alike
    rows, distances = [], []
    for photo in photos:
        data = codec.compress(photo)
        reconstruction = codec.decompress(data)
        rows.append(compare(codec, photo, data, reconstruction))
        if vgg19:
            distances.append(float(vgg19(*(to_float(x)[np.newaxis] for x in (photo, reconstruction)))))
    figures = {name: mean(rows, name) for name in ("bpp", "bound_bpp", "psnr", "ms_ssim")}
    return {**figures, "vgg19_distance": float(np.mean(distances))} if vgg19 else figures


def coders(checkpoint: Path, photos: list[np.ndarray], settings: dict) -> Iterator[dict]:
    """Yields the mean size of the files of the same latents by each entropy coder; adds what was set to `settings`."""
    from arithmetic_coder import CODERS
    from codec import Codec

    codec = Codec.load(checkpoint)
    settings["title"] = f"model of {checkpoint.resolve().name}"
    coded = [(codec.symbols(photo), *photo.shape[:2]) for photo in photos]
    for coder in reversed(CODERS):
        sizes = [len(codec.to_bytes(symbols, height, width, coder)) for symbols, height, width in coded]
        rates = [8 * size / (height * width) for size, (_, height, width) in zip(sizes, coded, strict=True)]
        yield {"row": coder, "bytes": float(np.mean(sizes)), "bpp": float(np.mean(rates))}


if __name__ == "__main__":
    run(main)
