"""Oracle numbers of optimisers: torch.optim.SGD, Lion by lion-pytorch, and averaged weights by torch.optim.swa_utils. Everything is
float64; drawn numbers are rounded so that the text holds them exactly. Adam and AdamW: torch_oracles.py.
"""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.metadata

import lion_pytorch
import numpy as np
import torch
from torch import nn
from torch.optim import swa_utils

from oracle_io import save

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
MADE_BY = "tests/oracles/optimizer_oracles.py"
TORCH = f"torch {torch.__version__.split('+')[0]}"
LION = f"lion-pytorch {importlib.metadata.version('lion-pytorch')}"

rng = np.random.default_rng(903)
START = torch.tensor(np.round(rng.normal(size=5), 4))
GRADIENTS = torch.tensor(np.round(rng.normal(size=(12, 5)) * np.array([1.0, 0.1, 10.0, 1e-3, 1.0]), 7))
GRADIENTS[0, 4] = 0.0  # Lion's sign of 0


def steps(make):
    p = nn.Parameter(START.clone())
    optimizer = make([p])
    values = []
    for g in GRADIENTS:
        p.grad = g.clone()
        optimizer.step()
        values.append(p.detach().clone())
    return values, optimizer.state[p]


def sgd():
    runs = {}
    for name, options in (("plain", {}), ("weight_decay", {"weight_decay": 0.1}), ("momentum", {"momentum": 0.9}),
                          ("nesterov", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1})):
        values, _ = steps(lambda p: torch.optim.SGD(p, lr=0.05, foreach=False, **options))
        runs[name] = {"settings": {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0, **options}, "parameters": values}
    save("torch_sgd", {
        "source": f"{TORCH}, torch.optim.SGD", "made_by": MADE_BY,
        "settings": {"lr": 0.05, "dampening": 0.0, "formula": "g += weight_decay p; b = momentum b + g; p -= lr (nesterov ? g + momentum b : b)"},
        "weights": {"start": START}, "gradients": GRADIENTS, "outputs": runs})


def lion():
    runs = {}
    for name, decay in (("plain", 0.0), ("weight_decay", 0.1)):
        values, state = steps(lambda p: lion_pytorch.Lion(p, lr=0.01, betas=(0.9, 0.99), weight_decay=decay))
        runs[name] = {"weight_decay": decay, "parameters": values, "moment": state["exp_avg"]}
    save("lion", {
        "source": f"{LION}, Lion", "made_by": MADE_BY,
        "settings": {"lr": 0.01, "beta1": 0.9, "beta2": 0.99,
                     "formula": "p *= 1 - lr weight_decay; p -= lr sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g"},
        "weights": {"start": START}, "gradients": GRADIENTS, "outputs": runs})


def averaged():
    decay = 0.7

    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = nn.Parameter(torch.zeros(5))

    # torch starts from the first values it is given; zeros divided by their weight forget the start.
    model = Holder()
    average = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(decay))
    average.update_parameters(model)  # the first one copies
    values, _ = steps(lambda p: torch.optim.SGD(p, lr=0.05, foreach=False))
    averages = []
    for t, value in enumerate(values, 1):
        model.p.data.copy_(value)
        average.update_parameters(model)
        averages.append(average.module.p.detach() / (1 - decay ** t))
    save("torch_ema", {
        "source": f"{TORCH}, torch.optim.swa_utils.get_ema_multi_avg_fn from zeros, divided by 1 - decay^t", "made_by": MADE_BY,
        "settings": {"lr": 0.05, "decay": decay, "formula": "a = decay a + (1 - decay) p of the steps of plain SGD"},
        "weights": {"start": START}, "gradients": GRADIENTS, "outputs": {"averages": averages}})


if __name__ == "__main__":
    sgd()
    lion()
    averaged()
