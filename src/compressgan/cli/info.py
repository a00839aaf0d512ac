"""Showing what a `.bin` file holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from compressgan.checkpoint import read_config, shipped_checkpoint
from compressgan.cli.binaries import read_bin
from compressgan.cli.jobs import naming
from compressgan.coding.bitstream import FORMAT_VERSION, Bitstream
from compressgan.errors import CompressGANError, logger
from compressgan.geometry import bits_per_pixel


def info(arguments: argparse.Namespace) -> int:
    """Prints a description of each of `arguments.file`, and returns the exit code."""
    fingerprint = read_config(arguments.r)[1]
    model = "the shipped model" if arguments.r == shipped_checkpoint() else f"the model in {arguments.r}"
    failed = 0
    for file in arguments.file:
        try:
            print(describe(file, fingerprint, model))
        except CompressGANError as error:
            logger.error(error)
            failed += 1
    return 1 if failed else 0


def describe(file: Path, fingerprint: str, model: str) -> str:
    """Returns a description of a `.bin` file, one fact per line.

    Args:
        file: the `.bin` file.
        fingerprint: the fingerprint of a model to compare with, in hexadecimal.
        model: the name of that model for the user.

    Raises:
        CompressGANError: the file cannot be read, or is not a complete, unaltered `.bin` file.
    """
    with naming(file):
        data = read_bin(file)
        stream = Bitstream.from_bytes(data)
    made_by = stream.fingerprint.hex()
    header = len(data) - len(stream.payload)
    facts = {
        "size": f"{stream.width} x {stream.height} pixels",
        "level": stream.level,
        "model": f"{made_by}, {'' if made_by == fingerprint else 'not '}{model}",
        "coder": stream.coder,
        "format": f"version {FORMAT_VERSION}, {stream.channels} latent channels",
        "bytes": f"{len(data):,}: {header} of header and checksum, {len(stream.payload):,} of payload",
        "rate": f"{bits_per_pixel(len(data), stream.height, stream.width):.4f} bits per pixel",
    }
    return "\n".join([str(file), *(f"  {name:6} {fact}" for name, fact in facts.items())])
