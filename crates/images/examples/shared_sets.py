"""Holds `export_images` and `source.parquet` against the Hugging Face hub's library and WebDataset's.

    python shared_sets.py DCGAN STORE WORK

STORE is the folder of an image store with labels. Writes it in both forms into WORK, reads them with `datasets` and `webdataset`, has
`datasets` write it in turn, imports that, and compares every pixel and label. Needs numpy, datasets, webdataset, pillow.
"""

import glob
import subprocess
import sys
from pathlib import Path

import numpy as np


def main(dcgan, store, work):
    import datasets
    import webdataset

    work.mkdir(parents=True, exist_ok=True)
    stage = lambda *words: subprocess.run([dcgan, "stage", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    pixels = np.load(store / "images.npy")

    stage("export_images", "--out", work / "parquet", f"images={store}", "per_file=1200")
    files = str(work / "parquet" / "train-*.parquet")
    theirs = datasets.load_dataset("parquet", data_files=files, cache_dir=str(work / "cache"))["train"]
    as_planes = lambda picture: np.asarray(picture)[..., None].reshape(*pixels.shape[2:], -1).transpose(2, 0, 1)
    print(theirs.features)
    assert (np.stack([as_planes(row["image"]) for row in theirs]) == pixels).all()

    stage("export_images", "--out", work / "tars", f"images={store}", "form=webdataset", "per_file=1200")
    tars = sorted(glob.glob(str(work / "tars" / "*.tar")))
    rows = list(webdataset.WebDataset(tars, shardshuffle=False).decode("rgb8").to_tuple("png", "cls"))
    assert (np.stack([as_planes(picture) for picture, _ in rows])[:, : pixels.shape[1]] == pixels).all()
    assert [label for _, label in rows] == theirs["label"][:]

    (work / "theirs").mkdir(exist_ok=True)
    theirs.to_parquet(str(work / "theirs" / "train-00000-of-00001.parquet"))
    channels = f"channels={pixels.shape[1]}"
    stage("import_images", "--out", work / "back", f"source.parquet.path={work / 'theirs'}", channels)
    assert (np.load(work / "back" / "images.npy") == pixels).all()
    print(f"{len(pixels)} pictures and labels equal, both ways")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve())
