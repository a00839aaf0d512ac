"""Training data: the tf.data pipeline of random crops, and the photos for validation."""

from __future__ import annotations

import threading

import numpy as np
import tensorflow as tf
from PIL import Image

from compressgan.config import Config
from compressgan.errors import CompressGANError, logger
from compressgan.images.reading import read_photo


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
