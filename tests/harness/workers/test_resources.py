import pytest

from harness.exceptions import ResourceError
from harness.workers import resources as module
from harness.workers.resources import Resources, _room, settle_on, unusable_gpus


@pytest.mark.parametrize(
    ("cpus_of_node", "gpus_of_node", "cpus", "gpus", "room"),
    [
        (8, 0, 1, 0, 8),
        (8, 0, 3, 0, 2),
        (8, 0, 1, 1, 0),
        (8, 2, 1, 1, 2),
        (8, 4, 1, 2, 2),
        (8, 3, 1, 2, 1),
        (8, 2, 1, 0.5, 4),
        (8, 2, 1, 0.4, 4),
        (8, 2, 1, 0.6, 2),
        (8, 1, 1, 0.1, 8),
        (16, 1, 1, 0.1, 10),
        (16, 1, 1, 1 / 3, 3),
        (2, 8, 1, 1, 2),
        (0, 8, 1, 1, 0),
        (1, 0, 1 / 5, 0, 5),
        (2, 0, 1 / 10, 0, 20),
    ],
)
def test_room_on_a_node(cpus_of_node, gpus_of_node, cpus, gpus, room):
    assert _room({"CPU": cpus_of_node, "GPU": gpus_of_node}, cpus, gpus) == room


@pytest.mark.parametrize(
    ("nodes", "resources", "n_jobs", "gib", "gib_a_shard"),
    [
        ([{"CPU": 8}], Resources(), 2, 30, 30),
        ([{"CPU": 8}] * 4, Resources(), 99, 7.5, 7.5),
        ([{"CPU": 8}], Resources(shards=4), 1, 60, 15),
        ([{"CPU": 8}] * 4, Resources(shards=4), 1, 60, 15),
        ([{"CPU": 8}] * 4, Resources(shards=4, cpus_per_trajectory=32), 1, 240, 60),
        ([{"CPU": 8, "GPU": 1}] * 4, Resources(shards=4), 1, 240, 60),
        ([{"CPU": 8}] * 2, Resources(shards=2, cpus_per_trajectory=8), 2, 60, 30),
        ([{"CPU": 64, "GPU": 8}] * 2, Resources(shards=16, cpus_per_trajectory=16), 1, 120, 7.5),
        ([{}, {"CPU": 8, "GPU": 8}], Resources(), 99, 7.5, 7.5),
        ([{"CPU": 4}, {"CPU": 8}], Resources(), 12, 7.5, 7.5),
        ([{"CPU": 4}, {"CPU": 8}], Resources(shards=2, cpus_per_trajectory=2), 3, 30, 15),
    ],
)
def test_shards_bring_the_memory_of_each_machine_that_they_need(
    monkeypatch, nodes, resources, n_jobs, gib, gib_a_shard
):
    monkeypatch.setattr(module, "available_bytes", lambda: 100 * 2**30)
    limit = settle_on(nodes, resources, n_jobs).memory_limit
    assert (limit / 2**30, limit / resources.shards / 2**30) == (gib, gib_a_shard)


@pytest.mark.parametrize("address", ["", " ", "local"])
def test_an_address_of_no_cluster_is_refused(address):
    """Ray would start another local cluster for it, one that other machines can reach and with services of its own."""
    with pytest.raises(ResourceError, match=rf"that is there, .*but got `{address}`; leave it out to start a local"):
        Resources(address=address)


class TestUnusableGpus:
    """A study that asks for GPUs does not run on the CPU without a word."""

    @pytest.mark.parametrize(
        ("resources", "has_cuda", "is_said"),
        [
            (Resources(gpus_per_trajectory=1), False, True),
            (Resources(gpus_per_trajectory=0.5), False, True),
            (Resources(gpus_per_trajectory=1), True, False),
            (Resources(gpus_per_trajectory=0), False, False),
            (Resources(gpus_per_trajectory=1, address="10.0.0.1:6379"), False, False),
        ],
    )
    def test_is_said_of_a_local_study_alone(self, monkeypatch, resources, has_cuda, is_said):
        monkeypatch.setattr("torch.cuda.is_available", lambda: has_cuda)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "8")
        found = unusable_gpus(resources)
        assert (found is not None) == is_said
        if is_said:
            assert found == "torch can use no GPU here, so all of this runs on the CPU. CUDA_VISIBLE_DEVICES is `8`."


@pytest.mark.parametrize("gpus", [1.5, 1e-5, float("nan"), float("inf")])
def test_shares_of_gpus_that_ray_does_not_know_are_refused(gpus):
    with pytest.raises(ResourceError, match=f"whole number .* but got {gpus:g}"):
        Resources(gpus_per_trajectory=gpus)
