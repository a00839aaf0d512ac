"""Photos and outputs on other file systems."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pytest
from PIL import Image

from compressgan import Codec, CompressGANError
from compressgan.cli import cluster
from compressgan.cli.compress import start_jobs
from compressgan.cli.remote import Folder, localized, staged
from compressgan.config import DEFAULT_EFFORT
from compressgan.errors import UsageError
from conftest import assert_one_error_line, make_photo, run_cli

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install '.[s3]'")


@pytest.fixture
def memory() -> fsspec.AbstractFileSystem:
    system = fsspec.filesystem("memory")
    system.store.clear()
    return system


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(make_photo(40, 50)).save(path)
    return path


@pytest.fixture
def options(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    monkeypatch.chdir(tmp_path)  # as workers do
    return argparse.Namespace(
        path=["memory://in"],
        o="memory://out/made/",
        r=checkpoint,
        ray="local",
        effort=DEFAULT_EFFORT,
        memory=2**30,
        format="png",
        coder="context",
        **dict.fromkeys(("q", "bpp", "size", "mask", "realism", "threads")),
        **dict.fromkeys(("bin_only", "no_overwrite", "report", "verbose"), False),
    )


def put(memory: fsspec.AbstractFileSystem, name: str, photo: Path) -> None:
    memory.pipe_file(name, photo.read_bytes())


def test_a_folder(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    folder = Folder("memory://some/folder/")
    assert folder.names() == []
    (tmp_path / "a").write_bytes(b"first")
    for name in ("b[1] ä.png", "sub/a.png", ".hidden", ".trash/a.png"):
        folder.send(tmp_path / "a", name)
    memory.pipe_file("/some/folder2/a.png", b"")
    assert folder.names() == ["b[1] ä.png", "sub/a.png"]
    folder.fetch("b[1] ä.png", tmp_path / "new" / "b")
    assert (tmp_path / "new" / "b").read_bytes() == b"first"
    (tmp_path / "a").write_bytes(b"second")
    folder.send(tmp_path / "a", "sub/a.png")
    assert memory.cat_file("/some/folder/sub/a.png") == b"second"
    assert [folder.holds(name) for name in ("sub", "sub/a.png", "c")] == [False, True, False]
    urls = [f"{folder.url}/{name}" for name in ("sub", "sub/a.png", "c")]
    assert [Folder(url).is_file() for url in urls] == [False, True, False]


def test_names_that_no_file_could_have(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "caf\udce9.jpg").write_bytes(b"")
    (tmp_path / "good.jpg").write_bytes(b"")
    assert Folder(f"file://{tmp_path}").names() == ["good.jpg"]
    assert "caf\\udce9.jpg: skipped" in caplog.text
    memory.store["/in/sub//a.jpg"] = memory.store["/in/sub/a.jpg"] = None
    found = {"/in/sub//a.jpg": {}, "/in/sub/a.jpg": {}}
    memory.find = lambda root: list(found)
    try:
        assert Folder("memory://in").names() == ["sub/a.jpg"]
    finally:
        del memory.find
    assert "memory://in/sub//a.jpg: skipped" in caplog.text


def test_what_cannot_be_read_or_written_is_named(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    with pytest.raises(CompressGANError, match=r"^nothing://a: Protocol not known"):
        Folder("nothing://a")
    with pytest.raises(CompressGANError, match="a URL cannot hold ::"):
        Folder("zip://a.png::memory://b.zip")
    with pytest.raises(CompressGANError, match=r"^memory://in/a.png: no such file or folder$"):
        Folder("memory://in").fetch("a.png", tmp_path / "a")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CompressGANError, match=f"^file://{tmp_path}/file/a.png: Not a directory"):
        Folder(f"file://{tmp_path}/file").send(tmp_path / "file", "a.png")


def test_a_bucket_is_not_looked_for_on_the_disk(
    memory: fsspec.AbstractFileSystem, photo: Path, options: argparse.Namespace, tmp_path: Path
) -> None:
    put(memory, "/in/a.png", photo)
    (tmp_path / "memory:").mkdir()
    (tmp_path / "memory:" / "in").touch()  # where `memory:/`, with one slash, would lead
    with staged(options) as own:
        assert (own.input_url, own.input_name) == ("memory://in", None)


def test_a_file_that_is_half_sent_does_not_appear(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "kept").write_bytes(b"old")
    folder = Folder(f"file://{tmp_path}")

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileOpener.write", fail, raising=False)
    with pytest.raises(CompressGANError, match="no space left"):
        folder.send(tmp_path / "a", "kept")
    assert (tmp_path / "kept").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "kept"]


def test_photos_there_and_back(
    memory: fsspec.AbstractFileSystem, options: argparse.Namespace, photo: Path, tmp_path: Path
) -> None:
    put(memory, "/in/sub/a.png", photo)
    put(memory, "/in/sub/b.png", photo)
    memory.pipe_file("/in/bad.jpg", b"nothing")
    memory.pipe_file("/in/note.txt", b"nothing")
    put(memory, "/out/made/sub/b_reconstructed.png", photo)
    codec = Codec.load(options.r)
    expected = codec.compress(photo)
    options.no_overwrite = True
    kept = "/out/made/sub/b_reconstructed.png"
    before = memory.modified(kept)
    with staged(options) as own:
        bad, first, second = start_jobs(own)
        assert [str(job.file) for job in (bad, first)] == ["memory://in/bad.jpg", "memory://in/sub/a.png"]
        outcomes = [cluster._work((own, str(tmp_path)), job) for job in (bad, first, second)]
        assert outcomes[0].error.startswith("memory://in/bad.jpg: ")
        assert [outcome.error for outcome in outcomes[1:]] == ["", ""]
        assert outcomes[1].result.text.startswith("sub/a.png: ")
        names = [name.removeprefix("/out/made/sub/") for name in sorted(memory.find("/out"))]
        kinds = (".bin", "_comparison.png", "_reconstructed.png")
        assert names == [stem + kind for stem in "ab" for kind in kinds]
        assert memory.cat_file("/out/made/sub/a.bin") == memory.cat_file("/out/made/sub/b.bin") == expected
        assert memory.cat_file(kept) == photo.read_bytes()
        assert memory.modified(kept) == before
        (own.o / "summary.csv").write_text("a table")
    assert memory.cat_file("/out/made/summary.csv") == b"a table"
    with staged(options) as own:
        assert (own.o / "summary.csv").read_text() == "a table"
        memory.pipe_file("/out/made/summary.csv", b"another")
    assert memory.cat_file("/out/made/summary.csv") == b"another"  # nothing had changed here

    options.path = ["memory://in/sub/a.png"]
    with staged(options) as own:
        (job,) = start_jobs(own)
        assert (job.file, job.name) == ("memory://in/sub/a.png", "a.png")
        with localized(job, own) as (local, urls):
            assert local.file.read_bytes() == photo.read_bytes()
        assert not local.file.exists()
        assert list(urls.values()) == ["memory://in/sub/a.png", "memory://out/made/a"]


def test_tables_that_cannot_be_sent_are_kept(
    memory: fsspec.AbstractFileSystem, options: argparse.Namespace, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(memory, "/in/a.png", photo)

    def fail(*_: object) -> None:
        raise CompressGANError("no connection")

    with (
        pytest.raises(CompressGANError, match=r"^no connection; the tables are kept in ") as raised,
        staged(options) as own,
    ):
        (own.o / "summary.csv").write_text("a table")
        monkeypatch.setattr(Folder, "send", fail)
    with pytest.raises(CompressGANError, match=r"^no images$"), staged(options):
        raise CompressGANError("no images")
    kept = Path(str(raised.value).rpartition(" ")[2])
    assert (kept / "summary.csv").read_text() == "a table"
    (kept / "summary.csv").unlink()
    kept.rmdir()


def test_outputs_among_the_photos_are_not_compressed(
    memory: fsspec.AbstractFileSystem, options: argparse.Namespace, photo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "out/a_comparison.png", "old/a.bin", "old/a_reconstructed.png", "old/b_reconstructed.png"):
        put(memory, f"/in/{name}", photo)
    options.o = "memory://in/out"
    with staged(options) as own:
        assert [job.name for job in start_jobs(own)] == ["a.png", "old/b_reconstructed.png"]
    assert "old/a_reconstructed.png: left out" in caplog.text


def test_from_here_to_there_and_from_there_to_here(
    memory: fsspec.AbstractFileSystem, options: argparse.Namespace, tmp_path: Path
) -> None:
    photo = tmp_path / "in" / "a.png"
    photo.parent.mkdir()
    Image.fromarray(make_photo(40, 50)).save(photo)
    expected = Codec.load(options.r).compress(photo)
    options.bin_only, options.path = True, [photo.parent]
    with staged(options) as own:
        (job,) = start_jobs(own)
        assert cluster._work((own, str(tmp_path)), job).error == ""
    assert memory.cat_file("/out/made/a.bin") == expected
    put(memory, "/in/b.png", photo)
    options.path, options.o = ["memory://in"], tmp_path / "out"
    with staged(options) as own:
        (job,) = start_jobs(own)
        assert cluster._work((own, str(tmp_path)), job).error == ""
    assert (tmp_path / "out" / "b.bin").read_bytes() == expected


def test_another_programs_file_is_not_replaced(
    memory: fsspec.AbstractFileSystem, options: argparse.Namespace, photo: Path, tmp_path: Path
) -> None:
    put(memory, "/in/a.png", photo)
    memory.pipe_file("/out/made/a.bin", b"firmware")
    with staged(options) as own:
        (job,) = start_jobs(own)
        outcome = cluster._work((own, str(tmp_path)), job)
        assert outcome.error.startswith("memory://out/made/a.bin: not written by this program")
        assert memory.cat_file("/out/made/a.bin") == b"firmware"
        memory.pipe_file("/out/made/a.bin", b"CGN, an older file")
        assert cluster._work((own, str(tmp_path)), job).error == ""
    assert memory.cat_file("/out/made/a.bin")[:4] == b"CGN\x02"


def test_what_there_is_to_say_about_the_model_is_left_to_the_caller(
    memory: fsspec.AbstractFileSystem, options: argparse.Namespace, photo: Path, tmp_path: Path
) -> None:
    shutil.copytree(options.r, tmp_path / "model")
    (tmp_path / "model" / "codec.tflite").unlink()  # which is worth a warning
    put(memory, "/in/a.png", photo)
    options.r = tmp_path / "model"
    with staged(options) as own:
        (job,) = start_jobs(own)
        outcome = cluster._work((own, str(tmp_path)), job)
    assert (outcome.error, outcome.warnings) == ("", [])


def test_calls_that_cannot_be(
    memory: fsspec.AbstractFileSystem, options: argparse.Namespace, photo: Path, tmp_path: Path
) -> None:
    put(memory, "/in/a.png", photo)
    memory.pipe_file("/texts/a.txt", b"")
    for paths, output, error, words in (
        (["memory://in"], "memory://in/", UsageError, "cannot be both input and output"),
        (["memory://in", photo], "memory://out", UsageError, "must be the only input"),
        (["memory://nothing"], "memory://out", CompressGANError, "memory://nothing: no such file or folder"),
        (["memory://texts"], "memory://out", CompressGANError, "memory://texts: no images in this folder"),
    ):
        options.path, options.o = paths, output
        with pytest.raises(error, match=words), staged(options) as own:
            start_jobs(own)
    call = ("inference.py", "-r", options.r)
    assert_one_error_line(
        run_cli(*call, "-path", "memory://in", "-o", tmp_path), "memory://in: URLs need --ray", code=2
    )
    assert_one_error_line(
        run_cli(*call, "-c", "memory://in", "-o", tmp_path),
        "memory://in: URLs can only be used for compressing",
        code=2,
    )
