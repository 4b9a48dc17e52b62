"""Networks from PyTorch and to PyTorch, each drawn and measured on both sides.

    python crates/gan/examples/pytorch.py target/release/dcgan IMAGES FOLDER

IMAGES is an image store of 64x64 colour pictures (`dcgan stage import_images`), FOLDER is made. Needs torch, numpy, safetensors, pillow, onnxruntime.

1. PyTorch trains its own DCGAN example's networks (kernels 4, no linear layers) for some steps on IMAGES and saves their state dicts.
   `import_weights` reads them; `sample` draws the z that PyTorch draws, 128 of them, by the statistics of the batch.
2. `export_networks` writes them again; PyTorch loads the files into the example's classes and into model.py's, and both give the
   features, logits and pictures that dcgan gives.
3. The same with networks that dcgan itself trains.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file
from torch import nn

DCGAN, IMAGES, FOLDER = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
FOLDER.mkdir(parents=True)
WIDTH, NZ, STEPS = 16, 100, 30


def run(*arguments):
    subprocess.run([DCGAN, "-q", "stage", *map(str, arguments)], check=True)


class Example(nn.Module):
    def __init__(self, *modules):
        super().__init__()
        self.main = nn.Sequential(*modules)

    def forward(self, x):
        return self.main(x)


def generator():
    n = WIDTH
    return Example(
        nn.ConvTranspose2d(NZ, n * 8, 4, 1, 0, bias=False), nn.BatchNorm2d(n * 8), nn.ReLU(True),
        nn.ConvTranspose2d(n * 8, n * 4, 4, 2, 1, bias=False), nn.BatchNorm2d(n * 4), nn.ReLU(True),
        nn.ConvTranspose2d(n * 4, n * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(n * 2), nn.ReLU(True),
        nn.ConvTranspose2d(n * 2, n, 4, 2, 1, bias=False), nn.BatchNorm2d(n), nn.ReLU(True),
        nn.ConvTranspose2d(n, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )


def discriminator():
    n = WIDTH
    return Example(
        nn.Conv2d(3, n, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
        nn.Conv2d(n, n * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(n * 2), nn.LeakyReLU(0.2),
        nn.Conv2d(n * 2, n * 4, 4, 2, 1, bias=False), nn.BatchNorm2d(n * 4), nn.LeakyReLU(0.2),
        nn.Conv2d(n * 4, n * 8, 4, 2, 1, bias=False), nn.BatchNorm2d(n * 8), nn.LeakyReLU(0.2),
        nn.Conv2d(n * 8, 1, 4, 1, 0, bias=False),
    )


def train(g, d, pictures):
    for network in (g, d):
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)
    optimisers = [torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999)) for network in (g, d)]
    loss = nn.BCEWithLogitsLoss()
    for step in range(STEPS):
        real = pictures[torch.randint(len(pictures), (64,))]
        fake = g(torch.randn(64, NZ, 1, 1))
        optimisers[1].zero_grad()
        logits = [d(x).flatten() for x in (real, fake.detach())]
        (loss(logits[0], torch.ones(64)) + loss(logits[1], torch.zeros(64))).backward()
        optimisers[1].step()
        optimisers[0].zero_grad()
        loss(d(fake).flatten(), torch.ones(64)).backward()
        optimisers[0].step()


def features(d, x):
    """Each LeakyReLU's maps, pooled to 4x4, as the paper has it."""
    all_maps = []
    for module in d.main:
        x = module(x)
        if isinstance(module, nn.LeakyReLU):
            all_maps.append(nn.functional.max_pool2d(x, x.shape[-1] // 4).flatten(1))
    return torch.cat(all_maps, 1).numpy()


def compare(what, ours, theirs, most):
    worst = float(np.abs(ours - theirs).max())
    print(f"{what}: largest difference {worst:.2e} of values up to {np.abs(theirs).max():.3g}")
    assert worst <= most, what


@torch.no_grad()
def check_exported(name, folder, pictures):
    """The networks in `folder/model` against what they give once exported."""
    run("export_networks", "--out", folder / "exported", f"model={folder / 'model'}", f"statistics={IMAGES}", "onnx=true")
    run("sample", "--out", folder / "inferred", f"model={folder / 'model'}", "n_images=200", "statistics=inferred", "pixels=true")
    run("extract_features", "--out", folder / "features", f"model={folder / 'model'}", f"images={IMAGES}", f"statistics={IMAGES}")
    spec = importlib.util.spec_from_file_location("model", folder / "exported" / "model.py")
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    g, d = model.Generator().eval(), model.Discriminator().eval()
    g.load_state_dict(load_file(folder / "exported" / "generator.safetensors"))
    d.load_state_dict(load_file(folder / "exported" / "discriminator.safetensors"))
    z = torch.from_numpy(np.load(folder / "inferred" / "z.npy"))
    drawn = g(z.reshape(len(z), *model.draw_z(1).shape[1:])).numpy() * 127.5 + 127.5
    ours = np.load(folder / "inferred" / "pixels.npy").astype(np.float32)
    compare(f"{name}, 200 samples by inferred statistics, in 1/255", ours, drawn, 1.0)
    theirs = features(d, pictures)
    ours = np.load(folder / "features" / "features.npy")
    compare(f"{name}, features of {len(pictures)} pictures", ours[: len(theirs)], theirs, 1e-3 * np.abs(theirs).max())
    by_onnx = onnxruntime.InferenceSession(folder / "exported" / "generator.onnx").run(None, {"z": z.reshape(len(z), *model.draw_z(1).shape[1:]).numpy()})[0]
    compare(f"{name}, the same samples by onnxruntime", by_onnx * 127.5 + 127.5, drawn, 0.1)
    by_onnx = onnxruntime.InferenceSession(folder / "exported" / "discriminator.onnx").run(None, {"pictures": pictures.numpy()})[0]
    logits = d(pictures).numpy()
    compare(f"{name}, logits by onnxruntime", by_onnx, logits, 1e-3 * np.abs(logits).max())
    subprocess.run([sys.executable, "model.py"], cwd=folder / "exported", check=True)


torch.manual_seed(0)
pictures = torch.from_numpy(np.load(IMAGES / "images.npy")[:512].astype(np.float32) / 127.5 - 1)
g, d = generator(), discriminator()
train(g, d, pictures)
folder = FOLDER / "theirs"
folder.mkdir()
torch.save(g.state_dict(), folder / "netG.pth")
torch.save(d.state_dict(), folder / "netD.pth")
run("import_weights", "--out", folder / "model", "set=pytorch", f"generator={folder / 'netG.pth'}", f"discriminator={folder / 'netD.pth'}")
run("sample", "--out", folder / "batch", f"model={folder / 'model'}", "n_images=128", "pixels=true")
with torch.no_grad():
    z = torch.from_numpy(np.load(folder / "batch" / "z.npy"))[:, :, None, None]
    drawn = g.train()(z).numpy() * 127.5 + 127.5
compare("PyTorch's generator, 128 samples by the batch's statistics, in 1/255", np.load(folder / "batch" / "pixels.npy").astype(np.float32), drawn, 1.0)
check_exported("PyTorch's networks", folder, pictures)
for network, name in ((g, "generator"), (d, "discriminator")):
    exported = load_file(folder / "exported" / f"{name}.safetensors")
    for key, tensor in network.state_dict().items():
        if "running" not in key and "num_batches" not in key:
            assert torch.equal(exported[key], tensor), key
    network.load_state_dict(exported)
print("every weight comes back under its own name, to the bit")

folder = FOLDER / "ours"
folder.mkdir()
run("train_gan", "--out", folder / "model", f"images={IMAGES}", "training.architecture=faces64", "training.width=0.0625", "training.max_steps=20", "training.batch_size=64")
check_exported("our networks", folder, pictures)
