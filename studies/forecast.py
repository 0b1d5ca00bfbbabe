"""What a study from images lacks, and how long its stages take: work by arithmetic, over rates that are said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from harness.exceptions import DataError, PackageError
from harness.features.costs import encoder_cost, memory_text, rate, training_operations, warning
from harness.features.images import IN_TORCHVISION, SIZES, Source, count_images, limited
from harness.spec import LearnerSpec
from harness.workers.resources import Resources, settle_on, this_machine
from strategies.base import Strategy
from strategies.registry import parameter_names
from studies.compare import LEARNER, Comparison, parse_learner
from studies.progress import duration
from studies.study import FeatureStage, encoder_path, feature_path

STEP_SECONDS = 0.005
"""A batch of the network takes so long. As what follows, measured in docs/reference/measurements.md, on two cores."""
ROUND_SECONDS = 5.0
"""The rest of a round takes so long: clustering, kernel, measuring."""
PAIRS_A_SECOND = 1e9
"""Pairs of candidates that a pick of NTKCPL goes through."""

_SCHEMES = ("torchvision:", "untrained")


def forecast(
    comparisons: Sequence[Comparison],
    data: str,
    stage: FeatureStage,
    root: Path | None,
    out: Path,
    resources: Resources,
    *,
    download: bool = False,
) -> list[str]:
    """Lines of a dry run that comes before there are features; nothing is written or fetched.

    Args:
        comparisons: what follows the features.
        data: the images.
        stage: how they become features.
        root: folder of named data sets.
        out: folder of the study.
        resources: with what the trajectories run.
        download: whether torchvision may fetch the images.

    Raises:
        SpecError: an unknown recipe, setting or backbone, or a schedule that does not fit the images.
        ResourceError: more asked for than this machine has.
    """
    recipe = stage.made_recipe()
    node = this_machine(resources.num_gpus)
    lines, counts = _images(Source(data, root, limit=stage.limit), download)
    operations, assumed = rate(recipe.precision, n_gpus=node.get("GPU", 0))
    extracted, also = rate("float32", n_gpus=node.get("GPU", 0))
    times = []
    encoder = encoder_path(data, out)
    if stage.checkpoint is not None:
        is_file = not stage.checkpoint.startswith(_SCHEMES)
        is_missing = is_file and not Path(stage.checkpoint).is_file()
        lines.append(f"Encoder: {stage.checkpoint}" + (", which is missing." if is_missing else "."))
    else:
        pool = counts
        if stage.pretrain_on is not None:
            more, pool = _images(Source(stage.pretrain_on, root), download)
            lines += more
        is_begun = encoder.exists()
        there = "is there; its pre-training continues after its last epoch" if is_begun else "is not there yet"
        lines.append(f"Encoder: {encoder} {there}.")
        if text := warning(recipe.precision, is_gpu=bool(node.get("GPU"))):
            lines.append(text)
        if pool is not None:
            times.append(memory_text(recipe, pool[0], is_gpu=bool(node.get("GPU"))))
            each = training_operations(recipe)
            times.append(
                f"Pre-training ({stage.recipe}): {pool[0]:,} images x {recipe.epochs} epochs x {each / 1e9:.3g} GFLOP: "
                "about"
                f" {duration(pool[0] * recipe.epochs * each / operations)}{', less what is already done' * is_begun}."
            )
    path = feature_path(data, out)
    there = "is there; it is made again unless it is of these images and this encoder"
    lines.append(f"Features: {path} {there if path.exists() else 'is not there yet'}.")
    if counts is not None:
        for comparison in comparisons:
            comparison.schedule.check_fits(counts[0], data)
        if stage.checkpoint is None:
            each = 2 * encoder_cost(recipe.backbone, recipe.image_size).multiplications
            times.append(
                f"Extraction: {sum(counts):,} images x {each / 1e9:.3g} GFLOP: "
                f"about {duration(sum(counts) * each / extracted)}."
            )
        times.append(_trajectories(comparisons, counts[0], resources))
    if not times:
        return [*lines, "How long it takes is not known until the images are there."]
    assumptions = (
        f"These times assume {' and '.join(dict.fromkeys((assumed, also)))}, without the decoding of images; for a "
        f"trajectory, {STEP_SECONDS * 1000:g} ms per batch of the network, {ROUND_SECONDS:g} s per round, and "
        f"{PAIRS_A_SECOND / 1e9:g} billion pairs of candidates per second in a pick of NTKCPL."
    )
    return [*lines, *times, assumptions]


def _images(source: Source, download: bool) -> tuple[list[str], tuple[int, int] | None]:
    """Whether the images are there, in a line, and how many they are or will be; None where nobody knows."""
    counts: tuple[int, int] | None
    try:
        counts = count_images(source)
    except (DataError, PackageError) as error:
        known = SIZES.get(source.data)
        counts = None if known is None else limited(known, source.limit)
        if download and source.data in IN_TORCHVISION:
            where = source.root or Path("data")
            return [f"Images: {source.data} is not in {where} yet; torchvision fetches it there first."], counts
        return [f"Images of {source.data} are missing. {error}"], counts
    test = f"{counts[1]:,} to test with" if counts[1] else "none to test with, so a fifth of each class is held out"
    return [f"Images: {source.data} is there, {counts[0]:,} to train on and {test}."], counts


def _trajectories(comparisons: Sequence[Comparison], n_pool: int, resources: Resources) -> str:
    n_trajectories, total = 0, 0.0
    for comparison in comparisons:
        n_trajectories += len(comparison.distinct) * len(comparison.seeds)
        each = [_seconds(comparison, strategy, n_pool) for strategy in comparison.distinct]
        total += sum(each) * len(comparison.seeds)
    if resources.address is not None:
        over = "divided by the number that the cluster runs at a time"
        return f"Trajectories: {n_trajectories}, about {duration(total)} in all, {over}."
    at_once = settle_on([this_machine(resources.num_gpus)], resources, n_trajectories).workers or 1
    return f"Trajectories: {n_trajectories}, {at_once} at a time: about {duration(total / at_once)}."


def _seconds(comparison: Comparison, strategy: Strategy, n_pool: int) -> float:
    """Seconds of one trajectory."""
    learner = parse_learner(comparison.settings.get(LEARNER, {}))
    counts = comparison.schedule.label_counts
    steps = 0  # of the others a fit is a part of the round
    if isinstance(learner, LearnerSpec):
        steps = sum(learner.epochs * math.ceil(n_labels / learner.batch_size) for n_labels in counts)
    picks = 0.0
    if "max_clusters" in parameter_names(type(strategy)):
        asked = getattr(strategy, "candidates", "all")
        n_candidates = n_pool if asked == "all" else min(int(asked), n_pool)
        picks = counts[-1] * n_candidates**2 / PAIRS_A_SECOND
    return steps * STEP_SECONDS + len(counts) * ROUND_SECONDS + picks
