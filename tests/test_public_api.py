"""What others build on, written down: a change here is a change for them and belongs into the CHANGELOG."""

import importlib

import pytest
import typer

from studies.cli import app

PUBLIC = {
    "strategies": [
        "Compute",
        "FloatArray",
        "IndexArray",
        "InvalidParameterError",
        "InvalidQuestionError",
        "InvalidSelectionError",
        "LookAheadDiagnostics",
        "Model",
        "PoolExhaustedError",
        "PoolView",
        "Selection",
        "Strategy",
        "StrategyError",
        "UnknownStrategyError",
        "make_strategy",
    ],
    "strategies.testing": ["StrategyContract", "choose", "make_view"],
    "harness": [
        "CheckpointError",
        "DataError",
        "HarnessError",
        "PackageError",
        "ResourceError",
        "SpecError",
        "StoreError",
        "StoreWriteError",
        "Dataset",
        "Store",
        "TrajectorySpec",
        "load_dataset",
        "run_study",
        "run_trajectory",
        "select",
    ],
    "harness.learners": ["Learner", "Predictor"],
    "harness.learners.testing": ["LearnerContract"],
    "analysis": ["AnalysisError", "Results", "load", "make_report", "write_report"],
    "studies": [],
}

RUN = (
    "register no-register workers cpus-per-trajectory gpus-per-trajectory num-gpus shards memory-limit time-limit "
    "address dry-run"
)
POOL = "pool label-noise ood pool-seed"
OPTIONS = {
    "compare": f"out data strategies schedule study root download seeds {POOL} oracle max-clusters "
    f"candidates learner set {RUN}",
    "sweep": f"out data strategy study root download max-clusters schedules space seeds {POOL} confirm-seeds search "
    "trials search-seed scheduler objective metric objective-from second-objective "
    f"concurrent-trials optuna-storage candidates learner set {RUN}",
    "select": "data out strategy labels classes no-class seed learner set images sheet",
    "status": "",
    "report": "baseline format out study shared-seeds skip-damaged metric by-learner watch",
    "picture": "out data labels seed strategies learner set",
    "list": "",
    "features pretrain": "data out recipe method backbone epochs set seed root image-column label-column "
    "unlabelled limit download device threads minutes knn-every compile",
    "features extract": "data checkpoint out test backbone image-size root image-column label-column "
    "unlabelled limit download half device threads probe no-probe",
    "features import": "out x y x-test y-test probe no-probe",
    "features compact": "out dim probe no-probe",
    "features recipes": "",
    "store check": "",
    "store compact": "",
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names(name):
    module = importlib.import_module(name)
    assert sorted(module.__all__) == sorted(PUBLIC[name])
    assert all(hasattr(module, public) for public in module.__all__)


def commands(group, prefix=""):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def test_options():
    found = {
        name: {
            flag.removeprefix("--")
            for option in command.params
            for flag in [*option.opts, *option.secondary_opts]
            if flag.startswith("--")
        }
        for name, command in commands(typer.main.get_command(app))
    }
    assert found == {name: set(words.split()) for name, words in OPTIONS.items()}
