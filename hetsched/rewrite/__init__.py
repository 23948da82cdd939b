"""Rewrites: other graphs and platforms that compute the same, for the search to choose among."""

from __future__ import annotations

from collections.abc import Iterator

from hetsched.graph.frozen import FrozenGraph
from hetsched.platform.platform import Platform
from hetsched.rewrite.layouts import other_layouts


def candidates(graph: FrozenGraph, platform: Platform) -> Iterator[tuple[FrozenGraph, Platform]]:
    """Pairs worth planning; the graph and the platform as given come first."""
    yield graph, platform
    for other in other_layouts(graph, platform):
        yield graph, other
