"""The command `compressgan`: compress, decompress, info, evaluate.

compressgan compress photos -o output         # photos, or a folder with its sub-folders
compressgan decompress output -o restored     # decode .bin files; the originals are not needed
compressgan info output/photo.bin             # show what a .bin file holds
compressgan evaluate photos -o evaluation     # compare with other codecs
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

import compressgan
from compressgan.cli.process import run


def main() -> NoReturn:
    """Runs the process's command line, and exits."""
    run(_main)


def _main() -> int:
    from compressgan.checkpoint import shipped_checkpoint
    from compressgan.cli import evaluate, info, options
    from compressgan.cli.compress import compress
    from compressgan.cli.decompress import decompress
    from compressgan.config import DEFAULT_EFFORT

    parser = options.make_parser(__doc__)
    parser.prog = "compressgan"
    parser.add_argument("--version", action="version", version=f"compressgan {compressgan.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add_command(name: str, text: str, function: object) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(function=function)
        return command

    checkpoint = shipped_checkpoint()
    command = add_command("compress", "Compress photos to .bin files.", compress)
    command.add_argument(
        "path", metavar="PHOTO|DIR", type=options.location, nargs="+", help="photos, or folders of photos"
    )
    options.add_checkpoint_option(command, checkpoint)
    options.add_output_options(command)
    options.add_compression_options(command, DEFAULT_EFFORT)

    command = add_command("decompress", "Reconstruct photos from .bin files.", decompress)
    command.add_argument(
        "c", metavar="BIN|DIR", type=options.location, nargs="+", help=".bin files, or folders of .bin files"
    )
    options.add_checkpoint_option(command, checkpoint)
    options.add_output_options(command)

    command = add_command("info", "Show what a .bin file holds.", info.info)
    command.add_argument("file", metavar="BIN", type=Path, nargs="+", help=".bin file")
    command.add_argument(
        "-r",
        metavar="DIR",
        type=Path,
        default=checkpoint,
        help="checkpoint whose fingerprint is compared; default: the shipped model",
    )

    command = add_command("evaluate", "Compare the model with other codecs.", evaluate.evaluate)
    command.add_argument("path", metavar="DIR", type=Path, help="folder of photos, ideally lossless")
    options.add_checkpoint_option(command, checkpoint)
    options.add_effort_option(command, DEFAULT_EFFORT)
    command.set_defaults(dataset=None)
    evaluate.add_options(command)

    arguments = parser.parse_args(sys.argv[1:])
    return arguments.function(arguments)
