"""Processes and threads that a computation on images uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import torch
from torch import distributed as dist

from harness.store.location import only_maker


@contextmanager
def processes(device: Literal["cpu", "cuda"], threads: int | None = None) -> Iterator[Literal["cpu", "cuda"]]:
    """Join the other processes if `torchrun` started this one, each on its own GPU; fix the number of CPU threads.

    Args:
        device: of the computation.
        threads: of the CPU; torch's own choice if None.
    """
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    joined = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized()
    if joined:
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield device
    finally:
        if joined:
            dist.destroy_process_group()
        torch.set_num_threads(before)


def making(out: Path) -> AbstractContextManager[None]:
    """Keep another command from making the same file at the same time; the first process asks for all.

    Raises:
        StoreError: another command makes it.
    """
    return only_maker(out) if is_first() else nullcontext()


def is_first() -> bool:
    """Whether this is the one process that writes and speaks."""
    return not dist.is_initialized() or dist.get_rank() == 0
