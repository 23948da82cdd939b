import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hetsched.errors import HetschedError
from hetsched.trace import report
from hetsched.trace.report import save_report
from hetsched.trace.trace import Span, Trace

Make = Callable[..., Trace]


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, table cells, and scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.scripts: list[str] = []
        self._tag = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag in ("td", "th"):
            self.rows[-1][-1] += data
        elif self._tag == "script":
            self.scripts[-1] += data


def test_the_page_tells_the_whole_story(a_trace: Make, tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.html"
    save_report(
        a_trace(1.5),
        a_trace(predicted=True),
        path,
        title="digits",
        lower_bound_seconds=0.004,
        capacity_bytes={"ram": float("inf"), "vram:0": float(8 << 20)},
    )
    text, page = path.read_text(encoding="utf-8"), Page(path)
    assert "<h1>digits (emulated)</h1>" in text
    assert "makespan 10.0 ms measured; 1.25 x the 8.00 ms predicted; bound 4.00 ms" in text
    assert ["conv", "conv2d", "gpu:0", "3.00 ms", "4.50 ms", "1.50"] in page.rows
    assert ["gpu:0", "4.00 ms", "50%", "6.00 ms", "60%"] in page.rows
    assert ["vram:0", "5.00 MiB", "5.00 MiB", "8.00 MiB"] in page.rows
    assert ["ram", "4.00 KiB", "4.00 KiB", "-"] in page.rows


def test_the_page_asks_the_network_for_nothing(a_trace: Make, tmp_path: Path) -> None:
    save_report(a_trace(), a_trace(predicted=True), tmp_path / "run.html")
    page = Page(tmp_path / "run.html")
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "a"), tag
        assert "src" not in attributes, tag
    policies = [
        a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert policies[0] is not None
    assert policies[0].startswith("default-src 'none';")
    assert "http" not in policies[0]
    assert max(map(len, page.scripts)) > 1_000_000, "plotly.js is in the page"


def test_names_cannot_write_html_or_script(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    spans = (Span("compute", evil, evil, 0, 1, op=evil), Span("copy", evil, f"{evil}->b", 1, 2, n_bytes=8.0))
    trace = Trace(spans, 2.0, platform=evil, peak_bytes={evil: 1.0})
    save_report(trace, trace, tmp_path / "run.html", title=evil)
    page = Page(tmp_path / "run.html")
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert not [script for script in page.scripts if script.startswith("alert")]
    assert not re.search(r"<(img|script)[^>]*>?alert|<img", page.scripts[-1])
    assert [evil, evil, evil, "1.00 s", "1.00 s", "1.00"] in page.rows


def test_very_long_runs_keep_the_longest_spans(a_trace: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_SPANS", 2)
    monkeypatch.setattr(report, "MAX_ROWS", 1)
    save_report(a_trace(1.5), a_trace(predicted=True), tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "The 8 shortest spans are left out." in text
    assert "and 4 shorter ones" in text
    assert [row[0] for row in Page(tmp_path / "run.html").rows[:3]] == ["task or copy", "conv", "device or link"]


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    save_report(Trace((), 0.0), Trace((), 0.0, predicted=True), tmp_path / "run.html")
    assert "makespan 0 s measured" in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_without_plotly_the_error_says_how_to_install_it(
    a_trace: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(HetschedError, match=r"needs plotly.*pip install 'hetsched\[plot\]'"):
        save_report(a_trace(), a_trace(predicted=True), tmp_path / "run.html")
    assert not (tmp_path / "run.html").exists()
