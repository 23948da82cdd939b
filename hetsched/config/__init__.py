"""Pipeline files: YAML to a checked `Job`; the only reader of them, loaded only when one is."""

from hetsched.config.job import Job, load_job
from hetsched.config.outputs import save_outputs

__all__ = ["Job", "load_job", "save_outputs"]
