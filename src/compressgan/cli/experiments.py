"""Repeats the original project's experiments, scaled to a small machine.

python src/experiments.py dataset-size -path photos --minutes 20   # a third of the photos against all of them
python src/experiments.py quantization -path photos --minutes 40   # channels C x centers L of the latents
python src/experiments.py perceptual -path photos --perceptual imagenet   # with and without the VGG19 term
python src/experiments.py coders -path photos                      # the entropy coders, on one model's latents

Each writes results.csv, plot.png and settings.json under output/experiments/NAME. All except `coders` train a small
model for each row, all with the same number of steps: --steps, or as many as take --minutes in total. The rows can be
compared with each other, but not with a fully trained model. They are measured on the folder --validation or, without
it, on a twentieth of the photos, which is held out; `coders` then uses all photos.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from compressgan.cli.options import make_parser, require_extra
from compressgan.cli.project import Project
from compressgan.errors import UsageError
from compressgan.images.files import make_folder, write_csv, write_json
from compressgan.networks.loading import import_tensorflow

EXPERIMENTS = ("dataset-size", "quantization", "perceptual", "coders")


def main(project: Project) -> int:
    parser = make_parser(__doc__)
    parser.add_argument("name", choices=EXPERIMENTS, help="name of the experiment")
    parser.add_argument("-path", "--path", metavar="DIR", type=Path, nargs="+", required=True, help="folders of photos")
    parser.add_argument(
        "--validation",
        metavar="DIR",
        type=Path,
        help="photos to measure on, never to train on; default: a twentieth of -path, or all of it for coders",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=20.0, help="total for all rows; default: %(default)g")
    length.add_argument("--steps", type=int, help="training steps per row, instead of --minutes")
    parser.add_argument("--perceptual", metavar="imagenet|FILE", help="VGG19 weights, for `perceptual`")
    parser.add_argument(
        "-r", metavar="DIR", type=Path, default=project.default_checkpoint, help="checkpoint, for `coders`"
    )
    parser.add_argument(
        *("-o", "--output"),
        dest="o",
        metavar="DIR",
        type=Path,
        default=project.experiments,
        help="output folder; default: output/experiments",
    )
    return experiment(parser.parse_args())


def experiment(arguments: argparse.Namespace) -> int:
    """Runs an experiment, writes its results after each row, and returns the exit code."""
    require_extra("evaluate", "matplotlib")
    require_extra("train", "tensorflow", "keras", "portalocker", "tensorboard")
    if arguments.name == "perceptual" and not arguments.perceptual:
        raise UsageError("perceptual needs the VGG19 weights: --perceptual imagenet, or a Keras .h5 file")
    if not 0 < arguments.minutes < math.inf or (arguments.steps is not None and arguments.steps < 1):
        raise UsageError("--minutes and --steps must be above 0")
    import_tensorflow()
    import compressgan
    from compressgan.evaluation.metrics import known
    from compressgan.evaluation.plots import write_bars
    from compressgan.evaluation.tables import print_table
    from compressgan.training import experiments

    folder = arguments.o / arguments.name
    if (folder / "results.csv").exists():
        raise UsageError(f"{folder}: holds the results of an earlier call; move them, or choose another -o")
    make_folder(folder)
    for_coders = arguments.name == "coders"
    train_paths, photos = experiments.find_photos(arguments.path, arguments.validation, train=not for_coders)
    settings: dict = {"version": compressgan.__version__, "validation_photos": len(photos)}
    if for_coders:
        measured = experiments.coders(arguments.r, photos, settings)
    else:
        measured = experiments.trained(
            experiments.TRAINED[arguments.name](train_paths),
            photos,
            folder,
            settings,
            steps=arguments.steps,
            minutes=arguments.minutes,
            vgg19_weights=arguments.perceptual if arguments.name == "perceptual" else None,
        )
    rows = []
    for row in measured:
        rows.append({name: known(value) for name, value in row.items()})
        write_csv(folder / "results.csv", rows)
        write_json(folder / "settings.json", settings)
    title = f"{arguments.name}: {settings['title']}, {len(photos)} validation photos"
    write_bars(folder / "plot.png", rows, title)
    print(f"\n{title}\n")
    print_table(rows)
    return 0
