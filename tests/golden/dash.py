"""Golden values for tests/alma/learn/later_learners_test.cpp, made by PyTorch in f64: direction-aware shrinking (DASH, Shin et
al. 2024) of the weights of a small network, from its description in the paper: the moving average of the negative gradients of
three batches, and the cosine of each row, kernel and bias with it.

Start values and inputs follow closed formulas, so that the C++ test makes the same ones by itself.
"""

import json
import math

import torch
from torch import nn

torch.set_default_dtype(torch.float64)


def wave(count, phase):
    """The i-th of `count` numbers is sin(0.7 i + phase); the test uses the same formula."""
    return torch.tensor([math.sin(0.7 * i + phase) for i in range(count)])


def batch(t):
    return wave(8 * 6, 0.2 * t).reshape(8, 6), torch.tensor([(i + t) % 3 for i in range(8)])


def shrunk(model, forward, alpha, lowest):
    average = [torch.zeros_like(p) for p in model.parameters()]
    for t in range(3):
        x, y = batch(t)
        model.zero_grad()
        nn.functional.cross_entropy(forward(x), y).backward()
        average = [(1 - alpha) * a - alpha * p.grad for a, p in zip(average, model.parameters())]
    result = {}
    for (name, p), a in zip(model.named_parameters(), average):
        flat = (-1,) if p.dim() == 1 else p.shape[:-2] + (-1,) if p.dim() == 4 else p.shape
        w, d = p.detach().reshape(flat), a.reshape(flat)
        cosine = torch.cosine_similarity(w, d, dim=-1)  # 0 for a gradient of 0
        result[name] = (w * cosine.clamp(lowest, 1).unsqueeze(-1)).flatten().tolist()
    return result


def fill(model):
    for i, p in enumerate(model.parameters()):
        p.data = (0.5 * wave(p.numel(), float(i))).reshape(p.shape)


mlp = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
fill(mlp)
conv = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 1, 3, padding=1), nn.Flatten(), nn.Linear(6, 3))
fill(conv)
print(json.dumps({"torch": torch.__version__, "mlp": shrunk(mlp, mlp, 0.3, 0.3),
                  "mlp_other": shrunk(mlp, mlp, 0.8, 0.05),
                  "conv": shrunk(conv, lambda x: conv(x.reshape(-1, 1, 2, 3)), 0.3, -1)}, indent=1))
