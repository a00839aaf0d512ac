"""What surrounds a command: closed streams, other settings of Keras, odd folders, locks, several inputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import portalocker
import pytest
from PIL import Image

from compressgan import Codec
from compressgan.cli import indexing, train
from compressgan.cli.indexing import index_images, name_skipped
from compressgan.config import Config
from compressgan.errors import CompressGANError
from compressgan.training.guards import LOG_FOLDER, locked
from compressgan.training.index import TRAIN_INDEX, find_images, read_index
from conftest import ROOT, assert_one_error_line, make_photo, run_cli


def test_several_inputs_and_none_of_our_own_pictures(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (
        "-r",
        checkpoint,
        "--path",
        photos / "a.png",
        photos / "b.jpg",
        photos / "sub",
        photos / "sub" / "d.png",
    )
    result = run_cli("inference.py", *arguments, "--output", out)
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.bin")) == ["a.bin", "b.bin", "sub/d.bin"]
    result = run_cli("inference.py", "-r", checkpoint, "-c", out / "a.bin", out / "sub", "-o", tmp_path / "back")
    assert (result.returncode, result.stderr) == (0, "")
    assert len(list((tmp_path / "back").rglob("*.png"))) == 2

    # From another folder, and a link to a file.
    (tmp_path / "here").mkdir()
    (photos / "linked.png").symlink_to(photos / "a.png")
    command = [sys.executable, ROOT / "src" / "inference.py", "-r", checkpoint, "--bin-only", "-o", "out"]
    command += ["-path", "../photos/sub", "../photos/a.png", "../photos/linked.png"]
    subprocess.run(list(map(str, command)), cwd=tmp_path / "here", check=True, timeout=100)
    written = sorted(str(path.relative_to(tmp_path / "here")) for path in (tmp_path / "here").rglob("*.bin"))
    assert written == ["out/a.bin", "out/linked.bin", "out/sub/d.bin"]
    (photos / "linked.png").unlink()

    # An output folder inside the input, then another one.
    (photos / "b.jpg").unlink()
    inside = photos / "compressed"
    run_cli("inference.py", "-r", checkpoint, "-path", photos, "-o", inside)
    (photos / "mine_comparison.png").write_bytes((photos / "a.png").read_bytes())
    result = run_cli("inference.py", "-r", checkpoint, "-path", photos, "-o", tmp_path / "again", "--bin-only")
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == 6
    assert (
        f"warning: {inside / 'a_comparison.png'}: left out, because an earlier call made it from a.bin" in result.stderr
    )
    made = {str(path.relative_to(tmp_path / "again")) for path in (tmp_path / "again").rglob("*.bin")}
    assert made == {"a.bin", "c.bin", "mine_comparison.bin", "sub/d.bin"}

    # Neither are they trained on, nor prepared for training, nor taken for photos where a pattern names them.
    result = run_cli("preprocess.py", "-i", photos, "-o", tmp_path / "small", "--size", 32, 32)
    assert "4 photos of 32 x 32" in result.stdout
    pattern = sorted(inside.glob("a*.png"))
    result = run_cli("inference.py", "-r", checkpoint, "-path", *pattern, "-o", tmp_path / "pattern", "--bin-only")
    assert_one_error_line(result, "no photos are left")
    settings = ("steps=1", "adversarial_from=1", "train_fraction=1", "validate_every=9", "crop_size=32", "batch_size=1")
    run = ("-r", tmp_path / "run", "--index", tmp_path / "index", "--logdir", tmp_path / "logs", "--perceptual", "off")
    result = run_cli("train.py", *run, "-path", photos, "--set", *settings, "levels=1", "default_level=1")
    assert result.returncode == 0, result.stderr
    assert [Path(path).name for path in read_index(tmp_path / "index" / TRAIN_INDEX)] == [
        "a.png",
        "c.webp",
        "mine_comparison.png",
        "d.png",
    ]


@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(checkpoint: Path, photos: Path, tmp_path: Path, closed: str) -> None:
    command = (
        f'"{sys.executable}" "{ROOT}/src/inference.py" -r "{checkpoint}" -path "{photos}" -o "{tmp_path}/out" {closed}'
    )
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(list((tmp_path / "out").rglob("*.bin"))) == 4


def test_output_into_a_pipe_that_closes(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [
        sys.executable,
        ROOT / "src" / "inference.py",
        "-r",
        checkpoint,
        "-path",
        photos,
        "-o",
        tmp_path / "o",
    ]
    result = subprocess.run(list(map(str, command)), stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=100)
    os.close(write_end)
    assert (result.returncode, result.stderr) == (1, "")


def test_streams_that_are_full(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    binary = tmp_path / "a.bin"
    binary.write_bytes(Codec.load(checkpoint).compress(photos / "a.png"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": ""}
    call = [sys.executable, "-m", "compressgan", "info", str(binary), "-r", str(checkpoint)]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, timeout=100)
    assert (result.returncode, result.stderr) == (1, "error: standard output: No space left on device\n")

    # The other photos are compressed although the warning about the first one cannot be written.
    pixels = np.dstack([make_photo(40, 50), np.full((40, 50), 255, np.uint8)])
    pixels[:9, :9, 3] = 0
    Image.fromarray(pixels).save(photos / "_transparent.png")
    arguments = ["-r", checkpoint, "-path", photos, "-o", tmp_path / "out", "--bin-only"]
    call = [sys.executable, *map(str, [ROOT / "src" / "inference.py", *arguments])]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(call, stdout=subprocess.PIPE, stderr=full, text=True, timeout=100)
    assert len(list((tmp_path / "out").rglob("*.bin"))) == 5


def test_the_users_settings_of_keras_and_matplotlib_do_not_matter(checkpoint: Path, tmp_path: Path) -> None:
    settings = {"backend": "jax", "image_data_format": "channels_first", "floatx": "float16"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "src")!r}]
from pathlib import Path
from compressgan.networks.loading import import_tensorflow
import_tensorflow()
import keras
from compressgan.networks.model import CompressGAN
print(CompressGAN.load(Path({str(checkpoint)!r})).fingerprint().hex())
print(keras.config.image_data_format(), keras.config.floatx())
"""
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=100)
    assert result.returncode == 0, result.stderr
    fingerprint = json.loads((checkpoint / "config.json").read_text())["fingerprint"]
    assert result.stdout.splitlines() == [fingerprint, "channels_first float16"]


@pytest.mark.parametrize("name", ["exp[1]", "back\\slash", "st*r/run", "what?"])
def test_folders_that_tensorflow_takes_for_patterns_are_refused(tmp_path: Path, photos: Path, name: str) -> None:
    result = run_cli("train.py", "-r", tmp_path / name, "-path", photos, "--index", tmp_path / "index")
    assert_one_error_line(result, "TensorFlow cannot keep a run in a folder whose path contains", code=2)
    assert not (tmp_path / name).exists()
    assert not (tmp_path / "index").exists()


def test_file_systems_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: object) -> None:
        raise portalocker.LockException("[Errno 37] No locks available")

    monkeypatch.setattr(portalocker, "lock", refuse)
    with locked(tmp_path / "training"):
        assert "this file system has no locks" in caplog.text


def test_a_run_trains_on_its_own_photos(
    tmp_path: Path, photos: Path, tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run that writes its index to the same folder at the same time changes nothing."""
    write = indexing.write_index
    monkeypatch.setattr(indexing, "write_index", lambda path, images: write(path, ["/of/another/run.png"]))
    arguments = Namespace(index=tmp_path / "index", path=[photos], hold_out=[])
    train_paths, test_paths = index_images(arguments, tiny, tmp_path / "run")
    assert sorted(train_paths + test_paths) == sorted(map(str, find_images([photos])[0]))


def test_skipped_files_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [*(f"{i}.heic" for i in range(7)), "notes.txt"]
    for name in names:
        (tmp_path / name).write_text("x")
    name_skipped([tmp_path / name for name in names])
    first, second = caplog.messages
    assert first.startswith(f"{tmp_path}/0.heic, ")
    assert "4.heic and 2 more: cannot be read and are skipped" in first
    assert second == f"skipped, because they are not images: {tmp_path}/notes.txt"


def test_tensorflows_messages_are_plain(photos: Path, tmp_path: Path) -> None:
    for path in photos.rglob("*.*"):
        path.write_bytes(path.read_bytes()[:200])  # an image according to its header, but damaged after it
    arguments = ("-r", tmp_path / "run", "--index", tmp_path / "index", "--logdir", tmp_path / "log")
    result = run_cli("train.py", *arguments, "-path", photos, "--preset", "tiny")
    assert_one_error_line(result, "error: TensorFlow: none of the training images can be read")


def test_keras_with_another_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from compressgan.networks.loading import import_tensorflow

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(CompressGANError, match="Keras uses jax in this process, but TensorFlow is needed"):
        import_tensorflow()


def test_each_run_has_its_own_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = tmp_path / "log"

    def started(run: Path, name: str | None = None) -> str:
        folder = train.log_folder(run, logs, name)
        (folder / "train").mkdir(parents=True)
        (folder / "train" / "events.out").touch()
        (run / "training").mkdir(parents=True, exist_ok=True)
        (run / "training" / LOG_FOLDER).write_text(str(folder.resolve()))
        return folder.name

    runs = [tmp_path / part / "run" for part in "abc"]
    assert [started(run) for run in runs] == ["run", "run-2", "run-3"]
    assert "holds the curves of another run" in capsys.readouterr().out
    assert started(tmp_path / "d", "run") == "run-4"
    assert started(runs[0]) == "run-5"  # begun anew before anything was saved
    for run, name in zip(runs, ("run-5", "run-2", "run-3"), strict=True):
        (run / "training" / "checkpoint").touch()
        assert train.log_folder(run, logs, None) == logs / name
    assert train.log_folder(runs[0], logs, "other") == logs / "other"
    assert train.log_folder(runs[1], tmp_path / "moved", None) == tmp_path / "moved" / "run-2"


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "src").glob("*.py")))
def test_help_needs_no_extra(script: str) -> None:
    """After `pip install .`, every command can be asked for its help."""
    extras = ("tensorflow", "keras", "tensorboard", "portalocker", "matplotlib", "ssimulacra2", "scipy")
    code = (
        "import runpy, sys\n"
        f"sys.modules |= dict.fromkeys({extras})\n"  # importing them fails
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(ROOT / "src" / script), "--help"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stderr) == (0, "")
