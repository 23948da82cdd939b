"""The torch settings of the thread that compiled a program, which its workers take over; gradients are always off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Ambient:
    """Autocast by device type; torch keeps it per thread, so workers would not inherit it."""

    autocast: tuple[tuple[str, torch.dtype], ...]

    @classmethod
    def capture(cls) -> Ambient:
        """What holds in the calling thread."""
        types = ["cpu"]
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        if accelerator is not None:
            types.append(accelerator.type)
        return cls(tuple((kind, torch.get_autocast_dtype(kind)) for kind in types if torch.is_autocast_enabled(kind)))

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Make it hold in the entering thread for a while."""
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            for kind, dtype in self.autocast:
                stack.enter_context(torch.autocast(kind, dtype=dtype))
            yield
