"""The same global batches give the same weights on one device, two devices and two machines."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT, assert_one_error_line, run_cli

STEPS = 20


def start_training(folder: Path, photos: Path, *arguments: object, tf_config: dict | None = None) -> subprocess.Popen:
    command = [sys.executable, ROOT / "src" / "train.py", "-r", folder / "run", "-path", photos, "--preset", "tiny"]
    command += ["--steps", STEPS, "--index", folder / "index", "--logdir", folder / "log"]
    command += [*arguments, "--set", "optimizer=muon", "adversarial_from=10", "save_every=10", "validate_every=100"]
    environment = dict(os.environ)
    if tf_config:
        environment["TF_CONFIG"] = json.dumps(tf_config)
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def cluster(index: int, ports: list[int]) -> dict:
    return {
        "cluster": {"worker": [f"localhost:{port}" for port in ports]},
        "task": {"type": "worker", "index": index},
    }


def free_ports() -> list[int]:
    sockets = [socket.socket() for _ in range(2)]
    for s in sockets:
        s.bind(("localhost", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def finish(*processes: subprocess.Popen) -> list[str]:
    outputs = [process.communicate(timeout=280)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
    return outputs


def weights(folder: Path) -> list[np.ndarray]:
    from compressgan.networks.model import CompressGAN

    return CompressGAN.load(folder / "run").get_weights()


@pytest.fixture(scope="module")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    from conftest import make_photo

    folder = tmp_path_factory.mktemp("photos")
    for i in range(6):
        Image.fromarray(make_photo(80, 90 + i, i)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def on_one_device(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    folder = tmp_path_factory.mktemp("one")
    finish(start_training(folder, photo_folder, "--strategy", "one"))
    return weights(folder)


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for a, b in zip(found, expected, strict=True):
        # Weights are stored in half precision, which may round to either side.
        np.testing.assert_allclose(a, b, atol=1e-4, rtol=2**-10)


def test_two_devices(photo_folder: Path, on_one_device: list[np.ndarray], tmp_path: Path) -> None:
    finish(start_training(tmp_path, photo_folder, "--strategy", "mirrored"))
    assert_same(weights(tmp_path), on_one_device)


def test_two_machines_and_the_loss_of_one(photo_folder: Path, on_one_device: list[np.ndarray], tmp_path: Path) -> None:
    """One of two workers is killed half-way. Restarted, both resume and end with the same weights as one device."""

    ports = free_ports()
    workers = [start_training(tmp_path, photo_folder, tf_config=cluster(i, ports)) for i in range(2)]
    # The second stage is traced after the first checkpoint, which leaves time to kill a worker.
    deadline = time.monotonic() + 200
    state = tmp_path / "run" / "training"
    while not (state / "ckpt-10.index").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    workers[1].kill()
    output, _ = workers[0].communicate(timeout=200)
    assert workers[0].returncode == 1, output
    assert "another worker is gone; restart all workers" in output
    assert "Traceback" not in output
    workers[1].communicate()
    assert not (state / "ckpt-20.index").exists()

    ports = free_ports()
    outputs = finish(*[start_training(tmp_path, photo_folder, tf_config=cluster(i, ports)) for i in range(2)])
    assert all("resuming at step 10 of 20" in output for output in outputs)
    assert_same(weights(tmp_path), on_one_device)

    # Workers that do not share the checkpoint folder would train one model from two states.
    ports, folders = free_ports(), (tmp_path, tmp_path / "not-shared")
    workers = [start_training(folder, photo_folder, tf_config=cluster(i, ports)) for i, folder in enumerate(folders)]
    for worker, step in zip(workers, (20, 0), strict=True):
        output, _ = worker.communicate(timeout=200)
        assert worker.returncode == 1, output
        assert f"this worker is at step {step}, another one is not; all workers need the same checkpoint" in output


def test_multiworker_needs_tf_config(photo_folder: Path, tmp_path: Path) -> None:
    arguments = ("-r", tmp_path / "run", "-path", photo_folder, "--index", tmp_path, "--strategy", "multiworker")
    result = run_cli("train.py", *arguments)
    assert_one_error_line(result, "TF_CONFIG", code=2)
