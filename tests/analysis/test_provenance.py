from analysis import load
from analysis.provenance import environment_table, study_table, warnings


def test_one_environment_needs_no_warning(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory(versions={"torch": "2.6", "fingerprint": {"cpu": "a"}})]))
    assert warnings(results) == []
    row = environment_table(results).iloc[0]
    assert (row["device"], row["versions"], row["git"], row["trajectories"]) == ("cpu", "torch 2.6", "not recorded", 1)


def test_mixed_devices_and_fingerprints_are_named(tmp_path, trajectory, write_store):
    rows = [
        trajectory(versions={"fingerprint": {"cpu": "a", "blas": "x"}}),
        trajectory(seed=1, device="cuda", versions={"fingerprint": {"cpu": "b", "blas": "x"}}),
        trajectory(seed=2, status="failed"),
    ]
    devices, fingerprints, failed = warnings(load(write_store(tmp_path, rows)))
    assert "Mixed devices: these trajectories ran on 2 (cpu; cuda)" in devices
    assert "(cpu: a / b)" in fingerprints
    assert failed.startswith("1 trajectory failed")


def test_studies_tell_their_commands(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory(), trajectory(seed=1, status="failed")], study="mine"))
    assert study_table(results).to_numpy().tolist() == [["mine", "ntkcpl mine", 2, 1]]
