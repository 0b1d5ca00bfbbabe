"""The tables of a report that are not about one data set: across data sets, coverage in the plane, where it ran."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from analysis.across import (
    Windows,
    budgets_by_data,
    iqm_table,
    names_by_data,
    on_some,
    rank_table,
    rank_warning,
    seeds_left_out,
    unlike,
)
from analysis.comparison import effective_budget
from analysis.diagnostics import share_table
from analysis.exceptions import AnalysisError
from analysis.formats import slugs
from analysis.learners import agreement_findings, agreement_table, areas_by_learner
from analysis.learners import rank_table as rank_by_learner
from analysis.provenance import environment_table
from analysis.report.estimates import Estimates
from analysis.report.render import Cell, Column, Table, integer, number, p_value, percent, table_of, text
from analysis.results import Results
from analysis.words import counted


def across(results: Results, baseline: str, seed: int, windows: Windows | None = None) -> tuple[list[Table], list[str]]:
    """Ranks, interquartile means and effective budgets over data sets, and what must be known of them.

    Args:
        results: finished trajectories of two data sets or more.
        baseline: name of the strategy compared with.
        seed: of the resampling.
        windows: label counts of the area that were registered, by data set.
    """
    tables: list[Table] = []
    notes: list[str] = []
    missing: list[str] = []
    with suppress(AnalysisError):  # the tables say why
        notes += [*unlike(results), *on_some(results), *seeds_left_out(results, windows)]
    for make in (_ranks, _interquartile_means, _budgets):
        try:
            tables.append(make(results, baseline, seed, windows))
        except AnalysisError as error:
            missing.append(str(error))
    if tables and tables[0].name == "ranks":
        ranks = tables[0].frame
        notes += [warning] if (warning := rank_warning(int(ranks["n_data"].iloc[0]), len(ranks))) else []
    some = "Some" if tables else "All"
    reasons = dict.fromkeys(missing if tables else missing[:1])  # where nothing can be compared, one says why
    notes += [f"{some} numbers across data sets are missing: {error}" for error in reasons]
    return tables, notes


def _ranks(results: Results, baseline: str, _seed: int, windows: Windows | None) -> Table:
    """Average ranks."""
    ranks = rank_table(results, baseline=baseline, windows=windows)
    columns = [
        Column("configuration", "configuration", text),
        Column("mean_rank", "average rank", number(2)),
        Column("p", "p", p_value),
        Column("p_holm", "p (Holm)", p_value),
        Column("n_data", "data sets", integer),
    ]
    return table_of(
        "ranks",
        "Average ranks over data sets",
        ranks,
        columns,
        f"Ranks are by mean area under the curve. p: exact Wilcoxon signed-rank test against {baseline} over"
        f" data sets; Holm corrects for {counted(len(ranks) - 1, 'comparison')}.",
        "The blocks are data sets. Seeds of one data set are not independent evidence about data sets, so they"
        " enter as one mean, over the seeds that all configurations have there. Configurations that lack a data set are"
        " left out.",
    )


def _interquartile_means(results: Results, baseline: str, seed: int, windows: Windows | None) -> Table:
    """Interquartile means of the normalised area."""
    columns = [
        Column("configuration", "configuration", text),
        *(Column(key, name, number(3)) for key, name in (("iqm", "IQM"), ("low", "from"), ("high", "to"))),
        Column("n", "trajectories", integer),
    ]
    return table_of(
        "iqm",
        "Interquartile mean over data sets",
        iqm_table(results, rng=np.random.default_rng(seed), baseline=baseline, windows=windows),
        columns,
        f"Normalised area: 0 is {baseline}, and 1 is a curve at 100 %. 95 % interval: seeds are resampled"
        f" within each data set, those of {baseline} as well (2000 resamples, generator seed {seed}).",
        "This is the mean of the middle half of all trajectories. The interval is for these data sets: it does"
        " not say what would happen on others.",
    )


def _budgets(results: Results, baseline: str, seed: int, _windows: Windows | None) -> Table:
    """Effective budgets: a row per configuration, a column per data set."""
    names = list(names_by_data(results))
    parts = {data: Estimates(results.only(data, "all"), baseline, seed).paired_by_seed for data in names}
    frame = budgets_by_data(results, {data: effective_budget(part, baseline=baseline) for data, part in parts.items()})
    best = frame["mean_ratio"].max()
    rows = []
    for configuration, own in frame.groupby("configuration", sort=False):
        cells = {row["data"]: row for row in own.to_dict("records")}
        row = [Cell(str(configuration), str(configuration))]
        for data in names:
            cell = cells.get(data)
            counts = "" if cell is None else f"{cell['effective_points']}/{cell['total_points']}"
            row.append(Cell(counts, None if cell is None else float(cell["effective_ratio"])))
        mean = float(own["mean_ratio"].iloc[0])
        row.append(Cell("") if np.isnan(mean) else Cell(percent(mean), mean, "best" if mean == best > 0 else ""))
        rows.append(row)
    return Table(
        "effective_budgets",
        "Effective budgets on all data sets",
        frame,
        ["configuration", *names, "mean, %"],
        rows,
        f"How many of all label counts have a {results.worded('mean accuracy')} above the mean plus one standard"
        " deviation"
        f" (ddof = 1) of {baseline}. The last column is the mean share over data sets, each with the same weight; the"
        " best is bold.",
        "This is Table 2 of arXiv 2306.04099. The rule ignores the number of seeds, and with one seed no count is"
        " effective; the table of each data set has a paired rule as well. A configuration that lacks a data set, or"
        f" lacks the seeds of {baseline} on one, has no mean.",
    )


def learners(results: Results, windows: Windows | None = None) -> tuple[list[Table], list[str]]:
    """Ranks under each learner and how far they agree, a pair of tables for each data set; and that in sentences.

    Args:
        results: loaded with `by_learner`.
        windows: as for `across`.
    """
    tables, notes = [], []
    names = sorted({data for data, _ in results.learners.values()})
    for data, own in zip(names, slugs(names), strict=True):
        place = f"-{own}" if len(names) > 1 else ""
        try:
            areas = areas_by_learner(results, data, windows)
        except AnalysisError as error:
            notes.append(f"No comparison of learners: {error}")
            continue
        n_seeds = len(next(iter(areas.values())))
        tables.append(
            table_of(
                f"learners{place}",
                f"Rank of each strategy under each learner on {data}",
                rank_by_learner(areas),
                [
                    Column("configuration", "configuration", text),
                    *(Column(learner, learner, number(1)) for learner in areas),
                    Column("mean_rank", "average rank", number(2)),
                ],
                f"Ranks are by mean area under the curve over the {counted(n_seeds, 'seed')} that all have; 1 is the"
                " best.",
                "Strategies that were not run with every learner are left out.",
            )
        )
        agreement = agreement_table(areas)
        columns = [
            Column("first", "learner", text),
            Column("second", "and", text),
            Column("tau", "tau", number(2)),
            Column("n_turned", "reversed", integer),
            Column("n_surely_turned", "surely reversed", integer),
            Column("n_pairs", "of pairs", integer),
        ]
        tables.append(
            table_of(
                f"learner_agreement{place}",
                f"Agreement of the orders on {data}",
                agreement,
                columns,
                "Kendall's tau of the mean areas: 1 is the same order, -1 the opposite one. Reversed: pairs of"
                " strategies whose order is the opposite under the other learner. Surely reversed: both differences are"
                " significant as well (paired t-tests, the larger p, Holm for all pairs).",
                "Noise alone reverses pairs of near equals and lowers tau, so tau below 1 does not prove that the order"
                " depends on the learner. For the same reason, tau has no interval: resampling adds more noise and"
                " lowers it further.",
            )
        )
        notes += agreement_findings(agreement, data)
    return tables, notes


def across_by_learner(
    results: Results, baseline: str, seed: int, windows: Windows | None = None
) -> tuple[list[Table], list[str]]:
    """`across` for each learner that has two data sets or more.

    Args:
        results: loaded with `by_learner`.
        baseline: name of the strategy compared with.
        seed: of the resampling.
        windows: as for `across`.
    """
    tables, notes = [], []
    names = sorted({learner for _, learner in results.learners.values()})
    for learner, place in zip(names, slugs(names), strict=True):
        parts = [part for part, (_, name) in results.learners.items() if name == learner]
        if len(parts) > 1:
            frames = (results.trajectories, results.failures)
            own = [name for frame in frames for name in frame.loc[frame["data"].isin(parts), "trajectory_id"]]
            made, said = across(results.among(own), baseline, seed, windows)
            tables += [
                replace(table, name=f"{table.name}-{place}", title=f"{table.title}, learner {learner}")
                for table in made
            ]
            notes += [f"{learner}: {note}" for note in said]
    others = sorted(set(results.data_names) - set(results.learners))
    if others and len(results.data_names) > 1:
        notes.append(f"Left out across data sets, because each has only one learner: {', '.join(others)}.")
    return tables, notes


def plane(results: Results) -> Table:
    """Coverage in two dimensions."""
    columns = [
        Column("data", "data", text),
        Column("strategy", "strategy", text),
        Column("n_labels", "labels", integer),
        Column("seed", "seed", integer),
        Column("points", "points", integer),
        Column("estimated", "estimated", percent),
        Column("true", "true", percent),
        Column("agreement", "estimate is right", percent),
    ]
    return table_of(
        "coverage_2d",
        "Coverage in two dimensions",
        share_table(results.coverage),
        columns,
        "Percent of all points after one round. Estimated: covered in the strategy's own view; true: the classifier"
        " that is trained on the labels predicts the class. With one seed, this is an illustration and no measurement.",
        "Estimated coverage: for Coreset, within the covering radius of a label, which is all points by definition; for"
        " ProbCover, nearer than delta to a label; for NTKCPL, the kernel regression on pseudo-labels predicts the"
        " point's pseudo-label. Other strategies estimate none. `Estimate is right`: points about which estimate and"
        " classifier agree.",
    )


def environments(results: Results) -> Table:
    """Devices and versions."""
    frame = environment_table(results)
    times = {key: frame[key].dt.strftime("%Y-%m-%d %H:%M") for key in ("first", "last")}
    columns = [
        Column("device", "device", text),
        Column("versions", "versions", text),
        Column("git", "git", text),
        Column("trajectories", "trajectories", integer),
        Column("first", "first start (UTC)", text),
        Column("last", "last start", text),
        Column("fingerprint", "arithmetic fingerprint", text),
    ]
    note = "Equal seeds give equal numbers only where the fingerprints are equal."
    return table_of("environments", "Devices and versions", frame.assign(**times), columns, note)
