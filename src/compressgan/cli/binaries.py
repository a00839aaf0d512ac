"""`.bin` files on disk."""

from __future__ import annotations

import os
from pathlib import Path

from compressgan.cli.jobs import naming
from compressgan.coding.bitstream import HEADER, MAGIC, Bitstream
from compressgan.errors import CompressGANError
from compressgan.images.files import NOT_OURS, open_regular


def is_bin(path: Path) -> bool:
    """Returns whether a file's name ends in `.bin` or in `.cgn`, as Pillow saves them, ignoring case."""
    return path.suffix.lower() in (".bin", ".cgn")


def read_bin(path: Path) -> bytes:
    """Reads a `.bin` file. A file of another kind, such as a disk image of that name, is not read to its end.

    Raises:
        BitstreamError: the file has no valid header.
        OSError: it cannot be read, or is not a regular file.
    """
    with open_regular(path) as file:
        start = file.read(HEADER)
        Bitstream.from_header(start)
        return start + file.read()


def assert_replaceable(path: Path) -> None:
    """Checks that a file that would be written is missing, empty, or a `.bin` file of this program.

    Raises:
        CompressGANError: it is something else, such as a firmware image or a disk image of that name.
    """
    with naming(path):
        if os.path.exists(path):
            with open_regular(path) as file:
                if file.read(len(MAGIC)) not in (MAGIC, b""):
                    raise CompressGANError(NOT_OURS)
