"""SimSiam ResNet-18 on CIFAR-10 on one GPU, in runs of a few minutes that go on from each other.

    python benchmarks/features_gpu.py --root DATA --out runs/gpu --minutes 9 --epochs 400    # again until finished

DATA holds cifar10_train*.parquet and cifar10_test*.parquet, or torchvision's cifar-10-batches-py. Written to --out:
encoder.pt, epochs.csv (loss, kNN, images/s, share of the bf16 peak), and when all epochs are done cifar10_simsiam.npz
(PCA 128 in 8 bits) with the accuracy of probes before and after. `--steps-only` times ten steps to plan the epochs, and
says their peak of memory beside the prediction as a JSON object.
"""

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import torch

from harness.data import Dataset, load_dataset
from harness.features.checkpoints import load_encoder
from harness.features.costs import stored_size, training_memory
from harness.features.extract import extract
from harness.features.files import write_features
from harness.features.images import ImageSet, Source, open_images
from harness.features.pretrain import Epoch, pretrain
from harness.features.probe import worth
from harness.features.recipes import make_recipe
from harness.features.reduction import reduce_features

PEAK = {"H100": 989, "H200": 989, "GH200": 989, "B200": 2250, "A100": 312, "L40S": 362, "RTX 4090": 165}
"""Dense bf16 TFLOP/s as the makers state them."""

COLUMNS = ("epoch", "loss", "spread", "knn", "images_per_second", "teraflops", "share_of_peak")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps-only", action="store_true", help="ten steps, thrown away: images/s and share of peak")
    parser.add_argument("--set", action="append", default=[], help="setting=value of the recipe")
    parser.add_argument("--limit", type=int, help="fewer images, for a trial on a CPU")
    options = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    peak = next((tflops for key, tflops in PEAK.items() if key in name), 0)
    print(f"{name}, torch {torch.__version__}, bf16 peak taken as {peak} TFLOP/s")
    images = open_images(Source("cifar10", options.root, limit=options.limit))
    changes = dict(text.split("=", 1) for text in options.set)
    recipe = make_recipe("simsiam_cifar", {"epochs": options.epochs, **changes})
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / ("steps.csv" if options.steps_only else "epochs.csv")

    rows: list[dict[str, Any]] = []

    def listen(epoch: Epoch) -> None:
        share = epoch.teraflops / peak if peak else float("nan")
        print(
            f"{epoch.epoch}/{epoch.epochs} loss {epoch.loss:.4f} kNN {epoch.knn}"
            f" {epoch.images_per_second:,.0f} images/s"
            f" {epoch.teraflops:.1f} TFLOP/s ({share:.1%} of peak), {epoch.seconds_left:.0f} s left",
            flush=True,
        )
        row = {**epoch.__dict__, "share_of_peak": share}
        rows.append(row)
        is_new = not log.exists()
        with log.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            if is_new:
                writer.writeheader()
            writer.writerow(row)

    if options.steps_only:
        few = ImageSet("steps", images.train.sample(10 * recipe.batch_size), None)
        # Two epochs of ten steps: the first warms up (and compiles), the second is the measurement.
        short = recipe.model_copy(update={"epochs": 2})
        (options.out / "steps.pt").unlink(missing_ok=True)
        pretrain(few.train, short, options.out / "steps.pt", device=device, compiled=options.compile, listen=listen)
        (options.out / "steps.pt").unlink()
        predicted = training_memory(recipe, is_half=device == "cuda").total
        predicted += len(few.train) * 3 * stored_size(recipe.image_size) ** 2
        peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
        print(json.dumps({**rows[-1], "device": name, "peak_bytes": peak, "predicted_bytes": predicted}))
        return
    checkpoint = options.out / "encoder.pt"
    done = pretrain(
        images.train,
        recipe,
        checkpoint,
        device=device,
        minutes=options.minutes,
        compiled=options.compile,
        listen=listen,
    )
    if not done.finished:
        print(f"stopped after epoch {done.epoch}; the same command goes on")
        return
    features = options.out / "features.npz"
    extract(images, load_encoder(str(checkpoint)), features, device=device)
    data = load_dataset(str(features))
    fields, scale = reduce_features(data, min(128, data.x_train.shape[1]))
    small = options.out / "cifar10_simsiam.npz"
    written = write_features(small, fields, {"recipe": recipe.model_dump(mode="json"), "epochs": done.epoch}, scale)
    print(f"before: {_figures(data)}\nafter:  {_figures(written)}\n{small}: {small.stat().st_size / 1e6:.1f} MB")


def _figures(data: Dataset) -> str:
    found = worth(data.x_train, data.y_train, data.x_test, data.y_test)
    return f"{data.x_train.shape[1]} columns, kNN {found.knn:.2%}, linear {found.linear:.2%}"


if __name__ == "__main__":
    main()
