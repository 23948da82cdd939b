"""The same graph on Ray: two jobs share the processes of a session, and values stay where the next job wants them."""

import torch

import hetsched

first = hetsched.TaskGraph()
x = first.input("x", shape=(512, 512))
first.add("relu", first.add("matmul", x, x), name="features")

second = hetsched.TaskGraph()
features = second.input("features")
second.add("norm", features, name="norm")
second.add(lambda features: tuple(features.shape), features, name="shape")

with hetsched.session(executor="ray"):  # a Ray of this process's own; address="10.0.0.1:6379" joins a cluster
    kept = hetsched.run(first, {"x": torch.randn(512, 512)}, outputs_as="refs")
    result = hetsched.run(second, {"features": kept["features"]})  # the value has never been here

print("shape:", result["shape"], "norm:", result["norm"].item())
print("devices used:", ", ".join(result.trace.devices_used))
