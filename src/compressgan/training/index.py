"""The photos to train on: finding them, and the HDF5 index of their paths. It works without TensorFlow."""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import h5py

from compressgan.config import Config
from compressgan.errors import CompressGANError, logger, os_reason
from compressgan.images.files import files_under, replacing_h5
from compressgan.images.reading import is_image

TRAIN_INDEX, TEST_INDEX = "paths_train.h5", "paths_test.h5"


def find_images(folders: list[Path]) -> tuple[list[Path], list[Path]]:
    """Returns the images under the folders, recursively, and all other files, as absolute paths in order.

    Raises:
        CompressGANError: a folder does not exist, or no image is found.
    """
    images, others = {}, {}  # without values: folders may overlap
    for folder in folders:
        if not folder.is_dir():
            raise CompressGANError(f"{folder}: no such folder")
        for path in files_under(folder.resolve()):
            (images if is_image(path) else others)[path] = None
    if not images:
        raise CompressGANError(f"{', '.join(map(str, folders))}: no images found")
    return list(images), list(others)


def without_held_out(paths: list[Path], table: Path) -> list[Path]:
    """Returns the paths of all files but those that are held out of training, whatever their names.

    Args:
        paths: image files.
        table: a CSV file with the columns `bytes` and `sha256`, as `data/held_out.csv`.

    Raises:
        CompressGANError: the table is missing or damaged.
    """
    try:
        with table.open(newline="", encoding="utf-8") as file:
            held_out = {(int(row["bytes"]), row["sha256"].strip().lower()) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        reason = os_reason(error) if isinstance(error, OSError) else "not a table with the columns bytes and sha256"
        raise CompressGANError(f"{table}: {reason}") from None
    sizes = {size for size, _ in held_out}

    def is_held_out(path: Path) -> bool:
        size = path.stat().st_size
        # Only files of a listed size are read.
        return size in sizes and (size, hashlib.sha256(path.read_bytes()).hexdigest()) in held_out

    return [path for path in paths if not is_held_out(path)]


def split(paths: list[Path], config: Config) -> tuple[list[Path], list[Path]]:
    """Splits paths into a training and a test part by `train_fraction`, always the same way for the same seed.

    With two or more images, each part has at least one, unless `train_fraction` is 1. Nothing is trimmed to a multiple
    of the batch size.
    """
    paths = sorted(paths)
    random.Random(config.seed).shuffle(paths)
    count = round(config.train_fraction * len(paths))
    if config.train_fraction < 1:
        count = min(count, len(paths) - 1)
    count = max(count, 1)
    return sorted(paths[:count]), sorted(paths[count:])


def write_index(path: Path, images: Sequence[Path | str]) -> None:
    """Writes an index: one variable-length UTF-8 dataset `path`.

    Raises:
        CompressGANError: the file cannot be written.
    """
    with replacing_h5(path) as file:
        file.create_dataset("path", data=[str(image) for image in images], dtype=h5py.string_dtype("utf-8"))


def read_index(path: Path) -> list[str]:
    """Reads an index written by `write_index`, or by pandas in table format (key `df`, column `path`).

    Raises:
        CompressGANError: the index is missing or damaged, or in pandas' fixed format, a pickle, which is never opened.
    """
    rebuild = "build it with: python src/train.py -r CHECKPOINT -path FOLDER"
    try:
        with h5py.File(path, "r", locking=False) as file:
            if isinstance(file.get("path"), h5py.Dataset):
                values = file["path"][()]
            elif isinstance(file.get("df/table"), h5py.Dataset):
                table = file["df/table"][()]
                column = "path" if "path" in (table.dtype.names or ()) else "values_block_0"
                values = table[column].reshape(-1)
            elif "df/block0_values" in file:
                raise CompressGANError(f"{path}: a pandas index in fixed format contains a pickle; {rebuild}")
            else:
                raise CompressGANError(f"{path}: not an index of image paths; {rebuild}")
        return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values]
    except FileNotFoundError:
        raise CompressGANError(f"{path}: no index of training images yet; {rebuild}") from None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        raise CompressGANError(f"{path}: damaged index ({reason}); {rebuild}") from None


def existing(paths: list[str], index: Path) -> list[str]:
    """Returns the paths that exist on this machine, and warns about how many do not.

    Raises:
        CompressGANError: there are paths, but none exists.
    """
    found = [path for path in paths if Path(path).is_file()]
    if paths and not found:
        raise CompressGANError(f"{index}: none of its {len(paths)} images exists here; rebuild it with -path FOLDER")
    if len(found) < len(paths):
        logger.warning("%s: %d of %d images do not exist; skipped", index, len(paths) - len(found), len(paths))
    return found
