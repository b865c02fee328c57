#!/usr/bin/env python3
"""The MNIST run of alma/configs/mnist-mlp-h4.toml and mnist-sm-h4.toml (w = 10) in PyTorch, as fast as PyTorch gets.

Prints one line of JSON: seconds of the loop (wall and process CPU, loading left out), their parts, steps and final error.
Needs torch 1.13 or newer and MNIST's four IDX files, plain or .gz; installs and fetches nothing.
"""
import argparse
import gc
import gzip
import json
import math
import os
import pathlib
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    sys.exit(f"error: {sys.executable} has no PyTorch ({error}); Debian: apt-get install python3-torch, or give a virtual "
             "environment's python that has the package torch")

MEGA_BATCHES, WAIT, VALIDATION = 500, 10, 0.1
BATCH, EPOCHS, CLASSES, HIDDEN = 128, 100, 10, 2
MEAN, STD = 0.1307, 0.3081
FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
         "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}


def find_file(folders, name):
    """The way alma looks: FOLDER/mnist/NAME, then FOLDER/NAME, plain or .gz."""
    for folder in folders:
        for path in (folder / "mnist" / name, folder / name):
            for candidate in (path, path.with_name(name + ".gz")):
                if candidate.is_file():
                    return candidate
    sys.exit(f"error: no {name} (or {name}.gz) in {', '.join(map(str, folders)) or 'no folder'}; give the folder of MNIST's "
             "four files by --data or ALMA_DATA, or fetch them: build/alma data fetch mnist")


def read_idx(path):
    """An IDX file of bytes as a uint8 tensor."""
    opened = gzip.open(path) if path.suffix == ".gz" else open(path, "rb")
    with opened as file:
        data = bytearray(file.read())
    rank = data[3] if len(data) > 3 else 0
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(rank)]
    if data[:3] != b"\0\0\x08" or len(data) != 4 + 4 * rank + math.prod(shape):
        sys.exit(f"error: {path} is no IDX file of bytes (found {len(data)} bytes that start {bytes(data[:4]).hex()})")
    return torch.frombuffer(data, dtype=torch.uint8, offset=4 + 4 * rank).reshape(shape)


def load(folders, split):
    """Images as normalised floats [n, 784], labels as int64 [n]."""
    images, labels = (read_idx(find_file(folders, name)) for name in FILES[split])
    return images.flatten(1).float().div_(255).sub_(MEAN).div_(STD), labels.long()


def stream(samples, seed):
    """(train, validation) indices of every update: the mega-batches of one permutation, each with its own split."""
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
    updates = []
    for first in range(0, MEGA_BATCHES, WAIT):
        parts = torch.tensor_split(order, MEGA_BATCHES)[first:first + WAIT]
        cuts = [int(VALIDATION * len(part)) for part in parts]
        updates.append((torch.cat([part[cut:] for part, cut in zip(parts, cuts)]),
                        torch.cat([part[:cut] for part, cut in zip(parts, cuts)])))
    return updates


class Network:
    """HIDDEN layers Linear + ReLU (experts = 1) or soft mixtures of that many, then a Linear; as nn.Linear initialises them.

    No modules, which cost time per call. `fused` keeps a mixture's gate and experts in one weight [experts + experts * width,
    in], so that a layer is one product. `flat` lets all parameters (and gradients) lie in one tensor for the optimizer.
    """

    def __init__(self, inputs, width, experts, fused, flat):
        self.width, self.experts, self.fused = width, experts, fused
        shapes = []
        for layer in range(HIDDEN):
            fan_in = width if layer else inputs
            if experts == 1:
                rows = [width]
            else:
                rows = [experts + experts * width] if fused else [experts] + [width] * experts
            shapes += [(n, fan_in) for n in rows]
        shapes.append((CLASSES, width))
        tensors = []
        for n, fan_in in shapes:
            bound = 1 / math.sqrt(fan_in)
            tensors += [torch.empty(n, fan_in).uniform_(-bound, bound), torch.empty(n).uniform_(-bound, bound)]
        self.count = sum(tensor.numel() for tensor in tensors)
        if flat:
            whole = torch.cat([tensor.flatten() for tensor in tensors])
            gradient = torch.zeros_like(whole)
            sizes = [tensor.numel() for tensor in tensors]
            self.parameters = [part.view_as(tensor) for part, tensor in zip(whole.split(sizes), tensors)]
            for parameter, part in zip(self.parameters, gradient.split(sizes)):
                parameter.requires_grad_(True)
                parameter.grad = part.view_as(parameter)
            whole.grad = gradient
            self.optimized = [whole]
        else:
            self.parameters = [tensor.requires_grad_(True) for tensor in tensors]
            self.optimized = self.parameters

    def __call__(self, x):
        weights = iter(self.parameters)
        for _ in range(HIDDEN):
            if self.experts == 1:
                x = F.linear(x, next(weights), next(weights)).relu()
            elif self.fused:
                z = F.linear(x, next(weights), next(weights))
                gates, outputs = z[:, :self.experts].softmax(1), z[:, self.experts:].relu()
                x = torch.bmm(gates.unsqueeze(1), outputs.view(-1, self.experts, self.width)).squeeze(1)
            else:
                gates = F.linear(x, next(weights), next(weights)).softmax(1).unsqueeze(2)
                outputs = [F.linear(x, next(weights), next(weights)).relu() for _ in range(self.experts)]
                x = sum(gate * output for gate, output in zip(gates.unbind(1), outputs))
        return F.linear(x, next(weights), next(weights))


class Clock:
    """Wall and process CPU seconds, added up by part."""

    def __init__(self):
        self.parts = {"train": [0.0, 0.0], "validation": [0.0, 0.0], "test": [0.0, 0.0]}
        self.now = (time.perf_counter(), time.process_time())

    def lap(self, part):
        now = (time.perf_counter(), time.process_time())
        for i in range(2):
            self.parts[part][i] += now[i] - self.now[i]
        self.now = now

    def start(self):
        self.now = (time.perf_counter(), time.process_time())


@torch.inference_mode()
def errors(network, images, labels, size):
    """How many of the samples are wrong."""
    hits = sum((network(x).argmax(1) == y).sum() for x, y in zip(images.split(size), labels.split(size)))
    return len(labels) - int(hits)


def make_step(network, optimizer, options):
    """The training step on one mini-batch: forward, backward, Adadelta."""
    forward = lambda x, y: F.cross_entropy(network(x), y)
    update = optimizer.step
    if options.compile:
        forward, update = torch.compile(forward, dynamic=False), torch.compile(update)

    def step(x, y):
        forward(x, y).backward()
        update()
        if options.flat:
            network.optimized[0].grad.zero_()
        else:
            optimizer.zero_grad(set_to_none=True)
    return step


def make_optimizer(network, options):
    return torch.optim.Adadelta(network.optimized, lr=1.0, foreach=options.foreach)


def fit(network, images, labels, train, validation, options, clock, epochs=EPOCHS):
    """EPOCHS passes; the weights of the best validation accuracy are kept in memory and put back. Returns the steps."""
    step = make_step(network, make_optimizer(network, options), options)
    x, y = images.index_select(0, train), labels.index_select(0, train)
    held_x, held_y = images.index_select(0, validation), labels.index_select(0, validation)
    fewest, best, steps = math.inf, None, 0
    for _ in range(epochs):
        order = torch.randperm(len(train))
        if options.gather == "epoch":
            batches = zip(x.index_select(0, order).split(BATCH), y.index_select(0, order).split(BATCH))
        else:
            batches = ((x.index_select(0, part), y.index_select(0, part)) for part in order.split(BATCH))
        for batch in batches:
            step(*batch)
            steps += 1
        clock.lap("train")
        wrong = errors(network, held_x, held_y, len(held_y))
        if wrong < fewest:
            fewest = wrong
            best = [parameter.detach().clone() for parameter in network.optimized]
        clock.lap("validation")
    with torch.no_grad():
        for parameter, kept in zip(network.optimized, best):
            parameter.copy_(kept)
    return steps


def warm_up(network, images, labels, update, options):
    """What happens once: lazy imports, compilation, first calls into the libraries. Leaves the weights as they were."""
    before = [parameter.detach().clone() for parameter in network.optimized]
    fit(network, images, labels, *update, options, Clock(), epochs=2)
    with torch.no_grad():
        for parameter, kept in zip(network.optimized, before):
            parameter.copy_(kept)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of MNIST's files (default: the folders of ALMA_DATA)")
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--experts", type=int, default=1, help="1: the plain network; 2: the paper's mixture")
    parser.add_argument("--updates", type=int, default=0, help="only the first N of the 50 updates; 0: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--foreach", action="store_true", help="Adadelta(foreach=True)")
    parser.add_argument("--flat", action="store_true", help="all parameters in one tensor for the optimizer")
    parser.add_argument("--separate", action="store_true", help="a product of its own for each gate and expert")
    parser.add_argument("--gather", choices=["epoch", "step"], default="epoch",
                        help="index_select once per epoch, then views; or for each mini-batch")
    parser.add_argument("--test-batch", type=int, default=10000, help="images per evaluation batch")
    parser.add_argument("--flush-denormal", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile; compilation is not timed")
    return parser.parse_args()


def main():
    options = parse_options()
    folders = [options.data] if options.data else [f for f in os.environ.get("ALMA_DATA", "").split(":") if f]
    folders = [pathlib.Path(folder) for folder in folders]
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(options.flush_denormal)
    torch.manual_seed(options.seed)
    images, labels = load(folders, "train")
    test_images, test_labels = load(folders, "test")
    updates = stream(len(labels), 432)[:options.updates or None]

    network = Network(images.shape[1], options.width, options.experts, not options.separate, options.flat)
    clock, steps, test_errors = Clock(), 0, []
    warm_up(network, images, labels, updates[0], options)
    gc.collect()
    gc.freeze()
    gc.disable()
    clock.start()
    for train, validation in updates:
        steps += fit(network, images, labels, train, validation, options, clock)
        clock.lap("train")
        test_errors.append(errors(network, test_images, test_labels, options.test_batch) / len(test_labels))
        clock.lap("test")
    gc.unfreeze()
    parts = clock.parts
    print(json.dumps({
        "torch": torch.__version__, "width": options.width, "experts": options.experts, "parameters": network.count,
        "updates": len(updates), "steps": steps, "seconds": sum(wall for wall, _ in parts.values()),
        "cpu_seconds": sum(cpu for _, cpu in parts.values()), "parts": parts, "errors": test_errors,
        "final_error": test_errors[-1], "cer": sum(test_errors)}))


if __name__ == "__main__":
    main()
