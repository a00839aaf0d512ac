"""The original project's experiments: dataset size, quantization, perceptual loss, entropy coders."""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from compressgan.codec import Codec
from compressgan.coding.arithmetic_coder import CODERS
from compressgan.config import Config
from compressgan.errors import CompressGANError
from compressgan.evaluation.metrics import Means, compare, ssim
from compressgan.geometry import bits_per_pixel
from compressgan.networks.inference import TensorFlowNetworks
from compressgan.training.data import training_dataset, validation_photos
from compressgan.training.index import find_images, split
from compressgan.training.perceptual import PerceptualLoss
from compressgan.training.train_step import TrainStep
from compressgan.training.trainer import Trainer, TrainingEnded

# A small model, which sees many crops in minutes. As in the original, it has no rate term.
SMALL = Config(
    levels=1,
    default_level=1,
    realism=False,
    centers=5,
    latent_bound=2.5,
    encoder_widths=(48, 96, 96),
    encoder_blocks=2,
    generator_widths=(96, 64, 32),
    generator_blocks=4,
    finish_width=0,
    latent_channels=8,
    rate_coeff=0.0,
    rate_target=0.0,
    perceptual_coeff=0.0,
    perceptual_kind="block2_pool",
    adversarial_from=10**9,
    crop_size=128,
    batch_size=8,
    learning_rate=1e-3,
    warmup_steps=50,
    ema_decay=0.99,
    save_every=10**9,
)
QUANTIZATIONS = ((4, 5), (8, 3), (8, 5), (8, 9), (16, 5))  # C, L
PERCEPTUAL_COEFF = 0.5  # large enough for the term to outweigh the distortion
_TIMED_STEPS = 5
_ANY_SIDE = 2**20  # pixels; `coders` measures whole photos


@dataclass(frozen=True)
class Variant:
    """One row of an experiment."""

    name: str
    config: Config
    train_paths: list[str]


def dataset_size(train_paths: list[str]) -> list[Variant]:
    """The same training on a third of the photos and on all of them."""
    third = sorted(random.Random(0).sample(train_paths, max(1, len(train_paths) // 3)))
    return [Variant(f"{len(paths):,} photos", SMALL, paths) for paths in (third, train_paths)]


def quantization(train_paths: list[str]) -> list[Variant]:
    """The same training with several numbers of channels and centers."""
    return [
        # The bound gives each center an equal share of the latents' range.
        Variant(
            f"C = {channels}, L = {centers}",
            SMALL.replace(latent_channels=channels, centers=centers, latent_bound=centers / 2),
            train_paths,
        )
        for channels, centers in QUANTIZATIONS
    ]


def perceptual(train_paths: list[str]) -> list[Variant]:
    """The same training without and with the VGG19 term."""
    return [
        Variant("without VGG19", SMALL, train_paths),
        Variant("with VGG19", SMALL.replace(perceptual_coeff=PERCEPTUAL_COEFF), train_paths),
    ]


TRAINED = {"dataset-size": dataset_size, "quantization": quantization, "perceptual": perceptual}


def find_photos(folders: list[Path], validation: Path | None, *, train: bool) -> tuple[list[str], list[np.ndarray]]:
    """Returns the paths of photos to train on, and the photos to measure on, (H, W, 3) uint8 each.

    Args:
        folders: folders of photos.
        validation: a folder of photos to measure on; by default, a share of the others.
        train: False to measure on all photos.

    Raises:
        CompressGANError: no photos are left for one of the two.
    """
    train_paths, _ = find_images(folders)
    if validation:
        test_paths, _ = find_images([validation])
        train_paths = sorted(set(train_paths) - set(test_paths))
    elif train:
        train_paths, test_paths = split(train_paths, SMALL)
    else:
        test_paths = train_paths
    side = SMALL.validation_max_side if train else _ANY_SIDE
    config = SMALL.replace(validation_images=len(test_paths), validation_max_side=side)
    photos = validation_photos([str(path) for path in test_paths], config)
    if not photos:
        raise CompressGANError("no photos are left for measuring; give more photos, or a folder with --validation")
    if train and not train_paths:
        raise CompressGANError("no photos are left for training: all of them are in --validation")
    return [str(path) for path in train_paths], photos


def trained(
    variants: list[Variant],
    photos: list[np.ndarray],
    folder: Path,
    settings: dict,
    *,
    steps: int | None,
    minutes: float,
    vgg19_weights: str | None,
) -> Iterator[dict]:
    """Trains and measures each variant, and yields its figures. Adds the settings used to `settings`.

    Args:
        variants: the rows.
        photos: photos to measure on, (H, W, 3) uint8 each.
        folder: folder for the rows' checkpoints.
        settings: receives title, steps and settings of the rows.
        steps: steps per variant; None for as many as fit into `minutes`.
        minutes: total for all variants.
        vgg19_weights: "imagenet" or a file, if a variant needs VGG19.
    """
    vgg19 = PerceptualLoss(vgg19_weights) if vgg19_weights else None
    if steps is None:
        steps = max(1, round(60 * minutes / sum(seconds_per_step(variant, vgg19) for variant in variants)))
    settings["title"] = f"{steps:,} steps of {SMALL.batch_size} crops of {SMALL.crop_size} x {SMALL.crop_size}"
    settings["steps"], settings["rows"] = steps, []
    for number, variant in enumerate(variants, start=1):
        print(
            f"{variant.name}: row {number} of {len(variants)}, {steps:,} steps on {len(variant.train_paths):,} photos"
        )
        config = variant.config.replace(steps=steps)
        if config.perceptual_coeff:
            config = config.replace(vgg19_weights=Path(vgg19_weights).name)
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


def seconds_per_step(variant: Variant, vgg19: PerceptualLoss | None) -> float:
    """Returns how long a training step takes on this machine."""
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
    variant: Variant, config: Config, photos: list[np.ndarray], folder: Path, vgg19: PerceptualLoss | None
) -> dict[str, float]:
    """Trains a model from scratch, and returns its mean figures on the validation photos."""
    shutil.rmtree(folder, ignore_errors=True)
    trainer = Trainer(config, folder, folder / "tensorboard", vgg19 if config.perceptual_coeff else None)
    try:
        trainer.fit(variant.train_paths, [])
    except TrainingEnded:
        raise KeyboardInterrupt from None
    codec = Codec(TensorFlowNetworks(trainer.ema), effort=0)  # refinement would hide differences between the networks
    rows, similarities, distances = [], [], []
    for photo in photos:
        data = codec.compress(photo)
        reconstruction = codec.decompress(data)
        rows.append(compare(codec, photo, data, reconstruction))
        similarities.append(ssim(photo, reconstruction))
        if vgg19:
            distances.append(vgg19.distance(photo, reconstruction))
    means = Means(rows)
    figures = {name: means.of(name) for name in ("bpp", "bound_bpp", "psnr", "ms_ssim")}
    known = [similarity for similarity in similarities if not math.isnan(similarity)]
    figures["ssim"] = float(np.mean(known)) if known else math.nan
    return {**figures, "vgg19_distance": float(np.mean(distances))} if vgg19 else figures


def coders(checkpoint: Path, photos: list[np.ndarray], settings: dict) -> Iterator[dict]:
    """Yields the mean file size of the same latents for each entropy coder. Adds a title to `settings`."""
    codec = Codec.load(checkpoint)
    settings["title"] = f"model of {checkpoint.resolve().name}"
    coded = [(codec.symbols(photo), *photo.shape[:2]) for photo in photos]
    for coder in reversed(CODERS):
        sizes = [len(codec.to_bytes(symbols, height, width, coder=coder)) for symbols, height, width in coded]
        rates = [bits_per_pixel(size, *own) for size, (_, *own) in zip(sizes, coded, strict=True)]
        yield {"row": coder, "bytes": float(np.mean(sizes)), "bpp": float(np.mean(rates))}
