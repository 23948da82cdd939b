"""The comfortable way to build a graph, and two devices that share its work."""

import torch

import hetsched

g = hetsched.TaskGraph()
x = g.input("x", shape=(256, 256))
w = g.constant(torch.randn(256, 256), name="w")
left = g.add("matmul", x, w, name="left", device="cpu:0")
right = g.add("matmul", w, x, name="right", device="cpu:1")
g.add("sub", left, right, name="commutator")

cores = hetsched.Platform.discover()
platform = cores if len(cores.devices) > 1 else "configs/platforms/laptop.yaml"
with hetsched.compile(g, platform=platform) as program:  # planned once; w stays where it is used
    print(program.plan)
    for scale in (1.0, 2.0):
        result = program.run({"x": torch.eye(256) * scale})
        print("largest entry of the commutator with the identity:", result["commutator"].abs().max().item())
print(result)
