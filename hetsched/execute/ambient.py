"""The torch settings of the thread that compiled a program, which its workers take over; gradients are always off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch


@contextmanager
def intra_op_threads_restored() -> Iterator[None]:
    """Lanes set torch's number of threads, also for threads that start later; afterwards it is what it was."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class Ambient:
    """Autocast by device type, which torch keeps per thread, and the default dtype, which it keeps per process."""

    autocast: tuple[tuple[str, torch.dtype], ...]
    default_dtype: torch.dtype

    @classmethod
    def capture(cls) -> Ambient:
        """What holds in the calling thread."""
        types = ["cpu"]
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        if accelerator is not None:
            types.append(accelerator.type)
        autocast = tuple((kind, torch.get_autocast_dtype(kind)) for kind in types if torch.is_autocast_enabled(kind))
        return cls(autocast, torch.get_default_dtype())

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Make it hold in the entering thread for a while."""
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            for kind, dtype in self.autocast:
                stack.enter_context(torch.autocast(kind, dtype=dtype))
            yield
