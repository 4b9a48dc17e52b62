"""The network, minibatch and loss of `train_speed` with PyTorch: `train_speed.py [THREADS]`.

Prints milliseconds a minibatch, by the clock and of processors, of the step alone and of the step with the changes that take one call
each there: brightness, standardising and noise, but neither cuts nor scaling.
"""

import os
import sys
import time

import torch

N = 128
torch.manual_seed(0)
torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
pictures = torch.rand(N, 3072)
encoder, decoder = torch.nn.Linear(3072, 128), torch.nn.Linear(128, 3072)
adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)


def standardised(x):
    x = x - x.mean(1, keepdim=True)
    return x / x.std(1, unbiased=False, keepdim=True)


def changed():
    gain = 1 + 0.15 * (2 * torch.rand(N, 1) - 1)
    return standardised((pictures * gain).clamp(max=1)) + 0.1 * torch.randn(N, 3072)


clean = standardised(pictures)
fixed = [changed(), changed()]


def step(copies):
    a, b = (encoder(x) for x in copies)
    output = decoder(torch.nn.functional.dropout(a.relu(), 0.5))
    scale = torch.cat([a, b]).detach().std(0, unbiased=False) + 1e-3
    loss = ((output - clean) ** 2).mean() + (((a - b) / scale) ** 2).mean()
    loss = loss + 0.3 * ((a.mean(0) / scale) ** 2).mean()
    adam.zero_grad()
    loss.backward()
    adam.step()


for name, copies in [("step alone", lambda: fixed), ("with changes", lambda: [changed(), changed()])]:
    for _ in range(20):
        step(copies())
    clock, used = time.time(), os.times().user
    for _ in range(300):
        step(copies())
    clock, used = time.time() - clock, os.times().user - used
    print(f"{name}: {clock / 0.3:.2f} ms a minibatch, {used / 0.3:.2f} ms of processors")
