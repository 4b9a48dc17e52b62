"""Compares `find` with OpenCV's cascade on the same photos, alternately.

    cargo build --release -p dcgan-faces --example find
    pip install "opencv-python-headless<5"
    python opencv.py FIND FACES [ROUNDS]

FACES holds lfw150/ with lfw150_boxes.csv, lfw250/, and groups/ with training.xml and testing.xml. OpenCV uses its own threads, its
default settings and haarcascade_frontalface_alt2; the smallest face is the same for both.
"""
import csv, json, os, statistics, subprocess, sys, time
import xml.etree.ElementTree as ET
import cv2

program, faces = sys.argv[1:3]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
alt2 = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")


def ours(folder, smallest):
    out = subprocess.run([program, f"{faces}/{folder}", str(smallest)], capture_output=True, check=True)
    return json.loads(out.stdout)


def detect(grey, smallest):
    return alt2.detectMultiScale(grey, minSize=(smallest, smallest))


def theirs(folder, smallest, names):
    """As `find`, on the files that it could decode: from file to crops, and detection alone."""
    files = [f"{faces}/{folder}/{name}" for name in names]
    shares = [0.0, 0.0, 0.0]
    start = time.time()
    for file in files:
        t = [time.time()]
        photo = cv2.imread(file)
        t.append(time.time())
        found = detect(cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY), smallest)
        t.append(time.time())
        for x, y, w, h in found:
            cv2.resize(photo[y : y + h, x : x + w], (64, 64), interpolation=cv2.INTER_AREA)
        t.append(time.time())
        shares = [s + b - a for s, a, b in zip(shares, t, t[1:])]
    seconds = time.time() - start
    photos = [cv2.imread(file, cv2.IMREAD_GRAYSCALE) for file in files]
    start = time.time()
    found = [detect(grey, smallest) for grey in photos]
    detect_seconds = time.time() - start
    boxes = {os.path.basename(f): [list(map(float, b)) for b in bs] for f, bs in zip(files, found)}
    shares = [s / sum(shares) for s in shares]
    return {"seconds": seconds, "detect_seconds": detect_seconds, "decode_detect_crop": shares, "boxes": boxes}


def overlap(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return 0 if w <= 0 or h <= 0 else w * h / (a[2] * a[3] + b[2] * b[3] - w * h)


def judge(name, truth, ignored, found):
    """Each true box counts once; detections of ignored boxes count neither way."""
    n_true = n_hit = n_found = n_false = 0
    for file, boxes in truth.items():
        left = sorted(found[file], key=lambda b: -b[4] if len(b) > 4 else 0)
        n_found += len(left)
        for box in boxes:
            n_true += 1
            best = max(left, key=lambda b: overlap(b, box), default=None)
            if best is not None and overlap(best, box) >= 0.4:
                n_hit += 1
                left.remove(best)
        n_false += sum(all(overlap(b, other) < 0.4 for other in ignored.get(file, [])) for b in left)
    print(
        f"{name}: recall {100 * n_hit / n_true:.1f} % ({n_hit} of {n_true}), precision {100 * n_hit / (n_hit + n_false):.1f} %, "
        f"{n_found / len(truth):.3f} detections a photo",
        flush=True,
    )


print("OpenCV", cv2.__version__, "threads", cv2.getNumThreads())
truth = {}
for row in csv.DictReader(open(f"{faces}/lfw150_boxes.csv")):
    x0, y0, x1, y1 = (float(row[k]) for k in ("x0", "y0", "x1", "y1"))
    truth.setdefault(row["file"], []).append([x0, y0, x1 - x0, y1 - y0])
for smallest in (40, 30):
    found = ours("lfw150", smallest)["boxes"]
    judge(f"lfw150, from {smallest} px, ours", truth, {}, found)
    judge(f"lfw150, from {smallest} px, alt2", truth, {}, theirs("lfw150", smallest, found)["boxes"])

truth, ignored = {}, {}
for file in ("training.xml", "testing.xml"):
    for image in ET.parse(f"{faces}/groups/{file}").getroot().iter("image"):
        for box in image.iter("box"):
            where = ignored if box.get("ignore") == "1" else truth
            where.setdefault(image.get("file"), []).append([float(box.get(k)) for k in ("left", "top", "width", "height")])
        truth.setdefault(image.get("file"), [])
for smallest in (30, 24):
    found = ours("groups", smallest)["boxes"]
    judge(f"groups, from {smallest} px, ours", truth, ignored, found)
    judge(f"groups, from {smallest} px, alt2", truth, ignored, theirs("groups", smallest, found)["boxes"])


def both(smallest):
    first = ours("lfw250", smallest)
    return first, theirs("lfw250", smallest, first["boxes"])


for smallest in (40, 64):
    runs = [both(smallest) for _ in range(rounds)]
    n = len(runs[0][0]["boxes"])
    for key in ("seconds", "detect_seconds"):
        rates = [[n / run[key] for run in pair] for pair in runs]
        ratio = statistics.median(a / b for a, b in rates)
        a, b = (statistics.median(rate[k] for rate in rates) for k in (0, 1))
        print(f"lfw250, from {smallest} px, {key}: ours {a:.0f}, alt2 {b:.0f} photos a second, ratio {ratio:.2f}")
    for name, k in (("ours", 0), ("alt2", 1)):
        shares = ", ".join(f"{100 * share:.0f} %" for share in runs[-1][k]["decode_detect_crop"])
        print(f"lfw250, from {smallest} px, {name}: decode, detect, crop {shares}", flush=True)
