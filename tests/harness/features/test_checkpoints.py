import pickle

import pytest
import torch
from safetensors.torch import save_file

from harness.exceptions import CheckpointError
from harness.features.checkpoints import load_encoder
from harness.features.encoders import encoder_spec, make_encoder


@pytest.fixture(scope="module")
def weights():
    return make_encoder(encoder_spec("resnet18", 32), 5).state_dict()


def load(path, backbone="resnet18"):
    return load_encoder(str(path), backbone=backbone, image_size=32)


@pytest.mark.parametrize(
    ("prefix", "nest"),
    [
        ("", None),
        ("encoder.", None),
        ("module.", "state_dict"),
        ("module.encoder.", "state_dict"),
        ("model.online_backbone.", "state_dict"),
        ("backbone.", "model"),
    ],
)
def test_public_forms_are_loaded_whole(tmp_path, weights, prefix, nest):
    state = {f"{prefix}{name}": value for name, value in weights.items()}
    state |= {f"{prefix}fc.weight": torch.zeros(3, 512), "predictor.0.weight": torch.zeros(4)}
    torch.save(state if nest is None else {nest: state, "epoch": 3}, tmp_path / "public.pt")
    loaded = load(tmp_path / "public.pt")
    assert all(torch.equal(value, weights[name]) for name, value in loaded.encoder.state_dict().items())
    assert set(loaded.ignored) >= {"fc.weight"}
    assert not loaded.encoder.training


def test_a_resnet_cut_into_a_sequential_is_recognised(tmp_path):
    whole = make_encoder(encoder_spec("resnet18", 224), 5)
    cut = torch.nn.Sequential(*list(whole.children())[:-1])
    torch.save({f"backbone.{name}": value for name, value in cut.state_dict().items()}, tmp_path / "cut.pt")
    loaded = load(tmp_path / "cut.pt")
    assert loaded.spec.stem == "large"  # seen from the weights, whatever the size of the images
    assert torch.equal(loaded.encoder.layer3[1].conv2.weight, whole.layer3[1].conv2.weight)


def test_safetensors(tmp_path, weights):
    save_file(weights, tmp_path / "w.safetensors")
    assert load(tmp_path / "w.safetensors").identity == load(tmp_path / "w.safetensors").identity


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda state: state.pop("layer2.0.conv1.weight"), r"1 missing \(layer2\.0\.conv1\.weight\)"),
        (lambda state: state.update({"bn1.weight": torch.zeros(7)}), r"1 of another shape \(bn1\.weight\)"),
        (lambda state: state.update({"layer9.weight": torch.zeros(7)}), r"1 unexpected \(layer9\.weight\)"),
    ],
)
def test_a_part_is_refused(tmp_path, weights, change, complaint):
    state = dict(weights)
    change(state)
    torch.save(state, tmp_path / "part.pt")
    with pytest.raises(CheckpointError, match=complaint):
        load(tmp_path / "part.pt")


@pytest.mark.parametrize("backbone", ["resnet34", "resnet50", "wrn10_2"])
def test_another_architecture_is_refused(tmp_path, weights, backbone):
    torch.save(weights, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=f"tensors of {backbone} .* nothing is loaded in part") as caught:
        load(tmp_path / "w.pt", backbone)
    assert "\n" not in str(caught.value)


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize("kind", ["cut", "text", "empty", "pickle", "list", "missing"])
def test_what_is_no_checkpoint_is_one_line(tmp_path, weights, kind, capsys):
    path = tmp_path / "bad.pt"
    torch.save(weights, path)
    content = {
        "cut": path.read_bytes()[:5000],
        "text": b"not a checkpoint",
        "empty": b"",
        "pickle": pickle.dumps(Evil()),
    }
    if kind in content:
        path.write_bytes(content[kind])
    elif kind == "list":
        torch.save([1, 2], path)
    else:
        path.unlink()
    with pytest.raises(CheckpointError, match="Expected") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert "executed" not in capsys.readouterr().out


def test_the_architecture_must_be_named(tmp_path, weights):
    torch.save(weights, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="give it with --backbone"):
        load_encoder(str(tmp_path / "w.pt"))


def test_unknown_weights_of_torchvision_are_refused():
    with pytest.raises(CheckpointError, match="Expected weights that torchvision has for resnet18, but got `NEWEST`"):
        load_encoder("torchvision:NEWEST", backbone="resnet18")
