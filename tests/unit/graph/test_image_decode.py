"""image_decode with a promised size: what follows can be planned, and a broken promise is an error."""

import io

import numpy as np
import pytest
from PIL import Image

from hetsched.graph.freeze import freeze
from hetsched.graph.ops import OPS
from hetsched.graph.task_graph import TaskGraph


def png(height: int, width: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width), 7, dtype=np.uint8)).save(file, format="PNG")
    return file.getvalue()


def specs(**params: object) -> dict[object, str]:
    graph = TaskGraph()
    graph.constant([png(4, 6), png(4, 6)], name="files")
    graph.add("image_decode", "files", name="decoded", **params)
    graph.add("stack", "decoded", name="batch")
    return {value.key: str(value.spec) for value in freeze(graph, outputs=["decoded", "batch"]).values}


def test_promised_size_makes_shapes_known() -> None:
    known = specs(mode="L", size=[4, 6])
    assert known["decoded"] == "(uint8[1, 4, 6], uint8[1, 4, 6])"
    assert known["batch"] == "uint8[2, 1, 4, 6]"
    assert specs(size=[4, 6])["batch"] == "uint8[2, 3, 4, 6]"


def test_without_a_promise_nothing_is_guessed() -> None:
    assert specs()["batch"] == "None"


def test_result_is_as_inferred_and_a_broken_promise_raises() -> None:
    assert OPS["image_decode"](png(4, 6), mode="L", size=[4, 6]).shape == (1, 4, 6)
    with pytest.raises(ValueError, match=r"the image is \(4, 6\), not \(6, 4\) as size= says"):
        OPS["image_decode"](png(4, 6), size=[6, 4])
