"""The data sets of a command."""

import numpy as np
import pytest

from harness.data import load_dataset
from harness.exceptions import SpecError
from harness.pools import PoolSpec
from studies.reading import make_pools


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_pools_of_different_names_are_made_in_their_order(digits):
    pools = (PoolSpec(), PoolSpec(pool="longtail:20"), PoolSpec(pool="longtail:20", pool_seed=1))
    names = [made.name for made in make_pools(digits, pools)]
    assert names == ["digits", "digits[longtail:20]", "digits[longtail:20,seed:1]"]


@pytest.mark.parametrize("options", [{"pool": "subset:1437", "pool_seed": 3}, {"label_noise": "0"}])
def test_what_changes_nothing_is_said(digits, capsys, options):
    assert make_pools(digits, [PoolSpec(**options)]) == [digits]
    assert capsys.readouterr().err.endswith(
        f"{PoolSpec(**options).model_dump_json(exclude_defaults=True)} changes nothing.\n"
    )
    make_pools(digits, [PoolSpec()])
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("pools", "name"),
    [
        ((PoolSpec(pool="longtail:20"), PoolSpec(pool="longtail:20.0")), "`digits[longtail:20]`"),
        ((PoolSpec(), PoolSpec(pool="subset:1437")), "`digits`"),
    ],
)
def test_the_same_pool_in_two_spellings_is_refused(digits, pools, name):
    """It would be in results.csv twice."""
    with pytest.raises(SpecError, match="Expected pools of different names, but 2 are called") as error:
        make_pools(digits, pools)
    assert name in str(error.value)


def test_pools_of_files_with_one_name_are_refused(digits, tmp_path):
    """A report that has one name for two data sets shows neither."""
    paths = [tmp_path / folder / "matrix.csv" for folder in ("a", "b")]
    for path, share in zip(paths, (0.1, 0.2), strict=True):
        path.parent.mkdir()
        np.savetxt(path, np.eye(10) * (1 - share) + share / 10, delimiter=",")
    with pytest.raises(SpecError, match=r"2 are called `digits\[noise:matrix\]`; leave one out, or rename its file"):
        make_pools(digits, [PoolSpec(label_noise=str(path)) for path in paths])
