"""Holds Inception-v3 against pytorch-fid, torch-fidelity and clean-fid.

    python inception.py WORK --dcgan-example target/release/examples/inception [--svhn test_32x32.mat] [--more FOLDER …]
        [--pictures 500] [--timed 200]

1. Weights: pytorch-fid's own network with seeded random weights, whose batch norms' statistics are those of some of the pictures, so
   that activations neither vanish nor explode; saved as WORK/weights.pth, in the older form as WORK/legacy.pth (the released weights have
   that form) and as WORK/weights.safetensors. All three must give the same bits.
2. Pictures: the first digits of SVHN and up to 40 pictures of each FOLDER, as PNG in WORK/pictures.
3. Features and logits of each way of resizing beside pytorch-fid's, torch-fidelity's and, where clean-fid resizes, pytorch-fid's network
   on its pictures (clean-fid's network is a file that it downloads; its weights are the same).
   The differences are relative to the largest number of the row; none may be above 1e-4.
4. Pictures a second and the most memory beside torch-fidelity's network, each in a process of its own, in turn.

Needs torch, torchvision, pytorch-fid, torch-fidelity, clean-fid, pillow, scipy, safetensors.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

FEATURES, CLASSES = 2048, 1008


def random_network(pictures):
    import torch
    from pytorch_fid import inception as theirs

    torch.manual_seed(0)
    kept = {}
    # The network is built from a state dict that it downloads; here it is given its own random one.
    build = theirs._inception_v3
    theirs._inception_v3 = lambda *args, **kwargs: kept.setdefault("network", build(*args, **kwargs))
    theirs.load_state_dict_from_url = lambda *_, **__: kept["network"].state_dict()
    network = theirs.fid_inception_v3()
    theirs._inception_v3 = build
    generator = torch.Generator().manual_seed(1)
    draw = lambda t, low, high: t.uniform_(low, high, generator=generator)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
            if isinstance(module, torch.nn.Linear):
                draw(module.bias, -0.5, 0.5)
            if isinstance(module, torch.nn.BatchNorm2d):
                # Most numbers pass the ReLU: with as many cut off as not, rounding errors grow by a fifth at each layer.
                draw(module.weight, 0.4, 0.8)
                draw(module.bias, 0.2, 1.0)
                module.momentum = None
        resized = lambda x: torch.nn.functional.interpolate(
            torch.from_numpy(x.transpose(2, 0, 1)[None].copy()) / 127.5 - 1, (299, 299), mode="bilinear")
        pictures = torch.cat([resized(x) for x in pictures[:: max(1, len(pictures) // 24)]])
        network.train()
        for batch in pictures.split(12):
            trunk(network, batch)
    return network.eval()


def trunk(network, x):
    """Features and logits of pictures (n, 3, 299, 299), as the network reads them."""
    from pytorch_fid.inception import InceptionV3

    import torch

    pool = torch.nn.functional.max_pool2d
    x = network.Conv2d_2b_3x3(network.Conv2d_2a_3x3(network.Conv2d_1a_3x3(x)))
    x = network.Conv2d_4a_3x3(network.Conv2d_3b_1x1(pool(x, 3, 2)))
    x = pool(x, 3, 2)
    for name in "5b 5c 5d 6a 6b 6c 6d 6e 7a 7b 7c".split():
        x = getattr(network, f"Mixed_{name}")(x)
    x = x.mean((2, 3))
    return x, network.fc(x)


def save(network, work):
    import torch
    from safetensors.torch import save_file

    state = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    torch.save(network.state_dict(), work / "weights.pth")
    torch.save(state, work / "legacy.pth", _use_new_zipfile_serialization=False)
    save_file(state, work / "weights.safetensors")


def write_pictures(args, work):
    import scipy.io
    from PIL import Image

    folder = work / "pictures"
    folder.mkdir(exist_ok=True)
    digits = scipy.io.loadmat(args.svhn)["X"].transpose(3, 0, 1, 2)[: args.pictures]
    for i, digit in enumerate(digits):
        Image.fromarray(digit).save(folder / f"{i:04}.png")
    n = len(digits)
    for more in args.more:
        for path in sorted(Path(more).iterdir())[:40]:
            Image.open(path).convert("RGB").save(folder / f"{n:04}.png")
            n += 1
    # A grey one, a wide and a high one, and the network's own size.
    rng = np.random.default_rng(0)
    for shape in [(28, 28), (5, 700, 3), (700, 5, 3), (299, 299, 3), (1, 1, 3)]:
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{n:04}.png")
        n += 1
    return folder


def read(folder):
    from PIL import Image

    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]


def batches(pictures):
    """Pictures of one size in batches, with their places."""
    by_shape = {}
    for i, picture in enumerate(pictures):
        by_shape.setdefault(picture.shape, []).append(i)
    for places in by_shape.values():
        for start in range(0, len(places), 16):
            yield places[start : start + 16]


def theirs(name, pictures, network, fidelity):
    import torch
    from cleanfid.resize import build_resizer
    from pytorch_fid.inception import InceptionV3

    import pytorch_fid.inception as module

    if name == "clean":
        resize = build_resizer("clean")
        pictures = [resize(picture) for picture in pictures]
    if name == "pytorch_fid":
        build, module.fid_inception_v3 = module.fid_inception_v3, lambda: network
        fid = InceptionV3([3]).eval()
        module.fid_inception_v3 = build
    rows = np.zeros((len(pictures), FEATURES + 2 * CLASSES), np.float32)
    with torch.no_grad():
        for places in batches(pictures):
            x = torch.from_numpy(np.stack([pictures[i] for i in places]).transpose(0, 3, 1, 2).copy())
            if name == "torch_fidelity":
                features, logits, unbiased = fidelity(x)
            else:
                if name == "pytorch_fid":
                    features = fid(x / 255.0)[0][:, :, 0, 0]
                else:
                    features, _ = trunk(network, (x - 128) / 128)
                logits = network.fc(features)
                unbiased = features @ network.fc.weight.T
            rows[places] = torch.cat([features, logits, unbiased], 1).numpy()
    return rows


def fidelity_of(path):
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    names = ["2048", "logits", "logits_unbiased"]
    return FeatureExtractorInceptionV3("inception", names, feature_extractor_weights_path=str(path))


def ours(args, weights, folder, resize, out):
    command = [args.dcgan_example, weights, folder, resize, out]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = np.fromfile(out, np.float32).reshape(-1, FEATURES + 2 * CLASSES)
    numbers = [r"([\d.]+) a second", r"([\d.]+) a processor's second", r"memory: (\d+) MiB"]
    return rows, *(float(re.search(number, said)[1]) for number in numbers)


def compare(args, work, folder):
    import torch

    torch.set_num_threads(os.cpu_count())
    pictures = read(folder)
    network = random_network(pictures)
    save(network, work)
    fidelity = fidelity_of(work / "weights.pth")
    for resize in ["pytorch_fid", "torch_fidelity", "clean"]:
        mine, *_ = ours(args, work / "weights.pth", folder, resize, work / "rows")
        other = theirs(resize, pictures, network, fidelity)
        for part, columns in [("features", slice(0, FEATURES)), ("logits", slice(FEATURES, None))]:
            a, b = mine[:, columns].astype(float), other[:, columns].astype(float)
            difference = np.abs(a - b).max(1) / np.abs(b).max(1)
            norm = np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)
            print(f"{resize}, {part} of {len(b)} pictures: largest difference {difference.max():.1e} of the row's largest, "
                  f"{norm.max():.1e} by norm; mean {np.abs(b).mean():.3f}, deviation over pictures {b.std(0).mean():.3f}")
            assert difference.max() < 1e-4
    first = mine
    for form in ["legacy.pth", "weights.safetensors"]:
        assert np.array_equal(ours(args, work / form, folder, "clean", work / "rows")[0], first), form
    print("the three forms of the weights give the same bits")


def peak_mib():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def timed_fidelity(args, work):
    """In a process of its own: pictures a second, and the most memory."""
    import torch

    torch.set_num_threads(args.threads)
    fidelity = fidelity_of(work / "weights.pth")
    pictures = np.stack(read(work / "timed")).transpose(0, 3, 1, 2).copy()
    with torch.no_grad():
        fidelity(torch.from_numpy(pictures[: args.batch]))
        start, before = time.perf_counter(), time.process_time()
        for i in range(0, len(pictures), args.batch):
            fidelity(torch.from_numpy(pictures[i : i + args.batch]))
        seconds, processor = time.perf_counter() - start, time.process_time() - before
    n = len(pictures)
    print(json.dumps({"rate": n / seconds, "processor": n / processor, "memory": peak_mib()}))


def timed(args, work, folder):
    timed = work / "timed"
    timed.mkdir(exist_ok=True)
    for path in sorted(folder.iterdir())[: args.timed]:
        (timed / path.name).write_bytes(path.read_bytes())
    ratios = []
    for _ in range(args.rounds):
        _, rate, processor, memory = ours(args, work / "weights.pth", timed, "torch_fidelity", work / "rows")
        command = [sys.executable, __file__, work, "--time-fidelity", "--batch", args.batch, "--threads", args.threads]
        said = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout
        other = json.loads(said)
        ratios.append((rate / other["rate"], processor / other["processor"]))
        print(f"ours {rate:.2f} pictures a second, {processor:.2f} a processor's second, {memory:.0f} MiB; torch-fidelity "
              f"{other['rate']:.2f}, {other['processor']:.2f}, {other['memory']:.0f} MiB", flush=True)
    wall, processor = np.median(ratios, axis=0)
    print(f"medians: {wall:.2f} times as fast, {processor:.2f} by processor seconds")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--dcgan-example")
    parser.add_argument("--svhn")
    parser.add_argument("--more", nargs="*", default=[])
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--timed", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only-time", action="store_true")
    parser.add_argument("--time-fidelity", action="store_true")
    args = parser.parse_args()
    if args.time_fidelity:
        return timed_fidelity(args, args.work)
    args.work.mkdir(exist_ok=True, parents=True)
    if args.only_time:
        folder = args.work / "pictures"
    else:
        folder = write_pictures(args, args.work)
        compare(args, args.work, folder)
    timed(args, args.work, folder)


if __name__ == "__main__":
    main()
