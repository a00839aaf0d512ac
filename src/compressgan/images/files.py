"""Files on disk: finding them in folders, naming outputs so that none hides another, writing safely."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from errors import CompressGANError, UsageError, os_reason, warn

# Read once: reading it means changing it, which other threads must not see.
_UMASK = os.umask(0)
os.umask(_UMASK)


def files_under(folder: Path, skip: Path | None = None) -> list[Path]:
    """Lists the visible files under a folder, recursively and in order, leaving out those under `skip`.

    Left out with a warning: files whose names are no UTF-8, which indexes and tables could not name, folders that
    cannot be read, and links to folders, which may go round in a circle.
    """

    def unreadable(error: OSError) -> None:
        warn(f"{error.filename}: {os_reason(error)}; left out")

    found = []
    for directory, subdirectories, names in os.walk(folder, onerror=unreadable, followlinks=False):
        here = Path(directory)
        subdirectories[:] = sorted(
            name for name in subdirectories if not name.startswith(".") and (here / name).resolve() != skip
        )
        for name in subdirectories:
            if (here / name).is_symlink():
                warn(f"{here / name}: a link to a folder; left out")
        found += [here / name for name in sorted(names) if not name.startswith(".")]
    named = []
    for path in found:
        try:
            str(path).encode()
            named.append(path)
        except UnicodeEncodeError:
            warn(f"{str(path).encode(errors='backslashreplace').decode()}: left out, since its name is not UTF-8")
    # A link to a file that is gone stays, so that whoever opens it names it.
    return [path for path in named if path.is_file() or path.is_symlink()]


def inputs_under(folder: Path, output: Path, kind: str, wanted: Callable[[Path], bool]) -> list[Path]:
    """Lists the wanted files under a folder; those under the output folder are no inputs.

    Raises:
        UsageError: the output folder is the input folder itself.
        CompressGANError: there is nothing wanted in it; the message calls it `kind`.
    """
    if folder.resolve() == output.resolve():
        raise UsageError(f"{output}: cannot be input and output at once")
    files = [file for file in files_under(folder, skip=output.resolve()) if wanted(file)]
    if not files:
        raise CompressGANError(f"{folder}: no {kind} in this folder")
    return files


def output_stems(files: list[Path], root: Path, folder: Path) -> dict[Path, Path]:
    """Says where each file's outputs go: under `folder` as the file lies under `root`, without its extension.

    Files whose outputs would share a name (`a.jpg` and `a.png`, also where only case differs) keep the extension.
    """
    relative = {file: file.relative_to(root) for file in files}
    stems = {file: path.with_suffix("") for file, path in relative.items()}
    while True:
        uses = Counter(str(stem).casefold() for stem in stems.values())
        clashing = [f for f, stem in stems.items() if uses[str(stem).casefold()] > 1 and stem != relative[f]]
        if not clashing:
            return {file: folder / stem for file, stem in stems.items()}
        stems.update({file: relative[file] for file in clashing})


def make_folder(folder: Path) -> None:
    """Makes a folder that can be written to.

    Raises:
        CompressGANError: it cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CompressGANError(f"{folder}: cannot be written to: {os_reason(error)}") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`, renamed to it at the end: a reader never sees half a file.

    Raises:
        CompressGANError: the folder cannot be made or written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(0o666 & ~_UMASK)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise CompressGANError(f"{path}: cannot be written: {os_reason(error)}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Writes a document of JSON types.

    Raises:
        CompressGANError: as `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes rows with the same keys as CSV, floats with 6 digits, None as an empty cell.

    Raises:
        CompressGANError: as `replacing`.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


@contextmanager
def replacing_h5(path: Path) -> Iterator[h5py.File]:
    """Yields an empty HDF5 file in memory, and writes it like `replacing` after the block has succeeded.

    The HDF5 library itself crashes the process when a disk is full.

    Raises:
        CompressGANError: as `replacing`.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        yield file
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
