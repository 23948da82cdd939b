"""torch's functions that draw random numbers, as kernels that draw from the generator that a run gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

Draw = Callable[..., Any]
"""A kernel that takes ``generator=``; None stands for torch's own."""


def seeded(short: str, function: Callable[..., Any]) -> Draw | None:
    """The function with ``generator=``; None where it draws nothing.

    Args:
        short: its name without a module's.
        function: torch's.
    """
    return _SEEDED[short](function) if short in _SEEDED else None


def _sampler(function: Callable[..., Any]) -> Draw:
    return function


def _factory(function: Callable[..., Any]) -> Draw:
    def draw(*operands: Any, generator: torch.Generator | None, **params: Any) -> Any:
        device = None if generator is None else generator.device
        return function(*operands, generator=generator, device=device, **params)

    return draw


def _like(factory: Callable[..., Any]) -> Callable[[Callable[..., Any]], Draw]:
    """``factory`` with the shape of an operand; the like-functions themselves take no generator in every torch."""

    def draw(like: torch.Tensor, *limits: Any, generator: torch.Generator | None, **params: Any) -> Any:
        settings = {"dtype": like.dtype, "device": like.device, **params}
        return factory(*limits, size=like.shape, generator=generator, **settings)

    return lambda _function: draw


def _dropout(_function: Callable[..., Any]) -> Draw:
    def draw(
        input: torch.Tensor,  # noqa: A002 -- torch's own name for it
        p: float = 0.5,
        training: bool = True,
        *,
        generator: torch.Generator | None,
    ) -> torch.Tensor:
        if not training:
            return input
        kept = torch.empty_like(input).bernoulli_(1 - p, generator=generator)
        return input * kept / (1 - p) if p < 1 else input * kept

    return draw


_SEEDED: Mapping[str, Callable[[Callable[..., Any]], Draw]] = {
    "rand": _factory,
    "randn": _factory,
    "randint": _factory,
    "randperm": _factory,
    "rand_like": _like(torch.rand),
    "randn_like": _like(torch.randn),
    "randint_like": _like(torch.randint),
    "bernoulli": _sampler,
    "multinomial": _sampler,
    "normal": _sampler,
    "poisson": _sampler,
    "dropout": _dropout,
}
