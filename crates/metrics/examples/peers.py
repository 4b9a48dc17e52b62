"""Holds the measures against pytorch-fid, torch-fidelity, clean-fid's files and prdc, on the same features, in the same run.

    python peers.py REAL GENERATED [--measures target/release/examples/measures] [--rows N] [--skip kernel …]

REAL and GENERATED are .npy files of features (n, d) of f32, such as the features.npy of two extract_features stages. The logits of
the Inception Score are here the generated features themselves. Each package runs in a process of its own, so that its peak memory
can be told; seconds are of the measure alone, without reading the files.

Ours: cargo build --release -p dcgan-metrics --example measures
Needs numpy, scipy, torch, pytorch-fid, torch-fidelity, prdc.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

BEFORE = """
import json, resource, sys, time
import numpy as np
real, generated = (np.load(path) for path in sys.argv[1:3])
"""
AFTER = """
start = time.time()
value = run()
seconds = time.time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"value": value, "seconds": seconds, "peak_mib": peak}))
"""
PEERS = {
    "frechet": """
from pytorch_fid.fid_score import calculate_frechet_distance
def run():
    statistics = lambda x: (np.mean(x, axis=0), np.cov(x, rowvar=False))
    return float(calculate_frechet_distance(*statistics(real.astype("f8")), *statistics(generated.astype("f8"))))
""",
    "kernel": """
import torch
from torch_fidelity.defaults import DEFAULTS
from torch_fidelity.metric_kid import kid_features_to_metric
def run():
    found = kid_features_to_metric(torch.from_numpy(real), torch.from_numpy(generated), **{**DEFAULTS, "verbose": False})
    return [found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"]]
""",
    "inception_score": """
import torch
from torch_fidelity.metric_isc import isc_features_to_metric
def run():
    found = isc_features_to_metric(torch.from_numpy(generated))
    return [found["inception_score_mean"], found["inception_score_std"]]
""",
    "prdc": """
from prdc import compute_prdc
def run():
    found = compute_prdc(real, generated, 5)
    return [float(found[key]) for key in ("precision", "recall", "density", "coverage")]
""",
}
OURS = {
    "frechet": lambda value: value["distance"],
    "kernel": lambda value: [value["mean"], value["deviation"]],
    "inception_score": lambda value: [value["mean"], value["deviation"]],
    "prdc": lambda value: [value[key] for key in ("precision", "recall", "density", "coverage")],
}
# Relative; of the shares each must be the same number of pictures.
CLOSE = {"frechet": 1e-6, "kernel": 5e-5, "inception_score": 5e-5, "prdc": 1e-9}


def last_line(command):
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(text.strip().splitlines()[-1])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("real")
    arguments.add_argument("generated")
    arguments.add_argument("--measures", default="target/release/examples/measures")
    arguments.add_argument("--rows", type=int)
    arguments.add_argument("--columns", type=int)
    arguments.add_argument("--skip", nargs="*", default=[])
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name in ("real", "generated"):
            x = np.load(getattr(arguments, name), mmap_mode="r")[: arguments.rows, : arguments.columns]
            paths.append(str(Path(folder) / f"{name}.npy"))
            np.save(paths[-1], np.ascontiguousarray(x, dtype="f4"))
        n, d = x.shape
        print(f"{n} rows of {d} features")
        for name, program in PEERS.items():
            if name in arguments.skip:
                continue
            theirs = last_line([sys.executable, "-c", BEFORE + program + AFTER, *paths])
            text = subprocess.run([arguments.measures, *paths, name], check=True, capture_output=True, text=True).stdout
            ours = json.loads(text)[name]
            a, b = np.atleast_1d(OURS[name](ours["value"])), np.atleast_1d(theirs["value"])
            off = np.abs(a / b - 1).max()
            print(f"{name}: ours {a}, theirs {b}, relative difference {off:.1e}")
            print(f"    {ours['seconds']:.2f} s against {theirs['seconds']:.2f} s: {theirs['seconds'] / ours['seconds']:.1f} times as fast; "
                  f"{ours['peak_mib']:.0f} MiB against {theirs['peak_mib']:.0f} MiB")
            assert off < CLOSE[name], name
        if "files" not in arguments.skip:
            files(Path(folder), paths, arguments.measures)


def files(folder, paths, measures):
    """Statistics both ways: ours read as pytorch-fid and clean-fid read them, theirs read by ours."""
    real, generated = (np.load(path).astype("f8") for path in paths)
    mu, sigma = real.mean(0), np.cov(real, rowvar=False)
    subprocess.run([measures, *paths, f"write={folder / 'ours.npz'}"], check=True, capture_output=True)
    with np.load(folder / "ours.npz") as read:
        assert np.allclose(read["mu"], mu, rtol=1e-9, atol=1e-12) and np.allclose(read["sigma"], sigma, rtol=1e-9, atol=1e-9)
        assert sorted(read.files) == ["mu", "sigma"]
    # As pytorch-fid writes them (compressed), and as clean-fid does; and of f32 in Fortran order.
    np.savez_compressed(folder / "a.npz", mu=mu, sigma=sigma)
    np.savez(folder / "b.npz", mu=mu, sigma=sigma)
    np.savez(folder / "c.npz", mu=mu.astype("f4"), sigma=np.asfortranarray(sigma.astype("f4")))
    found = []
    for name in ("ours.npz", "a.npz", "b.npz", "c.npz"):
        text = subprocess.run([measures, *paths, f"read={folder / name}"], check=True, capture_output=True, text=True).stdout
        found += [next(iter(json.loads(text).values()))["value"]["distance"]]
    print(f"statistics files, distances by each: {found}")
    assert np.ptp(found[:3]) < 1e-8 * found[0] and abs(found[3] / found[0] - 1) < 1e-3


main()
