"""Golden values for tests/engine/optim_test.cpp and tests/models/golden_test.cpp, made by PyTorch in f64.

Start values, gradients and inputs follow closed formulas, so that the C++ tests make the same ones by themselves.
"""

import json
import math

import torch

torch.set_default_dtype(torch.float64)


def wave(count, phase):
    """The i-th of `count` numbers is sin(0.7 i + phase); the tests use the same formula."""
    return torch.tensor([math.sin(0.7 * i + phase) for i in range(count)])


def optimizer_case(make):
    """Two parameters under gradients 0.5 w + cos(0.1 t + i), t = 0, 1, ...; weights after 1, 10 and 100 steps."""
    weights = [wave(12, 0.3).reshape(3, 4).requires_grad_(), wave(5, 1.1).requires_grad_()]
    optimizer = make(weights)
    kept = {}
    for t in range(100):
        for w in weights:
            ramp = torch.tensor([math.cos(0.1 * t + i) for i in range(w.numel())]).reshape(w.shape)
            w.grad = 0.5 * w.detach() + ramp
        optimizer.step()
        if t + 1 in (1, 10, 100):
            kept[str(t + 1)] = [w.detach().flatten().tolist() for w in weights]
    return kept


OPTIMIZERS = {
    "sgd": lambda w: torch.optim.SGD(w, lr=0.05),
    "sgd_momentum": lambda w: torch.optim.SGD(w, lr=0.05, momentum=0.9),
    "sgd_nesterov_decay": lambda w: torch.optim.SGD(w, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-2),
    "adadelta": lambda w: torch.optim.Adadelta(w, lr=1.0),
    "adadelta_decay": lambda w: torch.optim.Adadelta(w, lr=0.5, weight_decay=1e-2),
    "adam": lambda w: torch.optim.Adam(w, lr=0.01),
    "adam_decay": lambda w: torch.optim.Adam(w, lr=0.01, weight_decay=1e-2),
    "adamw": lambda w: torch.optim.AdamW(w, lr=0.01, weight_decay=1e-2),
    "rmsprop": lambda w: torch.optim.RMSprop(w, lr=0.01),
    "rmsprop_momentum_decay": lambda w: torch.optim.RMSprop(w, lr=0.01, alpha=0.9, momentum=0.9, weight_decay=1e-2),
}


def mixture_mlp():
    """Five Adadelta steps (lr 1) of the 2-expert soft mixture MLP, 6 inputs, width 4, 3 classes, 8 samples per step."""
    inputs, width, classes, experts, rows = 6, 4, 3, 2, 8
    names, shapes = [], []
    size = inputs
    for layer in range(2):
        for part, out in [("gate", experts)] + [(f"expert.{k}", width) for k in range(experts)]:
            names += [f"hidden.{layer}.{part}.weight", f"hidden.{layer}.{part}.bias"]
            shapes += [(out, size), (out,)]
        size = width
    names += ["output.weight", "output.bias"]
    shapes += [(classes, size), (classes,)]
    weights = {n: (0.5 * wave(math.prod(s), float(i))).reshape(s).requires_grad_() for i, (n, s) in enumerate(zip(names, shapes))}

    def forward(x):
        for layer in range(2):
            gate = torch.softmax(torch.nn.functional.linear(x, weights[f"hidden.{layer}.gate.weight"], weights[f"hidden.{layer}.gate.bias"]), 1)
            outs = [torch.relu(torch.nn.functional.linear(x, weights[f"hidden.{layer}.expert.{k}.weight"], weights[f"hidden.{layer}.expert.{k}.bias"]))
                    for k in range(experts)]
            x = sum(gate[:, k:k + 1] * outs[k] for k in range(experts))
        return torch.nn.functional.linear(x, weights["output.weight"], weights["output.bias"])

    optimizer = torch.optim.Adadelta(weights.values(), lr=1.0)
    losses, first_gradients = [], None
    for t in range(5):
        x = wave(rows * inputs, 0.2 * t).reshape(rows, inputs)
        y = torch.tensor([(i + t) % classes for i in range(rows)])
        loss = torch.nn.functional.cross_entropy(forward(x), y)
        optimizer.zero_grad()
        loss.backward()
        if first_gradients is None:
            first_gradients = {n: w.grad.flatten().tolist() for n, w in weights.items()}
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "first_gradients": first_gradients,
            "weights": {n: w.detach().flatten().tolist() for n, w in weights.items()}}


print(json.dumps({"torch": torch.__version__, "optimizers": {n: optimizer_case(m) for n, m in OPTIMIZERS.items()},
                  "mixture_mlp": mixture_mlp()}, indent=1))
