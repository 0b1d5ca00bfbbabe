"""How far the studies of a store are."""

from harness.store.reading import StoreReader
from harness.store.writing import Store
from studies.status import study_status


def test_the_pools_of_one_command_are_told_apart_by_their_data(run_serially, make_spec, tmp_path):
    store = Store(tmp_path)
    ended, begun, waiting = (make_spec(seed=seed) for seed in range(3))
    run_serially([ended, begun], store)
    (tmp_path / "trajectories" / f"{begun.trajectory_id}.parquet").unlink()
    for name, spec in (("a", ended), ("b", begun), ("c", waiting)):
        store.write_study(name, "ntkcpl compare", [spec.trajectory_id])
    assert [name for name, *_ in study_status(store.root)] == ["a on pool", "b on pool", "c"]


def test_what_has_not_begun_is_looked_for_once(tmp_path, monkeypatch):
    """On a server each look takes some requests."""
    store, looked_for, rounds = Store(tmp_path), [], StoreReader.rounds
    store.write_study("a", "ntkcpl compare", ["0", "1", "2"])
    monkeypatch.setattr(StoreReader, "rounds", lambda self, name: looked_for.append(name) or rounds(self, name))
    assert [name for name, *_ in study_status(store.root)] == ["a"]
    assert sorted(looked_for) == ["0", "1", "2"]
