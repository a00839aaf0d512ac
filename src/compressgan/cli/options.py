"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from compressgan.coding.arithmetic_coder import CODERS
from compressgan.config import DEFAULT_EFFORT, DEFAULT_MEMORY, MAX_EFFORT
from compressgan.errors import CompressGANError, UsageError, logger

if TYPE_CHECKING:
    from compressgan.codec import Codec

_LEAST, _MOST = sys.float_info.min, sys.float_info.max
THIS_MACHINE = "local"  # instead of the address of a Ray cluster
PICTURE_FORMAT = "png"  # the default
PICTURE_SUFFIXES = {"png": "png", "webp": "webp", "jpeg": "jpg"}


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Makes a parser whose help keeps the line breaks of the description."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_checkpoint_option(parser: argparse.ArgumentParser, default: Path) -> None:
    """Adds -r."""
    parser.add_argument(
        "-r", metavar="DIR", type=Path, default=default, help="checkpoint folder; default: the shipped model"
    )


def add_effort_option(parser: argparse.ArgumentParser, default: int) -> argparse.Action:
    """Adds --effort, and returns it."""
    return parser.add_argument(
        "--effort",
        metavar="N",
        type=int,
        choices=range(MAX_EFFORT + 1),
        default=default,
        help=f"refinement steps per photo, 0 (fastest) to {MAX_EFFORT}; default: %(default)s",
    )


def add_output_option(parser: argparse.ArgumentParser, kind: Callable[[str], Path | str] = Path) -> None:
    """Adds -o."""
    parser.add_argument(
        "-o", "--output", dest="o", metavar="DIR", type=kind, required=True, help="output folder; created if missing"
    )


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Adds -o, --realism, --format, --memory, --threads, --no-overwrite, --verbose."""
    add_output_option(parser, location)
    parser.add_argument(
        "--realism",
        metavar="R",
        type=number(float, 0, 1, "number from 0 to 1"),
        help="0: closest to the photo, 1: most like a photograph; default: the model's",
    )
    parser.add_argument(
        "--format",
        choices=PICTURE_SUFFIXES,
        default=PICTURE_FORMAT,
        help="format of reconstructions; webp and jpeg: quality 95; default: %(default)s",
    )
    add_memory_options(parser)
    parser.add_argument("--no-overwrite", action="store_true", help="keep existing outputs, and make only missing ones")
    parser.add_argument("--verbose", action="store_true", help="print how long each step took")


def location(text: str) -> Path | str:
    """Converts an option to a path, or leaves it as it is if it is a URL."""
    return text if "://" in text else Path(text)


def add_memory_options(parser: argparse.ArgumentParser) -> None:
    """Adds --memory and --threads."""
    parser.add_argument(
        "--memory",
        metavar="GIB",
        type=_gibibytes,
        default=DEFAULT_MEMORY,
        help=f"memory for the networks; default: {DEFAULT_MEMORY / 2**30:g} GiB",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=number(int, 1, 1024, "whole number from 1 to 1024"),
        help="threads for the networks, unless TensorFlow runs them; default: one for each CPU",
    )


def add_compression_options(parser: argparse.ArgumentParser, effort: int) -> list[argparse.Action]:
    """Adds the options that say how to compress, and returns them.

    Args:
        effort: the default of --effort.
    """
    rate = parser.add_mutually_exclusive_group()
    level = rate.add_argument(
        "-q",
        metavar="LEVEL",
        type=int,
        help="level, from 1, the smallest files, to the model's highest, usually 8; default: the model's, usually 5",
    )
    bpp = rate.add_argument(
        "--bpp",
        metavar="X",
        type=number(float, _LEAST, _MOST, "positive number"),
        help="maximum size of each .bin file in bits per pixel",
    )
    size = rate.add_argument(
        "--size",
        metavar="BYTES",
        type=number(int, 1, _MOST, "positive whole number"),
        help="maximum size of each .bin file in bytes; a warning names photos that exceed it or use less than 95%% "
        "of it",
    )
    mask = parser.add_argument(
        "--mask",
        metavar="FILE|DIR",
        type=Path,
        help="a picture that is white where quality matters and black where it does not, or a folder of such pictures "
        "with the photos' names",
    )
    ray = parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        nargs="?",
        const=THIS_MACHINE,
        help="compress on all CPUs of this machine or, with an address, of a Ray cluster that shares the folders; "
        "photos and outputs can then also be URLs, such as s3://bucket/photos",
    )
    bin_only = parser.add_argument("--bin-only", action="store_true", help="write the .bin files and nothing else")
    report = parser.add_argument(
        "--report",
        action="store_true",
        help="also write report.html for this call's photos; if '.[evaluate]' is installed, it includes "
        "SSIMULACRA2 for photos of up to 2 megapixels",
    )
    coder = parser.add_argument(
        "--coder", choices=CODERS, default="context", help="entropy coder; default: %(default)s"
    )
    return [level, bpp, size, mask, ray, bin_only, report, coder, add_effort_option(parser, effort)]


def load_codec(arguments: argparse.Namespace) -> Codec:
    """Loads the model that the options name."""
    from compressgan.codec import Codec

    effort = getattr(arguments, "effort", DEFAULT_EFFORT)  # which decompressing does not need
    codec = Codec.load(arguments.r, arguments.memory, effort, arguments.threads)
    level = getattr(arguments, "q", None)
    if level is not None and not 1 <= level <= codec.levels:
        raise UsageError(f"-q must be in 1 .. {codec.levels} for this model, not {level}")
    if getattr(arguments, "realism", None) is not None and not codec.realism:
        logger.warning(f"{arguments.r}: this model's realism cannot be chosen; --realism is ignored")
    return codec


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
        raise CompressGANError(
            f"this command needs {', '.join(missing)}: pip install '.[{name}]' in the project's folder"
        )


def number(kind: Callable[[str], float], least: float, most: float, name: str) -> Callable[[str], float]:
    """Returns a converter of text to a number of this kind from `least` to `most`; `name` says what it should be."""

    def convert(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text} is not a {name}")
        return number

    return convert


def _gibibytes(text: str) -> int:
    """Returns GiB as bytes."""
    return int(number(float, _LEAST, math.nextafter(2**20, 0), "positive number of GiB")(text) * 2**30)
