"""Ray Tune beside the pool: which trials run, and which stop early.

A trial in Tune is a process without CPU, GPU or torch that asks the driver, through a broker, for its next report
and hands it to Tune. What a trial's number means, and all training, is the driver's business.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

for _name, _value in {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.tune.progress_reporter import TrialProgressCallback  # noqa: E402
from ray.tune.schedulers import ASHAScheduler  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402
from ray.tune.stopper import NoopStopper  # noqa: E402

from studies.sweeps.broker import Broker, Report  # noqa: E402

LABELS, OBJECTIVE = "n_labels", "objective"
_CONFIGURATION, _NUMBER = "configuration", "trial"
_RETRIES = 2
_ENDING_SECONDS = 10


def _run_trial(config: dict[str, Any], broker: Any) -> None:
    number = config[_CONFIGURATION][_NUMBER]
    for position in itertools.count():
        report = ray.get(broker.answer.remote(number, position))
        if report is None:
            return
        tune.report(report)


class Tuning:
    """A run of Tune in a thread of its own.

    Args:
        numbers: of the trials, in the order in which they start.
        configure: the configuration of a number; called in this order, each once the trials may start.
        grid: whether all configurations are known from the start.
        n_concurrent: trials that Tune runs at once, each in a process.
        window: label counts of the objective.
        reduction: ASHA lets one trial in so many go on at each rung, and its rungs are so many times the label
            count apart; None stops nothing early.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        configure: Callable[[int], dict[str, Any]],
        *,
        grid: bool,
        n_concurrent: int,
        window: tuple[int, int],
        reduction: int | None,
    ) -> None:
        self._broker: Any = Broker.remote()  # type: ignore[attr-defined]
        self._ended: SimpleQueue[tuple[int, int, bool]] = SimpleQueue()
        self._error: BaseException | None = None
        self._over = _Over()
        self._folder = tempfile.mkdtemp(prefix="ntkcpl-tune-")
        scheduler = None
        if reduction is not None:
            # Reports come at the rungs exactly, so that trials are compared at equal label counts.
            scheduler = ASHAScheduler(
                time_attr=LABELS,
                metric=OBJECTIVE,
                mode="max",
                grace_period=window[0],
                max_t=window[1],
                reduction_factor=reduction,
            )
        options: dict[str, Any] = {"num_samples": len(numbers), "search_alg": _Numbers(numbers, configure)}
        space: dict[str, Any] = {}
        if grid:
            points = [{_NUMBER: number, **configure(number)} for number in numbers]
            options, space = {"num_samples": 1}, {_CONFIGURATION: tune.grid_search(points)}
        self._tuner = tune.Tuner(
            # Tune wants some resource: a byte of memory, which every node has.
            tune.with_resources(tune.with_parameters(_run_trial, broker=self._broker), {"cpu": 0, "memory": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(
                scheduler=scheduler, max_concurrent_trials=n_concurrent, reuse_actors=True, **options
            ),
            run_config=tune.RunConfig(
                storage_path=self._folder,
                verbose=0,
                stop=self._over,
                callbacks=[_Ends(self._ended), _Silent()],
                failure_config=tune.FailureConfig(max_failures=_RETRIES),
            ),
        )
        self._thread = threading.Thread(target=self._fit, name="tune", daemon=True)
        self._thread.start()

    def _fit(self) -> None:
        try:
            self._tuner.fit()
        except BaseException as error:  # Ray's shutdown raises SystemExit here
            self._error = error

    @property
    def error(self) -> str | None:
        """What ended Tune, in one line; None while it runs."""
        if self._thread.is_alive():
            return None
        if self._error is None:
            return "no error"
        return (str(self._error).strip().splitlines() or [type(self._error).__name__])[-1]

    def requests(self) -> list[tuple[int, int]]:
        """Trials that wait for a report, with its position among theirs."""
        requests: list[tuple[int, int]] = ray.get(self._broker.requests.remote())
        return requests

    def reply(self, number: int, reports: Sequence[tuple[int, float]], *, is_over: bool) -> None:
        """Hand reports, label counts with objectives, to a trial, and end it where it is over."""
        answers: list[Report | None] = [{LABELS: labels, OBJECTIVE: value} for labels, value in reports]
        self._broker.reply.remote(number, [*answers, None] if is_over else answers)

    def ended(self) -> list[tuple[int, int, bool]]:
        """Trials that ended since the last call: number, labels of the last report, whether by an error."""
        found = []
        while True:
            try:
                found.append(self._ended.get_nowait())
            except Empty:
                return found

    def close(self) -> None:
        """End Tune and forget its files. To shut down Ray while Tune is at work may end the process."""
        self._over.is_set = True
        self._thread.join(_ENDING_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)


class _Over(NoopStopper):
    """Ends all trials once the driver needs none."""

    is_set = False

    def stop_all(self) -> bool:
        """Whether the driver needs none."""
        return self.is_set


class _Numbers(Searcher):
    """Hands out numbers with their configurations."""

    def __init__(self, numbers: Sequence[int], configure: Callable[[int], dict[str, Any]]) -> None:
        super().__init__(metric=OBJECTIVE, mode="max")
        self._numbers = iter(numbers)
        self._configure = configure

    def suggest(self, trial_id: str) -> Any:
        number = next(self._numbers, None)
        return Searcher.FINISHED if number is None else {_CONFIGURATION: {_NUMBER: number, **self._configure(number)}}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the driver knows."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the truth."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Ends(tune.Callback):
    """Tells the driver's thread which trials have ended."""

    def __init__(self, ended: SimpleQueue[tuple[int, int, bool]]) -> None:
        self._ended = ended

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._say(trial, failed=False)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._say(trial, failed=True)

    def _say(self, trial: Any, *, failed: bool) -> None:
        labels = (trial.last_result or {}).get(LABELS, 0)
        self._ended.put((trial.config[_CONFIGURATION][_NUMBER], int(labels), failed))

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Silent(TrialProgressCallback):
    """Stands in for what prints the end of a trial that was tried again, whatever the verbosity."""

    def __init__(self) -> None:
        pass

    def on_trial_result(self, *args: Any, **info: Any) -> None:
        """Nothing: the sweep says it."""

    on_trial_error = on_trial_complete = on_trial_result
