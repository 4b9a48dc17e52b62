"""Times `compare` against scikit-learn's LinearSVC, alternately.

    cargo build --release -p dcgan-svm --example compare
    python liblinear.py COMPARE TRAIN_DIR TEST_DIR N_ROWS C [TOL [ROUNDS]]

The program is run before and after each fit of scikit-learn, whose objective is computed in float64.
"""
import json, subprocess, sys, time
import numpy as np
from sklearn.svm import LinearSVC

program, train, test, n_rows, c = sys.argv[1:4] + [int(sys.argv[4]), float(sys.argv[5])]
tol = float(sys.argv[6]) if len(sys.argv) > 6 else 1e-5
rounds = int(sys.argv[7]) if len(sys.argv) > 7 else 1
x = np.load(train + "/features.npy", mmap_mode="r")[:n_rows]
y = np.load(train + "/labels.npy")[:n_rows].astype(int)
x = np.array(x)
held_out = np.load(test + "/features.npy")


def ours():
    out = subprocess.run([program, train, test, str(n_rows), str(c), "1e-4"], capture_output=True, check=True)
    return json.loads(out.stdout)


def theirs():
    start = time.time()
    model = LinearSVC(C=c, tol=tol, max_iter=100_000).fit(x, y)
    seconds = time.time() - start
    objective = 0.0
    for cls, w, b in zip(model.classes_, model.coef_, model.intercept_):
        t = np.where(y == cls, 1.0, -1.0)
        objective += 0.5 * (w @ w + b * b)
        for i in range(0, n_rows, 1000):
            f = x[i : i + 1000].astype(float) @ w + b
            objective += c * (np.maximum(0, 1 - t[i : i + 1000] * f) ** 2).sum()
    return seconds, objective, model.predict(held_out)


runs = [ours()]
for _ in range(rounds):
    seconds, objective, predicted = theirs()
    runs.append(ours())
    best = runs[-1]
    mean = (runs[-2]["seconds"] + best["seconds"]) / 2
    print(
        f"{x.shape} C={c:g} tol={tol:g}: LinearSVC {seconds:.2f} s, ours {runs[-2]['seconds']:.2f} and {best['seconds']:.2f} s, "
        f"ratio {seconds / mean:.1f}, objective {best['objective'] / objective - 1:+.1e}, gap {best['gap']:.0e}, "
        f"equal predictions {100 * (np.array(best['predicted']) == predicted).mean():.2f} %",
        flush=True,
    )
