"""Photos and outputs in object stores, such as s3:// and gs://, through fsspec. Ray's workers fetch and send them."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from compressgan.cli.jobs import Job, find_jobs
from compressgan.cli.options import require_extra
from compressgan.cli.originals import is_made, is_original, is_original_by_name
from compressgan.errors import CompressGANError, UsageError, logger
from compressgan.images.files import is_utf8, output_stems


def no_urls(*places: Path | str) -> None:
    """Checks that all of them are paths.

    Raises:
        UsageError: one is a URL.
    """
    for place in places:
        if isinstance(place, str):
            raise UsageError(f"{place}: URLs can only be used for compressing with --ray")


class Folder:
    """A folder in an object store.

    Args:
        url: such as s3://bucket/folder.

    Raises:
        CompressGANError: there is no such store, or it cannot be reached. All methods raise it, too.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if "::" in url:
            raise CompressGANError(f"{url}: a URL cannot hold ::")
        with _naming(url):
            from fsspec.core import url_to_fs

            self._store, root = url_to_fs(url)
            self._root = root.rstrip("/")
            self._store.invalidate_cache()

    def names(self) -> list[str]:
        """Returns the paths of all visible files in the folder and its sub-folders, relative to it, in order.

        It skips with a warning those that no path on a disk could have.
        """
        with _naming(self.url):
            found = self._store.find(self._root)
            self._store.invalidate_cache()  # of which it would keep a kilobyte for each file
        names = []
        for path in found:
            name = path.removeprefix(self._root).removeprefix("/")
            if not name or name.endswith("/") or any(part.startswith(".") for part in name.split("/")):
                continue
            if str(PurePosixPath(name)) == name and is_utf8(Path(name)):
                names.append(name)
            else:
                shown = name.encode(errors="backslashreplace").decode()
                logger.warning(f"{self.url}/{shown}: skipped, because no file on a disk could have this name")
        return sorted(names)

    def is_file(self) -> bool:
        """Returns whether it is a file and not a folder."""
        with _naming(self.url):
            return self._store.isfile(self._root)

    def holds(self, name: str) -> bool:
        """Returns whether there is such a file."""
        with _naming(f"{self.url}/{name}"):
            return self._store.isfile(f"{self._root}/{name}")

    def split(self) -> tuple[str, str]:
        """Returns the URL of the folder that it is in, and its name."""
        parent, _, name = self.url.rpartition("/")
        return parent, name

    def place_of(self, other: Folder) -> str | None:
        """Returns the path of another folder relative to this one, or None if it is not inside it."""
        root, inner = f"{self._root}/", f"{other._root}/"
        return inner.removeprefix(root) if self._store == other._store and inner.startswith(root) else None

    def fetch(self, name: str, path: Path) -> None:
        """Copies a file from here."""
        with _naming(f"{self.url}/{name}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._store.get_file(f"{self._root}/{name}", str(path))

    def send(self, path: Path, name: str) -> None:
        """Copies a file to here, where it appears as a whole or not at all."""
        place = f"{self._root}/{name}"
        with _naming(f"{self.url}/{name}"), path.open("rb") as source, self._store.transaction:  # noqa: SIM117
            with self._store.open(place, "wb") as target:  # closed before the transaction ends
                shutil.copyfileobj(source, target)


@contextmanager
def _naming(url: str) -> Iterator[None]:
    """Turns errors into lines that name the URL. Each store raises its own kinds."""
    try:
        yield
    except Exception as error:
        reason = getattr(error, "strerror", None) or next(iter(str(error).strip().splitlines()), "")
        if isinstance(error, FileNotFoundError) and not getattr(error, "strerror", None):
            reason = "no such file or folder"
        raise CompressGANError(f"{url}: {reason or type(error).__name__}") from None


@dataclass
class RemoteJob(Job):
    """A job whose outputs go to an object store."""

    present: tuple[str, ...] = ()  # suffixes of those that are already there and are to be kept

    def missing(self, suffixes: tuple[str, ...], no_overwrite: bool) -> list[Path]:
        """Returns the outputs to write."""
        return [self.output(suffix) for suffix in suffixes if suffix not in self.present]


@contextmanager
def staged(arguments: argparse.Namespace) -> Iterator[argparse.Namespace]:
    """Yields the options with a local output folder. If it was a URL, the tables there are fetched and sent back.

    Adds `input_url` and `output_url`, the folders' URLs, or None for local ones, and `input_name`, if only one file of
    the first is meant.

    Raises:
        UsageError: URLs cannot be used with these options.
        CompressGANError: a package is missing, or the store cannot be used.
    """
    urls = [place for place in (*arguments.path, arguments.o) if isinstance(place, str)]
    own = {**vars(arguments), "input_url": None, "input_name": None, "output_url": None}
    if not urls:
        yield argparse.Namespace(**own)
        return
    if not arguments.ray:
        raise UsageError(f"{urls[0]}: URLs need --ray")
    require_extra("s3", "fsspec")
    if any(isinstance(place, str) for place in arguments.path):
        if len(arguments.path) > 1:
            raise UsageError(f"{urls[0]}: a URL must be the only input")
        (own["input_url"],) = arguments.path
        place = Folder(own["input_url"])
        if place.is_file():
            own["input_url"], own["input_name"] = place.split()
    if not isinstance(arguments.o, str):
        yield argparse.Namespace(**own)
        return
    outputs, here = Folder(arguments.o), Path(tempfile.mkdtemp(prefix="compressgan-"))
    sent = True
    try:
        before = _fetch_tables(outputs, here)
        try:
            yield argparse.Namespace(**{**own, "o": here, "output_url": arguments.o})
        finally:
            sent = False
            _send_tables(outputs, here, before)
            sent = True
    except CompressGANError as error:
        raise error if sent else CompressGANError(f"{error}; the tables are kept in {here}") from None
    finally:
        if sent:
            shutil.rmtree(here)


def _fetch_tables(outputs: Folder, here: Path) -> dict[str, int]:
    """Fetches the tables of earlier calls, and returns when each was written here."""
    for table in _tables():
        if outputs.holds(table):
            outputs.fetch(table, here / table)
    return _times(here)


def _send_tables(outputs: Folder, here: Path, before: dict[str, int]) -> None:
    """Sends the tables that were written since."""
    for table, time in _times(here).items():
        if time != before.get(table):
            outputs.send(here / table, table)


def _tables() -> list[str]:
    from compressgan.evaluation.summary import SUMMARY

    return [f"{SUMMARY}.json", f"{SUMMARY}.csv"]  # figures are read back from the first


def _times(folder: Path) -> dict[str, int]:
    return {table: (folder / table).stat().st_mtime_ns for table in _tables() if (folder / table).exists()}


def find_photos(arguments: argparse.Namespace, suffixes: tuple[str, ...]) -> list[Job]:
    """Returns the jobs of a call that `staged` has prepared, whose outputs have these suffixes.

    Raises:
        UsageError: the output folder is the input folder.
        CompressGANError: there is no such folder, it holds no photo, or its store cannot be used.
    """
    here = arguments.input_url is None
    if here:
        # With several, they may come from a pattern such as *.png. One is what the user wants.
        several = len(arguments.path) > 1
        paths = [path for path in arguments.path if not (several and path.is_file() and is_made(path))]
        if not paths:
            raise CompressGANError("no photos are left")
        jobs = find_jobs(paths, arguments.o, "images", is_original)
    else:
        jobs = _listed(arguments)
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
    """Returns a job for each photo of `input_url`."""
    folder = Folder(arguments.input_url)
    if arguments.input_name:
        names = [arguments.input_name]
    else:
        names = folder.names()
        if not names:
            raise CompressGANError(f"{folder.url}: no such file or folder, or nothing in it")
        own = set(names)
        names = [name for name in names if is_original_by_name(PurePosixPath(name), own)]
        if arguments.output_url:
            outputs = folder.place_of(Folder(arguments.output_url))
            if outputs == "":
                raise UsageError(f"{arguments.output_url}: cannot be both input and output")
            names = [name for name in names if outputs is None or not name.startswith(outputs)]
        if not names:
            raise CompressGANError(f"{folder.url}: no images in this folder")
    stems = output_stems([PurePosixPath(name) for name in names], PurePosixPath(), arguments.o)
    return [Job(f"{folder.url}/{file}", str(file), stem) for file, stem in stems.items()]


@contextmanager
def localized(job: Job, arguments: argparse.Namespace) -> Iterator[tuple[Job, dict[str, str]]]:
    """Yields a job whose paths are local, and the URLs of these paths. Its outputs are sent at the end.

    Raises:
        CompressGANError: a file cannot be fetched or sent.
    """
    if not arguments.input_url and not arguments.output_url:
        yield job, {}
        return
    with tempfile.TemporaryDirectory(prefix="compressgan-") as name:
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
        here = folder / "outputs" / job.stem.name
        here.parent.mkdir()
        urls[str(here)] = f"{outputs.url}/{stem}"
        job = replace(job, stem=here)
        binary = job.output(".bin")
        # The pictures are made from it if it is kept; otherwise it must not be another program's.
        if ".bin" in job.present or outputs.holds(f"{stem}.bin"):
            outputs.fetch(f"{stem}.bin", binary)
        yield job, urls
        for path in sorted(here.parent.iterdir()):
            if path != binary or ".bin" not in job.present:
                outputs.send(path, f"{stem}{path.name.removeprefix(here.name)}")
