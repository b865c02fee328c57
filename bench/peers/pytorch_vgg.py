"""Milliseconds of CPU time of one training step of the paper's VGG19 in PyTorch, one thread, median: for compare-vgg.

    pytorch_vgg.py WIDTH nchw|channels_last [--foreach] [--compile] [--seconds S]

A step is forward, loss, backward and SGD with momentum and weight decay on 128 normalised images that lie ready: no loading, no
augmentation.
"""
import argparse
import statistics
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("width", type=int)
parser.add_argument("format", choices=["nchw", "channels_last"])
parser.add_argument("--foreach", action="store_true")
parser.add_argument("--compile", action="store_true")
parser.add_argument("--seconds", type=float, default=3)
options = parser.parse_args()

torch.set_num_threads(1)
torch.manual_seed(0)
layers, channels = [], 3
for convolutions in (2, 2, 4, 4, 4):
    for _ in range(convolutions):
        layers += [torch.nn.Conv2d(channels, options.width, 3, padding=1), torch.nn.BatchNorm2d(options.width), torch.nn.ReLU(inplace=True)]
        channels = options.width
    layers.append(torch.nn.MaxPool2d(2))
model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(options.width, 10))
memory_format = torch.channels_last if options.format == "channels_last" else torch.contiguous_format
model = model.to(memory_format=memory_format)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, foreach=options.foreach)
x = torch.randn(128, 3, 32, 32).to(memory_format=memory_format)
y = torch.arange(128) % 10
forward = torch.compile(model) if options.compile else model


def step():
    optimizer.zero_grad(set_to_none=True)
    torch.nn.functional.cross_entropy(forward(x), y).backward()
    optimizer.step()


for _ in range(3):
    step()
times, end = [], time.monotonic() + options.seconds
while len(times) < 5 or time.monotonic() < end:
    start = time.process_time()
    step()
    times.append(1000 * (time.process_time() - start))
print(statistics.median(times))
