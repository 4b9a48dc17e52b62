"""What the measures make of pictures that get worse: noise, blur, dropped classes. Draws a plot.

    python degraded.py DCGAN REAL OTHER WORK [--model STAGE | --inception WEIGHTS] [--n 1000] [--plot degraded.png]

REAL and OTHER are folders of image stores with labels, of different pictures of one data set. Of OTHER, n pictures get worse step by step:
noise of a standard deviation in grey levels, a Gaussian blur of a width in pixels, and fewer classes, as many pictures of the commonest ones
(n is then as many as the commonest class has). Each is compared with n pictures of REAL by `sample_metrics`.

Needs numpy, scipy, pyarrow, matplotlib.
"""

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np


def store(folder, pixels, labels, meta):
    """An image store, as a stage would have written it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", np.ascontiguousarray(pixels))
    keys = [f"{i:06}" for i in range(len(pixels))]
    fields = [("key", pa.string(), keys), ("label", pa.uint32(), labels), ("source", pa.string(), ["degraded"] * len(pixels))]
    schema = pa.schema([pa.field(name, kind, nullable=name == "label") for name, kind, _ in fields])
    pq.write_table(pa.table({name: pa.array(values, kind) for name, kind, values in fields}, schema=schema), folder / "index.parquet")
    (folder / "bad.csv").write_text("key,reason\n")
    (folder / "meta.json").write_text(json.dumps({**meta, "n_images": len(pixels), "n_bad": 0}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dcgan"), parser.add_argument("real", type=Path), parser.add_argument("other", type=Path)
    parser.add_argument("work", type=Path), parser.add_argument("--model"), parser.add_argument("--inception")
    parser.add_argument("--n", type=int, default=1000), parser.add_argument("--plot", default="degraded.png")
    options = parser.parse_args()
    import pyarrow.parquet as pq
    from scipy.ndimage import gaussian_filter

    pixels = np.load(options.other / "images.npy")
    labels = pq.read_table(options.other / "index.parquet")["label"].to_numpy()
    meta = json.loads((options.other / "meta.json").read_text())
    rng = np.random.default_rng(0)
    some = rng.permutation(len(pixels))[: options.n]
    by_count = np.argsort(-np.bincount(labels))
    n_class = int(np.bincount(labels).max())

    noisy = lambda sd: np.clip(np.rint(pixels[some] + rng.normal(0, sd, pixels[some].shape)), 0, 255).astype(np.uint8)
    blurred = lambda sd: np.rint(gaussian_filter(pixels[some].astype(float), (0, 0, sd, sd))).clip(0, 255).astype(np.uint8)
    kept = lambda k: pixels[rng.permutation(np.flatnonzero(np.isin(labels, by_count[:k])))[: min(options.n, n_class)]]
    ways = {
        "noise (sd, grey levels)": [(sd, noisy(sd)) for sd in (0, 4, 8, 16, 32, 64)],
        "blur (sd, pixels)": [(sd, blurred(sd)) for sd in (0, 0.5, 0.75, 1, 1.5, 2)],
        "classes left of 10": [(k, kept(k)) for k in (10, 8, 6, 4, 2, 1)],
    }
    by = [f"inception={options.inception}"] if options.inception else [f"model={options.model}"]
    found = {}
    for number, (way, steps) in enumerate(ways.items()):
        for step, worse in steps:
            folder = options.work / f"{number}-{step}"
            store(folder, worse, labels[: len(worse)], meta)
            arguments = [f"real={options.real}", f"generated={folder}", f"n_real={len(worse)}", *by, "bootstrap=0"]
            command = [options.dcgan, "stage", "sample_metrics", "--out", f"{folder}-measured", *arguments]
            subprocess.run(command, check=True, capture_output=True)
            measured = json.loads(Path(f"{folder}-measured/metrics.json").read_text())
            prdc = measured["prdc"]
            numbers = [measured["frechet_distance"]["distance"], measured["kernel_distance"]["mean"], prdc["precision"]]
            numbers += [prdc[name] for name in ("recall", "density", "coverage")]
            found.setdefault(way, []).append((step, len(worse), *numbers))
            print(way, step, len(worse), *(f"{number:.5g}" for number in numbers), flush=True)
    draw(found, options.plot)


def draw(found, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = ["Fréchet distance", "kernel distance", "precision, recall, density, coverage"]
    figure, axes = plt.subplots(3, 3, figsize=(10.5, 8), sharex="col", layout="constrained")
    for column, (way, rows) in enumerate(found.items()):
        steps = [str(row[0]) for row in rows]
        for line, axis in enumerate(axes[:, column]):
            columns = [(2, "Fréchet")] if line == 0 else [(3, "kernel")] if line == 1 else list(zip((4, 5, 6, 7), "precision recall density coverage".split()))
            for index, name in columns:
                axis.plot(steps, [row[index] for row in rows], marker="o", markersize=3, label=name)
            axis.set_ylim(bottom=min(0, axis.get_ylim()[0])), axis.grid(alpha=0.3)
            if column == 0:
                axis.set_ylabel(names[line].replace(", density", ",\ndensity"))
            if line == 2:
                axis.set_xlabel(f"{way}, {rows[0][1]} pictures")
                axis.legend(fontsize=7)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
