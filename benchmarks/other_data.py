"""Feature files of real data that is not CIFAR-10, made from what the dependencies of this project contain.

    OMP_NUM_THREADS=1 python benchmarks/other_data.py --out DIR

`scripts_*.npz`: pictures of letters in the fonts that come with matplotlib. The class is the script, such as Greek. All
pictures of a letter, one for each font that has it, are on the same side of the split into pool and test data.
`sources_*.npz`: twenty lines of Python each. The class is the library that they are from. All lines of a file are on
the same side. Both have two kinds of features. What is fitted for them is fitted without labels and without the test
data.

The content depends on the versions of the libraries, which were those of constraints.txt, and a little on the number of
threads.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
import unicodedata
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import matplotlib as mpl
import numpy as np
from fontTools.ttLib import TTFont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import sparse
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler

from harness.data import Fields
from harness.features.files import write_features
from harness.features.probe import worth

SCRIPTS = ["ARABIC", "ARMENIAN", "CANADIAN", "CYRILLIC", "GEORGIAN", "GREEK", "HEBREW", "LAO", "LATIN", "LISU"]
LIBRARIES = ["matplotlib", "networkx", "numpy", "optuna", "pandas", "ray", "scipy", "sklearn", "sympy", "torch"]
MOST = 2_500
"""Examples of a class."""
SIDE = 32
"""Pixels."""
N_LINES = 20
TEST_SHARE = 0.3

Examples = tuple[NDArray[np.generic], list[str], list[str]]
"""What is seen, the class of each, and what must not be split."""


def scripts() -> Examples:
    """Pictures of letters, 32 x 32 pixels from 0 to 1."""
    pictures, classes, letters = [], [], []
    for path in sorted((Path(mpl.get_data_path()) / "fonts/ttf").glob("DejaVu*.ttf")):
        font = ImageFont.truetype(str(path), 22)
        for code in sorted(TTFont(path).getBestCmap()):
            letter = chr(code)
            script = unicodedata.name(letter, "NONE").split()[0]
            if script in SCRIPTS and unicodedata.category(letter).startswith("L"):
                image = Image.new("L", (SIDE, SIDE))
                ImageDraw.Draw(image).text((SIDE / 2, SIDE / 2), letter, fill=255, font=font, anchor="mm")
                pictures.append(np.asarray(image, np.float32) / 255)
                classes.append(script)
                letters.append(letter)
    return np.stack(pictures), classes, letters


def sources() -> Examples:
    """Pieces of twenty lines of Python, without empty lines."""
    pieces, classes, files = [], [], []
    for library in LIBRARIES:
        for path in sorted((Path(sysconfig.get_path("purelib")) / library).rglob("*.py")):
            lines = [line for line in path.read_text(encoding="utf-8", errors="ignore").splitlines() if line.strip()]
            for start in range(0, len(lines) - N_LINES + 1, N_LINES):
                pieces.append("\n".join(lines[start : start + N_LINES]))
                classes.append(library)
                files.append(str(path))
    return np.array(pieces, dtype=object), classes, files


def thinned(classes: list[str], groups: list[str]) -> NDArray[np.int64]:
    """Rows of at most `MOST` examples of each class: random groups, the last of which may be cut."""
    rng = np.random.default_rng(0)
    place = {group: at for at, group in enumerate(rng.permutation(sorted(set(groups))))}
    order = np.array(sorted(range(len(groups)), key=lambda row: place[groups[row]]))
    of_class = np.array(classes)[order]
    return np.sort(np.concatenate([order[of_class == name][:MOST] for name in sorted(set(classes))]))


def gradients(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Histograms of oriented gradients: eight directions in 4 x 4 cells, square roots of their shares."""
    down, right = np.gradient(pictures, axis=(1, 2))
    sector = (np.floor((np.arctan2(down, right) / np.pi + 1) * 4) % 8).astype(int)
    strength = np.hypot(down, right)
    cells = np.stack([np.where(sector == each, strength, 0) for each in range(8)], axis=-1)
    summed = cells.reshape(len(pictures), 4, SIDE // 4, 4, SIDE // 4, 8).sum(axis=(2, 4)).reshape(len(pictures), -1)
    return np.sqrt(summed / np.maximum(summed.sum(axis=1, keepdims=True), 1e-6)).astype(np.float32)


def log_counts(counts: sparse.csr_matrix) -> NDArray[np.float64]:
    """Logarithms of counts and one."""
    return np.log1p(counts.toarray())


def pixels(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels in a row."""
    return pictures.reshape(len(pictures), -1)


FEATURES = {
    "scripts_pixels": (scripts, make_pipeline(FunctionTransformer(pixels), PCA(64, random_state=0))),
    "scripts_gradients": (scripts, FunctionTransformer(gradients)),
    "sources_characters": (
        sources,
        make_pipeline(
            CountVectorizer(analyzer="char", lowercase=False, max_features=96),
            FunctionTransformer(log_counts),
            MaxAbsScaler(),
        ),
    ),
    "sources_words": (
        sources,
        make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=3), TruncatedSVD(128, random_state=0)),
    ),
}


def main() -> None:
    """Write the four files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, (examples, transformer) in FEATURES.items():
        seen, classes, groups = examples()
        kept = thinned(classes, groups)
        seen, labels, of_groups = seen[kept], np.array(classes)[kept], np.array(groups)[kept]
        splitter = GroupShuffleSplit(1, test_size=TEST_SHARE, random_state=0)
        (pool, test), *_ = splitter.split(seen, groups=of_groups)
        x_train, x_test = transformer.fit_transform(seen[pool]), transformer.transform(seen[test])
        fields = Fields(x_train.astype(np.float32), labels[pool], x_test.astype(np.float32), labels[test])
        data = write_features(out / f"{name}.npz", fields, {"made_by": "benchmarks/other_data.py"})
        smallest, *_, largest = sorted(np.unique(labels[pool], return_counts=True)[1])
        figures = worth(data.x_train, data.y_train, data.x_test, data.y_test)
        print(
            f"{name}: {data.x_train.shape} in the pool, {len(test)} test rows; classes of {smallest} to {largest};",
            end=" ",
        )
        print(f"test accuracy with all labels: kNN {figures.knn:.1%}, linear {figures.linear:.1%}")


if __name__ == "__main__":
    main()
