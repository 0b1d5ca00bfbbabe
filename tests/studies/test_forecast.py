import pytest

from harness.exceptions import ResourceError, SpecError
from harness.features.costs import training_operations
from harness.features.images import IN_TORCHVISION
from harness.features.recipes import RECIPES
from harness.workers.resources import Resources
from studies import forecast as module
from studies.forecast import PAIRS_A_SECOND, ROUND_SECONDS, STEP_SECONDS, forecast
from studies.progress import duration
from studies.study import AskedComparison, encoder_path, load_study


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """`lines("cifar10", root, features={...}, ...)`: the forecast of a study on a machine with 4 CPUs."""
    monkeypatch.setattr(
        module, "this_machine", lambda num_gpus: {"CPU": 4.0, **({"GPU": num_gpus} if num_gpus else {})}
    )

    def of(name, root=None, *, features=None, resources=None, download=False, **typed):
        empty = dict.fromkeys(("strategies", "schedule", "seeds", "max_clusters", "candidates"))
        study = load_study(name)
        comparison = AskedComparison(**{**empty, **typed}, settings=[]).comparison(study)
        stage = study[1].features.changed(features or {})
        return forecast(
            [comparison], study[1].data, stage, root, tmp_path / "out", resources or Resources(), download=download
        )

    return of


@pytest.fixture
def root(tmp_path):
    """A folder with the files of CIFAR-10 in torchvision's form, all empty."""
    for name in IN_TORCHVISION["cifar10"]:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "data"


def test_what_is_there_and_what_is_not(lines, root, tmp_path):
    found = lines("cifar10", root)
    assert found[0] == "Images: cifar10 is there, 50,000 to train on and 10,000 to test with."
    assert found[1] == f"Encoder: {tmp_path / 'out/features/encoder.pt'} is not there yet."
    (root / "cifar-10-batches-py" / "data_batch_3").unlink()
    first = lines("cifar10", root)[0]
    assert first.startswith("Images of cifar10 are missing. Expected cifar10 as torchvision keeps it in")
    assert "there is no cifar-10-batches-py/data_batch_3" in first
    assert "torchvision fetches it there first" in lines("cifar10", root, download=True)[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["cifar100", "imagenet100", "pets"])
def test_what_is_missing_has_a_time_all_the_same(lines, tmp_path, name):
    found = lines(name, tmp_path / "nothere", download=name == "imagenet100")
    assert found[0].startswith(f"Images of {name} are missing. Expected {name}")
    for start in ("Pre-training", "Extraction", "Trajectories", "These times assume"):
        assert sum(line.startswith(start) for line in found) == 1


def test_images_that_nobody_knows_have_no_time(lines, tmp_path):
    found = lines("pets", tmp_path, features={"checkpoint": "untrained", "backbone": "resnet50"})
    assert found[1] == "Encoder: untrained."
    assert not any(line.startswith("Pre-training") for line in found)


def test_a_checkpoint_of_ones_own_is_looked_for(lines, tmp_path):
    given = {"checkpoint": str(tmp_path / "x.pt"), "backbone": "resnet50"}
    assert f"Encoder: {tmp_path / 'x.pt'}, which is missing." in lines("pets", features=given)
    (tmp_path / "x.pt").touch()
    assert f"Encoder: {tmp_path / 'x.pt'}." in lines("pets", features=given)


def test_an_encoder_that_is_begun_goes_on(lines, root, tmp_path):
    path = encoder_path("cifar10", tmp_path / "out")
    path.parent.mkdir(parents=True)
    path.touch()
    found = lines("cifar10", root)
    assert "its pre-training continues after its last epoch" in found[1]
    assert next(line for line in found if line.startswith("Pre-training")).endswith("less what is already done.")


def test_times_are_work_over_the_rate_that_is_said(lines, root):
    found = lines("cifar10", root, resources=Resources(num_gpus=1))
    work = 50_000 * 800 * training_operations(RECIPES["simsiam_cifar"][1])
    assert f"about {duration(work / 100e12)}." in next(line for line in found if line.startswith("Pre-training"))
    assert found[3].startswith("A step takes about 3 GB of memory (networks 259 MB, activations 2.4 GB, temporary")
    assert "images take 154 MB, on the GPU if they fit" in found[3]
    assert "These times assume 100 TFLOP/s of a GPU, without the decoding" in found[-1]


def test_trajectories_are_steps_rounds_and_picks(lines, root):
    typed = {"schedule": "100x2", "seeds": "2", "candidates": "1000"}
    plain = lines("cifar10", root, strategies="random,entropy", **{**typed, "candidates": None})
    each = (100 + 200) * STEP_SECONDS + 2 * ROUND_SECONDS  # one batch in the first round, two in the second
    assert plain[-2] == f"Trajectories: 4, 4 at a time: about {duration(each)}."
    ours = lines("cifar10", root, strategies="ntkcpl_al", **typed, resources=Resources(workers=1))
    assert ours[-2] == f"Trajectories: 2, 1 at a time: about {duration(2 * (each + 200 * 1e6 / PAIRS_A_SECOND))}."
    elsewhere = lines(
        "cifar10", root, strategies="random", **{**typed, "candidates": None}, resources=Resources(address="auto")
    )
    assert elsewhere[-2].endswith("in all, divided by the number that the cluster runs at a time.")


def test_what_a_run_would_refuse_is_refused(lines, root):
    with pytest.raises(SpecError, match="Expected a setting of a recipe"):
        lines("cifar10", root, features={"depth": "3"})
    with pytest.raises(SpecError, match="Expected a backbone"):
        lines("cifar10", root, features={"backbone": "vgg"})
    with pytest.raises(SpecError, match="Expected a schedule of at most 100 labels"):
        lines("cifar10", root, features={"limit": "100"})
    with pytest.raises(SpecError, match="Expected no settings for pre-training together"):
        lines("cifar10", root, features={"checkpoint": "x.pt", "epochs": "3"})
    with pytest.raises(ResourceError, match="room for 4"):
        lines("cifar10", root, resources=Resources(workers=9))
