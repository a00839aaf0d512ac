"""The table of figures of all photos in an output folder: `summary.csv` and `summary.json`."""

from __future__ import annotations

import csv
import json
import math
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compressgan.errors import CompressGANError, os_reason
from compressgan.evaluation.metrics import Figures, known, mean
from compressgan.images.files import replacing, write_csv

SUMMARY = "summary"  # file name of the tables, without extension
_NO_MEANS = ("file", "width", "height", "level", "realism")  # columns without a mean
_PHOTO = '{"file": '  # starts each photo's line in the JSON


class Summary:
    """Figures by file, those that earlier calls wrote to a folder and those that this call adds.

    There may be millions, so they are kept in a temporary database, most of which is on the disk. It serves one
    thread.

    Raises:
        CompressGANError: a file of that name cannot be read, or was not written by this program.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _naming(folder / f"{SUMMARY}.csv") as path:
            if path.exists():
                with path.open(newline="", encoding="utf-8") as file:
                    if next(csv.reader(file), [])[:3] != ["file", "width", "height"]:
                        raise ValueError("other columns")
        self._database = sqlite3.connect("")  # a temporary file, which SQLite deletes
        self._database.execute("CREATE TABLE photos (file TEXT PRIMARY KEY, figures TEXT)")
        with _naming(folder / f"{SUMMARY}.json") as path:
            if path.exists():
                for row in _rows(path):
                    self.add(_figures(row))

    def add(self, figures: Figures) -> None:
        """Adds a photo, or replaces its figures.

        Raises:
            CompressGANError: the disk is full.
        """
        try:
            self._database.execute(
                "INSERT INTO photos VALUES (?, ?) ON CONFLICT DO UPDATE SET figures = excluded.figures",
                (figures.file, json.dumps(_values(figures))),
            )
        except sqlite3.Error as error:
            raise CompressGANError(f"the figures of {figures.file} cannot be kept: {error}") from None

    def __contains__(self, file: str) -> bool:
        return bool(self._database.execute("SELECT 1 FROM photos WHERE file = ?", (file,)).fetchall())

    def of(self, files: Collection[str] | None = None) -> Collection[Figures]:
        """Returns the figures of all files or of some, which are read whenever they are iterated over."""
        return _Selection(self._database, files)

    def write(self) -> None:
        """Writes `summary.csv`, one line per photo, and `summary.json` with the means.

        Unknown figures are empty cells or null.

        Raises:
            CompressGANError: a file cannot be written.
        """
        rows = self.of()
        columns = list(asdict(next(iter(rows))))
        means = {name: known(mean(rows, name)) for name in columns if name not in _NO_MEANS}
        write_csv(self._folder / f"{SUMMARY}.csv", (_values(row) for row in rows))
        with replacing(self._folder / f"{SUMMARY}.json") as path, path.open("w", encoding="utf-8") as file:
            file.write(f'{{"mean": {json.dumps(means)}, "photos": [')
            for i, row in enumerate(rows):
                file.write(f"{',' if i else ''}\n{json.dumps(_values(row))}")
            file.write("\n]}\n")


class _Selection(Collection[Figures]):
    """Figures of all files in a database, or of some, each read when it is needed."""

    def __init__(self, database: sqlite3.Connection, files: Collection[str] | None) -> None:
        self._database, self._files = database, files

    def __len__(self) -> int:
        if self._files is not None:
            return len(self._files)
        return self._database.execute("SELECT COUNT(*) FROM photos").fetchone()[0]

    def __contains__(self, figures: object) -> bool:
        return any(figures == own for own in self)

    def __iter__(self) -> Iterator[Figures]:
        if self._files is None:
            found = self._database.execute("SELECT figures FROM photos ORDER BY rowid")
        else:
            one = "SELECT figures FROM photos WHERE file = ?"
            found = (self._database.execute(one, (file,)).fetchone() for file in self._files)
        for (row,) in found:
            yield _figures(json.loads(row))


def _values(figures: Figures) -> dict[str, Any]:
    return {name: known(value) for name, value in asdict(figures).items()}


def _figures(row: dict[str, Any]) -> Figures:
    return Figures(**{name: math.nan if value is None else value for name, value in row.items()})


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Reads the rows of a JSON summary, without holding all of it if it was written by this version."""
    with path.open(encoding="utf-8") as file:
        if not file.readline().endswith('"photos": [\n'):
            yield from json.loads(path.read_text(encoding="utf-8"))["photos"]
            return
        for line in file:
            if line.startswith(_PHOTO):
                yield json.loads(line.rstrip(",\n"))


@contextmanager
def _naming(path: Path) -> Iterator[Path]:
    """Turns what is wrong with a file into a line that says why the call cannot go on."""
    try:
        yield path
    except OSError as error:
        raise CompressGANError(f"{path}: {os_reason(error)}") from None
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error):
        raise CompressGANError(
            f"{path}: not written by this program and would be overwritten; move it, or choose another output folder"
        ) from None
