"""Training data: the HDF5 index of image paths, and the tf.data pipeline of random crops."""

from __future__ import annotations

import csv
import hashlib
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf
from PIL import Image

from compressgan.config import Config
from compressgan.errors import CompressGANError, logger, os_reason
from compressgan.images.files import files_under, replacing_h5
from compressgan.images.reading import is_image, read_photo

TRAIN_INDEX, TEST_INDEX = "paths_train.h5", "paths_test.h5"


def find_images(folders: list[Path]) -> tuple[list[Path], list[Path]]:
    """Returns the images under the folders, recursively, and all other files, as absolute paths in order.

    Raises:
        CompressGANError: a folder does not exist, or no image is found.
    """
    images, others = [], []
    for folder in folders:
        if not folder.is_dir():
            raise CompressGANError(f"{folder}: no such folder")
        for path in files_under(folder.resolve()):
            (images if is_image(path) else others).append(path)
    if not images:
        raise CompressGANError(f"{', '.join(map(str, folders))}: no images found")
    return list(dict.fromkeys(images)), others  # folders may overlap


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


def training_dataset(
    paths: list[str], config: Config, start_step: int, context: tf.distribute.InputContext | None = None
) -> tf.data.Dataset:
    """Returns endless batches of random crops, half of them flipped, each with a level.

    Crops are (B, crop, crop, 3) float32 in [-1, 1], levels (B,) int32 from 0. Each run of K crops, K being the number
    of levels, contains every level once, in random order. If `context` has several input pipelines, each reads its
    share of every global batch, and B is the batch size per replica.

    The image, crop, flip and level of sample n depend only on the seed and n, so a run resumed at `start_step` sees the
    same samples as an uninterrupted one. Decoded images are not kept. An unreadable image is reported once, and the
    next image takes its place.
    """
    reader = _CropReader(paths, config.crop_size)
    count, seed = len(paths), config.seed

    def load(sample: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, position = sample // count, sample % count
        index = tf.random.experimental.index_shuffle(position, [seed, epoch], count - 1)
        draws = tf.random.stateless_uniform((3,), [tf.constant(seed, tf.int64), sample])
        crop = tf.numpy_function(reader.read, [index, draws], tf.uint8, stateful=False)
        crop = tf.ensure_shape(crop, (config.crop_size, config.crop_size, 3))
        turn, place = sample // config.levels, sample % config.levels
        level = tf.random.experimental.index_shuffle(place, [seed + 1, turn], config.levels - 1)
        return tf.cast(crop, tf.float32) / 127.5 - 1.0, tf.cast(level, tf.int32)

    context = context or tf.distribute.InputContext()
    share = config.batch_size // context.num_input_pipelines
    first = context.input_pipeline_id * share

    def sample_of(i: tf.Tensor) -> tf.Tensor:
        return i // share * config.batch_size + first + i % share

    samples = tf.data.Dataset.range(start_step * share, np.iinfo(np.int64).max).map(sample_of)
    crops = samples.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    batches = crops.batch(context.get_per_replica_batch_size(config.batch_size), drop_remainder=True)
    return batches.prefetch(tf.data.AUTOTUNE)


class _CropReader:
    """Reads crops of images by index, in any number of threads, and skips images that cannot be read."""

    def __init__(self, paths: list[str], size: int) -> None:
        self._paths = paths
        self._size = size
        self._bad: set[int] = set()
        self._naming = threading.Lock()

    def read(self, index: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Returns a (size, size, 3) uint8 crop, placed and flipped according to three numbers in [0, 1)."""
        for offset in range(len(self._paths)):
            i = (int(index) + offset) % len(self._paths)
            if i in self._bad:
                continue
            try:
                return self._crop(read_photo(self._paths[i]), *map(float, draws))
            except CompressGANError as error:
                self._name_once(i, error)
        raise RuntimeError("none of the training images can be read")

    def _name_once(self, i: int, error: CompressGANError) -> None:
        with self._naming:  # several threads may find the same bad image
            if i not in self._bad:
                self._bad.add(i)
                logger.warning("%s; skipped in training (%d so far)", error, len(self._bad))

    def _crop(self, photo: np.ndarray, down: float, right: float, flip: float) -> np.ndarray:
        size = self._size
        height, width = photo.shape[:2]
        scale = max(1.0, size / min(height, width))
        rows, columns = max(size, round(height * scale)), max(size, round(width * scale))
        top, left = int(down * (rows - size + 1)), int(right * (columns - size + 1))
        if scale > 1:
            # Only the crop is enlarged: enlarging the whole of a strip one pixel wide would exhaust the memory.
            y, x = height / rows, width / columns
            box = (left * x, top * y, min((left + size) * x, width), min((top + size) * y, height))
            crop = np.asarray(Image.fromarray(photo).resize((size, size), Image.Resampling.LANCZOS, box))
        else:
            crop = photo[top : top + size, left : left + size]
        return np.ascontiguousarray(crop[:, ::-1] if flip < 0.5 else crop)


def validation_photos(paths: list[str], config: Config) -> list[np.ndarray]:
    """Reads the first `validation_images` readable photos, (H, W, 3) uint8, cropped to `validation_max_side`."""
    photos = []
    for path in paths:
        if len(photos) == config.validation_images:
            break
        try:
            photo = read_photo(path)
        except CompressGANError as error:
            logger.warning("%s; skipped in validation", error)
            continue
        height, width = photo.shape[:2]
        side = config.validation_max_side
        top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
        photos.append(np.ascontiguousarray(photo[top : top + side, left : left + side]))
    return photos
