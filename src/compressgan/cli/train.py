"""Trains a model in a checkpoint folder. Repeating the call resumes where the last one stopped.

python src/train.py -r checkpoints/mine -path photos                   # index the photos, train
python src/train.py -r checkpoints/mine                                # resume
python src/train.py -rl                                                # resume the newest run
python src/train.py -r checkpoints/try -path data --preset tiny        # a trial run of about a minute
python src/train.py -r checkpoints/mine -path photos --perceptual off --set batch_size=8 crop_size=256
python src/train.py -r checkpoints/finer --init-from checkpoints/mine      # a new run from trained weights
tensorboard --logdir tensorboard                                       # watch it
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from compressgan.checkpoint import read_config
from compressgan.cli.options import make_parser, require_extra
from compressgan.cli.originals import is_made
from compressgan.cli.project import Project
from compressgan.config import FIXED, Config, Precision
from compressgan.errors import CompressGANError, UsageError, logger
from compressgan.images.reading import has_heic, is_photo
from compressgan.networks.loading import import_tensorflow
from compressgan.training.guards import LOG_FOLDER, assert_no_pattern

if TYPE_CHECKING:
    from compressgan.training.perceptual import PerceptualLoss

STRATEGIES = ("auto", "one", "mirrored", "multiworker")


def parse_arguments(project: Project) -> argparse.Namespace:
    parser = make_parser(__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-r", metavar="DIR", type=Path, help="checkpoint folder of a new run, or of one to resume")
    where.add_argument("-rl", action="store_true", help="resume the newest run under checkpoints/")
    parser.add_argument(
        "-path",
        "--path",
        metavar="DIR",
        type=Path,
        nargs="+",
        help="folders of photos; default: the run's own photos, or those indexed last",
    )
    parser.add_argument(
        "--hold-out",
        metavar="CSV",
        type=Path,
        nargs="+",
        default=[],
        help="lists of photos never to train on, such as data/held_out.csv data/samples.csv; needs -path",
    )
    parser.add_argument("-name", help="name of the run in TensorBoard; default: the checkpoint folder's name")
    parser.add_argument(
        "--index", metavar="DIR", type=Path, default=project.indexes, help="folder of path indexes; default: data/"
    )
    parser.add_argument(
        "--logdir",
        metavar="DIR",
        type=Path,
        default=project.tensorboard,
        help="folder of TensorBoard's event files; default: tensorboard/",
    )
    parser.add_argument(
        "--preset", choices=project.presets, help="settings that a new run starts from; default: compact"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="number of optimizer steps, like --set steps=N")
    length.add_argument("--epochs", type=int, metavar="N", help="number of passes over the training photos")
    parser.add_argument("--init-from", metavar="DIR", type=Path, help="checkpoint whose weights a new run starts from")
    parser.add_argument(
        "--precision", choices=get_args(Precision), help="precision of the layers; default: float32, or the run's own"
    )
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="auto",
        help="one: one device; mirrored: all GPUs; multiworker: the machines in TF_CONFIG; auto (default): whichever "
        "fits",
    )
    parser.add_argument(
        "--perceptual",
        metavar="imagenet|off|FILE",
        help="imagenet: Keras downloads VGG19's weights (default); off: no perceptual loss; FILE: VGG19's weights as "
        "Keras .h5",
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="change any setting, e.g. batch_size=8",
    )
    return parser.parse_args()


def main(project: Project) -> int:
    arguments = parse_arguments(project)
    directory = newest_run(project.checkpoints) if arguments.rl else arguments.r
    assert_no_pattern(directory)
    # What is wrong with the options is found before TensorFlow takes seconds to start.
    config = configure(arguments, directory, project.presets)
    if arguments.epochs is not None and arguments.epochs < 1:
        raise UsageError(f"--epochs must be at least 1, not {arguments.epochs}")
    if arguments.hold_out and not arguments.path:
        raise UsageError("--hold-out leaves out photos of -path, so it needs -path")
    require_extra("train", "tensorflow", "keras", "portalocker", "tensorboard")
    import_tensorflow()
    from compressgan.training.strategies import make_strategy
    from compressgan.training.trainer import Trainer, TrainingEnded

    strategy = make_strategy(arguments.strategy)
    train_paths, test_paths = index_images(arguments, config, directory)
    if arguments.epochs is not None:
        config = config.replace(steps=max(1, arguments.epochs * len(train_paths) // config.batch_size))
    with strategy.scope():
        perceptual = load_perceptual(arguments, config)
    log = log_folder(directory, arguments.logdir, arguments.name)
    trainer = Trainer(config, directory, log, perceptual, strategy, arguments.init_from)
    start = int(trainer.step.numpy())
    if start > config.steps:
        raise UsageError(f"{directory}: {start} steps are already done, more than {config.steps}")
    if start == config.steps:
        if config == read_config(directory)[0]:  # otherwise the effect of changed settings would be lost
            trainer.save_for_inference()
            trainer.export()
        print(f"{directory}: all {config.steps} steps are done; to train longer, give a larger --steps")
        return 0
    if start:
        warn_of_rising_learning_rate(config, read_config(directory)[0], start)
    resumed = f"resuming at step {start}" if start else "starting"
    validated = min(len(test_paths), config.validation_images)
    print(f"{directory}: {resumed} of {config.steps}, {len(train_paths)} photos, {validated} for validation")
    try:
        trainer.fit(train_paths, test_paths)
    except TrainingEnded:
        again = "" if arguments.perceptual in (None, "off", "imagenet") else f" --perceptual {arguments.perceptual}"
        done = f"stopped {'and saved ' if trainer.is_chief else ''}at step {int(trainer.step.numpy())}"
        print(f"{done}; resume with: python src/train.py -r {directory}{again}")
        return 130
    trainer.export()
    print(f"done: {directory}; use it with: python src/inference.py -r {directory} -path PHOTO -o output")
    return 0


def log_folder(directory: Path, logs: Path, name: str | None) -> Path:
    """Returns the folder of a run's event files: its own, if it is resumed, or one in which there are none yet.

    Args:
        directory: the run's checkpoint folder.
        logs: folder of all runs' event files.
        name: the run's name in TensorBoard; by default, the checkpoint folder's.
    """
    note = directory / "training" / LOG_FOLDER
    if (directory / "training" / "checkpoint").is_file():
        if name or not note.is_file():
            return logs / (name or directory.resolve().name)
        kept = Path(note.read_text(encoding="utf-8"))
        return kept if logs.resolve() in kept.parents else logs / kept.name
    first = name or directory.resolve().name
    name = next(n for n in chain([first], (f"{first}-{i}" for i in count(2))) if not any((logs / n).glob("**/events*")))
    if name != first:
        print(f"{logs / first}: holds the curves of another run, so this one's go to {logs / name}")
    return logs / name


def warn_of_rising_learning_rate(config: Config, before: Config, start: int) -> None:
    """Warns if more steps make a learning rate that had already fallen rise again."""
    from compressgan.training.schedules import learning_rate

    old, new = (learning_rate(settings, start) for settings in (before, config))
    if new > 1.01 * old:
        logger.warning(f"the learning rate, {old:.2g} at step {start}, rises again to {new:.2g} with these settings")


def newest_run(checkpoints: Path) -> Path:
    """Returns the run under `checkpoints` whose training state was saved last.

    Raises:
        CompressGANError: there is no such run.
    """
    states = sorted(checkpoints.glob("*/training/checkpoint"), key=lambda path: path.stat().st_mtime)
    if not states:
        raise CompressGANError(f"{checkpoints}: no run to resume; start one with -r DIR")
    return states[-1].parent.parent


def configure(arguments: argparse.Namespace, directory: Path, presets: Mapping[str, Config]) -> Config:
    """Returns the settings: those of the run to resume, or of the preset, changed by the command line.

    Raises:
        UsageError: a setting is unknown or impossible, or cannot change any more.
    """
    if (directory / "training" / "checkpoint").is_file():
        if arguments.init_from:
            logger.warning(f"{directory}: resuming from its own training state; --init-from is ignored")
        before = read_config(directory)[0]
        if arguments.preset and before.other_architecture(presets[arguments.preset]):
            raise UsageError(
                f"{directory}: its model's settings differ from the preset {arguments.preset}; omit --preset"
            )
        config = _changed(before, arguments)
        _check_resumable(config, before, arguments, directory)
        return config
    if (directory / "config.json").exists() and not (directory / "training").exists():
        raise UsageError(
            f"{directory}: training would overwrite this model, which has no training state; "
            f"start another run with -r DIR --init-from {directory}"
        )
    return _changed(presets[arguments.preset or "compact"], arguments)


def _changed(config: Config, arguments: argparse.Namespace) -> Config:
    """Returns the settings as the command line changes them."""
    changes: dict[str, object] = {}
    if arguments.steps is not None:
        changes["steps"] = arguments.steps
    if arguments.precision:
        changes["precision"] = arguments.precision
    if arguments.perceptual == "off":
        changes["perceptual_coeff"] = 0.0
    elif arguments.perceptual:
        changes["vgg19_weights"] = Path(arguments.perceptual).name
    try:
        config = config.override(arguments.set).replace(**changes)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if arguments.perceptual not in (None, "off") and not config.perceptual_coeff:
        logger.warning("perceptual_coeff is 0, so --perceptual has no effect; use --set perceptual_coeff=0.2")
    return config


def _check_resumable(config: Config, before: Config, arguments: argparse.Namespace, directory: Path) -> None:
    """Refuses changes that the training state does not allow."""
    fixed = [name for name in FIXED if getattr(config, name) != getattr(before, name)]
    if "mixed_float16" in (config.precision, before.precision) and config.precision != before.precision:
        fixed.append("precision")  # the loss scale of mixed_float16 is part of the state
    if fixed:
        raise UsageError(f"{directory}: holds a trained model, so {', '.join(fixed)} cannot change")
    if config.perceptual_coeff and config.vgg19_weights != "imagenet" and not arguments.perceptual:
        raise UsageError(f"{directory}: was trained with {config.vgg19_weights}; pass that file with --perceptual FILE")


def load_perceptual(arguments: argparse.Namespace, config: Config) -> PerceptualLoss | None:
    """Returns the VGG19 term, or None if the settings do not need it."""
    from compressgan.training.perceptual import PerceptualLoss

    if not config.perceptual_coeff:
        return None
    return PerceptualLoss(arguments.perceptual or config.vgg19_weights, config.precision, config.perceptual_kind)


def index_images(arguments: argparse.Namespace, config: Config, directory: Path) -> tuple[list[str], list[str]]:
    """Returns the training and test paths, either by indexing the given folders or from an existing index.

    Without folders, a resumed run uses the index that it was last trained with.
    """
    from compressgan.training.data import (
        TEST_INDEX,
        TRAIN_INDEX,
        find_images,
        read_index,
        split,
        without_held_out,
        write_index,
    )

    own, folder = directory / "training", arguments.index
    if not arguments.path and (own / TRAIN_INDEX).is_file() and (own / TEST_INDEX).is_file():
        folder = own
    train_index, test_index = folder / TRAIN_INDEX, folder / TEST_INDEX
    if arguments.path:
        images, others = find_images(arguments.path)
        name_skipped([path for path in others if path not in (train_index.resolve(), test_index.resolve())])
        images = [path for path in images if not is_made(path)]
        for table in arguments.hold_out:
            found = len(images)
            images = without_held_out(images, table)
            print(f"{found - len(images)} photos of {table} are held out")
        if not images:  # the index stays as it is
            raise CompressGANError(f"{', '.join(map(str, arguments.path))}: no photos are left to train on")
        parts = split(images, config)
        for index, part in zip((train_index, test_index), parts, strict=True):
            write_index(index, part)
        # Not read back: another run may write its own index there meanwhile.
        train_paths, test_paths = ([str(path) for path in part] for part in parts)
    else:
        train_paths, test_paths = read_index(train_index), read_index(test_index)
    if not train_paths:
        raise CompressGANError(f"{train_index}: lists no images; rebuild it with -path FOLDER")
    return train_paths, test_paths


def name_skipped(files: list[Path]) -> None:
    """Warns about files that are not trained on: first those that are photos according to their names."""
    photos = [path for path in files if is_photo(path)]
    if photos:
        hint = "" if has_heic() else "; for HEIC: pip install pillow-heif"
        logger.warning(f"{_some(photos)}: cannot be read and are skipped{hint}")
    known = set(photos)
    rest = [path for path in files if path not in known]
    if rest:
        logger.warning(f"skipped, because they are not images: {_some(rest)}")


def _some(paths: list[Path]) -> str:
    return ", ".join(map(str, paths[:5])) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
