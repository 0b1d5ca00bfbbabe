"""The garbage collector of a process that loads torch, Ray and scikit-learn, whose objects live until its end."""

import gc

_ALLOCATIONS = 10_000
"""New objects between two looks; with Python's 700, a fifth of the time of the imports is spent on looking."""


def collect_rarely() -> None:
    """Look for garbage less often: among so many objects that stay, it takes long and finds little."""
    gc.set_threshold(_ALLOCATIONS)
