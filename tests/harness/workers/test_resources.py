import pytest

from harness.exceptions import ResourceError
from harness.workers.resources import Resources, _room, unusable_gpus


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
