"""Trajectories in the process of the driver: for tests of what is around a study, not of the workers that run it.

An actor imports torch, scikit-learn and numba anew, which takes longer than a small study.
"""

import time
from contextlib import nullcontext

from harness.exceptions import in_one_line
from harness.record import RoundRecord
from harness.workers.events import Failed, Finished, Paused, RoundDone, Started
from harness.workers.resources import settle_on, this_machine
from harness.workers.serial import run_job
from strategies.base import Compute


def execute(jobs, data, resources):
    """As `harness.workers.cluster.execute`, one job after the other."""
    compute = Compute(n_threads=resources.cpus_per_trajectory, memory_limit=resources.memory_limit)
    for job in jobs:
        if job is None:
            time.sleep(0.01)  # the source has nothing yet
            continue
        yield Started(job)
        try:
            for each in run_job(job.spec, data, compute, job.history, job.fingerprint, job.until):
                if isinstance(each, RoundRecord):
                    yield RoundDone(job, each)
                else:
                    yield Finished(job, each) if job.is_last_leg else Paused(job)
        except Exception as error:
            yield Failed(job, in_one_line(error))


def without_ray(patch):
    """Let comparisons run in this process; what they ask for is still held against what the machine has."""
    patch.setattr("harness.workers.cluster.execute", execute)
    patch.setattr("harness.workers.cluster.cluster", lambda resources, data_bytes: nullcontext())
    patch.setattr("harness.workers.cluster.settle", lambda resources, n: settle_on([this_machine()], resources, n))
