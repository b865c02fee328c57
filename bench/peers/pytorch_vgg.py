#!/usr/bin/env python3
"""A training step of VGG19 (paper's variant: h channels everywhere, bias, batch normalisation, one linear layer) in PyTorch.

Prints one line of JSON: milliseconds of CPU time of one thread for a step (forward, backward, SGD with momentum) on batches of
CIFAR-10's shape, the median for each memory format. Needs torch 1.13 or newer; installs and fetches nothing.
"""
import argparse
import json
import statistics
import sys
import time

try:
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError as error:
    sys.exit(f"error: {sys.executable} has no PyTorch ({error}); Debian: apt-get install python3-torch, or give a virtual "
             "environment's python that has the package torch")

GROUPS, CLASSES = (2, 2, 4, 4, 4), 10
FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


def network(width):
    layers, channels = [], 3
    for group in GROUPS:
        for _ in range(group):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width, CLASSES))


def milliseconds(width, batch, memory_format, steps):
    torch.manual_seed(0)
    model = network(width).to(memory_format=memory_format)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = torch.randn(batch, 3, 32, 32).to(memory_format=memory_format)
    labels = torch.randint(0, CLASSES, (batch,))
    times = []
    for _ in range(2 + steps):  # the first two make what later ones use again
        start = time.thread_time()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
        times.append(1e3 * (time.thread_time() - start))
    return statistics.median(times[2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps({"torch": torch.__version__, "width": options.width, "batch": options.batch,
                      "ms": {name: milliseconds(options.width, options.batch, memory_format, options.steps)
                             for name, memory_format in FORMATS.items()}}))


if __name__ == "__main__":
    main()
