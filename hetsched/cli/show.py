"""Tables and short texts that commands print; whole in a pipe, fitted in a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SHOWN_ELEMENTS = 8


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print rows under headings; the columns in ``right`` are aligned right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    width = None if sys.stdout.isatty() else 1000  # nothing is folded in a pipe
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    print()
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(content, indent=1))


def shown(value: object) -> str:
    """A value in one line: scalars and small tensors themselves, what others are."""
    from hetsched.graph.values import describe

    content = plain(value)
    if isinstance(content, Mapping):
        return describe(value)
    return f"{describe(value)} {_rounded(content)}" if isinstance(content, list) else _rounded(content)


def _rounded(content: Any) -> str:
    if isinstance(content, list):
        return f"[{', '.join(map(_rounded, content))}]"
    return f"{content:.6g}" if isinstance(content, float) else str(content)


def plain(value: object) -> Any:
    """A value as JSON holds it: scalars and small tensors themselves, shape and dtype or type of others."""
    import numpy as np
    import torch

    from hetsched.graph.values import describe

    if isinstance(value, torch.Tensor | np.ndarray):
        size = value.numel() if isinstance(value, torch.Tensor) else value.size
        if 0 < size <= SHOWN_ELEMENTS:
            return value.tolist()
        return {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return {"type": describe(value)}
