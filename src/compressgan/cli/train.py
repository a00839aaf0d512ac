"""Trains a model in a checkpoint folder; the same call again goes on where the last one stopped.

python src/train.py -r checkpoints/mine -path photos                   # index the photos, train
python src/train.py -r checkpoints/mine                                # go on
python src/train.py -rl                                                # go on with the newest run
python src/train.py -r checkpoints/try -path data --preset tiny        # a minute's try
python src/train.py -r checkpoints/mine -path photos --perceptual off --set batch_size=8 crop_size=256
python src/train.py -r checkpoints/finer --init-from checkpoints/mine      # a new run from trained weights
tensorboard --logdir tensorboard                                       # watch it
"""

from __future__ import annotations

import argparse
from pathlib import Path

from settings import (
    ARCHITECTURE,
    CHECKPOINTS_DIR,
    DATA_DIR,
    PRECISIONS,
    PRESETS,
    TENSORBOARD_DIR,
    Config,
    load_tensorflow,
)

from errors import CompressGANError, UsageError, run, warn


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-r", metavar="DIR", type=Path, help="checkpoint folder to train in, or to go on with")
    where.add_argument("-rl", action="store_true", help="go on with the newest run under checkpoints/")
    parser.add_argument(
        "-path",
        metavar="DIR",
        type=Path,
        nargs="+",
        help="folders of photos; default: the run's own, or those indexed last",
    )
    parser.add_argument("-name", help="label of the run in TensorBoard; default: the checkpoint folder's name")
    parser.add_argument("--index", metavar="DIR", type=Path, default=DATA_DIR, help="path indexes; default: data/")
    parser.add_argument("--logdir", metavar="DIR", type=Path, default=TENSORBOARD_DIR, help="default: tensorboard/")
    parser.add_argument("--preset", choices=PRESETS, help="settings to start from; default: compact")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="optimizer steps in all; short for --set steps=N")
    length.add_argument("--epochs", type=int, metavar="N", help="the same, counted in passes over the training photos")
    parser.add_argument("--init-from", metavar="DIR", type=Path, help="checkpoint whose weights a new run starts from")
    parser.add_argument("--precision", choices=PRECISIONS, help="of the layers' arithmetic; default: float32")
    parser.add_argument(
        "--strategy",
        choices=("auto", "one", "mirrored", "multiworker"),
        default="auto",
        help="devices and machines to train on",
    )
    parser.add_argument(
        "--perceptual",
        metavar="imagenet|off|FILE",
        help="VGG19 weights: downloaded by Keras (default), no perceptual loss, or a Keras .h5 file",
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="change any setting of config.py, e.g. batch_size=8",
    )
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    # TensorFlow takes seconds to load: not for --help.
    load_tensorflow()
    return train(arguments)


def train(arguments: argparse.Namespace) -> int:
    """Trains as the command line says, and returns the exit code."""
    from model import read_config
    from perceptual import PerceptualLoss
    from strategies import make_strategy
    from trainer import Trainer, TrainingEnded

    directory = newest_run() if arguments.rl else arguments.r
    strategy = make_strategy(arguments.strategy)
    config = configure(arguments, directory)
    train_paths, test_paths = index_images(arguments, config, directory)
    if arguments.epochs is not None:
        if arguments.epochs < 1:
            raise UsageError(f"--epochs must be at least 1, not {arguments.epochs}")
        config = config.replace(steps=max(1, arguments.epochs * len(train_paths) // config.batch_size))
    perceptual = None
    if config.perceptual_coeff:
        with strategy.scope():
            perceptual = PerceptualLoss(arguments.perceptual or config.vgg19_weights, config.precision)
    name = arguments.name or directory.resolve().name
    trainer = Trainer(config, directory, arguments.logdir / name, perceptual, strategy, arguments.init_from)
    start = int(trainer.step.numpy())
    if start > config.steps:
        raise UsageError(f"{directory}: {start} steps are done already, more than {config.steps}")
    if start == config.steps:
        if config == read_config(directory)[0]:  # else what a change of settings brings about would be lost
            trainer.save_for_inference()
        print(f"{directory}: all {config.steps} steps are done; train on with --steps N, more than these")
        return 0
    resumed = f"goes on at step {start}" if start else "starts"
    validated = min(len(test_paths), config.validation_images)
    print(f"{directory}: {resumed} of {config.steps}, {len(train_paths)} photos, validated on {validated}")
    try:
        trainer.fit(train_paths, test_paths)
    except TrainingEnded:
        print(f"stopped and saved at step {int(trainer.step.numpy())}; go on with: python src/train.py -r {directory}")
        return 130
    print(f"done: {directory}; use it with: python src/inference.py -r {directory} -path PHOTO -o output")
    return 0


def newest_run() -> Path:
    """Returns the run under checkpoints/ whose training state was saved last."""
    states = sorted(CHECKPOINTS_DIR.glob("*/training/checkpoint"), key=lambda path: path.stat().st_mtime)
    if not states:
        raise CompressGANError(f"{CHECKPOINTS_DIR}: no run to go on with; start one with -r DIR")
    return states[-1].parent.parent


def configure(arguments: argparse.Namespace, directory: Path) -> Config:
    """Returns the settings: of the checkpoint if there is a training state, else of the preset; then the overrides.

    Raises:
        UsageError: an unknown or impossible setting, or one that cannot change any more.
    """
    resuming = (directory / "training" / "checkpoint").is_file()
    if resuming:
        from model import read_config

        if arguments.init_from:
            warn(f"{directory}: goes on with its own training state; --init-from is left out")
        before, _ = read_config(directory)
        if arguments.preset and any(
            getattr(before, name) != getattr(PRESETS[arguments.preset], name) for name in ARCHITECTURE
        ):
            raise UsageError(
                f"{directory}: holds a model of other settings than preset {arguments.preset}; leave --preset out"
            )
    else:
        if (directory / "config.json").exists() and not (directory / "training").exists():
            raise UsageError(
                f"{directory}: holds a model without what training needs to go on, and would be written over; "
                f"start another -r with --init-from {directory}"
            )
        before = PRESETS[arguments.preset or "compact"]
    try:
        config = before.override(arguments.set)
        if arguments.steps is not None:
            config = config.replace(steps=arguments.steps)
        if arguments.precision:
            config = config.replace(precision=arguments.precision)
        if arguments.perceptual == "off":
            config = config.replace(perceptual_coeff=0.0)
        elif arguments.perceptual:
            config = config.replace(vgg19_weights=Path(arguments.perceptual).name)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if arguments.perceptual not in (None, "off") and not config.perceptual_coeff:
        warn("perceptual_coeff is 0, so --perceptual changes nothing; set it with --set perceptual_coeff=0.2")
    if resuming:
        # The optimizers' states look alike, but do not mean the same.
        fixed = [name for name in (*ARCHITECTURE, "optimizer") if getattr(config, name) != getattr(before, name)]
        if "mixed_float16" in (config.precision, before.precision) and config.precision != before.precision:
            fixed.append("precision")  # its loss scaling is part of the state
        if fixed:
            raise UsageError(f"{directory}: holds a trained model, so {', '.join(fixed)} cannot change")
        if config.perceptual_coeff and config.vgg19_weights != "imagenet" and not arguments.perceptual:
            raise UsageError(f"{directory}: trains with {config.vgg19_weights}; give it with --perceptual FILE")
    return config


def index_images(arguments: argparse.Namespace, config: Config, directory: Path) -> tuple[list[str], list[str]]:
    """Returns the training and test paths: of the folders given, which are indexed anew, or of an existing index.

    A run that goes on has the index that it was last trained with.
    """
    from data import TEST_INDEX, TRAIN_INDEX, existing, find_images, read_index, split, write_index

    own, folder = directory / "training", arguments.index
    if not arguments.path and (own / TRAIN_INDEX).is_file() and (own / TEST_INDEX).is_file():
        folder = own
    train_index, test_index = folder / TRAIN_INDEX, folder / TEST_INDEX
    if arguments.path:
        images, others = find_images(arguments.path)
        others = [path for path in others if path not in (train_index.resolve(), test_index.resolve())]
        if others:
            shown = ", ".join(map(str, others[:5])) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
            warn(f"left out, since not images: {shown}")
        for index, part in zip((train_index, test_index), split(images, config), strict=True):
            write_index(index, part)
    train_paths = existing(read_index(train_index), train_index)
    if not train_paths:
        raise CompressGANError(f"{train_index}: lists no images; build it anew with -path FOLDER")
    return train_paths, existing(read_index(test_index), test_index)


if __name__ == "__main__":
    run(main)
