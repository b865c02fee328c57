"""Golden values for tests/kernels/layers_golden_test.cpp, made by PyTorch in f64.

Inputs follow a closed formula, so that the C++ test makes the same ones by itself.
"""

import json
import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def wave(shape, phase):
    """The i-th number is sin(0.7 i + phase); the test uses the same formula."""
    return torch.tensor([math.sin(0.7 * i + phase) for i in range(math.prod(shape))]).reshape(shape)


def case(function, inputs):
    """The output y of the function and, with the cotangent wave(y's shape, 9), the gradients for all inputs."""
    inputs = [x.requires_grad_() for x in inputs]
    y = function(*inputs)
    y.backward(wave(y.shape, 9.0))
    return {"y": y.flatten().tolist(), "gradients": [x.grad.flatten().tolist() for x in inputs]}


def batch_norm(relu):
    running_mean, running_var = wave((3,), 4.0), wave((3,), 5.0).abs() + 0.5
    parameters = [wave((4, 3, 2, 5), 1.0), wave((3,), 2.0), wave((3,), 3.0)]

    def activate(y):
        return F.relu(y) if relu else y

    with torch.no_grad():
        x, gamma, beta = parameters
        evaluated = activate(F.batch_norm(x, running_mean, running_var, gamma, beta, False, 0.1, 1e-5))
    result = case(
        lambda x, gamma, beta: activate(F.batch_norm(x, running_mean, running_var, gamma, beta, True, 0.1, 1e-5)), parameters
    )
    result |= {"evaluated": evaluated.flatten().tolist()}
    return result | {"running_mean": running_mean.tolist(), "running_var": running_var.tolist()}


print(
    json.dumps(
        {
            "layer_norm": case(
                lambda x, gamma, beta: F.layer_norm(x, (7,), gamma, beta, 1e-5),
                [wave((5, 7), 1.0), wave((7,), 2.0), wave((7,), 3.0)],
            ),
            "batch_norm": batch_norm(False),
            "batch_norm_relu": batch_norm(True),
            "max_pool_2_2": case(lambda x: F.max_pool2d(x, 2, 2), [wave((2, 3, 6, 8), 1.0)]),
            "max_pool_3_2": case(lambda x: F.max_pool2d(x, (3, 2), 1), [wave((2, 3, 6, 7), 1.0)]),
            "adaptive_average_pool": case(lambda x: F.adaptive_avg_pool2d(x, (4, 3)), [wave((2, 3, 10, 7), 1.0)]),
        }
    )
)
