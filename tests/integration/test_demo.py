"""The main job on real input, trained and all, as `make demo` runs it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIPELINE = "configs/pipelines/image_recognition.yaml"


@pytest.mark.slow
def test_image_recognition_reads_held_back_digits(tmp_path):
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "hetsched", "run", PIPELINE, "--allow-import", "examples",
         "--json", "--trace", tmp_path / "trace.json", "--timeline", tmp_path / "timeline.png"],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["outputs"]["accuracy"] >= 0.97
    assert told["outputs"]["digits"] == {"shape": [450], "dtype": "int64"}
    blue = [colour[2] for colour in told["outputs"]["photo_colours"]]
    assert blue[0] > blue[1], "there is more sky over China than over the flower"
    assert set(told["placements"].values()) >= {"cpu:0"}
    assert (tmp_path / "trace.json").exists()
    assert (tmp_path / "timeline.png").exists()
    assert time.monotonic() - started < 60
