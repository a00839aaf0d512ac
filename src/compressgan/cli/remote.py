"""Photos and outputs on other file systems, such as s3:// and gs://, through fsspec. Only Ray's workers use them."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from compressgan.cli.jobs import Job, find_jobs
from compressgan.cli.options import require_extra
from compressgan.cli.originals import is_original, is_original_by_name
from compressgan.errors import CompressGANError, UsageError, os_reason
from compressgan.images.files import output_stems

TABLES = ("summary.csv", "summary.json")


def no_urls(*places: Path | str) -> None:
    """Checks that all of them are paths.

    Raises:
        UsageError: one is a URL.
    """
    for place in places:
        if isinstance(place, str):
            raise UsageError(f"{place}: only -path and -o of a call with --ray can be URLs")


class Folder:
    """A folder on any file system.

    Args:
        url: such as s3://bucket/folder.

    Raises:
        CompressGANError: there is no such file system, or it cannot be reached. All methods raise it, too.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        with _naming(url):
            from fsspec.core import url_to_fs

            self._system, root = url_to_fs(url)
            self._root = root.rstrip("/")
            self._system.invalidate_cache()

    def names(self) -> list[str]:
        """Returns the paths of all visible files in the folder and its sub-folders, relative to it, in order."""
        with _naming(self.url):
            found = [path.removeprefix(self._root).lstrip("/") for path in self._system.find(self._root)]
        return sorted(name for name in found if name and not any(part.startswith(".") for part in name.split("/")))

    def is_file(self) -> bool:
        """Returns whether it is a file instead."""
        with _naming(self.url):
            return self._system.isfile(self._root)

    def fetch(self, name: str, path: Path) -> None:
        """Copies a file from here."""
        with _naming(f"{self.url}/{name}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._system.get_file(f"{self._root}/{name}", str(path))

    def send(self, path: Path, name: str) -> None:
        """Copies a file to here, where it appears as a whole or not at all."""
        target = f"{self._root}/{name}"
        with _naming(f"{self.url}/{name}"):
            try:
                self._write(target, path.read_bytes())
            except FileNotFoundError:  # some file systems have real folders
                self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._write(target, path.read_bytes())

    def _write(self, target: str, data: bytes) -> None:
        with self._system.transaction, self._system.open(target, "wb") as file:
            file.write(data)


@contextmanager
def _naming(url: str) -> Iterator[None]:
    """Turns errors into lines that name the URL. Each file system raises its own kinds."""
    try:
        yield
    except OSError as error:
        raise CompressGANError(f"{url}: {os_reason(error)}") from None
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CompressGANError(f"{url}: {reason}") from None


@dataclass
class RemoteJob(Job):
    """A job whose outputs go to another file system."""

    present: tuple[str, ...] = ()  # suffixes of those that are already there

    def missing(self, suffixes: tuple[str, ...], no_overwrite: bool) -> list[Path]:
        """Returns the outputs to write."""
        return [self.output(suffix) for suffix in suffixes if not (no_overwrite and suffix in self.present)]


@contextmanager
def staged(arguments: argparse.Namespace) -> Iterator[argparse.Namespace]:
    """Yields the options with a local output folder. If it was a URL, the tables there are fetched and sent back.

    Adds `input_url` and `output_url`, the folders' URLs, or None for local ones.

    Raises:
        UsageError: URLs cannot be used with these options.
        CompressGANError: a package is missing, or the file system cannot be used.
    """
    urls = [place for place in (*arguments.path, arguments.o) if isinstance(place, str)]
    own = {**vars(arguments), "input_url": None, "output_url": None}
    if not urls:
        yield argparse.Namespace(**own)
        return
    if not arguments.ray:
        raise UsageError(f"{urls[0]}: other file systems need --ray")
    require_extra("s3", "fsspec")
    if any(isinstance(place, str) for place in arguments.path):
        if len(arguments.path) > 1:
            raise UsageError(f"{urls[0]}: a URL must be the only -path")
        (own["input_url"],) = arguments.path
    if not isinstance(arguments.o, str):
        yield argparse.Namespace(**own)
        return
    with tempfile.TemporaryDirectory() as name:
        outputs, here = Folder(arguments.o), Path(name)
        there = set(outputs.names())
        for table in there.intersection(TABLES):
            outputs.fetch(table, here / table)
        before = _times(here)
        try:
            yield argparse.Namespace(**{**own, "o": here, "output_url": arguments.o})
        finally:
            for table, time in _times(here).items():
                if time != before.get(table):
                    outputs.send(here / table, table)


def _times(folder: Path) -> dict[str, int]:
    return {table: (folder / table).stat().st_mtime_ns for table in TABLES if (folder / table).exists()}


def find_photos(arguments: argparse.Namespace, suffixes: tuple[str, ...]) -> list[Job]:
    """Returns the jobs of a call that `staged` has prepared, whose outputs have these suffixes.

    Raises:
        UsageError: the output folder is the input folder.
        CompressGANError: there is no such folder, it holds no photo, or its file system cannot be used.
    """
    here = arguments.input_url is None
    jobs = find_jobs(arguments.path, arguments.o, "images", is_original) if here else _listed(arguments)
    if not arguments.output_url:
        return jobs
    there = set(Folder(arguments.output_url).names()) if arguments.no_overwrite else set()
    found = []
    for job in jobs:
        stem = job.stem.relative_to(arguments.o).as_posix()
        present = tuple(suffix for suffix in suffixes if f"{stem}{suffix}" in there)
        found.append(RemoteJob(job.file, job.name, job.stem, present=present))
    return found


def _listed(arguments: argparse.Namespace) -> list[Job]:
    """Returns a job for each photo of `input_url`, which becomes the folder if it is a file."""
    folder = Folder(arguments.input_url)
    if folder.is_file():
        arguments.input_url, _, name = folder.url.rpartition("/")
        names = [name]
    else:
        names = folder.names()
        if not names:
            raise CompressGANError(f"{arguments.input_url}: no such file or folder, or nothing in it")
        output = arguments.output_url.rstrip("/") if arguments.output_url else ""
        if output == folder.url:
            raise UsageError(f"{output}: cannot be both input and output")
        own = set(names)
        names = [name for name in names if is_original_by_name(PurePosixPath(name), own)]
        if output.startswith(f"{folder.url}/"):
            inside = f"{output.removeprefix(folder.url).lstrip('/')}/"
            names = [name for name in names if not name.startswith(inside)]
        if not names:
            raise CompressGANError(f"{arguments.input_url}: no images in this folder")
    url = arguments.input_url.rstrip("/")
    stems = output_stems([PurePosixPath(name) for name in names], PurePosixPath(), arguments.o)
    return [Job(f"{url}/{file}", str(file), stem) for file, stem in stems.items()]


@contextmanager
def localized(job: Job, arguments: argparse.Namespace) -> Iterator[tuple[Job, dict[str, str]]]:
    """Yields a job whose paths are local, and the URLs of these paths. Its new outputs are sent at the end.

    Raises:
        CompressGANError: a file cannot be fetched or sent.
    """
    if not arguments.input_url and not arguments.output_url:
        yield job, {}
        return
    with tempfile.TemporaryDirectory() as name:
        folder, urls = Path(name), {}
        if arguments.input_url:
            photo = folder / "photo" / PurePosixPath(job.name).name
            Folder(arguments.input_url).fetch(job.name, photo)
            urls[str(photo)] = str(job.file)
            job = replace(job, file=photo)
        if not arguments.output_url:
            yield job, urls
            return
        outputs = Folder(arguments.output_url)
        stem = job.stem.relative_to(arguments.o).as_posix()
        here = folder / "outputs"
        here.mkdir()
        urls[str(here / job.stem.name)] = f"{outputs.url}/{stem}"
        kept = set()
        for suffix in job.present:
            outputs.fetch(f"{stem}{suffix}", here / f"{job.stem.name}{suffix}")
            kept.add(f"{job.stem.name}{suffix}")
        yield Job(job.file, job.name, here / job.stem.name), urls
        parent = stem[: -len(job.stem.name)]
        for path in sorted(here.iterdir()):
            if path.name not in kept:
                outputs.send(path, f"{parent}{path.name}")
