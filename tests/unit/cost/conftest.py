import pytest

from hetsched.cost import calibrate


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache directory of its own, and a process that has measured nothing yet."""
    monkeypatch.setenv("HETSCHED_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(calibrate, "_MEASURED", {})
    return tmp_path / "cache"
