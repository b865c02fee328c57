"""Golden values for tests/alma/learn/expert_growth_test.cpp, made by PyTorch in f64.

A mixture of experts that grows: a tree of modules, each a gate over two branches, which are experts or trees again. An expert
that is split becomes a tree whose branches are copies of it. Start values and inputs follow closed formulas, so that the C++
test makes the same ones by itself.
"""

import copy
import json
import math

import torch
from torch import nn

torch.set_default_dtype(torch.float64)

INPUTS, WIDTH, CLASSES, ROWS = 6, 4, 3, 8


def wave(count, phase):
    """The i-th of `count` numbers is sin(0.7 i + phase); the test uses the same formula."""
    return torch.tensor([math.sin(0.7 * i + phase) for i in range(count)])


def fill(module, phase):
    """Each parameter is half a wave, whose phase counts up."""
    for parameter in module.parameters():
        parameter.data = (0.5 * wave(parameter.numel(), phase)).reshape(parameter.shape)
        phase += 1


class Tree(nn.Module):
    def __init__(self, gate, branches):
        super().__init__()
        self.gate, self.branches = gate, nn.ModuleList(branches)

    def forward(self, x):
        scores = torch.softmax(self.gate(x), 1)
        return sum(scores[:, k:k + 1] * branch(x) for k, branch in enumerate(self.branches))

    def leaves(self, x, weight=1):
        """(tree, branch, weight of each row) of every expert."""
        scores = torch.softmax(self.gate(x), 1)
        for k, branch in enumerate(self.branches):
            if isinstance(branch, Tree):
                yield from branch.leaves(x, weight * scores[:, k])
            else:
                yield self, k, weight * scores[:, k]


def expert(size):
    return nn.Sequential(nn.Linear(size, WIDTH), nn.ReLU())


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(Tree(nn.Linear(size, 2), [expert(size), expert(size)]) for size in (INPUTS, WIDTH))
        self.output = nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.output(x)

    def grow(self, x, share, phase):
        """Splits the expert of the largest sum of weights times `share` in each layer; returns the sums, in tree order."""
        sums, chosen, size = [], [], INPUTS
        for layer in self.layers:
            leaves = list(layer.leaves(x))
            loads = [(weight * share).sum().item() for _, _, weight in leaves]
            tree, k, _ = leaves[max(range(len(loads)), key=loads.__getitem__)]
            chosen.append((tree, k, size))
            sums.append(sorted(loads))
            x, size = layer(x), WIDTH
        for i, (tree, k, size) in enumerate(chosen):
            gate = nn.Linear(size, 2)
            fill(gate, phase + 2 * i)
            tree.branches[k] = Tree(gate, [tree.branches[k], copy.deepcopy(tree.branches[k])])
        return sums


def batch(t):
    return wave(ROWS * INPUTS, 0.2 * t).reshape(ROWS, INPUTS), torch.tensor([(i + t) % CLASSES for i in range(ROWS)])


def run(rule):
    model = Model()
    fill(model, 0.0)
    result = {"losses": [], "sums": [], "parameters": [sum(p.numel() for p in model.parameters())]}
    for growth in range(4):
        if growth > 0:
            x, y = batch(100 + growth)
            with torch.no_grad():
                share = 1 if rule == "usage" else nn.functional.cross_entropy(model(x), y, reduction="none")
                result["sums"].append(model.grow(x, share, 20.0 * growth))
            result["parameters"].append(sum(p.numel() for p in model.parameters()))
        optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
        for t in range(5 * growth, 5 * growth + 5):
            x, y = batch(t)
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            result["losses"].append(loss.item())
    result["logits"] = model(batch(200)[0]).flatten().tolist()
    return result


print(json.dumps({"torch": torch.__version__, **{rule: run(rule) for rule in ("usage", "loss")}}, indent=1))
