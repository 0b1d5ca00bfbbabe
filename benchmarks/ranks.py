"""Ranks of all built-in strategies (but Refine) over data sets, from one study file, `ranks.yaml`.

Every data set is compared in a store of its own, with as many workers as there are CPUs; a large feature file is cut
to a fixed random part first. The report across them is `OUT/report/index.html`; what is printed are mean areas under
the curve and the mean rank.

    python benchmarks/ranks.py --out runs/ranks digits mobilenet.npz patches.npz
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import load
from analysis.across import areas_by_data

N_TRAIN, N_TEST = 5_000, 3_000
STUDY = Path(__file__).with_suffix(".yaml")


def cut(source: Path, folder: Path) -> Path:
    """A fixed random part of a feature file, under the same name."""
    target = folder / source.name
    if not target.exists():
        with np.load(source, allow_pickle=False) as arrays:
            rng = np.random.default_rng(0)
            parts = {}
            for split, size in (("train", N_TRAIN), ("test", N_TEST)):
                n = len(arrays[f"y_{split}"])
                rows = np.sort(rng.choice(n, min(size, n), replace=False))
                parts |= {f"{field}_{split}": arrays[f"{field}_{split}"][rows] for field in "xy"}
        np.savez(target, **parts)
    return target


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study on every data set and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="built-in data sets or .npz feature files")
    parser.add_argument("--out", type=Path, default=Path("runs/ranks"))
    parser.add_argument("--seeds", default="10")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    program = Path(sys.executable).with_name("ntkcpl")
    stores = []
    for name in options.data:
        data = cut(Path(name), options.out) if name.endswith(".npz") else name
        stores.append(options.out / Path(name).stem)
        words = ["--study", STUDY, "--data", data, "--seeds", options.seeds, "--out", stores[-1]]
        subprocess.run([program, "compare", *words], check=True)
    if len(stores) > 1:
        subprocess.run([program, "report", *stores, "--out", options.out / "report"], check=True)
        by_data = areas_by_data(load(*stores, queries=False))
        areas = 100 * pd.DataFrame({data: table.mean() for data, table in by_data.items()})
        ranks = areas.rank(ascending=False).mean(axis=1)
        print(areas.assign(rank=ranks).sort_values("rank").round(1).to_string())


if __name__ == "__main__":
    main()
