"""The numbers that were asked for: matrix-vector, dot, and an MLP trained as a graph, on every kind of device."""

from __future__ import annotations

from typing import Any

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


def _loss(weights: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """An MLP 2-2-2-2 with ReLU and mean squared error; weights and biases alternate."""
    w1, b1, w2, b2, w3, b3 = weights
    hidden = torch.relu(torch.relu(x @ w1 + b1) @ w2 + b2)
    return torch.nn.functional.mse_loss(hidden @ w3 + b3, y)


def _step(weights: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
    gradients, loss = torch.func.grad_and_value(_loss)(weights, x, y)
    return {
        "weights": [w - 0.1 * gradient for w, gradient in zip(weights, gradients, strict=True)],
        "loss": loss,
    }


X, Y = torch.tensor([[1.0, 2.0], [2.0, 3.0]]), torch.tensor([[3.0, 4.0], [4.0, 5.0]])


def _start() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(29)
    return [(torch.rand(*shape, generator=generator) - 0.5) * 1.4 for shape in ((2, 2), (2,)) * 3]


def _plain_torch(n_steps: int) -> list[tuple[list[torch.Tensor], float]]:
    """The same loop by autograd, in plain torch: weights before each step, and their loss."""
    weights = [w.clone().requires_grad_() for w in _start()]
    history = []
    for _ in range(n_steps + 1):
        loss = _loss(weights, X, Y)
        history.append(([w.detach().clone() for w in weights], loss.item()))
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            weights = [(w - 0.1 * gradient).requires_grad_() for w, gradient in zip(weights, gradients, strict=True)]
    return history


def test_an_mlp_trains_as_in_plain_torch(place: tuple[str, str], setting: Setting) -> None:
    expected = _plain_torch(1000)
    assert expected[-1][1] * 10 < expected[0][1], "the start is one from which the loss falls tenfold"
    graph = hetsched.from_function(_step, _start(), X, Y)
    state = {f"weights.{i}": f"out.weights.{i}" for i in range(6)}
    inputs = {f"weights.{i}": w for i, w in enumerate(_start())} | {"x": X, "y": Y}
    with setting.compile(graph) as program:
        for hundred in range(1, 11):
            result = program.loop(100, state=state, inputs=inputs)
            inputs |= {weight: result[out] for weight, out in state.items()}
            for i, weight in enumerate(expected[100 * hundred][0]):
                torch.testing.assert_close(result[f"out.weights.{i}"], weight, atol=1e-5, rtol=0)
            assert result["out.loss"].item() == pytest.approx(expected[100 * hundred - 1][1], abs=1e-5)
