"""Which photos a run is trained on and validated with."""

from __future__ import annotations

import argparse
from pathlib import Path

from compressgan.cli.originals import is_made
from compressgan.config import Config
from compressgan.errors import CompressGANError, logger
from compressgan.images.reading import has_heic, is_photo
from compressgan.training.guards import state_folder
from compressgan.training.index import (
    TEST_INDEX,
    TRAIN_INDEX,
    find_images,
    read_index,
    split,
    without_held_out,
    write_index,
)


def index_images(arguments: argparse.Namespace, config: Config, directory: Path) -> tuple[list[str], list[str]]:
    """Returns the training and test paths, either by indexing the given folders or from an existing index.

    Without folders, a resumed run uses the index that it was last trained with.
    """
    own, folder = state_folder(directory), arguments.index
    if not arguments.path and (own / TRAIN_INDEX).is_file() and (own / TEST_INDEX).is_file():
        folder = own
    train_index, test_index = folder / TRAIN_INDEX, folder / TEST_INDEX
    if arguments.path:
        images, others = find_images(arguments.path)
        name_skipped([path for path in others if path not in (train_index.resolve(), test_index.resolve())])
        images = [path for path in images if not is_made(path)]
        for table in arguments.hold_out:
            found = len(images)
            images = without_held_out(images, table)
            print(f"{found - len(images)} photos of {table} are held out")
        if not images:  # the index stays as it is
            raise CompressGANError(f"{', '.join(map(str, arguments.path))}: no photos are left to train on")
        parts = split(images, config)
        for index, part in zip((train_index, test_index), parts, strict=True):
            write_index(index, part)
        # Not read back: another run may write its own index there meanwhile.
        train_paths, test_paths = ([str(path) for path in part] for part in parts)
    else:
        train_paths, test_paths = read_index(train_index), read_index(test_index)
    if not train_paths:
        raise CompressGANError(f"{train_index}: lists no images; rebuild it with -path FOLDER")
    return train_paths, test_paths


def name_skipped(files: list[Path]) -> None:
    """Warns about files that are not trained on: first those that are photos according to their names."""
    photos = [path for path in files if is_photo(path)]
    if photos:
        hint = "" if has_heic() else "; for HEIC: pip install pillow-heif"
        logger.warning(f"{_some(photos)}: cannot be read and are skipped{hint}")
    known = set(photos)
    rest = [path for path in files if path not in known]
    if rest:
        logger.warning(f"skipped, because they are not images: {_some(rest)}")


def _some(paths: list[Path]) -> str:
    return ", ".join(map(str, paths[:5])) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
