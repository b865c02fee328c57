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
    where = ", ".join(map(str, folders)) or "any folder: none was given"
    sys.exit(f"error: no {name} (or {name}.gz) in {where}; give the folder of MNIST's four files by --data or ALMA_DATA, or "
             "fetch them: build/alma data fetch mnist")


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
    """HIDDEN layers Linear + ReLU (experts = 1) or soft mixtures of that many, then a Linear; initialised as nn.Linear is.

    No modules, which cost time per call; a mixture's gate and experts lie in one weight [experts + experts * width, in], so
    that a layer is one product. `flat` lets all parameters (and gradients) lie in one tensor for the optimizer.
    """

    def __init__(self, inputs, width, experts, flat, compiled):
        self.width, self.experts = width, experts
        self.batched_product = width < 32 and not compiled  # measured at 4 (faster) and 64 (slower)
        tensors = []
        rows = width if experts == 1 else experts + experts * width
        for n, fan_in in [(rows, width if layer else inputs) for layer in range(HIDDEN)] + [(CLASSES, width)]:
            bound = 1 / math.sqrt(fan_in)
            tensors += [torch.empty(n, fan_in).uniform_(-bound, bound), torch.empty(n).uniform_(-bound, bound)]
        self.count = sum(tensor.numel() for tensor in tensors)
        self.optimized = self.parameters = tensors
        if flat:
            sizes = [tensor.numel() for tensor in tensors]
            whole = torch.cat([tensor.flatten() for tensor in tensors])
            whole.grad = torch.zeros_like(whole)
            self.parameters = [part.view_as(tensor) for part, tensor in zip(whole.split(sizes), tensors)]
            for parameter, part in zip(self.parameters, whole.grad.split(sizes)):
                parameter.grad = part.view_as(parameter)
            self.optimized = [whole]
        for parameter in self.parameters:
            parameter.requires_grad_(True)

    def __call__(self, x):
        weights = iter(self.parameters)
        for _ in range(HIDDEN):
            z = F.linear(x, next(weights), next(weights))
            x = z.relu() if self.experts == 1 else self.mix(z)
        return F.linear(x, next(weights), next(weights))

    def mix(self, z):
        gates, outputs = z.split([self.experts, self.experts * self.width], 1)
        gates, outputs = gates.softmax(1), outputs.relu().view(-1, self.experts, self.width)
        if self.batched_product:
            return torch.bmm(gates.unsqueeze(1), outputs).squeeze(1)
        return (gates.unsqueeze(2) * outputs).sum(1)


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


class Trainer:
    """The training step on one mini-batch: forward, backward, Adadelta. Made once, so that it is compiled once."""

    def __init__(self, network, options):
        self.optimizer = torch.optim.Adadelta(network.optimized, lr=1.0, foreach=options.foreach)
        self.loss = lambda x, y: F.cross_entropy(network(x), y)
        self.update = self.optimizer.step
        self.gradient = network.optimized[0].grad  # flat: all gradients
        if options.compile:
            self.loss, self.update = torch.compile(self.loss, dynamic=False), torch.compile(self.update)

    def step(self, x, y):
        self.loss(x, y).backward()
        self.update()
        if self.gradient is None:
            self.optimizer.zero_grad(set_to_none=True)
        else:
            self.gradient.zero_()

    def reset(self):
        """As a new optimizer: Adadelta's averages start at zero in every update."""
        for state in self.optimizer.state.values():
            for name, value in state.items():
                state[name] = value.zero_() if isinstance(value, torch.Tensor) else 0


def copy_all(sources, targets):
    with torch.no_grad():
        for source, target in zip(sources, targets):
            target.copy_(source)


def clone_all(tensors):
    return [tensor.detach().clone() for tensor in tensors]


def fit(network, trainer, images, labels, update, clock, epochs=EPOCHS):
    """Passes over the update's samples; the weights of the best validation are put back at the end. Returns the steps."""
    train, validation = update
    trainer.reset()
    x, y = images.index_select(0, train), labels.index_select(0, train)
    held_x, held_y = images.index_select(0, validation), labels.index_select(0, validation)
    fewest, best, steps = math.inf, None, 0
    for _ in range(epochs):
        order = torch.randperm(len(train))
        for part in order.split(BATCH):
            trainer.step(x.index_select(0, part), y.index_select(0, part))
            steps += 1
        clock.lap("train")
        wrong = errors(network, held_x, held_y, len(held_y))
        if wrong < fewest:
            fewest, best = wrong, clone_all(network.optimized)
        clock.lap("validation")
    copy_all(best, network.optimized)
    clock.lap("validation")
    return steps


def warm_up(network, trainer, images, labels, update):
    """What happens once: lazy imports, compilation, first calls into the libraries. Leaves the weights as they were."""
    before = clone_all(network.optimized)
    fit(network, trainer, images, labels, update, Clock(), epochs=2)
    copy_all(before, network.optimized)


def cumulative_error(test_errors):
    """alma's cer, a sum over all mega-batches: chance before the first update, then each error until the next."""
    if len(test_errors) * WAIT < MEGA_BATCHES:
        return None
    return (1 - 1 / CLASSES) * (WAIT - 1) + WAIT * sum(test_errors[:-1]) + test_errors[-1]


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
    parser.add_argument("--test-batch", type=int, default=10000, help="images per evaluation batch")
    parser.add_argument("--compile", action="store_true", help="torch.compile; compilation is not timed")
    return parser.parse_args()


def main():
    options = parse_options()
    folders = [options.data] if options.data else [f for f in os.environ.get("ALMA_DATA", "").split(":") if f]
    folders = [pathlib.Path(folder) for folder in folders]
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    images, labels = load(folders, "train")
    test_images, test_labels = load(folders, "test")
    updates = stream(len(labels), 432)[:options.updates or None]

    network = Network(images.shape[1], options.width, options.experts, options.flat, options.compile)
    clock, steps, test_errors = Clock(), 0, []
    trainer = Trainer(network, options)
    warm_up(network, trainer, images, labels, updates[0])
    gc.collect()
    gc.freeze()
    gc.disable()
    clock.start()
    for update in updates:
        steps += fit(network, trainer, images, labels, update, clock)
        test_errors.append(errors(network, test_images, test_labels, options.test_batch) / len(test_labels))
        clock.lap("test")
    gc.unfreeze()
    parts = clock.parts
    print(json.dumps({
        "torch": torch.__version__, "width": options.width, "experts": options.experts, "parameters": network.count,
        "updates": len(updates), "steps": steps, "seconds": sum(wall for wall, _ in parts.values()),
        "cpu_seconds": sum(cpu for _, cpu in parts.values()), "parts": parts, "errors": test_errors,
        "final_error": test_errors[-1], "cer": cumulative_error(test_errors)}))


if __name__ == "__main__":
    main()
