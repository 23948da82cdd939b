"""What the README shows runs as it stands there, and prints what its comments say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(*arguments: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_blocks_are_found() -> None:
    assert len(blocks("python")) == 2
    assert len(blocks("yaml")) == 1


@pytest.mark.parametrize("code", blocks("python"), ids=["networkx", "compiled"])
def test_python_prints_what_its_comments_say(code: str, tmp_path: Path) -> None:
    printed = run("-W", "error", "-c", code, folder=tmp_path)
    promised = re.findall(r"^print\(.*\)  # ((?:tensor|torch)\S.*)$", code, re.MULTILINE)
    assert len(promised) == 1
    assert promised[0] in printed.splitlines()


def test_a_graph_run_prints_predicted_beside_measured(tmp_path: Path) -> None:
    printed = run("-c", blocks("python")[0], folder=tmp_path)
    assert re.search(r"makespan .* measured; .* predicted", printed)


def test_yaml_runs_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "multiply.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    printed = run("-m", "hetsched", "run", "multiply.yaml", folder=tmp_path)
    assert re.search(r"17.*39", printed)


def test_the_folder_map_names_what_exists() -> None:
    listing = README.read_text(encoding="utf-8").split("## Where things are")[1].split("## Licence")[0]
    folder = README.parent
    for indent, name in re.findall(r"^( {4,6})(\S+)", listing, re.MULTILINE):
        assert (folder / ("hetsched" if len(indent) == 6 else ".") / name).exists(), name
