"""How time and memory of a grouping grow with the number of codes. Measures what is not measured yet, and draws a plot.

    cargo build --release --package dcgan-cluster --examples --bins
    python growth.py target/release WORK exact:3 near:3 exact:30 …        (RULE:MILLIONS; near is within 8 bits)

Codes are random; 64 of a thousand are copies of earlier ones, half of those with up to 8 bits changed. One process, --memory 4GB. A line of
WORK/growth.csv is rule, millions of codes, seconds, seconds of the processors, largest resident memory in GB, images in groups; what is there already is not
measured again. WORK needs some 70 bytes a code. Draws WORK/growth.png. Needs matplotlib and pyarrow.
"""

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HEAD = ["rule", "millions", "seconds", "cpu_seconds", "peak_gb", "grouped"]


def codes(program, work, millions):
    """The codes, made once."""
    folder = work / f"codes_{millions}"
    if not folder.exists():
        part = work / f"codes_{millions}.part"
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run([program / "examples/write_codes", part, str(int(millions * 1e6)), "64"], check=True)
        part.rename(folder)
    return folder


def measure(program, work, rule, millions):
    out = work / f"groups_{rule}_{millions}"
    rules = ["rule=exact"] if rule == "exact" else ["rule=near", "radius=8"]
    command = [program / "dcgan-cluster", "group", "--codes", codes(program, work, millions), "--out", out]
    start = time.monotonic()
    with open(work / f"{rule}_{millions}.log", "w") as log:
        child = subprocess.Popen([*command, "--memory", "4GB", "--spill", work, *rules], stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    if status:
        raise SystemExit(f"{rule} {millions} ended with {os.waitstatus_to_exitcode(status)}: {work}/{rule}_{millions}.log")
    import pyarrow.parquet as pq

    n_grouped = pq.ParquetFile(out / "groups.parquet").metadata.num_rows
    shutil.rmtree(out)
    return [rule, millions, round(seconds, 1), round(usage.ru_utime + usage.ru_stime, 1), round(usage.ru_maxrss / 1e6, 2), n_grouped]


def plot(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6))
    for rule in sorted({row["rule"] for row in rows}):
        mine = sorted((float(row["millions"]), float(row["seconds"]), float(row["peak_gb"])) for row in rows if row["rule"] == rule)
        n, seconds, peak = zip(*mine)
        panels[0].loglog(n, seconds, "o-", label=rule)
        panels[1].loglog(n, peak, "o-", label=rule)
    n = [float(row["millions"]) for row in rows]
    ends, least = [min(n), max(n)], min(float(row["seconds"]) for row in rows)
    panels[0].loglog(ends, [least * x / ends[0] for x in ends], ":", color="grey", label="linear")
    panels[0].set_ylabel("seconds")
    panels[1].axhline(4, ls=":", color="grey", label="--memory 4GB")
    panels[1].set_ylabel("largest resident memory, GB")
    for panel in panels:
        panel.set_xlabel("codes, millions"), panel.legend(), panel.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    program, work, *wanted = sys.argv[1:]
    program, work = Path(program).resolve(), Path(work)
    work.mkdir(parents=True, exist_ok=True)
    table = work / "growth.csv"
    if not table.exists():
        table.write_text(",".join(HEAD) + "\n")
    rows = list(csv.DictReader(table.open()))
    for rule, millions in (item.split(":") for item in wanted):
        if not any(row["rule"] == rule and row["millions"] == millions for row in rows):
            with table.open("a", newline="") as file:
                csv.writer(file).writerow(measure(program, work, rule, float(millions) if "." in millions else int(millions)))
            rows = list(csv.DictReader(table.open()))
            print(rows[-1], flush=True)
    plot(rows, work / "growth.png")


main()
