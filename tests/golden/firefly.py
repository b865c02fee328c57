"""Golden values for tests/models/firefly_test.cpp, made by PyTorch in f64: one growth by Firefly of an MLP and of VGG19 (h = 2),
from the description in the paper: candidates that are trained by RMSprop, their scores, the chosen ones, and the grown network.

Each candidate's output is added to what the frozen layer computes and multiplied by a strength, whose gradient is the score.
Start values and inputs follow closed formulas, so that the C++ test makes the same ones by itself.
"""

import json
import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)

K = 3  # new neurons that a layer is offered


def wave(count, phase, scale=1.0):
    """The i-th of `count` numbers is scale sin(0.7 i + phase); the test uses the same formula."""
    return scale * torch.tensor([math.sin(0.7 * i + phase) for i in range(count)])


class Layer:
    """A Linear, or a convolution of 3 x 3 with normalisation, and ReLU."""

    def __init__(self, weight, bias, norm=None, pool=False):
        self.weight, self.bias, self.norm, self.pool = weight, bias, norm, pool

    def apply(self, x, weight, bias=None):
        return F.linear(x, weight, bias) if weight.dim() == 2 else F.conv2d(x, weight, bias, padding=1)

    def activate(self, x, norm):
        if norm is None:
            return F.relu(x)
        gamma, beta, mean, var = norm
        return F.relu(F.batch_norm(x, mean, var, gamma, beta, False))

    def after(self, x):
        return F.max_pool2d(x, 2) if self.pool else x


def forward(layers, head, x):
    for layer in layers:
        x = layer.after(layer.activate(layer.apply(x, layer.weight, layer.bias), layer.norm))
    return F.linear(x.flatten(1), *head)


def channelwise(strength, x):
    return x * strength.reshape((1, -1) + (1,) * (x.dim() - 2))


def with_candidates(layers, head, candidates, strengths, x):
    old, new = x, None
    for layer, c, s in zip(layers, candidates, strengths):
        out = layer.weight.shape[0]
        base = layer.apply(old, layer.weight, layer.bias)
        split = channelwise(s[:out], layer.apply(old, c["split"]))
        fresh = channelwise(s[out:], layer.apply(old, c["new"]))
        if new is not None:
            more = layer.apply(new, c["outgoing"])
            base, fresh = base + more[:, :out], fresh + more[:, out:]
        new_norm = None if layer.norm is None else [torch.full((K,), v) for v in (1.0, 0.0, 0.0, 1.0)]
        old = (layer.activate(base + split, layer.norm) + layer.activate(base - split, layer.norm)) / 2
        new = layer.activate(fresh, new_norm)
        old, new = layer.after(old), layer.after(new)
    return F.linear(old.flatten(1), *head) + F.linear(new.flatten(1), candidates[-1]["outgoing"])


def grow(layers, head, candidates, scores, elites):
    flat = torch.cat(scores)
    most = flat.sort().values[elites]
    before = None  # of the layer before: indices of splits, and of new neurons
    grown = []
    chosen = []
    for score, layer in zip(scores, layers):
        out = layer.weight.shape[0]
        index = (score <= most).nonzero().flatten()
        chosen.append((index[index < out], index[index >= out] - out))
    for l, layer in enumerate(layers):
        c, (split, new) = candidates[l], chosen[l]
        weight = layer.weight.clone()
        out = weight.shape[0]
        weight[split] += c["split"][split]
        rows = torch.cat([weight, layer.weight[split] - c["split"][split], c["new"][new]])
        if l > 0:
            columns = c["outgoing"][torch.cat([torch.arange(out), split, out + new])][:, before[1]]
            halves = rows[:, before[0]] / 2
            rows[:, before[0]] /= 2
            rows = torch.cat([rows, halves, columns], 1)
        more = lambda v, value: None if v is None else torch.cat([v, v[split], torch.full((len(new),), value)])
        norm = None if layer.norm is None else [more(v, value) for v, value in zip(layer.norm, (1.0, 0.0, 0.0, 1.0))]
        grown.append(Layer(rows, more(layer.bias, 0.0), norm, layer.pool))
        before = (split, new)
    weight, bias = head
    halves = weight[:, before[0]] / 2
    weight = weight.clone()
    weight[:, before[0]] /= 2
    return grown, (torch.cat([weight, halves, torch.zeros(weight.shape[0], len(before[1]))], 1), bias), chosen


def run(layers, head, batch, batches, elites):
    phase = 50.0
    candidates = []
    for l, layer in enumerate(layers + [None]):
        shapes = {}
        if layer is not None:
            shape = list(layer.weight.shape)
            shapes["split"] = shape
            if l > 0:
                shapes["outgoing"] = [shape[0] + K, K] + shape[2:]
            shapes["new"] = [K] + shape[1:]
        else:
            shapes["outgoing"] = [head[0].shape[0], K]
        of_layer = {}
        for name, shape in shapes.items():
            of_layer[name] = wave(math.prod(shape), phase, 0.1).reshape(shape).requires_grad_()
            phase += 1
        candidates.append(of_layer)
    leaves = [c for of_layer in candidates for c in of_layer.values()]
    ones = [torch.ones(layer.weight.shape[0] + K) for layer in layers]
    optimizer = torch.optim.RMSprop(leaves, lr=1e-3, momentum=0.1, alpha=0.9)
    result = {"losses": []}
    for t in range(batches):
        x, y = batch(t)
        loss = F.cross_entropy(with_candidates(layers, head, candidates, ones, x), y)
        optimizer.zero_grad()
        loss.backward()
        for c in candidates[:-1]:
            (1e-2 * (c["split"].pow(2).sum() + 1e-2 * c["new"].pow(2).sum())).backward()
        optimizer.step()
        result["losses"].append(loss.item())
    scores = [torch.zeros(len(one)) for one in ones]
    for t in range(batches):
        x, y = batch(t)
        strengths = [one.clone().requires_grad_() for one in ones]
        F.cross_entropy(with_candidates(layers, head, candidates, strengths, x), y).backward()
        scores = [s + strength.grad / batches for s, strength in zip(scores, strengths)]
    result["scores"] = [s.tolist() for s in scores]
    with torch.no_grad():
        grown, grown_head, chosen = grow(layers, head, candidates, scores, elites)
        result["split"] = [c[0].tolist() for c in chosen]
        result["new"] = [c[1].tolist() for c in chosen]
        x, _ = batch(100)
        result["before"] = forward(layers, head, x).flatten().tolist()
        result["after"] = forward(grown, grown_head, x).flatten().tolist()
        result["sums"] = [g.weight.sum().item() for g in grown]
    for layer in grown:
        layer.weight.requires_grad_()
    x, y = batch(0)
    F.cross_entropy(forward(grown, grown_head, x), y).backward()
    result["gradients"] = [g.weight.grad.abs().sum().item() for g in grown]
    return result


def parameters(shapes):
    """Biases are such that neurons are neither dead nor always active, where the score of a split is 0."""
    return [(0.8 * wave(math.prod(s), 1.3 * i) + (0.4 if len(s) == 1 else 0)).reshape(s) for i, s in enumerate(shapes)]


def mlp():
    w1, b1, w2, b2, w3, b3 = parameters([(4, 6), (4,), (4, 4), (4,), (3, 4), (3,)])
    batch = lambda t: (wave(48, 0.2 * t).reshape(8, 6), torch.tensor([(i + t) % 3 for i in range(8)]))
    return run([Layer(w1, b1), Layer(w2, b2)], (w3, b3), batch, 6, 4)


def vgg():
    """The figures' network: no bias in a convolution."""
    h, layers, phase, channels = 2, [], 0, 3
    for block in (2, 2, 4, 4, 4):
        for i in range(block):
            weight = wave(h * channels * 9, float(phase), 0.35).reshape(h, channels, 3, 3)
            norm = [1 + 0.2 * wave(h, phase + 0.3), 0.2 + 0.3 * wave(h, phase + 0.6), 0.1 * wave(h, phase + 0.9), 1 + 0.2 * wave(h, phase + 1.2)]
            layers.append(Layer(weight, None, norm, i == block - 1))
            phase, channels = phase + 1, h
    head = (wave(3 * h, phase + 0.1).reshape(3, h), wave(3, phase + 0.2))
    batch = lambda t: (wave(4 * 3072, 0.2 * t).reshape(4, 3, 32, 32), torch.tensor([(i + t) % 3 for i in range(4)]))
    return run(layers, head, batch, 2, 19)


print(json.dumps({"torch": torch.__version__, "mlp": mlp(), "vgg": vgg()}, indent=1))
