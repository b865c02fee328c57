"""Golden values for tests/models/vgg_test.cpp, made by PyTorch in f64: two training steps of VGG19 (h = 4) and of its fixed
mixture, without and with augmentation. Weights, images and labels follow closed formulas, so that the C++ tests make the same
ones by themselves; of each tensor two numbers are kept: its sum of squares and its product with a wave.
"""

import json
import math

import numpy
import torch

torch.set_default_dtype(torch.float64)
WIDTH, IMAGES, CLASSES = 4, 6, 10
GROUPS = [2, 2, 4, 4, 4]
MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]
# (row, column, mirrored) for each image and step: what random_cut() gives for the key (7, "augmentation, test").
CUTS = [
    [(2, 3, False), (-1, 4, False), (1, -1, False), (0, 4, True), (-3, -2, False), (-2, -2, True)],
    [(3, -3, False), (-1, 3, True), (2, 4, True), (-3, 1, False), (2, -2, False), (4, -1, True)],
]


def wave(count, phase):
    return torch.sin(0.7 * torch.arange(count) + phase)


def pixels():
    i = numpy.arange(IMAGES * 3 * 32 * 32)
    return ((i * 37 + i // 7 * 11) % 256).reshape(IMAGES, 3, 32, 32)


def normalised():
    x = numpy.empty((IMAGES, 3, 32, 32))
    for c in range(3):  # scale and shift are rounded to f32 once
        mean, std = numpy.float32(MEAN[c]), numpy.float32(STD[c])
        scale, shift = numpy.float32(1 / (255 * float(std))), numpy.float32(-float(mean) / float(std))
        x[:, c] = pixels()[:, c] * float(scale) + float(shift)
    return torch.tensor(x)


def cut(x, cuts):
    """The window of 32 x 32 that starts at (4 + row, 4 + column) of the image padded by 4, then mirrored."""
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4), value=float(numpy.float32(-1.9)))
    out = []
    for image, (row, column, mirrored) in zip(padded, cuts):
        window = image[:, 4 + row:36 + row, 4 + column:36 + column]
        out.append(window.flip(2) if mirrored else window)
    return torch.stack(out)


class Block(torch.nn.Module):
    def __init__(self, channels, convolutions):
        super().__init__()
        self.conv = torch.nn.ModuleList(torch.nn.Conv2d(channels if i == 0 else WIDTH, WIDTH, 3, padding=1) for i in range(convolutions))
        self.norm = torch.nn.ModuleList(torch.nn.BatchNorm2d(WIDTH) for _ in range(convolutions))

    def forward(self, x):
        for conv, norm in zip(self.conv, self.norm):
            x = torch.relu(norm(conv(x)))
        return torch.nn.functional.max_pool2d(x, 2)


class Mixture(torch.nn.Module):
    def __init__(self, experts, convolutions):
        super().__init__()
        self.gate = torch.nn.Linear(16 * WIDTH, experts)
        self.expert = torch.nn.ModuleList(Block(WIDTH, convolutions) for _ in range(experts))

    def forward(self, x):
        scores = torch.softmax(self.gate(torch.nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)), 1)
        return sum(scores[:, k, None, None, None] * expert(x) for k, expert in enumerate(self.expert))


class Vgg(torch.nn.Module):
    def __init__(self, experts):
        super().__init__()
        self.block = torch.nn.ModuleList(Block(3 if b == 0 else WIDTH, n) if b == 0 or experts == 1 else Mixture(experts, n)
                                         for b, n in enumerate(GROUPS))
        self.output = torch.nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        for block in self.block:
            x = block(x)
        return self.output(x.flatten(1))


def start(name, shape, number):
    """Convolutions and Linears: a wave within their initial bound; batch normalisation: waves around 1 and 0."""
    values = wave(math.prod(shape), float(number)).reshape(shape)
    if ".norm." in name:
        return 1 + 0.1 * values if name.endswith("weight") else 0.1 * values
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else 9 * WIDTH
    return values / math.sqrt(fan_in)


def summary(tensor):
    flat = tensor.detach().flatten()
    flat = flat.double()
    return [float(flat @ flat), float(flat @ wave(flat.numel(), 0.5))]


def steps(experts, augmented, dtype=torch.float64):
    model = Vgg(experts).to(dtype)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for number, (name, parameter) in enumerate(parameters.items()):
            parameter.copy_(start(name, parameter.shape, number))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    x, y = normalised().to(dtype), torch.tensor([(3 * i) % CLASSES for i in range(IMAGES)])
    losses, gradients = [], None
    for step in range(2):
        loss = torch.nn.functional.cross_entropy(model(cut(x, CUTS[step]) if augmented else x), y)
        optimizer.zero_grad()
        loss.backward()
        if gradients is None:
            gradients = {name: summary(p.grad) for name, p in parameters.items()}
        optimizer.step()
        losses.append(loss.item())
    state = {name: summary(t) for name, t in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    model.eval()
    evaluated = torch.nn.functional.cross_entropy(model(x), y)
    return {"parameters": list(parameters), "losses": losses, "gradients": gradients, "state": state, "evaluated": evaluated.item()}


def case(experts, augmented):
    """In f64; and by how much PyTorch itself is off in f32 after the first step, as the tests measure it."""
    exact, single = steps(experts, augmented), steps(experts, augmented, torch.float32)
    errors = [abs(exact["losses"][0] - single["losses"][0])]
    for name, expected in exact["gradients"].items():
        errors += [abs(a - b) / max(1, expected[0]) for a, b in zip(expected, single["gradients"][name])]
    return exact | {"f32_error": max(errors)}


print(json.dumps({"torch": torch.__version__, "cuts": CUTS,
                  "plain": case(1, False), "augmented": case(1, True), "mixture": case(2, False)}, indent=1))
