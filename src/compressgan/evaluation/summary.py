"""The table of figures of all photos in an output folder: `summary.csv` and `summary.json`."""

from __future__ import annotations

import csv
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from compressgan.errors import CompressGANError, os_reason
from compressgan.evaluation.metrics import Figures, Means, known
from compressgan.images.files import NOT_OURS, replacing, write_csv

SUMMARY = "summary"  # file name of the tables, without extension
_COLUMNS = frozenset(column.name for column in fields(Figures))
_NO_MEANS = ("file", "width", "height", "level", "realism")  # columns without a mean


class Summary:
    """Figures by file, those that earlier calls wrote to a folder and those that this call adds.

    There may be millions, so they are kept in a temporary database, most of which is on the disk. It serves one
    thread.

    Raises:
        CompressGANError: a file of that name cannot be read, or was not written by this program. All methods raise it
            if the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _naming(folder / f"{SUMMARY}.csv") as path:
            if path.exists():
                with path.open(newline="", encoding="utf-8") as file:
                    columns = next(csv.reader(file), [])
                    if "bpp" not in columns or not _COLUMNS.issuperset(columns):
                        raise ValueError("other columns")
        # A temporary file, which SQLite deletes. Without transactions, a full disk loses nothing that is in it.
        self._database = sqlite3.connect("", isolation_level=None)
        _run(self._database, "CREATE TABLE photos (file TEXT PRIMARY KEY, figures TEXT, added BOOLEAN)")
        self._read: tuple[int, int] | None = None
        self._read_earlier()

    def _read_earlier(self) -> None:
        """Reads the rows of `summary.json`, if it is not the file that was read last."""
        with _naming(self._folder / f"{SUMMARY}.json") as path:
            if not path.exists() or self._read == (found := _state(path)):
                return
            for row in _rows(path):
                self._keep(_figures(row), added=False)
            self._read = found

    def _keep(self, figures: Figures, *, added: bool) -> None:
        command = (
            "INSERT INTO photos VALUES (?, ?, ?) ON CONFLICT DO UPDATE "
            "SET figures = excluded.figures, added = excluded.added WHERE excluded.added OR NOT added"
        )
        _run(self._database, command, figures.file, json.dumps(vars(figures)), added)

    def add(self, figures: Figures) -> None:
        """Adds a photo, or replaces its figures."""
        self._keep(figures, added=True)

    def __contains__(self, file: str) -> bool:
        return _run(self._database, "SELECT 1 FROM photos WHERE file = ?", file).fetchone() is not None

    def of(self, files: Iterable[str] | None = None) -> Iterator[Figures]:
        """Yields the figures of all files, or of some."""
        if files is None:
            found = _run(self._database, "SELECT figures FROM photos ORDER BY rowid")
        else:
            one = "SELECT figures FROM photos WHERE file = ?"
            found = (_run(self._database, one, file).fetchone() for file in files)
        for (row,) in found:
            yield Figures(**json.loads(row))

    def write(self) -> None:
        """Writes `summary.csv`, one line per photo, and `summary.json` with the means.

        Unknown figures are empty cells or null. What another call has written meanwhile is kept.

        Raises:
            CompressGANError: a file cannot be written.
        """
        self._read_earlier()
        means = Means()

        def table() -> Iterator[dict[str, Any]]:
            for row in self.of():
                means.add(row)
                yield _values(row)

        write_csv(self._folder / f"{SUMMARY}.csv", table())
        columns = [column.name for column in fields(Figures) if column.name not in _NO_MEANS]
        with replacing(self._folder / f"{SUMMARY}.json") as path, path.open("w", encoding="utf-8") as file:
            shown = json.dumps({name: known(means.of(name)) for name in columns})
            file.write(f'{{"mean": {shown}, "photos": [')
            for i, row in enumerate(self.of()):
                file.write(f"{',' if i else ''}\n{json.dumps(_values(row))}")
            file.write("\n]}\n")


def _state(path: Path) -> tuple[int, int]:
    """Returns what differs once a file has been replaced."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _run(database: sqlite3.Connection, command: str, *values: str | bool) -> sqlite3.Cursor:
    try:
        return database.execute(command, values)
    except sqlite3.Error as error:
        raise CompressGANError(f"the figures cannot be kept in a temporary file: {error}") from None


def _values(figures: Figures) -> dict[str, Any]:
    return {name: known(value) for name, value in vars(figures).items()}


def _figures(row: dict[str, Any]) -> Figures:
    # A photo without errors has an infinite PSNR. Any other unknown figure was not measured.
    unknown = {"psnr": math.inf}
    return Figures(**{name: unknown.get(name, math.nan) if value is None else value for name, value in row.items()})


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Reads the rows of a JSON summary, without holding all of it if it was written by this version."""
    with path.open(encoding="utf-8") as file:
        if not file.readline().endswith('"photos": [\n'):
            yield from json.loads(path.read_text(encoding="utf-8"))["photos"]
            return
        for line in file:
            if line != "]}\n":
                yield json.loads(line.rstrip(",\n"))


@contextmanager
def _naming(path: Path) -> Iterator[Path]:
    """Turns what is wrong with a file into a line that says why the call cannot go on."""
    try:
        yield path
    except OSError as error:
        raise CompressGANError(f"{path}: {os_reason(error)}") from None
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error):
        raise CompressGANError(f"{path}: {NOT_OURS}") from None
