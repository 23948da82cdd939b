"""The numbers that were asked for: matrix-vector, dot, and an MLP trained as a graph, on every kind of device."""

from __future__ import annotations

import pytest
import torch
from settings import Setting

import hetsched


@pytest.mark.parametrize("index", range(4))
def test_matrix_vector_and_dot(setting: Setting, index: int) -> None:
    device = setting.device(-1 - index)
    g = hetsched.TaskGraph()
    matrix = g.constant(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), name="A")
    g.add("matvec", matrix, torch.tensor([5.0, 6.0]), name="Ax", device=device)
    g.add("dot", torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), name="xy", device=device)
    result = setting.run(g)
    assert result["Ax"].tolist() == [17.0, 39.0]
    assert result["xy"].item() == 11.0
    assert result.trace.devices_used == (device,)


def _loss(w1: torch.Tensor, w2: torch.Tensor, w3: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """An MLP 2-2-2-2 with ReLU and mean squared error."""
    hidden = torch.relu(torch.relu(x @ w1) @ w2)
    return torch.nn.functional.mse_loss(hidden @ w3, y)


def _step(
    w1: torch.Tensor, w2: torch.Tensor, w3: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> dict[str, torch.Tensor]:
    gradients, loss = torch.func.grad_and_value(_loss, argnums=(0, 1, 2))(w1, w2, w3, x, y)
    updated = [w - 0.1 * gradient for w, gradient in zip((w1, w2, w3), gradients, strict=True)]
    return {"w1": updated[0], "w2": updated[1], "w3": updated[2], "loss": loss}


X, Y = torch.tensor([[1.0, 2.0], [2.0, 3.0]]), torch.tensor([[3.0, 4.0], [4.0, 5.0]])


def _start() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.rand(2, 2, generator=generator) * 0.8 for _ in range(3)]


def _plain_torch(n_steps: int) -> list[tuple[list[torch.Tensor], float]]:
    """The same loop by autograd, in plain torch: the weights and the loss before each step."""
    weights = [w.clone().requires_grad_() for w in _start()]
    history = []
    for _ in range(n_steps):
        loss = _loss(*weights, X, Y)
        history.append(([w.detach().clone() for w in weights], loss.item()))
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            weights = [(w - 0.1 * gradient).requires_grad_() for w, gradient in zip(weights, gradients, strict=True)]
    history.append(([w.detach().clone() for w in weights], _loss(*weights, X, Y).item()))
    return history


def test_an_mlp_trains_as_in_plain_torch(place: tuple[str, str], setting: Setting) -> None:
    if setting.platform.emulated and setting.scheduler == "round_robin":
        pytest.skip("a thousand emulated steps on all devices take minutes; auto covers the platform")
    expected = _plain_torch(1000)
    assert expected[-1][1] * 10 < expected[0][1], "the start is one from which the loss falls tenfold"
    start = _start()
    graph = hetsched.from_function(_step, *start, X, Y)
    state = {f"w{i}": f"out.w{i}" for i in (1, 2, 3)}
    inputs = {"w1": start[0], "w2": start[1], "w3": start[2], "x": X, "y": Y}
    with setting.compile(graph) as program:
        for hundred in range(10):
            result = program.loop(100, state=state, inputs=inputs)
            inputs |= {weight: result[out] for weight, out in state.items()}
            weights, _ = expected[100 * (hundred + 1)]
            _, loss = expected[100 * (hundred + 1) - 1]
            for i, weight in enumerate(weights, start=1):
                torch.testing.assert_close(result[f"out.w{i}"], weight, atol=1e-5, rtol=1e-5)
            assert result["out.loss"].item() == pytest.approx(loss, abs=1e-5)
