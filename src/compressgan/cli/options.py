"""Command-line options that several scripts have."""

from __future__ import annotations

import argparse
from pathlib import Path

from settings import DEFAULT_CHECKPOINT, DEFAULT_EFFORT, MAX_EFFORT


def add_codec_options(parser: argparse.ArgumentParser) -> None:
    """Adds what `Codec.load` is given: -r and --effort."""
    parser.add_argument("-r", metavar="DIR", type=Path, default=DEFAULT_CHECKPOINT, help="checkpoint; default: shipped")
    parser.add_argument(
        "--effort",
        metavar="N",
        type=int,
        choices=range(MAX_EFFORT + 1),
        default=DEFAULT_EFFORT,
        help="steps of fitting each photo's latents to it: 0 is fastest; default: %(default)s",
    )
