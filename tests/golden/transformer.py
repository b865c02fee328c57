"""Golden values for tests/models/transformer_test.cpp, made by PyTorch in f64.

Small decoder-only Transformers with Switch layers, written from the papers: attention with an explicit mask, experts token by
token. Weights and tokens follow closed formulas, so that the C++ test makes the same ones by itself. For each case: the mean
cross-entropy and the balance losses of a training pass, the gradient of their sum as its product with a wave per parameter, how
many tokens each expert was given and how many were dropped, and the cross-entropy of an evaluation, which drops none.
"""

import json
import math

import torch
from torch import nn

torch.set_default_dtype(torch.float64)


def wave(count, phase):
    """The i-th of `count` numbers; the test uses the same formula."""
    return torch.tensor([math.sin(0.7 * i + 0.01 * (i * i % 1009) + phase) for i in range(count)])


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(d, 3 * d), nn.Linear(d, d), heads

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = (part.reshape(n, t, self.heads, d // self.heads).transpose(1, 2) for part in self.qkv(x).split(d, 2))
        scores = q @ k.transpose(2, 3) / math.sqrt(d // self.heads)
        scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), -math.inf)
        return self.out((scores.softmax(3) @ v).transpose(1, 2).reshape(n, t, d))


def activation(gelu):
    return nn.GELU(approximate="tanh") if gelu else nn.ReLU()


class Switch(nn.Module):
    def __init__(self, d, hidden, experts, factor, gelu):
        super().__init__()
        self.router = nn.Linear(d, experts, bias=False)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(d, hidden), activation(gelu), nn.Linear(hidden, d)) for _ in range(experts))
        self.factor = factor

    def forward(self, x):
        tokens, count = x.flatten(0, 1), len(self.experts)
        p = self.router(tokens).softmax(1)
        capacity = math.ceil(self.factor * len(tokens) / count) if self.training else len(tokens)
        self.counts, self.dropped, rows = [0] * count, 0, []
        for token, probabilities in zip(tokens, p):
            expert = max(range(count), key=lambda e: (probabilities[e].item(), -e))
            self.counts[expert] += 1
            fits = self.counts[expert] <= capacity
            self.dropped += not fits
            rows.append(probabilities[expert] * self.experts[expert](token) if fits else torch.zeros_like(token))
        share = torch.tensor([c / len(tokens) for c in self.counts])
        self.balance = count * (share * p.mean(0)).sum()
        return torch.stack(rows).reshape(x.shape)


class Block(nn.Module):
    def __init__(self, d, heads, feed_forward):
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(d), Attention(d, heads)
        self.feed_forward_norm, self.feed_forward = nn.LayerNorm(d), feed_forward

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


class Transformer(nn.Module):
    def __init__(self, vocabulary, sequence, d, layers, heads, hidden, experts, every, factor, gelu):
        super().__init__()
        self.embedding, self.position = nn.Parameter(torch.zeros(vocabulary, d)), nn.Parameter(torch.zeros(sequence, d))
        self.blocks = nn.ModuleList()
        for i in range(layers):
            switch = experts > 1 and (i + 1) % every == 0
            dense = nn.Sequential(nn.Linear(d, hidden), activation(gelu), nn.Linear(hidden, d))
            self.blocks.append(Block(d, heads, Switch(d, hidden, experts, factor, gelu) if switch else dense))
        self.norm = nn.LayerNorm(d)

    def switches(self):
        return [block.feed_forward for block in self.blocks if isinstance(block.feed_forward, Switch)]

    def forward(self, tokens):
        x = self.embedding[tokens] + self.position[:tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.embedding.T

    def state(self):
        """The C++ module's tensors in its order: those of all experts of a layer are one."""
        def linear(module):
            return [[module.weight], [module.bias]]

        tensors = [[self.embedding], [self.position]]
        for block in self.blocks:
            tensors += linear(block.attention_norm) + linear(block.attention.qkv) + linear(block.attention.out)
            tensors += linear(block.feed_forward_norm)
            if isinstance(block.feed_forward, Switch):
                tensors.append([block.feed_forward.router.weight])
                for part in (0, 2):
                    tensors += [[getattr(e[part], name) for e in block.feed_forward.experts] for name in ("weight", "bias")]
            else:
                tensors += linear(block.feed_forward[0]) + linear(block.feed_forward[2])
        return tensors + linear(self.norm)


def loss_of(model, tokens):
    logits = model(tokens[:, :-1])
    return nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def run(sequences, t, experts, every=2, factor=1.0, ties=False, heads=2, layers=2, gelu=False):
    vocabulary, d, hidden, balance = 13, 8, 12, 0.3
    model = Transformer(vocabulary, t, d, layers, heads, hidden, experts, every, factor, gelu)
    for i, parts in enumerate(model.state()):
        values = 0.5 * wave(sum(p.numel() for p in parts), i)
        for part, some in zip(parts, values.split([p.numel() for p in parts])):
            part.data = some.reshape(part.shape)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):  # near 1 and 0, so that tokens stay different
            module.weight.data = 1 + 0.2 * module.weight.data
            module.bias.data *= 0.2
        if ties and isinstance(module, Switch):
            module.router.weight.data.zero_()
    tokens = torch.tensor([[(5 * i + i * i // 3 + 4 * s) % vocabulary for i in range(t + 1)] for s in range(sequences)])
    model.train()
    loss = loss_of(model, tokens)
    balances = [switch.balance for switch in model.switches()]
    (loss + balance * sum(balances, torch.zeros(()))).backward()
    result = {"sequences": sequences, "t": t, "experts": experts, "every": every, "factor": factor, "ties": ties, "heads": heads,
              "layers": layers, "gelu": gelu, "loss": loss.item(), "balances": [b.item() for b in balances],
              "counts": [switch.counts for switch in model.switches()], "dropped": [s.dropped for s in model.switches()]}
    result["gradients"] = []
    for i, parts in enumerate(model.state()):
        gradient = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parts])
        result["gradients"].append((gradient * wave(gradient.numel(), i + 0.5)).sum().item())
    model.eval()
    with torch.no_grad():
        result["evaluation"] = loss_of(model, tokens).item()
    return result


CASES = [
    dict(sequences=2, t=5, experts=1),
    dict(sequences=2, t=5, experts=3),  # tokens are dropped
    dict(sequences=3, t=7, experts=4, every=1, factor=0.5, layers=3, heads=4),
    dict(sequences=1, t=1, experts=3),  # one token: two experts are idle
    dict(sequences=2, t=6, experts=3, ties=True),  # all tokens to the first expert
    dict(sequences=2, t=31, experts=5, factor=1.25),
    dict(sequences=1, t=64, experts=4, factor=2.0, heads=1),
    dict(sequences=1, t=65, experts=2, every=3, layers=3),
    dict(sequences=1, t=300, experts=4),
    dict(sequences=2, t=6, experts=3, gelu=True),
    dict(sequences=2, t=5, experts=1, gelu=True),
]
print(json.dumps({"torch": torch.__version__, "cases": [run(**case) for case in CASES]}, indent=1))
