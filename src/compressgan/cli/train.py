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

from compressgan.checkpoint import CONFIG_FILE, read_config
from compressgan.cli.indexing import index_images
from compressgan.cli.options import make_parser, require_extra
from compressgan.cli.project import Project
from compressgan.config import FIXED, Config, Precision
from compressgan.errors import CompressGANError, UsageError, logger
from compressgan.networks.loading import import_tensorflow
from compressgan.training.guards import LOG_FOLDER, STATE_FILE, assert_no_pattern, has_state, state_folder

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
    # What is wrong with the options or the photos is found before TensorFlow takes seconds to start.
    config = configure(arguments, directory, project.presets)
    if arguments.epochs is not None and arguments.epochs < 1:
        raise UsageError(f"--epochs must be at least 1, not {arguments.epochs}")
    if arguments.hold_out and not arguments.path:
        raise UsageError("--hold-out leaves out photos of -path, so it needs -path")
    require_extra("train", "tensorflow", "keras", "portalocker", "tensorboard")
    train_paths, test_paths = index_images(arguments, config, directory)
    import_tensorflow()
    from compressgan.training.strategies import make_strategy
    from compressgan.training.trainer import Trainer, TrainingEnded

    strategy = make_strategy(arguments.strategy)
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
    note = state_folder(directory) / LOG_FOLDER
    if has_state(directory):
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
    runs = [folder for folder in checkpoints.glob("*") if has_state(folder)]
    if not runs:
        raise CompressGANError(f"{checkpoints}: no run to resume; start one with -r DIR")
    return max(runs, key=lambda folder: (state_folder(folder) / STATE_FILE).stat().st_mtime)


def configure(arguments: argparse.Namespace, directory: Path, presets: Mapping[str, Config]) -> Config:
    """Returns the settings: those of the run to resume, or of the preset, changed by the command line.

    Raises:
        UsageError: a setting is unknown or impossible, or cannot change any more.
    """
    if has_state(directory):
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
    if (directory / CONFIG_FILE).exists() and not state_folder(directory).exists():
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
