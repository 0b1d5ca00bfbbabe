"""A small study in one process, without Ray, cell by cell; docs/how-to/use-from-python.md explains it."""

# %% What the cells need
from pathlib import Path

from analysis import load, make_report, write_report
from harness import Store, TrajectorySpec, load_dataset, run_study, run_trajectory, select
from strategies import make_strategy

# %% What to run
data = load_dataset("digits")
names = ("random", "typiclust", "ntkcpl_al")
specs = [TrajectorySpec.of(data, name, "10x3", seed) for seed in range(3) for name in names]

# %% One trajectory, round by round, without a store
for record in run_trajectory(specs[0], data):
    print(record.n_labels, round(record.accuracy, 2), record.picks[:3])

# %% All of them, into a store
plan = run_study(specs, data, Store("runs/in-python"))
print(len(plan.done), "done before,", len(plan.jobs), "run now")

# %% What they mean
report = make_report(load("runs/in-python"))
print(report.sections[0].headline)
print(write_report(report, Path("runs/in-python/report"), ["html", "csv"]))

# %% The next points to label
strategy = make_strategy("ntkcpl_al", {"ridge": 1e-3})
first, _ = select(strategy, 10, data.x_train, data.n_classes)
labels = data.labels[first.indices]  # what a person would say
second, classifier = select(strategy, 10, data.x_train, data.n_classes, first.indices, labels, queries=[10])
print(second.indices)
