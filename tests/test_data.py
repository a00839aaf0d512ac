from __future__ import annotations

import hashlib
import shutil
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from compressgan.config import Config
from compressgan.errors import CompressGANError
from compressgan.training.data import _CropReader, training_dataset, validation_photos
from compressgan.training.index import existing, find_images, read_index, split, without_held_out, write_index
from conftest import make_photo


def test_find_images(photos: Path) -> None:
    (photos / "notes.txt").write_text("no image")
    (photos / "broken.jpg").write_text("no image either")
    images, others = find_images([photos])
    assert [path.name for path in images] == ["a.png", "b.jpg", "c.webp", "d.png"]
    assert [path.name for path in others] == ["broken.jpg", "notes.txt"]
    with pytest.raises(CompressGANError, match="no such folder"):
        find_images([photos / "none"])
    (photos / "empty").mkdir()
    with pytest.raises(CompressGANError, match="no images found"):
        find_images([photos / "empty"])


def test_held_out_photos_are_known_by_their_content(photos: Path, tmp_path: Path) -> None:
    images, _ = find_images([photos])
    content = (photos / "b.jpg").read_bytes()
    shutil.copy(photos / "b.jpg", photos / "another name.jpg")
    (photos / "same size.jpg").write_bytes(content[:-1] + b"x")
    images = sorted([*images, photos / "another name.jpg", photos / "same size.jpg"])
    table = tmp_path / "held_out.csv"
    table.write_text(f"file,bytes,sha256\nb.jpg,{len(content)},{hashlib.sha256(content).hexdigest()}\n")
    names = [path.name for path in without_held_out(images, table)]
    assert names == ["a.png", "c.webp", "same size.jpg", "d.png"]
    table.write_text("file\nb.jpg\n")
    with pytest.raises(CompressGANError, match="columns bytes and sha256"):
        without_held_out(images, table)


@given(st.integers(1, 300), st.floats(0.01, 1), st.integers(0, 5))
def test_split_keeps_every_image_once(count: int, fraction: float, seed: int) -> None:
    paths = [Path(f"/{i:04d}.png") for i in range(count)]
    config = Config(train_fraction=fraction, seed=seed)
    train, test = split(paths, config)
    assert sorted(train + test) == paths
    assert split(paths[::-1], config) == (train, test)
    assert train
    assert test or count == 1 or fraction == 1
    assert abs(len(train) - fraction * count) <= 1


def test_index_round_trip(tmp_path: Path) -> None:
    paths = [Path("/photos/ä ö 写真.jpg"), Path("/b.png")]
    write_index(tmp_path / "index.h5", paths)
    assert read_index(tmp_path / "index.h5") == [str(path) for path in paths]
    assert isinstance(h5py.File(tmp_path / "index.h5")["path"], h5py.Dataset)
    write_index(tmp_path / "empty.h5", [])
    assert read_index(tmp_path / "empty.h5") == []


def test_pandas_table_is_read_and_its_pickle_is_refused(tmp_path: Path) -> None:
    """The layouts that pandas.DataFrame.to_hdf(key="df") writes in its two formats."""
    for column in ("values_block_0", "path"):  # without and with data_columns
        shape = (1,) if column == "values_block_0" else ()
        table = np.zeros(2, [("index", "i8"), (column, "S20", shape)])
        table[column] = np.array([b"/a.png", "/ä.png".encode()]).reshape((2, *shape))
        with h5py.File(tmp_path / "table.h5", "w") as file:
            file["df/table"] = table
        assert read_index(tmp_path / "table.h5") == ["/a.png", "/ä.png"]
    with h5py.File(tmp_path / "fixed.h5", "w") as file:
        file["df/block0_values"] = np.zeros(3, np.uint8)
    with pytest.raises(CompressGANError, match=r"fixed\.h5.*pickle.*-path"):
        read_index(tmp_path / "fixed.h5")


def test_bad_indexes_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no index")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["colour"] = 1
    for name in ("none.h5", "text.h5", "other.h5"):
        with pytest.raises(CompressGANError, match=rf"{name}.*-path"):
            read_index(tmp_path / name)


def test_vanished_images(photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    index = tmp_path / "index.h5"
    here, gone = str(photos / "a.png"), "/gone.png"
    assert existing([here, gone], index) == [here]
    assert "1 of 2 images do not exist" in caplog.text
    with pytest.raises(CompressGANError, match="none of its 1 images exists"):
        existing([gone], index)


def take(paths: list[str], config: Config, start: int, count: int) -> np.ndarray:
    return np.stack([batch.numpy() for batch, _ in islice(training_dataset(paths, config, start), count)])


def test_crops_depend_on_the_step_alone(photos: Path, tiny: Config) -> None:
    paths = [str(path) for path in find_images([photos])[0]]
    all_at_once = take(paths, tiny, 0, 5)
    assert all_at_once.shape == (5, 4, 64, 64, 3)
    assert all_at_once.min() >= -1
    assert all_at_once.max() <= 1
    np.testing.assert_array_equal(take(paths, tiny, 2, 3), all_at_once[2:])
    assert not np.array_equal(take(paths, tiny.replace(seed=1), 0, 5), all_at_once)
    # Each epoch, here one batch, shows every image once, in a different order and with different crops.
    assert not np.array_equal(all_at_once[0], all_at_once[1])


def test_an_epoch_shows_every_image_once(tmp_path: Path, tiny: Config) -> None:
    for value in range(10):
        Image.new("RGB", (64, 64), (20 * value,) * 3).save(tmp_path / f"{value}.png")
    paths = sorted(map(str, tmp_path.iterdir()))
    crops = take(paths, tiny.replace(batch_size=5), 0, 4)
    values = np.rint((crops[..., 0, 0, 0] + 1) * 127.5 / 20).astype(int).reshape(2, 10)
    assert (np.sort(values) == np.arange(10)).all()
    assert (values[0] != values[1]).any()


def test_crops_are_flipped_half_the_time(tmp_path: Path, tiny: Config) -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    crops = take([str(tmp_path / "ramp.png")], tiny, 0, 25).reshape(100, 64, 64, 3)
    flipped = np.mean(crops[:, 0, 0, 0] > crops[:, 0, -1, 0])
    assert 0.3 < flipped < 0.7


def test_bad_images_are_named_once_and_small_ones_enlarged(
    tmp_path: Path, tiny: Config, caplog: pytest.LogCaptureFixture
) -> None:
    Image.fromarray(make_photo(20, 90)).save(tmp_path / "small.png")
    (tmp_path / "bad.jpg").write_text("no photo")
    paths = [str(tmp_path / name) for name in ("bad.jpg", "small.png")]
    assert take(paths, tiny, 0, 4).shape == (4, 4, 64, 64, 3)
    assert caplog.text.count("bad.jpg") == 1


def test_a_small_photo_is_enlarged_and_then_cropped() -> None:
    y, x = np.mgrid[:32, :48]
    photo = np.stack([4 * x, 6 * y, x + y], axis=-1).astype(np.uint8)
    whole = np.asarray(Image.fromarray(photo).resize((96, 64), Image.Resampling.LANCZOS)).astype(int)
    crop = _CropReader([], 64)._crop(photo, 0.0, 0.5, flip=0.9)
    assert np.abs(crop - whole[:, 16:80]).max() <= 2


def test_a_strip_one_pixel_wide_is_cropped_before_it_is_enlarged(tmp_path: Path, tiny: Config) -> None:
    row = np.repeat(np.arange(0, 60_000, dtype=np.int64)[:, np.newaxis] % 256, 3, axis=1).astype(np.uint8)
    Image.fromarray(row[np.newaxis]).save(tmp_path / "strip.png")
    crops = take([str(tmp_path / "strip.png")], tiny, 0, 1)  # the whole strip would be 3.8 million pixels wide
    assert crops.shape[-3:] == (tiny.crop_size, tiny.crop_size, 3)


def test_overlapping_folders_give_each_file_once(photos: Path) -> None:
    (photos / "notes.txt").touch()
    assert find_images([photos, photos]) == find_images([photos])


def test_validation_photos(photos: Path, tiny: Config) -> None:
    paths = ["/gone.png", *(str(path) for path in find_images([photos])[0])]
    shapes = [photo.shape for photo in validation_photos(paths, tiny.replace(validation_max_side=96))]
    assert shapes == [(80, 96, 3), (96, 96, 3)]


def test_indexes_are_not_taken_for_images(photos: Path) -> None:
    images, others = find_images([photos])
    assert len(images) == 4 and others == []
    write_index(photos / "paths_train.h5", images)
    assert find_images([photos]) == (images, [photos / "paths_train.h5"])


def test_levels_depend_on_the_step_alone_and_take_turns(tiny: Config, paths: list[str]) -> None:
    """Of eight crops in a row, each has another level; the order changes."""
    config = tiny.replace(batch_size=4)
    levels = [own.numpy() for _, own in islice(training_dataset(paths, config, 0), 12)]
    turns = np.concatenate(levels).reshape(6, 8)
    assert all(sorted(turn) == list(range(8)) for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 3
    (resumed,) = (own.numpy() for _, own in islice(training_dataset(paths, config, 11), 1))
    np.testing.assert_array_equal(resumed, levels[11])
