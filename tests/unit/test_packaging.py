"""The project's files for installing agree with one another, and a machine without Python hears so."""

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import hetsched

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def canonical(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_every_direct_dependency_is_pinned_once() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    names = [canonical(pin) for pin in pins]
    assert len(names) == len(set(names))
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    wanted = {canonical(requirement) for requirement in (*PROJECT["dependencies"], *extras)} - {"hetsched"}
    assert wanted <= set(names)


def test_the_version_is_said_once_more_in_the_package() -> None:
    assert hetsched.__version__ == PROJECT["version"] == version("hetsched")


def test_without_python_the_installer_says_what_is_missing(tmp_path: Path) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    (tmp_path / "bin").mkdir()
    done = subprocess.run(
        [shell, str(ROOT / ".ci" / "install"), "demo"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("hetsched needs Python 3.11 or newer")
    assert not (tmp_path / ".venv").exists()
