"""What is done with each photo that is compressed."""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from compressgan.cli.binaries import assert_replaceable, read_bin
from compressgan.cli.jobs import Job, Result, naming, note_once
from compressgan.cli.options import PICTURE_SUFFIXES
from compressgan.coding.bitstream import BitstreamError
from compressgan.errors import CompressGANError, logger, os_reason
from compressgan.geometry import bits_per_pixel
from compressgan.images.files import replacing
from compressgan.images.masks import read_mask
from compressgan.images.reading import is_photo, read_photo
from compressgan.images.writing import check_size, write_picture
from compressgan.targeting import ENOUGH

if TYPE_CHECKING:
    import numpy as np

    from compressgan.codec import Codec
    from compressgan.evaluation.html_report import HtmlReport
    from compressgan.evaluation.metrics import Figures


class Compressor:
    """The stages of compressing one photo. Each stage can run in its own threads.

    Args:
        codec: the model.
        arguments: the command's options.
        report: the page to which each photo is added, or None.

    Attributes:
        arguments: the command's options.
        note: is called with a photo's path and what is lost of it.
    """

    def __init__(self, codec: Codec, arguments: argparse.Namespace, report: HtmlReport | None = None) -> None:
        self._codec = codec
        self._report = report
        self.arguments = arguments
        self.note = note_once
        self._suffixes = output_suffixes(arguments)
        realism = codec.default_realism if arguments.realism is None else arguments.realism
        self._realism = realism if codec.realism else math.nan
        self._ssimulacra2 = arguments.report and find_spec("ssimulacra2") is not None
        if arguments.report and not self._ssimulacra2:
            logger.warning(
                "the report leaves out SSIMULACRA2; to include it: pip install '.[evaluate]' in the project's folder"
            )

    @property
    def stages(self) -> list[tuple[Callable, int]]:
        """What is done with each photo, in order, each with its number of threads. The last returns a `Result`."""
        if self.arguments.bin_only:
            return [(self.read, 1), (self.encode, 1), (self.write_binary, 2)]
        return [(self.read, 1), (self.encode_and_decode, 1), (self.write, 2)]

    def __call__(self, job: Job) -> Result:
        """Does all of it in this thread."""
        for stage, _ in self.stages:
            job = stage(job)
        return job

    def missing(self, job: Job) -> list[Path]:
        """Returns the outputs to write."""
        return job.missing(self._suffixes, self.arguments.no_overwrite)

    def read(self, job: Job) -> Job:
        """Reads the photo."""
        with job.timed("read"):
            job.photo = read_photo(job.file, lambda text: self.note(job.file, text))
            if self.arguments.mask:
                try:
                    job.mask = find_mask(self.arguments.mask, job)
                except OSError as error:
                    raise CompressGANError(f"{error.filename}: {os_reason(error)}") from None
        # These fail before the work rather than after it.
        for suffix in self._suffixes[1:]:
            check_size(job.output(suffix), *job.photo.shape[:2])
        if (binary := job.output(".bin")) in self.missing(job):
            assert_replaceable(binary)
        return job

    def encode(self, job: Job) -> Job:
        """Makes the content of the `.bin`."""
        with naming(job.file):
            job.data = self._encode(job)
        return job

    def encode_and_decode(self, job: Job) -> Job:
        """Makes the content of the `.bin`, or reads the one that is kept, and reconstructs the photo from it."""
        size = job.photo.shape[:2]
        binary = job.output(".bin")
        if binary in self.missing(job):
            self.encode(job)
        else:
            with naming(binary):
                job.data = read_bin(binary)
        with naming(binary):
            with job.timed("decode"):
                symbols, *decoded_size, job.level = self._codec.from_bytes(job.data)
            if tuple(decoded_size) != size:
                raise BitstreamError("made from a photo of another size")
            with job.timed("reconstruct"):
                job.reconstruction = self._codec.reconstruct(symbols, *size, job.level, self.arguments.realism)
        return job

    def _encode(self, job: Job) -> bytes:
        level, bpp, size = self.arguments.q, self.arguments.bpp, self.arguments.size
        coder = self.arguments.coder
        if bpp is None and size is None:
            with job.timed("encode"):
                symbols = self._codec.symbols(job.photo, level, job.mask)
            with job.timed("code"):
                return self._codec.to_bytes(symbols, *job.photo.shape[:2], level, coder=coder)
        with job.timed("encode and code"):
            data = self._codec.compress(job.photo, size=size, bpp=bpp, mask=job.mask, coder=coder)
        most = size if bpp is None else bpp * job.photo[..., 0].size / 8
        if len(data) > most:
            logger.warning(f"{job.file}: even its smallest .bin has {len(data):,} bytes, more than {most:,.0f}")
        elif len(data) < ENOUGH * most:
            logger.warning(f"{job.file}: its largest .bin within {most:,.0f} bytes has only {len(data):,}")
        return data

    def write_binary(self, job: Job) -> Result:
        """Writes the `.bin`."""
        with naming(job.file), job.timed("save"):
            self._save_binary(job)
        height, width = job.photo.shape[:2]
        rate = bits_per_pixel(len(job.data), height, width)
        text = f"{job.name}: {width} x {height}, {len(job.data):,} bytes, {rate:.4f} bpp"
        return Result(f"{text}{job.timings() if self.arguments.verbose else ''}")

    def write(self, job: Job) -> Result:
        """Measures the reconstruction and writes the outputs."""
        with naming(job.file):
            with job.timed("measure"):
                figures = self._measure(job)
            with job.timed("save"):
                self._save(job, figures)
            if self._report:
                self._report.add(figures, job.photo, job.reconstruction)
        return Result(f"{figures}{job.timings() if self.arguments.verbose else ''}", figures)

    def _measure(self, job: Job) -> Figures:
        from compressgan.evaluation.metrics import compare

        return compare(
            self._codec,
            job.photo,
            job.data,
            job.reconstruction,
            file=job.name,
            original_bytes=job.file.stat().st_size,
            with_ssimulacra2=self._ssimulacra2,
            level=job.level,
            realism=self._realism,
            mask=job.mask,
        )

    def _save(self, job: Job, figures: Figures) -> None:
        from compressgan.evaluation.comparison import write_comparison

        binary, picture, comparison = map(job.output, self._suffixes)
        wanted = self.missing(job)
        if binary in wanted:
            self._save_binary(job)
        if picture in wanted:
            write_picture(picture, job.reconstruction)
        if comparison in wanted:
            write_comparison(comparison, job.photo, job.reconstruction, figures)

    def _save_binary(self, job: Job) -> None:
        with replacing(job.output(".bin")) as temporary:
            temporary.write_bytes(job.data)


def output_suffixes(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Returns how the names of a photo's outputs end."""
    if arguments.bin_only:
        return (".bin",)
    return (".bin", f"_reconstructed.{PICTURE_SUFFIXES[arguments.format]}", "_comparison.png")


def find_mask(where: Path, job: Job) -> np.ndarray | None:
    """Reads a photo's mask: the file `where`, or the one in that folder with the photo's name, whatever its suffix.

    Raises:
        CompressGANError: it cannot be used, or there are several.
    """
    if where.is_dir():
        named = where / job.name
        found = [named] if named.is_file() else _pictures(named.parent).get(named.stem, [])
        if len(found) > 1:
            raise CompressGANError(f"{job.file}: several masks: {', '.join(map(str, found))}")
        if not found:
            logger.warning(f"{job.file}: no mask {named.with_suffix('')}.*, so the whole photo matters")
            return None
        where = found[0]
    mask = read_mask(where)
    (height, width), (rows, columns) = job.photo.shape[:2], mask.shape
    if not 0.98 < height * columns / (width * rows) < 1.02:
        logger.warning(f"{where}: {columns} x {rows} pixels are stretched to {width} x {height}")
    return mask


@functools.cache
def _pictures(folder: Path) -> dict[str, list[Path]]:
    """Returns the pictures in a folder by their names without suffix."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_photo(path):
            found.setdefault(path.stem, []).append(path)
    return found
