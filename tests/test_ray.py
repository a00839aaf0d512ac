"""Compressing on Ray: the same as on one machine, whatever happens to workers and machines."""

from __future__ import annotations

import argparse
import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from compressgan import Codec
from compressgan.cli.cluster import _ray, _result, _work
from compressgan.cli.jobs import Job
from compressgan.cli.options import THIS_MACHINE
from compressgan.errors import CompressGANError
from compressgan.runtime import available_cpus
from conftest import ROOT, assert_one_error_line, make_photo, run_cli

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")


def make_photos(folder: Path, count: int, side: int = 100) -> Path:
    folder.mkdir()
    for i in range(count):
        Image.fromarray(make_photo(side, side + i, i)).save(folder / f"{i:03}.png")
    return folder


def table(folder: Path) -> dict[str, dict]:
    return {row["file"]: row for row in csv.DictReader((folder / "summary.csv").open())}


def test_the_same_as_without_ray(checkpoint: Path, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", 5)
    (photos / "sub").mkdir()
    Image.fromarray(make_photo(60, 70)).save(photos / "sub" / "a.jpg")
    (photos / "bad.png").write_bytes((photos / "000.png").read_bytes()[:300])
    for name in ("first.gif", "second.gif"):
        frames = [Image.fromarray(make_photo(40, 40, i)) for i in range(2)]
        frames[0].save(photos / name, save_all=True, append_images=frames[1:])
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.fromarray(np.eye(100, dtype=np.uint8) * 255).save(masks / "003.png")
    call = ("inference.py", "-r", checkpoint, "-q", 3, "--mask", masks)
    found, expected = (
        run_cli(*call, "-path", photos, "-o", tmp_path / name, *ray) for name, ray in (("ray", ["--ray"]), ("one", []))
    )
    assert found.returncode == expected.returncode == 1
    assert sorted(found.stdout.splitlines()) == sorted(expected.stdout.splitlines())
    once = "only the first frame of an animated or multi-page image is used (reported only once)"
    assert found.stderr.count(once) == expected.stderr.count(once) == 1
    lines = [[line for line in result.stderr.splitlines() if once not in line] for result in (found, expected)]
    assert sorted(lines[0]) == sorted(lines[1])
    names = [
        sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        for folder in (tmp_path / "ray", tmp_path / "one")
    ]
    assert names[0] == names[1]
    for name in names[0]:
        if (tmp_path / "one" / name).is_file() and not name.startswith("summary."):
            assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert table(tmp_path / "ray") == table(tmp_path / "one")

    (tmp_path / "ray" / "002.bin").unlink()
    result = run_cli(*call, "-path", photos, "-o", tmp_path / "ray", "--bin-only", "--no-overwrite", "--ray")
    assert result.returncode == 1
    assert "7 of 9 files are already done" in result.stdout
    assert (tmp_path / "ray" / "002.bin").read_bytes() == (tmp_path / "one" / "002.bin").read_bytes()


@pytest.fixture
def cluster() -> Iterator[ray.cluster_utils.Cluster]:
    """A cluster of two machines with a CPU each, simulated on this one."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT / "src"))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        cluster.add_node(num_cpus=1)
        yield cluster
        cluster.shutdown()


def workers() -> list[int]:
    """Returns the processes that compress photos."""
    listed = subprocess.run(["pgrep", "-f", "^ray::_work"], capture_output=True, text=True).stdout
    return [int(line) for line in listed.split()]


def wait_for(condition: object, seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_workers_that_die_and_machines_that_come_and_go(
    cluster: ray.cluster_utils.Cluster, checkpoint: Path, tmp_path: Path
) -> None:
    photos = make_photos(tmp_path / "photos", 60, 400)
    out = tmp_path / "out"
    arguments = ["-r", checkpoint, "-path", photos, "-o", out, "--bin-only", "--effort", "8", "--ray", cluster.address]
    call = [sys.executable, ROOT / "src" / "inference.py", *arguments]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    made = lambda: len(list(out.glob("[!.]*.bin")))  # noqa: E731
    wait_for(lambda: made() >= 5)
    wait_for(workers)
    os.kill(workers()[0], signal.SIGKILL)
    seen = made()
    wait_for(lambda: made() >= seen + 5)
    node = cluster.add_node(num_cpus=1)
    cluster.remove_node(next(other for other in cluster.worker_nodes if other is not node))
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    names = [line.split(":")[0] for line in printed.splitlines() if line.endswith(" bpp")]  # Ray prints, too
    assert sorted(names) == sorted(path.name for path in photos.iterdir())
    codec = Codec.load(checkpoint, effort=8, threads=1)
    for path in photos.iterdir():
        assert (out / f"{path.stem}.bin").read_bytes() == codec.compress(path)
    assert made() == 60


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_whole_files(checkpoint: Path, tmp_path: Path, number: signal.Signals) -> None:
    photos = make_photos(tmp_path / "photos", 40, 400)
    out = tmp_path / "out"
    call = [sys.executable, ROOT / "src" / "inference.py", "-r", checkpoint, "-path", photos, "-o", out, "--ray"]
    process = subprocess.Popen([*call, "--effort", "8"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(out.glob("[!.]*.bin"))) >= available_cpus() + 3)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines() == ["error: interrupted"]
    codec = Codec.load(checkpoint, effort=8, threads=1)
    for path in out.glob("[!.]*.bin"):
        assert path.read_bytes() == codec.compress(photos / f"{path.stem}.png")
    assert len(table(out)) >= 3  # one for each CPU may have had its .bin file, but not yet its pictures


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[AbstractFileSystem]:
    """A local server of S3, found by the processes that this one starts."""
    s3fs, moto = map(pytest.importorskip, ("s3fs", "moto.server"))
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    system = s3fs.S3FileSystem(skip_instance_cache=True)
    system.mkdir("bucket")
    yield system
    server.stop()


def test_photos_on_s3(checkpoint: Path, s3: AbstractFileSystem, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", 4)
    (photos / "sub").mkdir()
    Image.fromarray(make_photo(60, 70)).save(photos / "sub" / "a b+[1] ä.jpg")
    (photos / "bad.png").write_bytes(b"nothing")
    s3.put(str(photos), "bucket/photos", recursive=True)
    call = ("inference.py", "-r", checkpoint)
    url = "s3://bucket/photos"
    found = run_cli(*call, "-path", url, "-o", "s3://bucket/out", "--ray")
    expected = run_cli(*call, "-path", photos, "-o", tmp_path / "one")
    assert found.returncode == expected.returncode == 1
    assert sorted(found.stdout.splitlines()) == sorted(expected.stdout.splitlines())
    assert sorted(found.stderr.splitlines()) == sorted(expected.stderr.replace(str(photos), url).splitlines())
    there = lambda: sorted(name.removeprefix("bucket/out/") for name in s3.find("bucket/out"))  # noqa: E731
    assert there() == sorted(str(p.relative_to(tmp_path / "one")) for p in (tmp_path / "one").rglob("*") if p.is_file())
    for name in there():
        if not name.startswith("summary."):
            assert s3.cat_file(f"bucket/out/{name}") == (tmp_path / "one" / name).read_bytes()
    s3.get("bucket/out/summary.csv", str(tmp_path / "summary.csv"))
    assert table(tmp_path) == table(tmp_path / "one")

    s3.rm("bucket/out/002_reconstructed.png")
    again = run_cli(*call, "-path", url, "-o", "s3://bucket/out", "--ray", "--no-overwrite")
    assert "4 of 6 files are already done" in again.stdout
    s3.invalidate_cache()
    assert s3.exists("bucket/out/002_reconstructed.png")
    result = run_cli(*call, "-path", "s3://nowhere/photos", "-o", "s3://bucket/out", "--ray")
    assert_one_error_line(result, "s3://nowhere/photos: no such file or folder")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (SystemExit(15), pytest.raises(KeyboardInterrupt)),  # by Ray's handler of SIGTERM
        (
            Exception("The node timed out.\nCheck its logs."),
            pytest.raises(CompressGANError, match=r"local: The node timed out\.$"),
        ),
    ],
)
def test_ray_does_not_start(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, expected: AbstractContextManager
) -> None:
    def init(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(ray, "init", init)
    with expected, _ray(THIS_MACHINE):
        pass


def test_messages_of_a_cluster_that_ends(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def shutdown() -> None:
        os.write(2, b"[2026-11-28 06:23:38,093 E 8545 8690] task_manager.cc:1545: Failed to push error\nother\n")

    monkeypatch.setattr(ray, "init", lambda *_, **__: None)
    monkeypatch.setattr(ray, "shutdown", shutdown)
    with _ray(THIS_MACHINE):
        pass
    assert capfd.readouterr().err == "other\n"


def test_a_cluster_that_requires_a_token(
    checkpoint: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port", str(port)]
    start += ["--num-cpus", "1", "--include-dashboard", "false"]
    head = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert any("Ray runtime started" in line for line in head.stdout)
        call = ("inference.py", "-r", checkpoint, "-path", photos, "-o", tmp_path / "out", "--ray", f"127.0.0.1:{port}")
        result = run_cli(*call)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "out" / "a.bin").exists()
        monkeypatch.delenv("RAY_AUTH_MODE")
        assert_one_error_line(run_cli(*call), "it requires a token; RAY_AUTH_MODE=token sends yours")
    finally:
        head.terminate()
        head.wait(30)


def test_a_worker_without_the_model_says_so(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a worker changes to the caller's folder
    arguments = argparse.Namespace(r=tmp_path / "nowhere", memory=2**29, effort=0)
    outcome = _work((arguments, str(tmp_path)), Job(photos / "a.png", "a.png", tmp_path / "out" / "a"))
    assert outcome.error == f"{tmp_path}/nowhere/config.json: no such file, so {tmp_path}/nowhere is not a checkpoint"


@pytest.mark.parametrize(
    "error",
    [
        ray.exceptions.RayTaskError("_work", "Traceback ...\nModuleNotFoundError: no reason", ValueError("")),
        ray.exceptions.OutOfDiskError("no reason\nmore of it"),
    ],
)
def test_a_machine_that_cannot_work_fails_one_photo(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def get(_: object) -> None:
        raise error

    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(CompressGANError, match=r"^a\.png: .*no reason$"):
        _result(Job("a.png", "a.png", Path("a")), None)


def test_what_ray_cannot_do(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    call = ("inference.py", "-r", checkpoint, "-path", photos, "-o", tmp_path / "out")
    assert_one_error_line(run_cli(*call, "--report", "--ray"), "--report cannot be combined", code=2)
    for address in ("127.0.0.1:1", "a..b:80"):
        assert_one_error_line(run_cli(*call, "--ray", address), f"--ray {address}: cannot be reached")
    assert not list((tmp_path / "out").glob("*.bin"))
