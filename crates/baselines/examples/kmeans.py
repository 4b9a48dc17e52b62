"""Holds K-means against NumPy, PyTorch and scikit-learn.

    python kmeans.py MODEL IMAGES [FEATURES]      # folders of train_kmeans, of import_images, of extract_features
        [--pictures 100] [--timed 200] [--patches 50000] [--passes 5] [--maps N] [--dcgan dcgan]

1. Features of the first pictures in NumPy, of f64, from the model's file alone; compared with FEATURES, where that is given
   (standard.npy there undoes its scaling), to 1e-4 of the largest.
2. The rate of a batched PyTorch encoding of the same pictures, on all threads; `dcgan bench kmeans` beside it.
3. scikit-learn's KMeans (lloyd) and MiniBatchKMeans on patches drawn as train_kmeans draws them: seconds and inertia for the same
   number of passes. The same of ours: `dcgan stage train_kmeans` with the same maps, patches and passes.

Needs numpy, safetensors, torch, scikit-learn.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


def patches_of(pictures, side, stride):
    """(n, c, h, w) -> (n, rows, columns, c·side·side)."""
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (side, side), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)
    return windows.reshape(*windows.shape[:3], -1)


def normalised(patches, config):
    mean, variance = patches.mean(-1, keepdims=True), patches.var(-1, ddof=1, keepdims=True)
    return (patches - mean) / np.sqrt(variance + config["contrast_epsilon"])


def cells(n, pooling):
    starts = [int(np.floor(i * n / pooling + 0.5)) for i in range(pooling + 1)]
    return [slice(a, b) for a, b in zip(starts, starts[1:])]


def encoded(picture, model, config):
    x = normalised(patches_of(picture[None].astype(np.float64), config["patch"], config["stride"])[0], config)
    x = (x - model["mean"].astype(np.float64)) @ model["whitening"].astype(np.float64)
    rows, columns = x.shape[:2]
    x, c = x.reshape(rows * columns, -1), model["centroids"].astype(np.float64)
    z = np.sqrt(np.maximum(0, (x**2).sum(1)[:, None] + (c**2).sum(1) - 2 * x @ c.T))
    f = np.maximum(0, z.mean(1, keepdims=True) - z).reshape(rows, columns, -1)
    pooling = config["pooling"]
    return np.concatenate([f[a, b].sum((0, 1)) for a in cells(rows, pooling) for b in cells(columns, pooling)])


def compare(images, model, config, features, n):
    ours = np.load(features / "features.npy", mmap_mode="r")[:n].astype(np.float64)
    mean, scale = np.load(features / "standard.npy").astype(np.float64)
    theirs = (np.stack([encoded(picture, model, config) for picture in images[:n]]) - mean) / scale
    print(f"features of {n} pictures: largest difference {np.abs(ours - theirs).max():.2e}, "
          f"largest feature {np.abs(theirs).max():.2f}")
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()


def time_torch(images, model, config, maps):
    import torch

    model = {name: torch.from_numpy(values) for name, values in model.items() if name != "counts"}
    c = model["centroids"][:maps]
    cc, pooling = (c**2).sum(1), config["pooling"]

    def encode(batch):
        x = torch.nn.functional.unfold(batch.float(), config["patch"], stride=config["stride"])
        n, d, p = x.shape
        x = x.transpose(1, 2)
        x = (x - x.mean(2, keepdim=True)) / torch.sqrt(x.var(2, keepdim=True) + config["contrast_epsilon"])
        x = ((x - model["mean"]) @ model["whitening"]).reshape(n * p, d)
        z = torch.addmm(cc + (x**2).sum(1, keepdim=True), x, c.T, alpha=-2).clamp_(min=0).sqrt_()
        f = z.neg_().add_(-z.mean(1, keepdim=True)).clamp_(min=0)
        rows = int(p**0.5)
        f = f.reshape(n, rows, rows, -1)
        spans = cells(rows, pooling)
        return torch.cat([f[:, a, b].sum((1, 2)) for a in spans for b in spans], 1)

    with torch.inference_mode():
        encode(torch.from_numpy(images[:2]))
        best = None
        for batch in (4, 8, 16):
            start = time.perf_counter()
            for first in range(0, len(images), batch):
                encode(torch.from_numpy(images[first : first + batch]))
            rate = len(images) / (time.perf_counter() - start)
            print(f"PyTorch, batches of {batch}: {rate:.1f} pictures/s on {torch.get_num_threads()} threads")
            best = max(best or 0, rate)
        return best


def time_scikit_learn(images, config, n_patches, maps, passes, rng):
    from sklearn.cluster import KMeans, MiniBatchKMeans

    side = config["patch"]
    which = rng.integers(len(images), size=n_patches)
    top, left = (rng.integers(images.shape[axis] - side + 1, size=n_patches) for axis in (2, 3))
    x = np.stack([images[i, :, y : y + side, z : z + side].ravel() for i, y, z in zip(which, top, left)])
    x = normalised(x.astype(np.float64), config)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    x = (x - x.mean(0)) @ (vectors / np.sqrt(values + config["whitening_epsilon"])) @ vectors.T
    x = x.astype(np.float32)
    start = x[rng.choice(n_patches, maps, replace=False)]
    found = [
        ("KMeans(lloyd)", KMeans(maps, init=start, n_init=1, max_iter=passes, tol=0, algorithm="lloyd")),
        ("MiniBatchKMeans", MiniBatchKMeans(maps, init=start, n_init=1, max_iter=passes, tol=0, batch_size=4096,
                                            max_no_improvement=None, reassignment_ratio=0)),
    ]
    for name, estimator in found:
        begun = time.perf_counter()
        estimator.fit(x)
        print(f"scikit-learn's {name}: {time.perf_counter() - begun:.1f} s for {passes} passes over {n_patches} patches to "
              f"{maps}, inertia {estimator.inertia_:.6g}")


def time_ours(dcgan, folder, config, n_patches, maps, passes):
    with tempfile.TemporaryDirectory() as out:
        settings = [f"kmeans.maps={maps}", f"kmeans.patches={n_patches}"]
        seconds, inertia = {}, None
        # One more pass gives the inertia of the centroids after the last; the difference leaves out what is before the passes.
        for n in (1, passes + 1):
            command = [dcgan, "stage", "train_kmeans", "--out", f"{out}/{n}", f"images={folder}", *settings]
            begun = time.perf_counter()
            subprocess.run([*command, f"kmeans.passes={n}"], check=True, capture_output=True)
            seconds[n] = time.perf_counter() - begun
            inertia = json.loads(Path(out, str(n), "stage.json").read_text())["metrics"]["inertia"][-1]
    print(f"ours: {seconds[passes + 1] - seconds[1]:.1f} s for {passes} passes ({seconds[1]:.1f} s for one with all that is before "
          f"it), inertia {inertia:.6g}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("features", type=Path, nargs="?")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--timed", type=int, default=200)
    parser.add_argument("--patches", type=int, default=50_000)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--maps", type=int)
    parser.add_argument("--dcgan")
    args = parser.parse_args()
    model = load_file(args.model / "kmeans.safetensors")
    config = json.loads((args.model / "stage.json").read_text())["config"]["train_kmeans"]["kmeans"]
    images = np.load(args.images / "images.npy", mmap_mode="r")
    maps = args.maps or config["maps"]
    if args.features:
        compare(images, model, config, args.features, args.pictures)
    if args.timed:
        time_torch(np.array(images[: args.timed]), model, config, config["maps"])
    if args.patches:
        time_scikit_learn(images, config, args.patches, maps, args.passes, np.random.default_rng(0))
        if args.dcgan:
            time_ours(args.dcgan, args.images, config, args.patches, maps, args.passes)


main()
