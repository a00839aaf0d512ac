"""What an evaluation has made and measured so far, in one SQLite file, so that a stopped evaluation goes on."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from compressgan.errors import CompressGANError

_LAYOUT = 1  # of the tables
_TABLES = """
CREATE TABLE files (encoder TEXT, setting INTEGER, photo TEXT, data BLOB, seconds REAL,
    PRIMARY KEY (encoder, setting, photo));
CREATE TABLE figures (decoder TEXT, setting INTEGER, photo TEXT, metrics TEXT, figures TEXT, features BLOB,
    PRIMARY KEY (decoder, setting, photo, metrics));
"""


class Store:
    """Files that codecs made, and their figures, for one thread.

    The keys are texts that say all that a file or a figure depends on: codecs with their versions, photos by a digest
    of their pixels. Whatever has changed since an earlier call is therefore not found, and is made again.

    Args:
        path: of the database, which is made if it does not exist; None: in memory.

    Raises:
        CompressGANError: the file is of another program or another version, or cannot be read or written. All methods
            raise it, too.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        try:
            # Every change is on the disk at once.
            self._database = sqlite3.connect(path or ":memory:", isolation_level=None)
        except sqlite3.Error as error:
            raise self._failed(error) from None
        ((layout,),) = self._run("PRAGMA user_version")
        if not layout and not self._run("SELECT name FROM sqlite_master"):
            self._run("BEGIN EXCLUSIVE")
            for table in _TABLES.split(";")[:-1]:
                self._run(table)
            self._run(f"PRAGMA user_version = {_LAYOUT}")
            self._run("COMMIT")
        elif layout != _LAYOUT:
            raise CompressGANError(f"{path}: not written by this version of the program; move it or delete it")

    def count(self) -> int:
        """Returns the number of files."""
        return self._run("SELECT COUNT(*) FROM files")[0][0]

    def file(self, encoder: str, setting: int, photo: str) -> tuple[bytes, float] | None:
        """Returns a file and its encoding time in seconds, or None."""
        rows = self._run(
            "SELECT data, seconds FROM files WHERE encoder = ? AND setting = ? AND photo = ?", encoder, setting, photo
        )
        return rows[0] if rows else None

    def add_file(self, encoder: str, setting: int, photo: str, data: bytes, seconds: float) -> None:
        self._run("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", encoder, setting, photo, data, seconds)

    def figures(
        self, decoder: str, setting: int, photo: str, metrics: str
    ) -> tuple[dict[str, Any], np.ndarray | None] | None:
        """Returns the figures of a decoded file and the features of its patches, (n, d) float32 or None; or None."""
        rows = self._run(
            "SELECT figures, features FROM figures WHERE decoder = ? AND setting = ? AND photo = ? AND metrics = ?",
            *(decoder, setting, photo, metrics),
        )
        if not rows:
            return None
        figures, features = rows[0]
        if features is None:
            return json.loads(figures), None
        count, values = int.from_bytes(features[:4], "little"), np.frombuffer(features[4:], np.float32)
        return json.loads(figures), values.reshape(count, -1 if count else 0)

    def add_figures(
        self, decoder: str, setting: int, photo: str, metrics: str, figures: dict[str, Any], features: np.ndarray | None
    ) -> None:
        packed = None
        if features is not None:
            packed = len(features).to_bytes(4, "little") + features.astype(np.float32).tobytes()
        row = (decoder, setting, photo, metrics, json.dumps(figures), packed)
        self._run("INSERT OR REPLACE INTO figures VALUES (?, ?, ?, ?, ?, ?)", *row)

    def _run(self, statement: str, *values: Any) -> list[tuple]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _failed(self, error: sqlite3.Error) -> CompressGANError:
        return CompressGANError(f"{self._path}: cannot be used: {error}")
