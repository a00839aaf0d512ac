"""Files on disk: finding them, naming outputs without collisions, and writing safely."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import secrets
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from compressgan.errors import CompressGANError, UsageError, logger, os_reason

NOT_OURS = "not written by this program and would be overwritten; move it, or choose another output folder"


def files_under(folder: Path, skip: Path | None = None) -> list[Path]:
    """Lists the visible files under a folder, recursively and in order, except those under `skip`.

    It skips these with a warning: names that are not UTF-8, which an index or a table cannot hold; folders that cannot
    be read; and links to folders, which may form a cycle.
    """

    def unreadable(error: OSError) -> None:
        logger.warning("%s: %s; skipped", error.filename, os_reason(error))

    found = []
    for directory, subdirectories, names in os.walk(folder, onerror=unreadable, followlinks=False):
        here = Path(directory)
        subdirectories[:] = sorted(
            name for name in subdirectories if not name.startswith(".") and real(here / name) != skip
        )
        for name in subdirectories:
            if (here / name).is_symlink():
                logger.warning("%s: a link to a folder; skipped", here / name)
        found += [here / name for name in sorted(names) if not name.startswith(".")]
    named = []
    for path in found:
        if is_utf8(path):
            named.append(path)
        else:
            logger.warning(
                "%s: skipped, because its name is not UTF-8", os.fsencode(path).decode(errors="backslashreplace")
            )
    # A link to a missing file stays in the list, so the reader reports it.
    return [path for path in named if path.is_file() or path.is_symlink()]


def is_utf8(path: Path) -> bool:
    """Returns whether the path is valid UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def real(path: Path) -> Path:
    """Returns a path without links and `..`. Unlike `Path.resolve`, it does not raise if links form a circle."""
    return Path(os.path.realpath(path))


def inputs_under(folder: Path, output: Path, kind: str, wanted: Callable[[Path], bool]) -> list[Path]:
    """Lists the wanted files under a folder, except those under the output folder.

    Raises:
        UsageError: the output folder is the input folder itself.
        CompressGANError: the folder holds no wanted file; the message calls such files `kind`.
    """
    if real(folder) == real(output):
        raise UsageError(f"{output}: cannot be both input and output")
    files = [file for file in files_under(folder, skip=real(output)) if wanted(file)]
    if not files:
        raise CompressGANError(f"{folder}: no {kind} in this folder")
    return files


def output_stems(files: list[Path], root: Path, folder: Path) -> dict[Path, Path]:
    """Returns each file's output path without extension: its path relative to `root`, placed under `folder`.

    Files whose outputs would have the same name (`a.jpg` and `a.png`, even if only the case differs) keep their
    extension.
    """
    relative = {file: file.relative_to(root) for file in files}
    # A name such as `..png` is nothing but an extension.
    stems = {file: path.with_suffix("") if path.stem.strip(".") else path for file, path in relative.items()}
    while True:
        uses = Counter(str(stem).casefold() for stem in stems.values())
        clashing = [f for f, stem in stems.items() if uses[str(stem).casefold()] > 1 and stem != relative[f]]
        if not clashing:
            return {file: folder / stem for file, stem in stems.items()}
        stems.update({file: relative[file] for file in clashing})


def open_regular(path: str | Path) -> BinaryIO:
    """Opens a regular file. Opening a pipe, for example, could block for ever.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "not a regular file")
    return open(path, "rb")


def make_folder(folder: Path) -> None:
    """Makes a folder, and checks that it can be written to.

    Raises:
        CompressGANError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CompressGANError(f"{folder}: cannot be written to: {os_reason(error)}") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary file beside `path`, and renames it to `path` at the end, so nobody sees a half-written file.

    Raises:
        CompressGANError: the folder cannot be made or written to.
    """
    temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise CompressGANError(f"{path}: cannot be written: {os_reason(error)}") from error
    finally:
        # The folder itself may be missing, or be a file.
        if os.path.lexists(temporary):
            temporary.unlink()


def write_json(path: Path, document: Any) -> None:
    """Writes a document of JSON types.

    Raises:
        CompressGANError: as for `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes rows with the same keys, at least one, as CSV: floats with 6 digits, None as an empty cell.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.

    Raises:
        CompressGANError: as for `replacing`.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


@contextmanager
def replacing_h5(path: Path) -> Iterator[h5py.File]:
    """Yields an empty HDF5 file in memory, and writes it like `replacing` once the block has succeeded.

    HDF5 does not write to the disk itself, because the library crashes the process when the disk is full.

    Raises:
        CompressGANError: as for `replacing`.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        yield file
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
