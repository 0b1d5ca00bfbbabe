"""The only place that imports torchvision, and lightly, which stands on it."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from harness.exceptions import PackageError, one_line

_declared: list[Any] = []


def load(module: str) -> Any:
    """Import a module of torchvision or lightly.

    A torchvision that was built for CUDA asks a torch without CUDA for operators that do not exist, and fails; with
    these declared it imports, and models, data sets and transforms work.

    Raises:
        PackageError: it is not installed, or does not fit the installed torch.
    """
    try:
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            if "torchvision::nms does not exist" not in str(error) or _declared:
                raise
            _declare_operators()
            importlib.import_module("torchvision")
        return importlib.import_module(module)
    except ImportError as error:
        raise PackageError(
            f"Expected the packages of the extra `features`, but got: {error}. Install them with "
            "`pip install -c constraints.txt -e '.[features]'`."
        ) from error
    except RuntimeError as error:
        import torch

        raise PackageError(
            f"Expected a torchvision that fits torch {torch.__version__}, but got: {one_line(error)}."
        ) from error


def _declare_operators() -> None:
    import torch

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _declared.append(library)  # The declarations end with the object.
