import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hetsched.errors import HetschedError
from hetsched.trace.timeline import save_timeline
from hetsched.trace.trace import Span, Trace

Make = Callable[..., Trace]
SVG = "{http://www.w3.org/2000/svg}"
MAGIC = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


def texts(path: Path) -> str:
    # matplotlib draws letters as paths and writes each text in a comment before them
    comments = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.parse(path, comments).getroot()
    return "\n".join(element.text or "" for element in root.iter() if element.tag is ElementTree.Comment)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_the_suffix_decides_the_format(suffix: str, a_trace: Make, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"timeline{suffix}"
    save_timeline(a_trace(), path)
    assert path.read_bytes().startswith(MAGIC[suffix.lower()])


def test_it_says_what_it_shows(a_trace: Make, tmp_path: Path) -> None:
    save_timeline(a_trace(1.5), tmp_path / "t.svg", predicted=a_trace(predicted=True), title="digits")
    shown = texts(tmp_path / "t.svg").splitlines()
    stripped = [line.strip() for line in shown]
    assert "digits (emulated)" in stripped
    assert any("setup 500 µs, once before" in line for line in stripped)
    assert "weights" not in stripped
    assert any("measured makespan 10.0 ms" in line and "predicted makespan 8.00 ms" in line for line in stripped)
    for said in (
        "cpu:0",
        "gpu:0",
        "ram->vram:0",
        "conv2d",
        "relu",
        "decode_image",
        "copy",
        "waiting",
        "slot overrun",
        "ms",
    ):
        assert any(said in line.replace("&gt;", ">") for line in stripped), said


def test_predicted_bars_lie_beneath_measured_ones(a_trace: Make, tmp_path: Path) -> None:
    def n_bars(path: Path) -> int:
        groups = ElementTree.parse(path).getroot().iter(f"{SVG}g")
        return sum(group.get("id", "").startswith("PolyCollection") for group in groups)

    save_timeline(a_trace(), tmp_path / "one.svg")
    save_timeline(a_trace(), tmp_path / "two.svg", predicted=a_trace(predicted=True))
    assert n_bars(tmp_path / "two.svg") > n_bars(tmp_path / "one.svg") > 0


def test_pictures_are_the_same_every_time(a_trace: Make, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        save_timeline(a_trace(1.5), tmp_path / name, predicted=a_trace(predicted=True))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_names_are_text_and_not_formulas(tmp_path: Path) -> None:
    name = r"$\bad{$"
    trace = Trace((Span("compute", name, name, 0, 1, op=name),), 1.0, platform=name)
    save_timeline(trace, tmp_path / "t.svg", title=name)
    assert texts(tmp_path / "t.svg").count(name) == 4


def test_empty_and_instant_traces_are_drawn(tmp_path: Path) -> None:
    save_timeline(Trace((), 0.0), tmp_path / "a.png")
    save_timeline(Trace((Span("compute", "a", "cpu:0", 0.0, 0.0, op="x"),), 0.0), tmp_path / "b.png")
    assert (tmp_path / "a.png").exists()
    assert (tmp_path / "b.png").exists()


def test_another_suffix_is_an_error_that_names_the_cure(a_trace: Make, tmp_path: Path) -> None:
    with pytest.raises(HetschedError, match=r"t\.txt: a timeline is drawn as \.png, \.svg or \.pdf"):
        save_timeline(a_trace(), tmp_path / "t.txt")


def test_without_matplotlib_the_error_says_how_to_install_it(
    a_trace: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(HetschedError, match=r"needs matplotlib.*pip install 'hetsched\[plot\]'"):
        save_timeline(a_trace(), tmp_path / "t.png")


def test_drawing_leaves_matplotlibs_global_state_alone() -> None:
    code = (
        "import sys, tempfile, pathlib\n"
        "from hetsched.trace.timeline import save_timeline\n"
        "from hetsched.trace.trace import Trace\n"
        "import matplotlib\n"
        "before = matplotlib.rcParams.copy()\n"
        "save_timeline(Trace((), 0.0), pathlib.Path(tempfile.mkdtemp()) / 't.svg')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert matplotlib.rcParams.copy() == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
