"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from compressgan.coding.arithmetic_coder import CODERS
from compressgan.config import MAX_EFFORT
from compressgan.errors import CompressGANError

if TYPE_CHECKING:
    from compressgan.codec import Codec

PICTURE_SUFFIXES = {"png": "png", "webp": "webp", "jpeg": "jpg"}


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Makes a parser whose help keeps the line breaks of the description."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_model_options(parser: argparse.ArgumentParser, checkpoint: Path, effort: int) -> None:
    """Adds -r and --effort.

    Args:
        checkpoint, effort: their defaults.
    """
    parser.add_argument(
        "-r", metavar="DIR", type=Path, default=checkpoint, help="checkpoint folder; default: the shipped model"
    )
    parser.add_argument(
        "--effort",
        metavar="N",
        type=int,
        choices=range(MAX_EFFORT + 1),
        default=effort,
        help="refinement steps per photo, 0 (fastest) to 20; default: %(default)s",
    )


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Adds -o, --format, --memory, --no-overwrite and --verbose, which compressing and reconstructing share."""
    parser.add_argument("-o", metavar="DIR", type=Path, required=True, help="output folder; created if missing")
    parser.add_argument(
        "--format", choices=PICTURE_SUFFIXES, default="png", help="format of reconstructions; webp and jpeg: quality 95"
    )
    parser.add_argument(
        "--memory", metavar="GIB", type=_gibibytes, default="1", help="memory for the networks; default: 1 GiB"
    )
    parser.add_argument("--no-overwrite", action="store_true", help="keep existing outputs, and make only missing ones")
    parser.add_argument("--verbose", action="store_true", help="print how long each part took")


def add_compression_options(parser: argparse.ArgumentParser) -> None:
    """Adds --report and --coder."""
    parser.add_argument(
        "--report", action="store_true", help="also write report.html, with SSIMULACRA2 for photos up to 2 megapixels"
    )
    parser.add_argument("--coder", choices=CODERS, default="context", help="entropy coder; default: %(default)s")


def load_codec(arguments: argparse.Namespace) -> Codec:
    """Loads the model that the options name."""
    from compressgan.codec import Codec

    return Codec.load(arguments.r, arguments.memory, arguments.effort)


def require_extra(name: str, *modules: str) -> None:
    """Checks that the packages of an extra are installed.

    Raises:
        CompressGANError: one of the modules cannot be found.
    """
    from importlib.util import find_spec

    specs = {module: find_spec(module) for module in modules}
    # A folder of that name, such as the project's tensorboard/, has no origin.
    missing = [module for module, spec in specs.items() if spec is None or spec.origin is None]
    if missing:
        raise CompressGANError(f"this command needs {', '.join(missing)}: pip install 'compressgan[{name}]'")


def _gibibytes(text: str) -> int:
    """Returns GiB as bytes."""
    try:
        gibibytes = float(text)
    except ValueError:
        gibibytes = 0.0
    if not 0 < gibibytes < 2**20:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of GiB")
    return int(gibibytes * 2**30)
