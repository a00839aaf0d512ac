"""What the package declares to need is what requirements.txt installs."""

from __future__ import annotations

import tomllib

from conftest import ROOT


def test_requirements_are_the_dependencies_and_the_extras_of_the_commands() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = {*project["dependencies"], *extras["train"], *extras["evaluate"]}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == declared
