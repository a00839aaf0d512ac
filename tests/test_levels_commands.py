"""One model of eight levels and any realism, from training to the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compressgan import Codec
from compressgan.coding.bitstream import Bitstream
from conftest import assert_one_error_line, make_photo, run_cli


def trained(folder: Path) -> Path:
    """Trains a tiny model through both stages by the command, and returns its checkpoint."""
    (folder / "photos").mkdir()
    for i in range(4):
        Image.fromarray(make_photo(90, 100 + i, i)).save(folder / "photos" / f"{i}.png")
    common = ("-r", folder / "run", "--index", folder, "--logdir", folder / "log")
    settings = ("batch_size=8", "rate_coeff=3.0", "learning_rate=0.003", "prior_learning_rate=0.02")
    settings += ("adversarial_from=100", "discriminator_head_start=5", "realism_learning_rate=0.01")
    result = run_cli(
        "train.py", *common, "-path", folder / "photos", "--preset", "tiny", "--steps", 105, "--set", *settings
    )
    assert result.returncode == 0, result.stderr
    result = run_cli("train.py", *common, "--steps", 130)
    assert result.returncode == 0, result.stderr
    assert "resuming at step 105 of 130" in result.stdout
    return folder / "run"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(make_photo(320, 400, 9)).save(path)
    return path


def test_from_training_to_any_level_realism_and_size(photo: Path, tmp_path: Path) -> None:
    model = trained(tmp_path)
    codec = Codec.load(model)
    original = np.asarray(Image.open(photo))
    files = {level: codec.compress(original, level) for level in range(1, 9)}
    for level in (1, 8):
        out = tmp_path / f"level{level}"
        result = run_cli("inference.py", "-r", model, "-path", photo, "-o", out, "-q", level, "--realism", 0)
        assert result.returncode == 0, result.stderr
        data = (out / "photo.bin").read_bytes()
        assert data == files[level]
        assert Bitstream.from_bytes(data).level == level
        shown = np.asarray(Image.open(out / "photo_reconstructed.png"))
        np.testing.assert_array_equal(shown, codec.decompress(data, 0.0))
        (row,) = csv.DictReader((out / "summary.csv").open())
        assert (row["level"], row["realism"]) == (str(level), "0")
        assert "level" not in json.loads((out / "summary.json").read_text())["mean"]
    pictures = []
    for arguments, realism in (((), 1.0), (("--realism", 1), 1.0), (("--realism", 0.25), 0.25)):
        result = run_cli("inference.py", "-r", model, "-c", out / "photo.bin", "-o", tmp_path / "back", *arguments)
        assert result.returncode == 0, result.stderr
        pictures.append(np.asarray(Image.open(tmp_path / "back" / "photo_reconstructed.png")))
        np.testing.assert_array_equal(pictures[-1], codec.decompress(data, realism))
    assert not np.array_equal(pictures[0], pictures[2])

    most = round((len(files[1]) * len(files[8])) ** 0.5)
    bpp = 8 * (most + 0.5) / original[..., 0].size
    result = run_cli("inference.py", "-r", model, "-path", photo, "-o", tmp_path, "--bpp", bpp)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "photo.bin").read_bytes() == codec.compress(original, size=most)
    assert (tmp_path / "photo.bin").stat().st_size <= most
    for size, words in (
        (10, "even its smallest .bin has"),
        (10**6, "its largest .bin within 1,000,000 bytes has only"),
    ):
        arguments = ("--size", size, "--effort", 1)
        result = run_cli("inference.py", "-r", model, "-path", photo, "-o", tmp_path, *arguments)
        assert result.returncode == 0, result.stderr
        assert [line for line in result.stderr.splitlines() if f"{photo}: {words}" in line], result.stderr


def test_levels_and_realisms_that_do_not_exist(checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    call = ("inference.py", "-r", checkpoint, "-path", photo, "-o", tmp_path)
    arguments = ("-r", checkpoint, "-c", photo, "-o", tmp_path, "-q", 3)
    assert_one_error_line(run_cli("inference.py", *arguments), "only for compressing, which needs -path", code=2)
    assert_one_error_line(run_cli(*call, "-q", 9), "-q must be in 1 .. 8 for this model, not 9", code=2)
    for arguments, words in (
        (("--realism", 1.5), "1.5 is not a number from 0 to 1"),
        (("--realism", "much"), "much is not a number from 0 to 1"),
        (("-q", 3, "--size", 500), "not allowed with"),
        (("--size", 0), "0 is not a positive whole number"),
        (("--bpp", "nan"), "nan is not a positive number"),
    ):
        result = run_cli(*call, *arguments)
        assert result.returncode == 2
        assert words in result.stderr.splitlines()[-1]
