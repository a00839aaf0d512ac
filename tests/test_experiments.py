"""The experiments, on a handful of photos and steps."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from compressgan.checkpoint import read_config
from compressgan.cli.experiments import main
from compressgan.config import Config
from compressgan.evaluation.plots import write_bars
from compressgan.training import experiments
from compressgan.training.experiments import QUANTIZATIONS, dataset_size, perceptual, quantization
from config import PROJECT
from conftest import ROOT, assert_one_error_line, run_cli, write_vgg19

EXAMPLES = ROOT / "data" / "example"


def test_rows_differ_in_what_they_are_named_for_alone() -> None:
    paths = [f"{i}.jpg" for i in range(30)]
    third, whole = dataset_size(paths)
    assert (len(third.train_paths), len(whole.train_paths)) == (10, 30)
    assert set(third.train_paths) < set(whole.train_paths)
    assert third.config == whole.config
    without, with_vgg19 = perceptual(paths)
    assert without.config == with_vgg19.config.replace(perceptual_coeff=0.0)
    assert with_vgg19.config.perceptual_coeff > 0
    rows = quantization(paths)
    assert [(row.config.latent_channels, row.config.centers) for row in rows] == list(QUANTIZATIONS)
    for row in rows:
        # Every center can be reached.
        assert row.config.latent_bound > row.config.centers // 2


def run_experiment(name: str, output: Path, *arguments: object) -> tuple[list[dict[str, str]], dict]:
    result = run_cli("experiments.py", name, "-path", EXAMPLES, "-o", output, *arguments)
    assert result.returncode == 0, result.stderr
    return read_results(output / name, result.stdout)


def read_results(folder: Path, printed: str) -> tuple[list[dict[str, str]], dict]:
    assert Image.open(folder / "plot.png").width > 200
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert f"| {row['row']} |" in printed
    return rows, json.loads((folder / "settings.json").read_text())


def test_dataset_size(
    one_rate: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process and with a smaller model. The next test calls the command."""
    small = one_rate.replace(adversarial_from=10**9, save_every=10**9, ema_decay=0.99)
    monkeypatch.setattr(experiments, "SMALL", small)
    arguments = ["experiments.py", "dataset-size", "-path", EXAMPLES, "-o", tmp_path, "--minutes", 0.1]
    monkeypatch.setattr("sys.argv", list(map(str, arguments)))
    assert main(PROJECT) == 0
    rows, settings = read_results(tmp_path / "dataset-size", capsys.readouterr().out)
    assert [row["row"] for row in rows] == ["19 photos", "57 photos"]
    assert settings["validation_photos"] == 3
    assert settings["steps"] >= 1
    for i, (row, kept) in enumerate(zip(rows, settings["rows"], strict=True), start=1):
        assert 5 < float(row["psnr"]) < 40
        config, _ = read_config(tmp_path / "dataset-size" / f"row{i}")
        assert Config.from_json(kept["config"]) == config
        assert config.steps == settings["steps"]


def test_perceptual(tmp_path: Path) -> None:
    weights = write_vgg19(tmp_path / "vgg19.h5")
    rows, settings = run_experiment("perceptual", tmp_path, "--steps", 2, "--perceptual", weights)
    assert [row["row"] for row in rows] == ["without VGG19", "with VGG19"]
    assert all(float(row["vgg19_distance"]) > 0 for row in rows)
    used = [Config.from_json(kept["config"]) for kept in settings["rows"]]
    assert (used[0].perceptual_coeff, used[1].vgg19_weights) == (0, "vgg19.h5")


def test_coders(checkpoint: Path, tmp_path: Path) -> None:
    rows, settings = run_experiment("coders", tmp_path, "-r", checkpoint)
    assert [row["row"] for row in rows] == ["block", "order0", "context"]
    assert settings["validation_photos"] == 60
    sizes = [float(row["bytes"]) for row in rows]
    assert sizes[0] > sizes[1]

    # Earlier results are not overwritten.
    before = (tmp_path / "coders" / "results.csv").read_bytes()
    result = run_cli("experiments.py", "coders", "-path", EXAMPLES, "-o", tmp_path, "-r", checkpoint)
    assert_one_error_line(result, "coders: holds the results of an earlier call", code=2)
    assert (tmp_path / "coders" / "results.csv").read_bytes() == before


def test_figures_that_are_not_known_are_left_out_of_the_plot(tmp_path: Path) -> None:
    rows = [{"row": name, "bpp": 0.05, "psnr": 22.0, "ms_ssim": None} for name in "ab"]
    write_bars(tmp_path / "some.png", rows, "MS-SSIM needs larger photos")
    write_bars(tmp_path / "all.png", [{**row, "ms_ssim": 0.8} for row in rows], "larger photos")
    assert Image.open(tmp_path / "some.png").width < Image.open(tmp_path / "all.png").width


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("perceptual", "-path", EXAMPLES), "--perceptual imagenet", 2),
        (("dataset-size", "-path", EXAMPLES, "--steps", 0), "--steps must be above 0", 2),
        (("dataset-size", "-path", EXAMPLES / "none"), "none: no such folder", 1),
        (("quantization", "-path", EXAMPLES, "--validation", EXAMPLES), "no photos are left for training", 1),
    ],
)
def test_errors(arguments: tuple, words: str, code: int, tmp_path: Path) -> None:
    assert_one_error_line(run_cli("experiments.py", *arguments, "-o", tmp_path), words, code=code)
