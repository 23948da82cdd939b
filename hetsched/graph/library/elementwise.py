"""Ops that work on each element by itself; operands are broadcast."""

from collections.abc import Callable
from typing import Any

import torch

from hetsched.graph.library.define import define, floating, operand_or
from hetsched.graph.library.formulas import elementwise, per_output

_SAME: dict[str, tuple[Callable[..., Any], float]] = {
    "neg": (torch.neg, 1),
    "abs": (torch.abs, 1),
    "sign": (torch.sign, 1),
    "square": (torch.square, 1),
    "reciprocal": (torch.reciprocal, 1),
    "sqrt": (torch.sqrt, 1),
    "rsqrt": (torch.rsqrt, 2),
    "exp": (torch.exp, 4),
    "log": (torch.log, 4),
    "sin": (torch.sin, 4),
    "cos": (torch.cos, 4),
    "tanh": (torch.tanh, 7),
    "sigmoid": (torch.sigmoid, 7),
    "floor": (torch.floor, 1),
    "round": (torch.round, 1),
    "clamp": (torch.clamp, 2),
    "relu": (torch.relu, 1),
}
"""Ops of one operand and their operations an element."""

_FLOATING: dict[str, tuple[Callable[..., Any], float]] = {
    "gelu": (torch.nn.functional.gelu, 10),
    "silu": (torch.nn.functional.silu, 8),
    "softplus": (torch.nn.functional.softplus, 10),
    "leaky_relu": (torch.nn.functional.leaky_relu, 2),
}

_BINARY: dict[str, Callable[..., Any]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "remainder": torch.remainder,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}

_COMPARISONS: dict[str, Callable[..., Any]] = {
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
}

for _name, (_function, _operations) in _SAME.items():
    define(_name, _function, 1, "elementwise", per_output(_operations), infer=elementwise())
for _name, (_function, _operations) in _FLOATING.items():
    define(_name, _function, 1, "elementwise", per_output(_operations), checks=floating, infer=elementwise())
for _name, _function in _BINARY.items():
    _checks = operand_or("other")
    define(_name, _function, (1, 2), "elementwise", per_output(1), checks=_checks, infer=elementwise())
for _name, _function in _COMPARISONS.items():
    _checks = operand_or("other")
    define(_name, _function, (1, 2), "elementwise", per_output(1), checks=_checks, infer=elementwise("bool"))

define("pow", torch.pow, (1, 2), "elementwise", per_output(8), checks=operand_or("exponent"), infer=elementwise())
define("where", torch.where, 3, "elementwise", per_output(1))
