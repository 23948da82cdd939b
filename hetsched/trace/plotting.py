"""What pictures of traces share: colours of ops, and one clear error where a plotting library is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from hetsched.errors import HetschedError
from hetsched.trace.trace import Span, Trace

# Paul Tol's "muted" scheme: told apart by the colour-blind too (https://personal.sron.nl/~pault/)
_PALETTE = ("#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677", "#44AA99", "#882255", "#999933", "#AA4499")
OTHER, COPY, WAIT = "other ops", "copy", "waiting"
OTHER_COLOR, COPY_COLOR, WAIT_COLOR = "#8A8A8A", "#F28E2B", "#E4E4E4"


def plotting_library(module: str, needed_by: str) -> Any:
    """Import a module of an optional plotting library.

    Raises:
        HetschedError: it is not installed; says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise HetschedError(
            f"{needed_by} needs {package}, which is not installed; run: pip install 'hetsched[plot]'"
        ) from error


@dataclass(frozen=True, slots=True)
class Legend:
    """What each colour stands for.

    Attributes:
        colors: by entry: the ops that take longest, by name, then what else there is.
        ops: by task; predicted spans do not always know theirs.
    """

    colors: Mapping[str, str]
    ops: Mapping[str, str]

    def entry(self, span: Span) -> str:
        """Which entry a span falls under."""
        if span.kind == "compute":
            op = self.ops[span.name]
            return op if op in self.colors else OTHER
        return COPY if span.kind == "copy" else WAIT


def legend(traces: Sequence[Trace]) -> Legend:
    """One Legend for all traces; a task without an op is its own op."""
    spans = [span for trace in traces for span in trace]
    computes = [span for span in spans if span.kind == "compute"]
    ops = {span.name: span.name for span in computes} | {span.name: span.op for span in computes if span.op}
    seconds: dict[str, float] = defaultdict(float)
    for span in computes:
        seconds[ops[span.name]] += span.seconds
    chosen = sorted(sorted(seconds, key=lambda op: (-seconds[op], op))[: len(_PALETTE)])
    colors = dict(zip(chosen, _PALETTE, strict=False))
    kinds = {span.kind for span in spans}
    if len(seconds) > len(chosen):
        colors[OTHER] = OTHER_COLOR
    if "copy" in kinds:
        colors[COPY] = COPY_COLOR
    if "wait" in kinds:
        colors[WAIT] = WAIT_COLOR
    return Legend(colors, ops)
