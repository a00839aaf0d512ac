"""The package's rooms, its top-level parts, import each other in one direction only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from conftest import ROOT

PACKAGE = ROOT / "src" / "compressgan"
BASE = {"errors", "geometry"}
MAY_IMPORT = {
    "__init__": {"codec", "config", "errors", "version"},
    "version": set(),
    "errors": set(),
    "geometry": set(),
    "config": {"geometry"},
    "footprint": {"geometry", "config"},
    "quiet": set(),
    "coding": BASE,
    "images": BASE | {"quiet"},
    "checkpoint": {"errors", "version", "config", "images"},
    "networks": BASE | {"config", "coding", "checkpoint", "quiet"},
    "runtime": BASE | {"config", "coding", "checkpoint", "networks", "quiet"},
    "refining": {"geometry", "images", "runtime"},
    "targeting": set(),
    "codec": BASE | {"config", "coding", "images", "footprint", "checkpoint", "runtime", "refining", "targeting"},
    "pillow": {"errors", "coding", "codec"},
    "evaluation": BASE | {"version", "images", "codec"},
    "demo": BASE | {"coding", "images", "codec", "evaluation"},
    "training": BASE | {"config", "coding", "images", "checkpoint", "networks", "codec", "evaluation"},
    "cli": {path.stem for path in PACKAGE.iterdir()} - {"__main__", "cli"},
    "__main__": {"cli"},
}
WITHOUT_TENSORFLOW = set(MAY_IMPORT) - {"networks", "training", "cli", "__main__"}
WITH_EXTRAS = {"demo"}  # need packages that are not always installed


def modules() -> Iterator[tuple[str, Path, set[str]]]:
    """Yields each module's room and file, and all names that it imports, including those inside functions."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: imports must be absolute"
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        yield parts[0], path, names


def test_each_room_imports_only_what_it_may() -> None:
    for room, path, names in modules():
        for name in names:
            package, _, rest = name.partition(".")
            if package == "compressgan":
                other = rest.split(".")[0]
                other = other if other in MAY_IMPORT else "__init__"  # a name of the package itself
                assert other == room or other in MAY_IMPORT[room], f"{path} imports {name}"


def test_data_flows_one_way() -> None:
    assert list(TopologicalSorter(MAY_IMPORT).static_order())  # which raises if there is a circle


def test_tensorflow_stays_in_its_rooms() -> None:
    for room, path, names in modules():
        used = {name.split(".")[0] for name in names} & {"tensorflow", "keras", "tensorboard"}
        assert not used or room not in WITHOUT_TENSORFLOW, f"{path} imports {used}"
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for room, path, _ in modules()
        if room in WITHOUT_TENSORFLOW - WITH_EXTRAS
    ]
    code = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
    code += "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(PACKAGE.parent)}, check=True)


def test_only_the_command_lines_know_the_top_level_config() -> None:
    for room, path, names in modules():
        assert not {name for name in names if name.split(".")[0] == "config"}, path
        assert room == "cli" or 'import_module("config")' not in path.read_text(), path
