"""Holds nearest neighbours against scikit-learn's, prediction by prediction.

    cargo build --release -p dcgan-baselines --example neighbours
    python knn.py TRAIN TEST [--rows N] [--k 1 3 5 ...] [--ours target/release/examples/neighbours]

TRAIN and TEST are folders of features (extract_features; without `model`: pixels), of TEST the first N rows. Where a prediction
differs, distances are computed anew in float64, from the differences: it counts as a tie where more rows are as near as the k-th
than are chosen among them; scikit-learn takes those in no fixed order, ours the earlier ones. Anything else fails.

Needs numpy, scikit-learn.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from sklearn.neighbors import KNeighborsClassifier


def load(folder):
    return np.load(folder / "features.npy", mmap_mode="r"), np.load(folder / "labels.npy").astype(np.int64)


def is_tie(x, train, k):
    """True where more rows are as near as the k-th, to 1e-12, than are chosen among them."""
    d = ((train.astype(np.float64) - x.astype(np.float64)) ** 2).sum(1)
    last = np.partition(d, k - 1)[k - 1]
    slack = 1e-12 * last
    return np.count_nonzero(d <= last + slack) > k


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 3, 5, 9, 15, 25])
    parser.add_argument("--ours", default="target/release/examples/neighbours")
    args = parser.parse_args()
    (x, y), (t, truth) = load(args.train), load(args.test)
    t, truth = np.array(t[: args.rows]), truth[: args.rows]
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "features.npy"), t)
        np.save(Path(folder, "labels.npy"), truth)
        command = [args.ours, args.train, folder, *map(str, args.k)]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    x = np.array(x)
    n_other = 0
    for k in args.k:
        theirs = KNeighborsClassifier(k, algorithm="brute").fit(x, y).predict(t)
        mine = np.array(ours[str(k)])
        unlike = np.flatnonzero(mine != theirs)
        ties = [row for row in unlike if is_tie(t[row], x, k)]
        n_other += len(unlike) - len(ties)
        print(f"k = {k}: {len(t)} predictions, {len(unlike)} differ, {len(ties)} of them by ties; "
              f"errors {(mine != truth).mean():.4%} (ours), {(theirs != truth).mean():.4%}", flush=True)
    assert n_other == 0, f"{n_other} predictions differ without a tie"


main()
