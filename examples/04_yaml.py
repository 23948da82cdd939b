"""The same kind of job as a file: what `hetsched run examples/04_yaml.yaml --set parameters.gain=2` does."""

from pathlib import Path

import hetsched
from hetsched.config import load_job

job = load_job(Path(__file__).with_suffix(".yaml"), overrides=["parameters.gain=2"])
result = hetsched.run(job.graph, job.inputs, outputs=job.outputs, **job.settings)
print(result["product"], result["active"])
assert result["product"].tolist() == [17, 39]
assert result["active"].tolist() == [0, 80]
