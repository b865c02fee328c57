"""Milliseconds of CPU time of one training step of a decoder-only Transformer in PyTorch, one thread, median: for compare-lm.

    pytorch_lm.py V T D LAYERS HEADS BATCH [--chunked] [--foreach | --fused] [--compile] [--seconds S]

Pre-norm, learned positions, ReLU, tied embeddings, AdamW. Attention is PyTorch's own where it has one, else by an explicit mask.
--chunked: the loss of torch.nn.functional.linear_cross_entropy by chunks, where PyTorch has it.
"""
import argparse
import math
import statistics
import time

import torch
from torch import nn

parser = argparse.ArgumentParser()
for name in ("vocabulary", "t", "d", "layers", "heads", "batch"):
    parser.add_argument(name, type=int)
parser.add_argument("--chunked", action="store_true")
parser.add_argument("--foreach", action="store_true")
parser.add_argument("--fused", action="store_true")
parser.add_argument("--compile", action="store_true")
parser.add_argument("--seconds", type=float, default=3)
options = parser.parse_args()
functional = nn.functional
torch.set_num_threads(1)
torch.manual_seed(0)
mask = torch.ones(options.t, options.t).triu(1).bool()


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.ffn = nn.Sequential(nn.Linear(d, 4 * d), nn.ReLU(), nn.Linear(4 * d, d))

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = (p.view(n, t, self.heads, d // self.heads).transpose(1, 2) for p in self.qkv(self.norm1(x)).split(d, 2))
        if hasattr(functional, "scaled_dot_product_attention"):
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.transpose(2, 3) / math.sqrt(d // self.heads)).masked_fill(mask, -math.inf)
            y = scores.softmax(3) @ v
        x = x + self.out(y.transpose(1, 2).reshape(n, t, d))
        return x + self.ffn(self.norm2(x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.position = nn.Embedding(options.vocabulary, options.d), nn.Embedding(options.t, options.d)
        self.blocks = nn.Sequential(*(Block(options.d, options.heads) for _ in range(options.layers)))
        self.norm = nn.LayerNorm(options.d)

    def forward(self, tokens, labels):
        x = self.norm(self.blocks(self.embedding(tokens) + self.position.weight)).flatten(0, 1)
        if options.chunked:
            return functional.linear_cross_entropy(x, self.embedding.weight, labels, options=nn.LinearCrossEntropyOptions())
        return functional.cross_entropy(x @ self.embedding.weight.T, labels)


model = Model()
for parameter in model.parameters():
    if parameter.dim() > 1:
        nn.init.normal_(parameter, std=0.02)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, foreach=options.foreach,
                              **({"fused": True} if options.fused else {}))
tokens = torch.arange(options.batch * options.t) * 2654435761 % options.vocabulary
x, y = tokens.view(options.batch, options.t), tokens
forward = torch.compile(model) if options.compile else model


def step():
    optimizer.zero_grad(set_to_none=True)
    forward(x, y).backward()
    optimizer.step()


for _ in range(2):
    step()
times, end = [], time.monotonic() + options.seconds
while len(times) < 3 or time.monotonic() < end:
    start = time.process_time()
    step()
    times.append(1000 * (time.process_time() - start))
print(statistics.median(times))
