"""A GPU that is not there: tensors say that they are on it, compute on the CPU, and refuse to meet those of the CPU."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any, ClassVar, Self

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda:0")

_MOVES = {"aten._to_copy.default", "aten.copy_.default"}
_INDEXED = {"aten.index.Tensor", "aten.index_put.default", "aten.index_put_.default", "aten._index_put_impl_.default"}
_SIZED_BY_VALUES = {"aten.nonzero.default", "aten.bincount.default", "aten.masked_select.default"}
"""Their results' sizes depend on values, which the CPU therefore waits for."""


class OnGPU(torch.Tensor):
    """A tensor of the GPU; torch itself takes it for one without values (`meta`), which it can differentiate anywhere.

    Attributes:
        held: the same tensor on the CPU, with the values.
    """

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnGPU:
        made: OnGPU = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device="meta",
            requires_grad=held.requires_grad,
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} of a tensor on a GPU that is no longer pretended")

    device = property(lambda self: GPU)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_meta = property(lambda self: False)  # type: ignore[assignment]

    def _set_data(self, other: OnGPU) -> None:
        self.held = other.held

    data = property(lambda self: self.detach(), _set_data)  # type: ignore[assignment]


class Account:
    """The bytes of all tensors that are alive at once.

    Attributes:
        held: now.
        peak: the most there were since it was set.
    """

    def __init__(self) -> None:
        self.held = self.peak = 0
        self._known: set[int] = set()

    def count(self, tensor: torch.Tensor) -> None:
        """Take in a tensor whose storage may be new."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            self._known.add(storage._cdata)
            self.held += storage.nbytes()
            self.peak = max(self.peak, self.held)
            weakref.finalize(storage, self._drop, storage._cdata, storage.nbytes())

    def _drop(self, key: int, n_bytes: int) -> None:
        self._known.discard(key)
        self.held -= n_bytes


class Pretended(TorchDispatchMode):
    """Runs what happens inside as if there were a GPU, by the rules of CUDA for tensors on different devices.

    Attributes:
        waits: how often the CPU waited for the GPU, or for a copy to it, and what for: a `copy to the GPU` or `to the
            CPU`, an `index on the CPU`, a `mask` or another `size` that values decide, a `value`.
        account: the bytes on the GPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.account = Account()

    def __enter__(self) -> Self:
        torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(..., device=GPU)` comes by here
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch._C._set_only_lift_cpu_tensors(False)

    def forget(self) -> None:
        """Count anew from here."""
        self.waits.clear()
        self.account.peak = self.account.held

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        there = [tensor for tensor in tensors if isinstance(tensor, OnGPU)]
        is_there, name = bool(there), str(func)
        if kwargs.get("device") is not None:
            is_there = torch.device(kwargs["device"]).type != "cpu"
            kwargs["device"] = torch.device("cpu")
        if kwargs.pop("pin_memory", None):
            assert not is_there, "only memory of the CPU is pinned"
        generator = kwargs.get("generator")
        if generator is not None:
            assert (generator._cdata in _Generator.of_gpu) == is_there, (
                f"Expected the generator of {name} on its device."
            )
        self._check(name, args, tensors, there, is_there)
        wrapped = {id(tensor.held): tensor for tensor in there}
        result = func(*tree_map(_held, args), **tree_map(_held, kwargs))
        return tree_map(lambda leaf: self._wrap(leaf, wrapped) if is_there else leaf, result)

    def _check(self, name: str, args: Any, tensors: list[torch.Tensor], there: list[OnGPU], is_there: bool) -> None:
        if name == "aten._local_scalar_dense.default":
            self.waits["value"] += bool(there)
        elif name in _MOVES:
            sides = {isinstance(tensor, OnGPU) for tensor in tensors} | {is_there}
            to_gpu = isinstance(args[0], OnGPU) if name == "aten.copy_.default" else is_there
            self.waits["copy to the GPU" if to_gpu else "copy to the CPU"] += len(sides) == 2
        elif there:
            here = [tensor for tensor in tensors if not isinstance(tensor, OnGPU)]
            if name in _INDEXED and isinstance(args[0], OnGPU):
                indices = [index for index in args[1] if index is not None]
                self.waits["index on the CPU"] += any(not isinstance(i, OnGPU) for i in indices)
                self.waits["mask"] += any(i.dtype == torch.bool for i in indices)
                here = [tensor for tensor in here if not any(tensor is index for index in indices)]
            self.waits["size"] += name in _SIZED_BY_VALUES
            far = [tuple(tensor.shape) for tensor in here if tensor.ndim]
            assert not far, f"Expected all tensors of {name} on the GPU, but some of shapes {far} are on the CPU."

    def _wrap(self, leaf: Any, wrapped: dict[int, OnGPU]) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        if id(leaf) in wrapped:
            return wrapped[id(leaf)]
        self.account.count(leaf)
        return OnGPU(leaf)


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, OnGPU) else leaf


class _Generator(torch.Generator):
    """The CPU's generator, which says that it is the GPU's if it was made for it."""

    of_gpu: ClassVar[set[int]] = set()

    def __new__(cls, device: Any = "cpu") -> _Generator:
        made: _Generator = super().__new__(cls, "cpu")
        made.place = torch.device(device)
        (cls.of_gpu.discard if made.place.type == "cpu" else cls.of_gpu.add)(made._cdata)
        return made

    device = property(lambda self: self.place)  # type: ignore[assignment]


def pretend(patch: pytest.MonkeyPatch, *, free: int = 2**40) -> Pretended:
    """What `with` lets compute on a GPU of so many free bytes; undone with the patch."""
    patch.setattr(torch.cuda, "_lazy_init", lambda: None)
    patch.setattr(torch.cuda, "current_device", lambda: 0)
    patch.setattr(torch.cuda, "mem_get_info", lambda device=None: (free, free))
    patch.setattr(torch, "Generator", _Generator)
    return Pretended()
