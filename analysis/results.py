"""Reading: stores of Parquet tables -> `Results`, in which nothing is mixed that must not be averaged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from analysis.exceptions import MixedSettingsError, SelectionError
from analysis.words import counted
from harness.exceptions import StoreError
from harness.store import schema
from harness.store.location import Location, locate
from harness.store.reading import read_table, require_store

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

_KEYS = {"rounds": ["trajectory_id", "round"], "queries": ["trajectory_id", "round", "position"]}
_ONE = ["trajectory_id", "_store"]
"""A trajectory as one store has it."""
_LACKS_ROUNDS = "It has ended, but lacks rounds; `ntkcpl store check` says what to do."
_BOUNDS = ["data", "strategy", "params", "schedule", "evaluate_on", "seed", "n_labels", "accuracy"]


@dataclass(frozen=True, eq=False)
class Results:
    """The finished trajectories of one or more stores, with the columns of `harness.store.schema`.

    A *configuration* is a strategy with its parameters, schedule and evaluation data. Its name is the
    strategy's name if the strategy has one configuration in these results, and otherwise
    `name[parameter=value,...]` with all settings that differ between the strategy's configurations. Numbers
    have four digits if these are enough to distinguish them.

    Attributes:
        trajectories: one row per trajectory whose status is ok.
        rounds: the rounds of these trajectories.
        queries: the labels that they bought.
        failures: the rows of trajectories whose status is not ok.
        studies: the studies that these trajectories belong to, with their commands.
        coverage: pictures of coverage in two dimensions; their data sets are separate from all others here.
        unread: damaged files that were left out on request.
        notes: what else is left out, and why, in a sentence each.
        trials: the trials of sweeps to which one of these trajectories belongs.
        confirmations: the latest confirmation of each of those sweeps.
        looks: all confirmations, including earlier ones.
        registrations: what was registered for these data sets, by any study.
        bounds: rounds of oracles, which see true labels and are used only in the figures of accuracy: data,
            strategy, params, schedule, evaluate_on, seed, n_labels, accuracy.
        metric: the column of `rounds` that is used as `accuracy` (`harness.store.schema.METRICS`).
        learners: if `load` has split data sets by learner, the data set and learner by the name of each part.
        named: if these results are a part of others and keep their names, `configurations` of the others.
        whole: if these results are a part of others, all of these.
    """

    trajectories: pd.DataFrame
    rounds: pd.DataFrame
    queries: pd.DataFrame
    failures: pd.DataFrame
    studies: pd.DataFrame
    coverage: pd.DataFrame
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trials: pd.DataFrame = field(default_factory=lambda: schema.TRIALS.empty_table().to_pandas())
    confirmations: pd.DataFrame = field(default_factory=lambda: schema.CONFIRMATIONS.empty_table().to_pandas())
    looks: pd.DataFrame = field(default_factory=lambda: schema.CONFIRMATIONS.empty_table().to_pandas())
    registrations: pd.DataFrame = field(default_factory=lambda: schema.REGISTRATIONS.empty_table().to_pandas())
    bounds: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_BOUNDS))
    metric: str = "accuracy"
    learners: dict[str, tuple[str, str]] = field(default_factory=dict)
    named: pd.DataFrame | None = field(default=None, repr=False)
    whole: Results | None = field(default=None, repr=False)

    def worded(self, text: str) -> str:
        """Change a text about accuracy into one about the metric that is used in its place."""
        said = schema.METRICS[self.metric]
        return re.sub("[aA]ccuracy", lambda word: said if word[0][0] == "a" else said[0].upper() + said[1:], text)

    @cached_property
    def data_names(self) -> list[str]:
        """Names of the data sets, sorted, including those whose trajectories all failed."""
        return sorted({*self.trajectories["data"], *self.failures["data"]})

    @cached_property
    def configurations(self) -> pd.DataFrame:
        """One row per trajectory, failed ones included, in display order, indexed by `trajectory_id`.

        Columns: configuration, strategy, params (JSON, keys sorted), schedule, evaluate_on, seed, message (of a
        failure, else null).
        """
        import pandas as pd

        columns = ["trajectory_id", "strategy", "params", "schedule", "evaluate_on", "seed", "message", "spec"]
        frames = [self.trajectories[columns].assign(message=None), self.failures[columns]]
        cells = pd.DataFrame([row for frame in frames for row in frame.to_dict("records")], columns=columns)
        if self.named is not None:
            return self.named[self.named.index.isin(cells["trajectory_id"])]
        parameters = {text: _parse(text) for text in cells["params"].unique()}
        given = list(zip(cells["params"], cells["schedule"], cells["evaluate_on"], strict=True))
        distinct = {each: {**parameters[each[0]], "schedule": each[1], "evaluate_on": each[2]} for each in set(given)}
        settings = [distinct[each] for each in given]
        presets = [_preset(spec) for spec in cells["spec"]]
        names, keys = {}, {}
        for name, rows in cells.groupby("strategy").indices.items():
            own = [settings[row] for row in rows]
            differing = _differing(own)
            forms = {key: _form([setting[key] for setting in own if key in setting]) for key in differing}
            telling = _telling(own, [presets[row] for row in rows])
            for row, setting, (preset, told) in zip(rows, own, telling, strict=True):
                shown = [f"preset={preset}"] if preset else []
                shown += [f"{key}={forms[key](setting[key])}" for key in told if key in setting]
                names[row] = f"{name}[{','.join(shown)}]" if shown else str(name)
                keys[row] = (name, preset, [_sort_key(setting.get(key)) for key in differing], cells["seed"][row])
        cells["configuration"] = [names[row] for row in range(len(cells))]
        cells["params"] = cells["params"].map({text: _canonical(params) for text, params in parameters.items()})
        order = sorted(range(len(cells)), key=keys.__getitem__)
        leading = ["configuration", "strategy", "params", "schedule", "evaluate_on", "seed", "message"]
        return cells.iloc[order].set_index("trajectory_id")[leading]

    @cached_property
    def names(self) -> list[str]:
        """Names of the configurations in display order: by strategy, then by the settings that differ."""
        return list(self.configurations["configuration"].unique())

    @cached_property
    def curves(self) -> pd.DataFrame:
        """`rounds` with the column `configuration`, in display order, then by seed and round."""
        rank = {trajectory: position for position, trajectory in enumerate(self.configurations.index)}
        curves = self.rounds.assign(
            configuration=self.rounds["trajectory_id"].map(self.configurations["configuration"])
        )
        order = curves["trajectory_id"].map(rank)
        return curves.assign(_order=order).sort_values(["_order", "round"], ignore_index=True).drop(columns="_order")

    @cached_property
    def seed_curves(self) -> dict[str, pd.DataFrame]:
        """Accuracies of one data set by configuration, in display order: `seeds x label counts`."""
        table = self.curves.pivot(index=["configuration", "seed"], columns="n_labels", values="accuracy")
        found = {str(name): part.droplevel("configuration") for name, part in table.groupby(level="configuration")}
        return {name: found[name].dropna(axis="columns", how="all") for name in self.names if name in found}

    def are_called(self, cells: pd.DataFrame, name: str) -> pd.Series[bool]:
        """Whether rows of `configurations` are of a strategy, or of a configuration by its name here or in the whole.

        A part may call a configuration by less than the whole does, as fewer settings differ in it.
        """
        whole = self.configurations if self.whole is None else self.whole.configurations
        everywhere = whole["configuration"].reindex(cells.index)
        return (cells["strategy"] == name) | (cells["configuration"] == name) | (everywhere == name)

    def only(self, data: str | None = None, evaluate_on: str | None = None) -> Results:
        """Restrict to one data set; names then show only the settings that differ within it.

        Args:
            data: its name; None if these results have only one.
            evaluate_on: keep only what was evaluated on this part of the test data.

        Raises:
            SelectionError: `data` is not there, or is None where there is not exactly one.
        """
        import pandas as pd

        names = self.data_names
        if data is None and len(names) == 1:
            data = names[0]
            if evaluate_on is None:
                return self
        if data not in names:
            got = "none was named" if data is None else f"got `{data}`"
            raise SelectionError(f"Expected the name of a data set in these results ({_listing(names)}), but {got}.")

        def is_wanted(frame: pd.DataFrame) -> pd.Series[bool]:
            chosen = frame["data"] == data
            return chosen if evaluate_on is None else chosen & (frame["evaluate_on"] == evaluate_on)

        def restricted() -> Results:
            ids = [frame.loc[is_wanted(frame), "trajectory_id"] for frame in (self.trajectories, self.failures)]
            return replace(self._keep(pd.concat(ids)), bounds=self.bounds[is_wanted(self.bounds)])

        return self.cached(("only", data, evaluate_on), restricted)

    def of(self, names: Iterable[str]) -> Results:
        """Restrict to configurations by their names, which they keep."""
        cells = self.configurations
        return self._keep(cells.index[cells["configuration"].isin(list(names))], named=cells)

    def among(self, trajectory_ids: Iterable[str]) -> Results:
        """Restrict to trajectories by their ids; names then show only the settings that differ among these."""
        return self._keep(trajectory_ids)

    def cached(self, key: Hashable, build: Callable[[], T]) -> T:
        """What `build` returns, computed once for these results; copy it before you change it."""
        if key not in self._memo:
            self._memo[key] = build()
        value: T = self._memo[key]
        return value

    @cached_property
    def _memo(self) -> dict[Hashable, Any]:
        return {}

    def shared_seeds(self) -> Results:
        """Restrict to the seeds that all configurations on the same data and evaluation data have finished.

        A configuration that has finished no seed does not empty the others. Failures stay.
        """
        cells = self.configurations.join(self.trajectories.set_index("trajectory_id")["data"], how="inner")
        kept: list[str] = []
        notes: list[str] = []
        for (data, _), group in cells.groupby(["data", "evaluate_on"]):
            count = group.groupby("seed")["configuration"].nunique()
            shared = count.index[count == group["configuration"].nunique()]
            kept.extend(group.index[group["seed"].isin(shared)])
            left_out: dict[str, list[str]] = {}
            for name, own in group[~group["seed"].isin(shared)].groupby("configuration", sort=False):
                seeds = sorted(own["seed"])
                said = f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
                left_out.setdefault(said, []).append(str(name))
            notes += [
                f"Left out of {', '.join(names)} on {data}, because not all configurations have them: {seeds}."
                for seeds, names in left_out.items()
            ]
        return replace(self._keep([*kept, *self.failures["trajectory_id"]]), notes=(*self.notes, *notes))

    def _keep(self, trajectory_ids: Iterable[str], named: pd.DataFrame | None = None) -> Results:
        wanted = set(trajectory_ids)

        def kept(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[frame["trajectory_id"].isin(wanted)]

        trials = self.trials[
            np.array([not wanted.isdisjoint(names) for names in self.trials["trajectory_ids"]], dtype=bool)
        ]
        return replace(
            self,
            trajectories=kept(self.trajectories),
            rounds=kept(self.rounds),
            queries=kept(self.queries),
            failures=kept(self.failures),
            studies=kept(self.studies),
            trials=trials,
            confirmations=self.confirmations[self.confirmations["study"].isin(trials["study"])],
            looks=self.looks[self.looks["study"].isin(trials["study"])],
            named=named,
            whole=self.whole or self,
        )


def load(
    *stores: str | Location,
    study: str | None = None,
    queries: bool = True,
    skip_damaged: bool = False,
    metric: str | None = "accuracy",
    by_learner: bool = False,
) -> Results:
    """Read stores, also while a study still writes to them.

    A trajectory that is in several stores counts once. A finished one is preferred to a failed one, and otherwise the
    first store is used. Unfinished trajectories are left out. One that has ended but lacks some of its rounds counts as
    failed.

    Args:
        stores: folders, or addresses such as `s3://bucket/folder` (`harness.store.location.locate`).
        study: keep only the trajectories of this study, and no picture.
        queries: also read the labels bought; otherwise `Results.queries` is empty.
        skip_damaged: leave out files that cannot be read, and name them in `Results.unread`; a trajectory
            without readable rounds counts as unfinished.
        metric: the column of `rounds` to use in place of `accuracy`, one of `harness.store.schema.METRICS`; None
            takes the registered one, if all registrations have the same.
        by_learner: split a data set with several learners into one data set for each, with names such as
            `digits (linear)`.

    Raises:
        StoreError: there is no store, or a file is of another schema, or truncated and not to be
            skipped, which names the file; or rounds have another seed than their trajectory.
        SpecError: an address that pyarrow does not understand, or with a password in it.
        SelectionError: `study` is in none of the stores; there is no such metric, or a round without it; or no data set
            has several learners to tell apart.
        MixedSettingsError: one data name stands for several learner settings or data hashes, or one
            configuration and seed for several trajectories.
    """
    if metric is not None:
        check_metric(metric)
    if not stores:
        raise StoreError("Expected at least one store, but got none.")
    roots = [locate(store) if isinstance(store, str) else store for store in stores]
    for root in roots:
        require_store(root)
    # Trajectories come first: a row says `ok` only after all rounds are written, so none is half read.
    damaged: list[Location] | None = [] if skip_damaged else None
    tables = [
        "trajectories",
        "trials",
        "confirmations",
        "registrations",
        "studies",
        "rounds",
        "coverage",
        *(["queries"] if queries else []),
    ]
    read = {name: _read(roots, name, damaged) for name in tables}
    read.setdefault("queries", schema.QUERIES.empty_table().to_pandas().assign(_store=0))
    if metric is None:
        registered = list(read["registrations"]["metric"].unique())
        metric = registered[0] if len(registered) == 1 else "accuracy"
    if metric != "accuracy":
        read["rounds"] = read["rounds"].assign(accuracy=read["rounds"][metric])
    trajectories = read["trajectories"]
    if study is not None:
        known = read["studies"]
        if study not in set(known["study"]):
            names = _listing(sorted(known["study"].unique()))
            raise SelectionError(f"Expected the name of a study in the store ({names}), but got `{study}`.")
        members = known.loc[known["study"] == study, "trajectory_id"]
        trajectories = trajectories[trajectories["trajectory_id"].isin(members)]

    import pandas as pd

    # Rounds are written first: where they are missing, somebody has removed their file, or it is damaged.
    written = read["rounds"].sort_values("round", kind="stable").drop_duplicates([*_ONE, "round"])
    sums = written.groupby(_ONE)["n_query"].cumsum()
    right = written[written["n_labels"] == sums].drop_duplicates([*_ONE, "n_labels"])
    ids = pd.MultiIndex.from_frame(trajectories[_ONE])
    n_rounds, n_right = (frame[_ONE].value_counts().reindex(ids, fill_value=0).to_numpy() for frame in (written, right))
    is_ok = (trajectories["status"] == "ok").to_numpy()
    # Where some are missing, another store's file has replaced theirs, or label counts are not the sums of queries.
    is_short = is_ok & (n_right < trajectories["schedule"].map(_n_rounds).to_numpy())
    trajectories = trajectories.assign(
        status=trajectories["status"].mask(is_short, "failed"),
        message=trajectories["message"].mask(is_short, _LACKS_ROUNDS),
    )[~is_ok | (n_rounds > 0)]
    preferred = trajectories.assign(_failed=trajectories["status"] != "ok").sort_values(
        ["_failed", "_store"], kind="stable"
    )
    trajectories = preferred.drop_duplicates("trajectory_id").drop(columns="_failed").sort_index()
    learners: dict[str, tuple[str, str]] = {}
    if by_learner:
        trajectories, learners = _by_learner(trajectories)
    # Rounds keep an earlier name of the data, where the file was renamed before the trajectory ended.
    called = dict(zip(trajectories["trajectory_id"], trajectories["data"], strict=True))
    rounds = read["rounds"]
    read["rounds"] = rounds.assign(data=rounds["trajectory_id"].map(called).fillna(rounds["data"]))
    asked_of = trajectories
    is_oracle = trajectories["strategy"].isin(schema.ORACLES)
    oracles, trajectories = trajectories[is_oracle], trajectories[~is_oracle]
    finished = trajectories[trajectories["status"] == "ok"]
    failures = trajectories[trajectories["status"] != "ok"]
    # A trajectory's rounds come from the store that its row came from, never from two.
    source = finished[_ONE]
    details = {
        name: read[name].merge(source, on=_ONE).drop_duplicates(keys).drop(columns="_store")
        for name, keys in _KEYS.items()
    }
    _refuse_other_seeds(finished, details["rounds"])
    pictures = read["coverage"].drop(columns="_store").iloc[: None if study is None else 0]
    asked = read["studies"] if study is None else read["studies"][read["studies"]["study"] == study]
    studies = asked[asked["trajectory_id"].isin(trajectories["trajectory_id"])]
    bounds, remarks = _bounds(oracles, finished, read["rounds"])
    standing = read["trials"]["status"].map({"complete": 0, "stopped": 1}).fillna(2)
    trials = read["trials"].assign(_standing=standing).sort_values(["_standing", "_store"], kind="stable")
    trials = trials.drop_duplicates(["study", "trial"]).sort_index().drop(columns=["_standing", "_store"])
    looks = read["confirmations"].drop(columns="_store").drop_duplicates(["study", "trial", "looked_at"])
    if study is not None:
        trials, looks = (frame[frame["study"] == study] for frame in (trials, looks))
    registrations = read["registrations"].drop(columns="_store").drop_duplicates(["study", "registered_at"])
    results = Results(
        trajectories=finished.drop(columns="_store").reset_index(drop=True),
        rounds=details["rounds"].reset_index(drop=True),
        queries=details["queries"].reset_index(drop=True),
        failures=failures.drop(columns="_store").reset_index(drop=True),
        studies=studies.drop(columns="_store").drop_duplicates().reset_index(drop=True),
        coverage=pictures.drop_duplicates(["picture", "strategy", "point"], ignore_index=True),
        unread=tuple(map(str, damaged or ())),
        notes=(*_unfinished(asked, asked_of, trials), *remarks),
        trials=trials.reset_index(drop=True),
        confirmations=_latest(looks),
        looks=looks.reset_index(drop=True),
        registrations=registrations[registrations["data_hash"].isin(trajectories["data_hash"])].reset_index(drop=True),
        bounds=bounds,
        metric=metric,
        learners=learners,
    )
    _refuse_missing(results)
    _refuse_mixed(results)
    return results


def _refuse_other_seeds(trajectories: pd.DataFrame, rounds: pd.DataFrame) -> None:
    seeds = rounds["trajectory_id"].map(trajectories.set_index("trajectory_id")["seed"])
    if len(others := rounds[rounds["seed"] != seeds]):
        raise StoreError(
            f"Expected rounds of trajectory {others['trajectory_id'].iloc[0]} with its own seed, but got "
            f"{others['seed'].iloc[0]}; `ntkcpl store check` says what to do."
        )


def check_metric(metric: str) -> None:
    """Raise SelectionError where it is none of `harness.store.schema.METRICS`."""
    if metric not in schema.METRICS:
        why = " Less of it is better, so it is only in the table of metrics." if metric in ("nll", "ece") else ""
        raise SelectionError(f"Expected a metric among {', '.join(schema.METRICS)}, but got `{metric}`.{why}")


def _n_rounds(schedule: object) -> int:
    """Rounds of a schedule as the tables have it, such as `20x5,50`; 0 where there is none."""
    return sum(int(n or 1) for n in re.findall(r"[0-9]+(?:x([0-9]+))?", str(schedule)))


def _latest(looks: pd.DataFrame) -> pd.DataFrame:
    """The rows of each sweep's latest look at its confirmation."""
    newest = looks.groupby("study")["looked_at"].transform("max")
    is_newest = (looks["looked_at"] == newest) | newest.isna()
    return looks[is_newest].drop_duplicates(["study", "trial"]).reset_index(drop=True)


def _by_learner(trajectories: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, tuple[str, str]]]:
    """The trajectories of data sets with several learners, under names of their own, and what these stand for."""
    settings = trajectories["spec"].map(lambda spec: _as_settings(_parse(spec).get("learner")))
    kinds = settings.map(_canonical)
    parts: dict[str, tuple[str, str]] = {}
    renamed = trajectories["data"].copy()
    for data, rows in trajectories.groupby("data").groups.items():
        own = _distinct(list(settings[rows]))
        for learner in own if len(own) > 1 else []:
            alike = [each for each in own if each["learner"] == learner["learner"]]
            shown = _show(learner, _differing(alike))
            called = f"{learner['learner']}[{shown}]" if shown else str(learner["learner"])
            name = f"{data} ({called})"
            parts[name] = (str(data), called)
            renamed[rows[kinds[rows] == _canonical(learner)]] = name
    if not parts:
        raise SelectionError("Expected a data set with several learners to tell apart, but each has one.")
    return trajectories.assign(data=renamed), parts


def _bounds(oracles: pd.DataFrame, finished: pd.DataFrame, rounds: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """`Results.bounds`, and a sentence on each oracle that is none: it failed, or has other data or another learner."""

    def settings(row: Any) -> tuple[str, str, str]:
        return row.data, row.data_hash, _canonical(_as_settings(_parse(row.spec).get("learner")))

    known = {settings(row) for row in finished.itertuples()}
    remarks, kept = [], []
    for row in oracles.itertuples():
        if row.status != "ok":
            remarks.append(f"Failed: {row.strategy} (oracle) on {row.data}, seed {row.seed}: {row.message}")
        elif settings(row) not in known:
            remarks.append(
                f"Left out: {row.strategy} (oracle) on {row.data}, seed {row.seed}, as it has other data or another "
                "learner."
            )
        else:
            kept.append(row.trajectory_id)
    parts = oracles.loc[oracles["trajectory_id"].isin(kept), [*_ONE, "schedule", "evaluate_on"]]
    found = parts.merge(rounds, on=_ONE).drop_duplicates(["trajectory_id", "round"])
    return found[_BOUNDS].dropna(subset="accuracy").reset_index(drop=True), remarks


def _unfinished(studies: pd.DataFrame, trajectories: pd.DataFrame, trials: pd.DataFrame) -> Iterator[str]:
    """Studies that are not through, in a sentence each; trials that were stopped early are."""
    ended = {*trajectories["trajectory_id"], *trials.loc[trials["status"] == "stopped", "trajectory_ids"].explode()}
    members = studies.drop_duplicates(["study", "trajectory_id"])
    for study, own in members["trajectory_id"].isin(ended).groupby(members["study"]):
        if not own.all():
            yield f"Not finished, or still running: {(~own).sum()} of {counted(len(own), 'trajectory')} of {study}."


def _read(roots: Sequence[Location], name: str, damaged: list[Location] | None) -> pd.DataFrame:
    """One table of all stores, with the position of its store in the column `_store`."""
    tables = [read_table(root, name, damaged) for root in roots]
    import pandas as pd  # late: where there is no store, it is not even loaded

    frames: list[pd.DataFrame] = [table.to_pandas().assign(_store=store) for store, table in enumerate(tables)]
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def _refuse_missing(results: Results) -> None:
    rounds = results.rounds[results.rounds["accuracy"].isna()]
    if results.metric != "accuracy" and len(rounds):
        row, n = rounds.iloc[0], rounds["trajectory_id"].nunique()
        raise SelectionError(
            f"Expected {results.metric} in every round, but {n} of {len(results.trajectories)} trajectories have "
            f"rounds from before it was kept, such as {row['strategy']} on {row['data']} with seed {row['seed']}; run "
            "them again in another store."
        )


def _refuse_mixed(results: Results) -> None:
    import pandas as pd

    for data, group in results.trajectories.groupby("data"):
        learners = [_as_settings(_parse(spec).get("learner")) for spec in group["spec"]]
        if differing := _differing(learners):
            shown = ["learner"] if "learner" in differing else differing
            first, other = (_show(learner, shown) for learner in _distinct(learners)[:2])
            raise MixedSettingsError(
                f"Expected one learner for all of data `{data}`, but got {first} and {other}."
                + _studies_apart(results, group, pd.Series(list(map(_canonical, learners)), index=group.index))
                + " Compare them with --by-learner."
            )
        if len(hashes := sorted(group["data_hash"].unique())) > 1:
            raise MixedSettingsError(
                f"Expected one data set named `{data}`, but got the hashes {_listing(hashes)}."
                + _studies_apart(results, group, group["data_hash"])
            )
    cells = results.configurations.loc[results.trajectories["trajectory_id"]]
    cells = cells.assign(data=results.trajectories["data"].to_numpy())
    repeated = cells[cells.duplicated(["data", "configuration", "seed"])]
    if len(repeated):
        row = repeated.iloc[0]
        raise MixedSettingsError(
            f"Expected one trajectory of {row['configuration']} on `{row['data']}` with seed {row['seed']}, but got"
            " several (runs of different algorithm versions)."
        )


def _studies_apart(results: Results, group: pd.DataFrame, kind: pd.Series[str]) -> str:
    """Which studies can be looked at one by one (`--study`): those with one kind of trajectories."""
    kinds = results.studies.merge(group[["trajectory_id"]].assign(_kind=kind), on="trajectory_id")
    count = kinds.groupby("study")["_kind"].nunique()
    names = sorted(count.index[count == 1])
    return f" Look at one study (--study): {_listing(names)}." if names else ""


def _parse(text: Any) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text) if isinstance(text, str) else {}
    return parsed


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _as_settings(value: Any) -> dict[str, Any]:
    """Settings of a learner, those of another than the network with its name and version."""
    if not isinstance(value, dict):
        return {"learner": value}
    if "name" not in value:
        return {"learner": "mlp", **value}
    return {"learner": value["name"], "version": value.get("version"), **(value.get("params") or {})}


def _distinct(settings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({_canonical(setting): setting for setting in settings}.values())


def _differing(settings: Sequence[dict[str, Any]]) -> list[str]:
    """Keys, sorted, that not all settings share with an equal value."""
    distinct = list({id(setting): setting for setting in settings}.values())  # many are one and the same object
    keys = sorted({key for setting in distinct for key in setting})
    return [
        key for key in keys if len({_canonical(setting[key]) if key in setting else "" for setting in distinct}) > 1
    ]


def _preset(spec: Any) -> dict[str, list[str]]:
    """Name of the preset that a trajectory's hyperparameters are, with those it sets."""
    preset = _parse(spec).get("preset")
    return preset if isinstance(preset, dict) else {}


def _telling(
    settings: Sequence[dict[str, Any]], presets: Sequence[dict[str, list[str]]]
) -> list[tuple[str, list[str]]]:
    """What tells each configuration of a strategy from the others: its preset, if not all have it, and further keys.

    A preset stands for the keys that it sets; these are shown only where they differ among those of equal preset.
    """
    names = [",".join(preset) for preset in presets]
    said = {key for preset in presets for keys in preset.values() for key in keys}
    beyond = {key for key in _differing(settings) if key not in said}
    alike = {
        name: beyond.union(_differing([each for each, other in zip(settings, names, strict=True) if other == name]))
        for name in set(names)
    }
    return [(name if len(alike) > 1 else "", sorted(alike[name])) for name in names]


def _show(setting: dict[str, Any], keys: Sequence[str]) -> str:
    return ",".join(f"{key}={_exact(setting[key])}" for key in keys if key in setting)


def _exact(value: Any) -> str:
    return value if isinstance(value, str) else _canonical(value)


def _form(values: Sequence[Any]) -> Callable[[Any], str]:
    """How the values of one setting are written: floats in four digits where these tell them apart."""

    def short(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else _exact(value)

    n_distinct = len({_exact(value) for value in values})
    return short if len({short(value) for value in values}) == n_distinct else _exact


def _sort_key(value: Any) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, value if isinstance(value, str) else _canonical(value))


def _listing(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) else "none"
