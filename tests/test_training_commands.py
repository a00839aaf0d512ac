"""The command lines of training and preprocessing, run as a user runs them."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from compressgan.checkpoint import WEIGHTS_FILE, StoredModel
from compressgan.cli import train
from compressgan.config import Config
from compressgan.errors import CompressGANError
from compressgan.training.index import TRAIN_INDEX, read_index
from conftest import ROOT, assert_one_error_line, run_cli


@pytest.mark.usefixtures("usual_signals")
def test_training_stops_politely_and_resumes(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["-r", run, "--index", tmp_path / "index", "--logdir", tmp_path / "log"]
    command = [sys.executable, ROOT / "src" / "train.py", *arguments, "-path", photos, "--preset", "tiny"]
    process = subprocess.Popen(
        [str(part) for part in [*command, "--steps", "100000"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 200
    while not (run / "model.weights.h5").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "stopped and saved at step" in output
    step = int(output.split("saved at step ")[1].split(";")[0])
    assert step >= 20

    # This run must not resume with another run's index.
    indexed = tmp_path / "index" / "paths_train.h5"
    with h5py.File(indexed, "w") as file:
        file.create_dataset("path", data=["/nowhere.png"], dtype=h5py.string_dtype("utf-8"))
    result = run_cli("train.py", *arguments, "--steps", step + 2)
    assert result.returncode == 0, result.stderr
    assert f"resuming at step {step} of {step + 2}" in result.stdout
    result = run_cli("train.py", *arguments)
    assert f"all {step + 2} steps are done" in result.stdout
    assert_one_error_line(run_cli("train.py", *arguments, "--steps", "2"), "steps are already done", code=2)
    assert_one_error_line(run_cli("train.py", *arguments, "--epochs", "0"), "--epochs must be at least 1", code=2)
    assert_one_error_line(run_cli("train.py", *arguments, "--set", "centers=7"), "centers cannot change", code=2)
    result = run_cli("train.py", *arguments, "--set", "optimizer=muon")
    assert_one_error_line(result, "optimizer cannot change", code=2)
    assert_one_error_line(run_cli("train.py", *arguments, "--preset", "paper"), "settings differ", code=2)
    result = run_cli("inference.py", "-r", run, "-path", photos / "a.png", "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr


def test_a_run_from_other_weights_without_the_photos_held_out(photos: Path, checkpoint: Path, tmp_path: Path) -> None:
    """With learning rates of 0, the weights stay those of the other checkpoint, up to the levels' rate weights."""
    data = (photos / "b.jpg").read_bytes()
    (tmp_path / "held_out.csv").write_text(f"bytes,sha256\n{len(data)},{hashlib.sha256(data).hexdigest()}\n")
    index, run = tmp_path / "index", tmp_path / "run"
    arguments = ("-r", run, "--index", index, "--logdir", tmp_path / "log", "--preset", "tiny", "--epochs", 8)
    rates = [f"{name}learning_rate=0" for name in ("", "realism_", "prior_", "discriminator_")]
    result = run_cli(
        "train.py",
        *arguments,
        *("-path", photos, "--hold-out", tmp_path / "held_out.csv", "--init-from", checkpoint),
        *("--set", *rates, "train_fraction=1.0"),
    )
    assert result.returncode == 0, result.stderr
    indexed = [Path(path).name for path in read_index(index / TRAIN_INDEX)]
    assert sorted(indexed) == ["a.png", "c.webp", "d.png"]
    assert (run / "codec.tflite").exists()
    trained, other = StoredModel(run), StoredModel(checkpoint)
    assert trained.config.steps == 8 * 3 // 4  # photos over the batch
    names = list_weights(checkpoint)
    for name in names:
        found, expected = (stored.weights({name: names[name]})[name] for stored in (trained, other))
        np.testing.assert_allclose(found, expected, rtol=0.05 if name == "rate_coeffs" else 0)


def list_weights(folder: Path) -> dict[str, tuple[int, ...]]:
    """Returns the names and shapes of a checkpoint's weights."""
    found: dict[str, tuple[int, ...]] = {}
    with h5py.File(folder / WEIGHTS_FILE, "r") as file:
        file.visititems(lambda name, item: found.update({name: item.shape} if isinstance(item, h5py.Dataset) else {}))
    return found


def test_the_newest_run_is_the_one_saved_last(tmp_path: Path) -> None:
    for name, saved in (("b", 10), ("a", 30), ("c", 20)):
        state = tmp_path / name / "training" / "checkpoint"
        state.parent.mkdir(parents=True)
        state.touch()
        os.utime(state, (saved, saved))
    assert train.newest_run(tmp_path) == tmp_path / "a"
    with pytest.raises(CompressGANError, match="no run to resume"):
        train.newest_run(tmp_path / "none")


def test_the_perceptual_loss_is_the_one_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple] = []
    monkeypatch.setattr("compressgan.training.perceptual.PerceptualLoss", lambda *own: made.append(own))
    config = Config(precision="mixed_bfloat16")
    for given in ("vgg19.h5", None):
        train.load_perceptual(Namespace(perceptual=given), config)
    assert made == [(weights, "mixed_bfloat16", "normalized") for weights in ("vgg19.h5", "imagenet")]
    assert train.load_perceptual(Namespace(perceptual=None), config.replace(perceptual_coeff=0.0)) is None


def test_training_errors(photos: Path, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    base = ("-r", tmp_path / "run", "--index", tmp_path / "index")
    cases = [
        ((*base, "-path", tmp_path / "none"), "none: no such folder", 1),
        ((*base, "-path", tmp_path / "empty"), "empty: no images", 1),
        (base, "paths_train.h5: no index of training images yet", 1),
        ((*base, "-path", photos, "--perceptual", tmp_path / "none.h5"), "--perceptual off", 1),
        (("-r", checkpoint, "-path", photos), "start another run with -r DIR --init-from", 2),
        ((*base, "-path", photos, "--set", "colour=1"), "unknown setting: colour", 2),
        ((*base, "-path", photos, "--steps", "0"), "steps: input should be greater than or equal to 1", 2),
    ]
    for arguments, words, code in cases:
        assert_one_error_line(run_cli("train.py", *arguments), words, code=code)
    assert not (tmp_path / "run").exists()
    made = tmp_path / "made"
    made.mkdir()
    shutil.copy(photos / "a.png", made / "a_reconstructed.png")
    (made / "a.bin").write_bytes(b"CGN")
    index = read_index(tmp_path / "index" / TRAIN_INDEX)  # of the calls before
    result = run_cli("train.py", *base, "-path", made, "--perceptual", "off")
    assert_one_error_line(result, "made: no photos are left to train on")
    assert read_index(tmp_path / "index" / TRAIN_INDEX) == index != []


def test_what_is_wrong_with_the_photos_is_said_before_tensorflow_starts(tmp_path: Path) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise SystemExit('started')")
    command = [sys.executable, ROOT / "src" / "train.py", "-r", tmp_path / "run", "-path", tmp_path / "none"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert_one_error_line(result, "none: no such folder")


def test_preprocess(photos: Path, tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(240, dtype=np.uint8)[None, :, None], 120, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(photos / "ramp.png")
    (photos / "text.jpg").write_text("not a photo")
    result = run_cli("preprocess.py", "-i", photos, "-o", tmp_path / "small", "--size", 60, 60)
    assert_one_error_line(result, "text.jpg: not an image")
    assert "5 photos of 60 x 60" in result.stdout
    made = sorted(str(path.relative_to(tmp_path / "small")) for path in (tmp_path / "small").rglob("*.png"))
    assert made == ["a.png", "b.png", "c.png", "ramp.png", "sub/d.png"]
    cropped = np.asarray(Image.open(tmp_path / "small" / "ramp.png"))
    assert cropped.shape == (60, 60, 3)
    assert (cropped[0, 0, 0], cropped[0, -1, 0]) == (pytest.approx(61, abs=2), pytest.approx(178, abs=2))
    result = run_cli("preprocess.py", "-i", photos, "-o", tmp_path / "whole", "--size", 60, 60, "--stretch")
    stretched = np.asarray(Image.open(tmp_path / "whole" / "ramp.png"))
    assert (stretched[0, 0, 0], stretched[0, -1, 0]) == (pytest.approx(2, abs=2), pytest.approx(237, abs=2))


def test_preprocess_errors(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = ("-o", tmp_path / "out")
    assert_one_error_line(run_cli("preprocess.py", "-i", tmp_path / "none", *out), "none: no such folder")
    assert_one_error_line(run_cli("preprocess.py", "-i", tmp_path / "empty", *out), "empty: no images")
    assert_one_error_line(run_cli("preprocess.py", "-i", photos, *out, "--size", 0, 5), "--size", code=2)
    assert_one_error_line(run_cli("preprocess.py", "-i", photos, "-o", photos.parent), "originals", code=2)
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    (tmp_path / "originals").mkdir()
    shutil.copy(photos / "a.png", tmp_path / "originals" / "b.png")  # b.jpg would become this
    result = run_cli("preprocess.py", "-i", photos, "-o", tmp_path / "originals", "--size", 32, 32)
    assert_one_error_line(result, "b.png: would be overwritten, but is not a 32 x 32 picture", code=2)
    assert (tmp_path / "originals" / "b.png").read_bytes() == (photos / "a.png").read_bytes()
    assert_one_error_line(run_cli("preprocess.py", "-i", photos, "-o", photos), "both input and output", code=2)
    for _ in range(2):  # what the first call made is no input of the second
        result = run_cli("preprocess.py", "-i", photos, "-o", photos / "small", "--size", 32, 32)
        assert "4 photos of 32 x 32" in result.stdout
    assert all(path.read_bytes() == data for path, data in before.items())
