"""The authors' ImageNet networks in PyTorch, for src/released/tests.rs and examples/imagenet_values.rs.

    python imagenet_pytorch.py WEIGHTS OUT

copies the .npy files of WEIGHTS (a folder that may be empty) to OUT/weights and makes those that are missing, then writes 300
pictures, 64 z, and what PyTorch makes of them: features of the first 256 pictures, 64 samples, and the logits of these samples.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

torch.set_grad_enabled(False)
weights, out = Path(sys.argv[1]), Path(sys.argv[2])
(out / "weights").mkdir(parents=True, exist_ok=True)

# (channels in, channels out, stride) of every convolution.
D = [(3, 128, 1), (128, 128, 2), (128, 256, 1), (256, 256, 2), (256, 512, 1), (512, 512, 2)]
G = [(512, 512, 2), (512, 256, 1), (256, 256, 2), (256, 128, 1), (128, 128, 2), (128, 3, 1)]


def hashed(n, stream):
    """n numbers below 2^32 that tests.rs makes too."""
    h = np.arange(n, dtype=np.uint32) * np.uint32(0x9E3779B1) ^ np.uint32(stream * 0x85EBCA6B & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    h = (h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39)
    return h ^ (h >> np.uint32(15))


def uniform(n, stream):
    """n numbers in [-1, 1)."""
    return (hashed(n, stream) / 2.0**31 - 1.0).astype("<f4")


def array(network, stream, number, shape, offset):
    """The array of a file, made up where there is none: offset + 0.0346 u, of standard deviation 0.02."""
    name = f"30_{network}_params.jl_{number:02}.npy"
    if (weights / name).exists():
        shutil.copy(weights / name, out / "weights" / name)
    else:
        made = np.float32(offset) + np.float32(0.0346) * uniform(int(np.prod(shape)), stream + number)
        np.save(out / "weights" / name, made.reshape(shape))
        print("made", name)
    found = np.load(out / "weights" / name)
    assert found.shape == tuple(shape) and found.dtype == "<f4", name
    return torch.from_numpy(found)


d_conv = []
for i, (c_in, c_out, stride) in enumerate(D):
    n = 3 * i - 1 if i else 1
    kernel = array("discrim", 0, n, (c_out, c_in, 3, 3), 0).flip(2, 3)
    norm = (array("discrim", 0, n + 1, (c_out,), 1), array("discrim", 0, n + 2, (c_out,), 0)) if i else None
    d_conv.append((kernel, norm, stride))
head = array("discrim", 0, 17, (8192, 1), 0)
project = [array("gen", 100, 1, (256, 8192), 0), array("gen", 100, 2, (8192,), 1), array("gen", 100, 3, (8192,), 0)]
g_conv = []
for i, (c_in, c_out, stride) in enumerate(G):
    n = 4 + 3 * i
    kernel = array("gen", 100, n, (c_in, c_out, 3, 3), 0).flip(2, 3)
    norm = (array("gen", 100, n + 1, (c_out,), 1), array("gen", 100, n + 2, (c_out,), 0)) if i < 5 else None
    g_conv.append((kernel, norm, stride))


def normalised(x, norm, statistics=None):
    dims = (0, 2, 3) if x.dim() == 4 else (0,)
    mean, var = statistics or (x.mean(dims), x.var(dims, unbiased=False))
    view = (1, -1, 1, 1) if x.dim() == 4 else (1, -1)
    y = (x - mean.view(view)) / torch.sqrt(var.view(view) + 1e-8) * norm[0].view(view) + norm[1].view(view)
    return y, (mean, var)


def maps(x, given=None):
    found, used = [], []
    for i, (kernel, norm, stride) in enumerate(d_conv):
        x = F.conv2d(x, kernel, stride=stride, padding=1)
        if norm:
            x, own = normalised(x, norm, given and given[i])
            used.append(own)
        else:
            used.append(None)
        x = F.leaky_relu(x, 0.2)
        found.append(x)
    return found, used


pictures = (hashed(300 * 3 * 32 * 32, 1000) >> np.uint32(24)).astype(np.uint8).reshape(300, 3, 32, 32)
x = torch.from_numpy(pictures).float() / 127.5 - 1
# The last batch has 44 pictures and counts as the others do.
batches = [maps(x[i : i + 128])[1] for i in range(0, 300, 128)]
given = [None] + [tuple(torch.stack([b[i][k] for b in batches]).mean(0) for k in (0, 1)) for i in range(1, 6)]
features = torch.cat([F.max_pool2d(h, h.shape[-1] // 4).flatten(1) for h in maps(x[:256], given)[0]], 1)

z = uniform(64 * 256, 2000).reshape(64, 256)
h = torch.relu(normalised(torch.from_numpy(z) @ project[0], project[1:])[0]).view(-1, 512, 4, 4)
for kernel, norm, stride in g_conv:
    h = F.conv_transpose2d(h, kernel, stride=stride, padding=1, output_padding=stride - 1)
    h = torch.relu(normalised(h, norm)[0]) if norm else torch.tanh(h)
logits = (maps(h)[0][-1].flatten(1) @ head).flatten()


def summary(name, values):
    """Some values, and sums that notice every other one."""
    values = values.flatten().double().numpy()
    w = uniform(values.size, 3000).astype("f8")
    at = [values.size * k // 7 for k in range(7)] + [values.size - 1]
    print(name, [round(float(values[i]), 7) for i in at], repr((values * w).sum()), repr(np.abs(values).sum()))


for name, values in [("features", features), ("samples", h), ("logits", logits)]:
    np.save(out / f"{name}.npy", values.numpy())
    summary(name, values)
np.save(out / "pictures.npy", pictures)
np.save(out / "z.npy", z)
