from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressgan.errors import CompressGANError
from compressgan.evaluation.metrics import psnr
from compressgan.images.files import files_under, make_folder, output_stems, replacing, write_csv
from compressgan.images.reading import read_photo
from compressgan.images.writing import write_picture
from conftest import make_photo

names = st.lists(st.from_regex(r"(A|a|b|s/a)(\.(a|jpg|png|gif)){0,2}", fullmatch=True), unique_by=str.casefold)


@given(names)
def test_no_output_hides_another(names: list[str]) -> None:
    root = Path("/in")
    stems = output_stems([root / name for name in names], root, Path("/out"))
    assert len({str(stem).casefold() for stem in stems.values()}) == len(names)


def test_extensions_are_kept_only_where_needed() -> None:
    files = [Path("/in") / name for name in ("a.jpg", "A.png", "b.jpg", "s/a.jpg")]
    stems = output_stems(files, Path("/in"), Path("/out"))
    assert [str(stem) for stem in stems.values()] == ["/out/a.jpg", "/out/A.png", "/out/b", "/out/s/a"]


def test_a_name_that_is_all_extension_stays_in_the_output_folder() -> None:
    stems = output_stems([Path("/in/..png"), Path("/in/...png")], Path("/in"), Path("/out"))
    assert [str(stem) for stem in stems.values()] == ["/out/..png", "/out/...png"]


def test_files_under_skips_the_output_and_hidden_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("b.png", "a/c.png", "out/d.png", ".hidden", ".git/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = files_under(tmp_path, skip=(tmp_path / "out").resolve())
    assert [str(path.relative_to(tmp_path)) for path in found] == ["b.png", "a/c.png"]
    assert caplog.text == ""
    (tmp_path / "a" / "link").symlink_to(tmp_path)
    assert files_under(tmp_path, skip=(tmp_path / "out").resolve()) == found
    assert "a/link: a link to a folder; skipped" in caplog.text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "out" / "file.bin"
    with replacing(target) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CompressGANError, match="file"):
            make_folder(folder)
    with pytest.raises(CompressGANError, match=r"x\.png: cannot be written"), replacing(tmp_path / "file" / "x.png"):
        pass


def test_names_that_are_not_utf8_are_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "good.png").touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.png")).touch()
    assert files_under(tmp_path) == [tmp_path / "good.png"]
    assert "its name is not UTF-8" in caplog.text


def test_texts_that_look_like_formulas_are_harmless_in_csv(tmp_path: Path) -> None:
    names = ["=1+1.png", "+a.png", "-b.png", "@c.png", "\td.png", "a=b.png"]
    write_csv(tmp_path / "table.csv", [{"file": name, "figure": -1.5, "count": -2} for name in names])
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [*(f"'{name}" for name in names[:5]), "a=b.png"]
    assert {(row["figure"], row["count"]) for row in rows} == {("-1.5", "-2")}


def test_a_link_to_a_file_that_is_gone_is_kept_for_the_reader_to_name(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").symlink_to(tmp_path / "gone.jpg")
    assert files_under(tmp_path) == [tmp_path / "photo.jpg"]


def test_pictures_have_the_quality_that_is_promised(tmp_path: Path) -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 255  # which JPEG's usual 4:2:0 would make grey
    for suffix, photo, least in (("png", stripes, np.inf), ("jpg", stripes, 30), ("webp", make_photo(32, 32), 30)):
        write_picture(tmp_path / f"picture.{suffix}", photo)
        assert psnr(photo, read_photo(tmp_path / f"picture.{suffix}")) >= least
