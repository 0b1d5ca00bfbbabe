"""Strategies named `plugins:Class` on command lines.

A fault happens once: to the trajectory that finds, and removes, the file `fault` in its second round.
"""

import os
import signal
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import ray
from pydantic.dataclasses import dataclass

from harness.learners import Learner
from strategies.base import PoolView, Selection, Strategy, draw_uniformly


@dataclass(frozen=True)
class Faulty(Strategy):
    source: ClassVar[str] = "tests"

    fault: str

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        try:
            Path(self.fault).unlink()
        except FileNotFoundError:
            return draw_uniformly(view, n, rng)
        return self.fail()

    def fail(self) -> Selection:
        raise NotImplementedError


@dataclass(frozen=True)
class Raises(Faulty):
    name: ClassVar[str] = "raises"

    def fail(self) -> Selection:
        raise RuntimeError("[the disk]\nis on fire")


class ComplaintError(Exception):
    """Cannot be pickled, and says what UTF-8 cannot hold."""

    def __init__(self, what, where):
        super().__init__(f"{what} in {where}")
        self.explain = lambda: what


@dataclass(frozen=True)
class Complains(Faulty):
    name: ClassVar[str] = "complains"

    def fail(self) -> Selection:
        raise ComplaintError("no sleep", os.fsdecode(b"M\xfcnchen"))


@dataclass(frozen=True)
class Dies(Faulty):
    name: ClassVar[str] = "dies"

    def fail(self) -> Selection:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")


@dataclass(frozen=True)
class Misbehaves(Faulty):
    name: ClassVar[str] = "misbehaves"

    def fail(self) -> Selection:
        return Selection(np.zeros(5, dtype=np.int64))


@dataclass(frozen=True)
class ShowsGPU(Strategy):
    name: ClassVar[str] = "shows_gpu"
    source: ClassVar[str] = "tests"
    chooses_first_round: ClassVar[bool] = True

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        picks = draw_uniformly(view, n, rng).indices
        gpus = ",".join(str(gpu) for gpu in ray.get_gpu_ids())
        return Selection(picks, stats={"gpus": gpus, "visible": os.environ.get("CUDA_VISIBLE_DEVICES", "")})


@dataclass(frozen=True)
class Meets(ShowsGPU):
    """Waits in its only round for one that opens the other end of a pipe, in another process."""

    name: ClassVar[str] = "meets"

    pipe: str
    end: Literal["r", "w"] = "r"

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        with open(self.pipe, self.end):
            return super()._select(view, n, rng=rng)


@dataclass(frozen=True)
class Hangs(Faulty):
    name: ClassVar[str] = "hangs"

    def fail(self) -> Selection:
        while True:
            signal.pause()


@dataclass(frozen=True)
class Devours(Faulty):
    name: ClassVar[str] = "devours"

    def fail(self) -> Selection:
        np.empty(2**57)
        raise AssertionError("so much memory")


@dataclass(frozen=True)
class NearestMean(Learner):
    """The class whose mean is the nearest."""

    name: ClassVar[str] = "nearest_mean"
    source: ClassVar[str] = "tests"

    sharpness: float = 1.0
    """Multiplies squared distances."""

    def fit(self, features, labels, n_classes, *, rng):
        self_, seen = self.sharpness, np.unique(labels)
        means = np.stack([features[labels == label].mean(axis=0) for label in seen])

        class Means:
            def predict_proba(self, features):
                distances = ((features[:, None] - means) ** 2).sum(axis=2)
                found = np.zeros((len(features), n_classes))
                weights = np.exp(-self_ * (distances - distances.min(axis=1, keepdims=True)))
                found[:, seen] = weights / weights.sum(axis=1, keepdims=True)
                return found

        return Means()
