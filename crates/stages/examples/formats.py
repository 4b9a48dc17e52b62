"""Runs the lines of Python in FORMATS.md on a run of the quickstart, and looks whether each file that it wrote is named there.

    python formats.py RUN          # RUN: runs/quickstart

Needs numpy, pandas, pyarrow, safetensors.
"""

import json
import re
import sys
from pathlib import Path

run = Path(sys.argv[1])
text = (Path(__file__).parent.parent / "FORMATS.md").read_text()
lines = re.search(r"```python\n(.*?)```", text, re.S).group(1).replace('"runs/quickstart"', repr(str(run)))
names = {}
exec(lines, names)
assert names["images"].shape[0] == len(names["index"]) == len(names["features"]) == len(names["labels"])
assert names["bits"].shape == (len(names["codes"]), 128)
assert names["curves"]["step"].is_monotonic_increasing
print({name: value.shape for name, value in names.items() if hasattr(value, "shape")})

# The bits are those of the autoencoder: its input standardised picture by picture, a unit against its threshold.
pixels = names["np"].load(run / "codes" / "pictures.npy").reshape(len(names["codes"]), -1)
rows = pixels / 127.5 - 1.0
rows = (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True)
weights = names["load_file"](run / "codes" / "autoencoder.safetensors")
units = rows @ weights["encoder.weight"] + weights["encoder.bias"]
print("bits that differ from those computed here:", ((units > weights["thresholds"]) != names["bits"]).mean())

unnamed = set()
for record in run.glob("*/stage.json"):
    for file in json.loads(record.read_text())["outputs"]:
        if Path(file).name not in text and not re.search(r"\.(png|bin|mdb|safetensors)$|tfevents|^batches\.", file):
            unnamed.add(f"{record.parent.name}/{file}")
print("not named:", sorted(unnamed))
