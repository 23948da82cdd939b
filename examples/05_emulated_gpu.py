"""A workstation with a GPU, emulated: real results, emulated times. What would a GPU do for this job?"""

from pathlib import Path

import torch

import hetsched

PLATFORM = Path(__file__).parents[1] / "configs" / "platforms" / "one-gpu-workstation.yaml"

g = hetsched.TaskGraph()
x = g.input("x", shape=(512, 512))
layer = x
for i in range(6):
    w = g.constant(torch.randn(512, 512) / 512**0.5, name=f"w{i}")
    layer = g.add("relu", g.add("matmul", layer, w, name=f"dense{i}"), name=f"relu{i}")
g.add("mean", layer, name="mean")

result = hetsched.run(g, {"x": torch.randn(512, 512)}, platform=PLATFORM)
print("mean:", result["mean"].item())
print(result)  # prediction beside measurement; every line says that it is emulated
print("devices used:", ", ".join(result.trace.devices_used))
