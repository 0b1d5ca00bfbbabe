"""Checkpoints of encoders: the project's own, and the state dicts that other programs save.

Nothing is unpickled but tensors and plain values. An encoder is loaded whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from harness.exceptions import CheckpointError, one_line
from harness.features import vision
from harness.features.encoders import EncoderSpec, encoder_spec, make_encoder
from harness.store.location import replace_file

FORMAT = "ntkcpl encoder 1"
TORCHVISION = "torchvision:"
UNTRAINED = "untrained"

_PREFIXES = ("encoder.", "backbone.", "module.", "online_backbone.", "online_encoder.", "encoder_q.", "model.", "net.")
_NESTS = ("state_dict", "model", "encoder", "teacher", "student")
_HEADS = re.compile(r"(fc|heads?|classifier|linear|predict(or|ion_head)|project(or|ion_head))\.")
_INDEXED = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
_MOST_NAMED = 3
_IMAGE_SIZE = 224


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder with weights, in eval mode.

    Attributes:
        encoder: the network.
        spec: its architecture.
        identity: hash of architecture and weights.
        source: where the weights are from, for a user.
        ignored: tensors of the file that are not the encoder's, such as heads.
        history: of its pre-training, if it is the project's own.
    """

    encoder: nn.Module
    spec: EncoderSpec
    identity: str
    source: str
    ignored: tuple[str, ...] = ()
    history: tuple[Mapping[str, Any], ...] = field(default=())


def load_encoder(source: str, *, backbone: str | None = None, image_size: int | None = None) -> LoadedEncoder:
    """Load the weights of an encoder.

    Args:
        source: a file (own checkpoint, state dict of torch, safetensors), `torchvision:WEIGHTS` such as
            `torchvision:IMAGENET1K_V1`, or `untrained`.
        backbone: architecture; an own checkpoint knows its own.
        image_size: pixels a side of the input; an own checkpoint knows its own; 224 for others.

    Raises:
        CheckpointError: it cannot be read, or is of another architecture, or lacks a part of the encoder.
        SpecError: an unknown backbone.
        PackageError: an optional package is missing.
    """
    require_source(source, backbone, image_size)
    size = image_size or _IMAGE_SIZE
    if source == UNTRAINED:
        spec = encoder_spec(_required(source, backbone), size)
        return _loaded(make_encoder(spec, 0), spec, "random weights")
    if source.startswith(TORCHVISION):
        return _from_torchvision(source.removeprefix(TORCHVISION), _required(source, backbone), size)
    content = read_checkpoint(Path(source))
    if content.get("format") == FORMAT:
        return _own(source, content, backbone, image_size)
    return _foreign(source, content, _required(source, backbone), size)


def require_source(source: str, backbone: str | None, image_size: int | None = None) -> None:
    """Refuse what `load_encoder` would refuse without reading anything.

    Raises:
        CheckpointError: there is no such file, or no architecture for weights that have none.
        SpecError: an unknown backbone, or images that are too small or too large.
    """
    if backbone is not None:
        encoder_spec(backbone, image_size or _IMAGE_SIZE)
    if source == UNTRAINED or source.startswith(TORCHVISION):
        _required(source, backbone)
    elif not Path(source).is_file():
        raise CheckpointError(f"Expected a checkpoint in {source}, but there is no such file.")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The contents of a file of tensors and plain values.

    Raises:
        CheckpointError: it is damaged, or it holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many types on damaged files
        found = one_line(f"{type(error).__name__}: {error}")[:120]
        raise CheckpointError(
            f"Expected {path} to be a complete checkpoint of tensors and plain values, but got {found}. It may be cut "
            "off, damaged, or hold pickled objects, which are never loaded."
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"Expected a dictionary of tensors in {path}, but got {type(content).__name__}.")
    return dict(content)


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint under a hidden name, flush and rename it."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    replace_file(path, buffer.getbuffer())


def state_identity(spec: EncoderSpec, state: Mapping[str, Tensor]) -> str:
    """Hash of an architecture and its weights."""
    digest = hashlib.sha256(spec.model_dump_json().encode())
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _loaded(encoder: nn.Module, spec: EncoderSpec, source: str, **more: Any) -> LoadedEncoder:
    encoder.eval().requires_grad_(False)
    return LoadedEncoder(encoder, spec, state_identity(spec, encoder.state_dict()), source, **more)


def _own(source: str, content: dict[str, Any], backbone: str | None, image_size: int | None) -> LoadedEncoder:
    try:
        spec = EncoderSpec.model_validate(content["spec"])
        state, history = content["encoder"], tuple(content["history"])
    except (KeyError, ValidationError) as error:
        raise CheckpointError(
            f"Expected a checkpoint of `features pretrain` in {source}, but it is damaged."
        ) from error
    for name, wanted, found in (("backbone", backbone, spec.backbone), ("image size", image_size, spec.image_size)):
        if wanted is not None and wanted != found:
            raise CheckpointError(f"Expected an encoder of {name} {wanted} in {source}, but it has {found}.")
    encoder = make_encoder(spec, 0)
    _fill(encoder, state, source, spec.backbone)
    n_epochs = len(history) - 1
    trained = f"{source}, {n_epochs} {'epoch' if n_epochs == 1 else 'epochs'}" if history else source
    return _loaded(encoder, spec, trained, history=history)


def _foreign(source: str, content: dict[str, Any], backbone: str, image_size: int) -> LoadedEncoder:
    state = _tensors(content)
    if not state:
        raise CheckpointError(f"Expected a dictionary of tensors in {source}, but found none.")
    spec = encoder_spec(backbone, image_size)
    names = set(make_encoder(spec, 0).state_dict())
    own, rest = _without_prefix(state, names)
    if "conv1.weight" in own and own["conv1.weight"].ndim == 4:
        spec = spec.model_copy(update={"stem": "small" if own["conv1.weight"].shape[-1] == 3 else "large"})
    encoder = make_encoder(spec, 0)
    ignored = [name for name in own if _HEADS.match(name)]
    _fill(encoder, {name: own[name] for name in own if name not in ignored}, source, backbone)
    return _loaded(encoder, spec, source, ignored=(*ignored, *rest))


def _from_torchvision(weights: str, backbone: str, image_size: int) -> LoadedEncoder:
    models = vision.load("torchvision.models")
    spec = encoder_spec(backbone, image_size).model_copy(update={"stem": "large"})
    encoder = make_encoder(spec, 0)
    try:
        found = models.get_model_weights(backbone)[weights]
        state = found.get_state_dict(progress=False, check_hash=True)
    except KeyError as error:
        raise CheckpointError(f"Expected weights that torchvision has for {backbone}, but got `{weights}`.") from error
    except Exception as error:  # no network, no space, a damaged download
        raise CheckpointError(
            f"Cannot fetch torchvision's weights {weights} for {backbone}: {type(error).__name__}: {error}."
        ) from error
    _fill(encoder, {name: value for name, value in state.items() if not _HEADS.match(name)}, weights, backbone)
    return _loaded(encoder, spec, f"torchvision's {backbone} {weights}")


def _fill(encoder: nn.Module, state: Mapping[str, Tensor], source: str, backbone: str) -> None:
    wanted = encoder.state_dict()
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    shapes = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    unexpected = [name for name in state if name not in wanted]
    problems = [
        f"{len(names)} {what} ({', '.join(names[:_MOST_NAMED])}{', ...' if len(names) > _MOST_NAMED else ''})"
        for names, what in ((missing, "missing"), (shapes, "of another shape"), (unexpected, "unexpected"))
        if names
    ]
    if problems:
        n_fit = len(wanted) - len(missing) - len(shapes)
        raise CheckpointError(
            f"Expected the {len(wanted)} tensors of {backbone} in {source}, but {n_fit} fit: {'; '.join(problems)}. "
            "Name the architecture it was trained with (--backbone); nothing is loaded in part."
        )
    encoder.load_state_dict({**{name: value for name, value in wanted.items() if name not in state}, **state})


def _tensors(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict in a checkpoint, which may lie a level or two deeper."""
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    for name in _NESTS:
        if not tensors and isinstance(content.get(name), Mapping):
            tensors = _tensors(content[name])
    return tensors


def _without_prefix(state: Mapping[str, Tensor], names: set[str]) -> tuple[dict[str, Tensor], list[str]]:
    """The part of a state dict that has most of an encoder's names once a prefix is off; names of the rest."""
    prefixes = {""}
    for _ in range(3):
        prefixes |= {
            old + new for old in prefixes for new in _PREFIXES if any(key.startswith(old + new) for key in state)
        }

    def stripped(prefix: str) -> dict[str, Tensor]:
        return {_named(key.removeprefix(prefix)): value for key, value in state.items() if key.startswith(prefix)}

    best = max(sorted(prefixes), key=lambda prefix: len(names & set(stripped(prefix))))
    return stripped(best), [key for key in state if not key.startswith(best)]


def _named(key: str) -> str:
    """`4.0.conv1.weight` of a ResNet cut into an `nn.Sequential` is `layer1.0.conv1.weight`."""
    index, dot, rest = key.partition(".")
    return f"{_INDEXED[int(index)]}.{rest}" if dot and index.isdigit() and int(index) < len(_INDEXED) else key


def _required(source: str, backbone: str | None) -> str:
    if backbone is None:
        raise CheckpointError(
            f"Expected the architecture of {source}, which does not name it; give it with --backbone."
        )
    return backbone
