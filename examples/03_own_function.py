"""A function of your own becomes an op; a second kernel serves it on CUDA devices."""

import torch

import hetsched


@hetsched.op(kinds=("cpu",), pure=True)
def gelu_bias(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The kernel for CPUs."""
    return torch.nn.functional.gelu(x + bias)


@gelu_bias.kernel("cuda")
def gelu_bias_cuda(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The kernel for CUDA devices: here a cheaper formula; it could as well be Triton or CUDA C++."""
    return torch.nn.functional.gelu(x + bias, approximate="tanh")


g = hetsched.TaskGraph()
x = g.constant(torch.randn(64, 1024), name="x")
b = g.constant(torch.randn(1024), name="b")
g.add(gelu_bias, x, b, name="y")
g.add(sorted, g.constant([3, 1, 2], name="list"), name="sorted")  # any Python callable will do, on the CPU

result = hetsched.run(g)
print("y:", tuple(result["y"].shape), "on", result.schedule.device_of("y"), "- sorted:", result["sorted"])
assert torch.allclose(result["y"], gelu_bias(x=g.nodes["x"]["value"], bias=g.nodes["b"]["value"]), atol=1e-2)
