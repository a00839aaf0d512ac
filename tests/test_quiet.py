"""Keeping native libraries quiet."""

from __future__ import annotations

import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from compressgan.quiet import without_lines

NOISE = re.compile(rb"noise")


def test_lines_are_kept_back_or_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with without_lines(NOISE) as kept:
        os.write(2, b"noise 1\nimportant\nnoise 2\n")
        assert kept == []
    assert kept == [b"noise 1\n", b"noise 2\n"]
    assert capfd.readouterr().err == "important\n"
    with pytest.raises(ValueError), without_lines(NOISE):
        os.write(2, b"noise\n")
        raise ValueError
    assert capfd.readouterr().err == "noise\n"  # which may say why


def test_threads_leave_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    before = os.fstat(2)

    def work(number: int) -> None:
        with without_lines(NOISE):
            os.write(2, b"noise\n")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
    assert (os.fstat(2).st_dev, os.fstat(2).st_ino) == (before.st_dev, before.st_ino)
    assert capfd.readouterr().err == ""


def test_without_a_folder_for_temporary_files_all_is_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with without_lines(NOISE):
        os.write(2, b"noise\n")
    assert capfd.readouterr().err == "noise\n"
