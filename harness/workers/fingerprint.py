"""The arithmetic fingerprint: machines that share it compute the same bits."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from harness.spec import canonical_json

_NUMERICAL = ("numba", "numpy", "scikit-learn", "scipy", "torch")


def fingerprint(device: str) -> dict[str, str]:
    """What the bits depend on: the device, the CPU's instruction set, the builds of the numerical libraries."""
    import torch
    from threadpoolctl import threadpool_info

    from strategies.functional import libraries  # noqa: F401  whatever ran before, the same ones are loaded

    blas = sorted(
        {f"{pool['internal_api']} {pool['version']} {pool.get('architecture')}" for pool in threadpool_info()}
    )
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "blas": "; ".join(blas),
        "torch_build": hashlib.sha256(torch.__config__.show().encode()).hexdigest()[:12],
        **{name: version(name) for name in _NUMERICAL},
    }


def digest(values: dict[str, str]) -> str:
    """A short hash of a fingerprint."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    """Versions of the program and what it stands on."""
    names = ("ntkcpl", "pyarrow", "pydantic", "ray", *_NUMERICAL)
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def git_commit() -> str | None:
    """Commit of the checkout that the program runs from, with `+` if it was changed; None without one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit, changed = (
            subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")
