"""Oracle numbers from PyTorch: MLPs with each activation and their gradients, Adam and AdamW steps, learning-rate
schedules, gradient clipping. Everything is float64; drawn numbers are rounded to 4 decimals so that the text holds them exactly.
"""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import nn

from oracle_io import save

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
MADE_BY = "tests/oracles/torch_oracles.py"
TORCH = f"torch {torch.__version__.split('+')[0]}"


def rounded(rng, shape, scale=1.0):
    return torch.tensor(np.round(rng.normal(size=shape) * scale, 4))


ACTIVATIONS = {
    "relu": (nn.ReLU(), "max(v, 0)"),
    "leaky_relu": (nn.LeakyReLU(0.01), "v > 0 ? v : 0.01 v"),
    "elu": (nn.ELU(), "v > 0 ? v : exp(v) - 1"),
    "gelu": (nn.GELU(), "v Phi(v), exact (erf)"),
    "silu": (nn.SiLU(), "v sigmoid(v)"),
    "tanh": (nn.Tanh(), "tanh(v)"),
    "sigmoid": (nn.Sigmoid(), "1 / (1 + exp(-v))"),
    "softplus": (nn.Softplus(beta=1, threshold=1e6), "log(1 + exp(v)), no linear cut-off"),
}


class Residual(nn.Module):
    """h = input(x); per block h = h + second(act(first(act(h)))); out = output(act(h))."""

    def __init__(self, inputs, hidden, outputs, blocks, activation):
        super().__init__()
        self.input = nn.Linear(inputs, hidden)
        self.first = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(blocks))
        self.second = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(blocks))
        self.output = nn.Linear(hidden, outputs)
        self.activation = activation

    def forward(self, x):
        act, h = self.activation, self.input(x)
        for first, second in zip(self.first, self.second):
            h = h + second(act(first(act(h))))
        return self.output(act(h))


def network(name, model, activation, sizes, text, seed):
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(rounded(rng, tuple(p.shape), 1.5 / np.sqrt(p.shape[1]) if p.dim() == 2 else 0.5))
    x = rounded(rng, (5, sizes[0]), 1.5).requires_grad_(True)
    out = model(x)
    w = rounded(rng, tuple(out.shape))
    value = torch.sum(w * out)
    value.backward()
    save(f"torch_{name}_{activation}", {
        "source": f"{TORCH}, torch.nn.Linear and torch.nn activations, gradients by automatic differentiation", "made_by": MADE_BY,
        "settings": {"sizes": sizes, "activation": activation, "activation_formula": ACTIVATIONS[activation][1], "network": text,
                     "gradient_of": "sum(w * output)"},
        "weights": dict(model.named_parameters()), "x": x, "w": w,
        "outputs": {"output": out, "weighted_sum": value.item(), "gradient_x": x.grad,
                    "gradients": {n: p.grad for n, p in model.named_parameters()}}})


def networks():
    for i, (name, (act, _)) in enumerate(ACTIVATIONS.items()):
        sizes = [4, 8, 6, 3]
        mlp = nn.Sequential()
        for k in range(3):
            mlp.add_module(f"layer{k}", nn.Linear(sizes[k], sizes[k + 1]))
            if k < 2:
                mlp.add_module(f"act{k}", act)
        network("mlp", mlp, name, sizes, "out = layer2(act(layer1(act(layer0(x)))))", 801 + i)
    for i, name in enumerate(("relu", "silu", "tanh")):
        network("residual", Residual(4, 6, 3, 2, ACTIVATIONS[name][0]), name, [4, 6, 6, 3],
                "h = input(x); per block b: h = h + second.b(act(first.b(act(h)))); out = output(act(h))", 821 + i)


def activations():
    """Each activation and its derivative on a line, far ends included."""
    v = [-700.0, -100.0, -40.0, -20.0, -10.0, -5.0, -2.0, -1.0, -0.5, -0.1, -1e-3, -1e-8, 1e-8, 1e-3, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0,
         100.0, 700.0]
    out = {}
    for name, (act, _) in ACTIVATIONS.items():
        x = torch.tensor(v, requires_grad=True)
        y = act(x)
        y.sum().backward()
        out[name] = {"value": y, "derivative": x.grad}
    save("torch_activations", {
        "source": f"{TORCH}, torch.nn activations", "made_by": MADE_BY,
        "settings": {"formulas": {k: t for k, (_, t) in ACTIVATIONS.items()},
                     "tolerance": "1e-10 absolute; PyTorch's gelu below -8 is not accurate relative to its size"},
        "weights": {}, "x": v, "outputs": out})


def optimizers():
    rng = np.random.default_rng(901)
    start = rounded(rng, 5)
    gradients = rounded(rng, (10, 5)) * torch.tensor([1.0, 0.1, 10.0, 1e-3, 1.0])
    gradients = torch.tensor(np.round(gradients.numpy(), 7))
    gradients[3, 4] = 0.0
    runs = {}
    for name, cls, options in (("adam", torch.optim.Adam, {}), ("adam_weight_decay", torch.optim.Adam, {"weight_decay": 0.1}),
                               ("adamw", torch.optim.AdamW, {"weight_decay": 0.0}),
                               ("adamw_weight_decay", torch.optim.AdamW, {"weight_decay": 0.1})):
        p = nn.Parameter(start.clone())
        opt = cls([p], lr=0.01, betas=(0.9, 0.999), eps=1e-8, foreach=False, **options)
        steps = []
        for g in gradients:
            p.grad = g.clone()
            opt.step()
            steps.append(p.detach().clone())
        state = opt.state[p]
        runs[name] = {"parameters": steps, "first_moment": state["exp_avg"], "second_moment": state["exp_avg_sq"]}
    save("torch_adam", {
        "source": f"{TORCH}, torch.optim.Adam and torch.optim.AdamW", "made_by": MADE_BY,
        "settings": {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "amsgrad": False,
                     "weight_decay": {"adam": 0.0, "adam_weight_decay": 0.1, "adamw": 0.0, "adamw_weight_decay": 0.1},
                     "formula": "m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; p -= lr * (m / (1-b1^t)) / (sqrt(v) / sqrt(1-b2^t) + eps); "
                                "Adam adds weight_decay * p to g, AdamW first does p *= 1 - lr * weight_decay"},
        "weights": {"start": start}, "gradients": gradients, "outputs": runs})


def schedules():
    def optimizer(lr):
        return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)

    losses = [5.0, 4.0, 3.9999, 3.99995, 3.99995, 4.1, 4.2, 3.5, 3.5, 3.5, 3.5, 3.4999, 3.4998, 3.6, 3.6, 3.6, 3.6, 3.6, 3.6, 3.6, 2.0, 2.1, 2.1, 2.1,
              2.1, -1.0, -1.00005, -1.00005, -1.00005, -0.9, -0.9, -0.9]
    plateau = {}
    for name, options in (("relative", {"factor": 0.5, "patience": 2, "threshold": 1e-4, "threshold_mode": "rel", "cooldown": 0, "min_lr": 0.0}),
                          ("cooldown", {"factor": 0.1, "patience": 1, "threshold": 1e-4, "threshold_mode": "rel", "cooldown": 2, "min_lr": 1e-4}),
                          ("absolute", {"factor": 0.5, "patience": 2, "threshold": 1e-3, "threshold_mode": "abs", "cooldown": 0, "min_lr": 0.001})):
        opt = optimizer(0.01)
        s = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, mode="min", eps=1e-8, **options)
        lrs = []
        for loss in losses:
            s.step(loss)
            lrs.append(opt.param_groups[0]["lr"])
        plateau[name] = {"settings": {"lr": 0.01, "mode": "min", "eps": 1e-8, **options}, "lr_after": lrs}
    cosine = {}
    for name, (lr, t_max, eta_min, n) in {"to_zero": (0.01, 20, 0.0, 20), "floor": (0.1, 15, 1e-3, 15)}.items():
        opt = optimizer(lr)
        s = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=t_max, eta_min=eta_min)
        lrs = [opt.param_groups[0]["lr"]]
        for _ in range(n):
            opt.step()
            s.step()
            lrs.append(opt.param_groups[0]["lr"])
        closed = [eta_min + (lr - eta_min) * (1 + np.cos(np.pi * t / t_max)) / 2 for t in range(n + 1)]
        assert np.allclose(lrs, closed, rtol=0, atol=1e-15)
        cosine[name] = {"settings": {"lr": lr, "T_max": t_max, "eta_min": eta_min}, "lr": lrs}
    save("torch_schedules", {
        "source": f"{TORCH}, torch.optim.lr_scheduler.ReduceLROnPlateau and CosineAnnealingLR", "made_by": MADE_BY,
        "settings": {"plateau_rule": "a value is better if < best * (1 - threshold) (rel; the sign of best is not looked at) or < best - threshold (abs); "
                                     "lr_after[i] is the rate after losses[i] was reported; lowered when the count of bad values > patience; "
                                     "during cooldown bad values are not counted; a change smaller than eps is not made",
                     "cosine_rule": "lr[t] = eta_min + (lr - eta_min) * (1 + cos(pi t / T_max)) / 2; lr[t] is the rate used by step t (t = 0 first)"},
        "weights": {}, "losses": losses, "outputs": {"plateau": plateau, "cosine": cosine}})


def clipping():
    shapes = {"a": (3, 4), "b": (5,)}
    runs = {}
    for name, max_norm in (("clipped", 1.0), ("not_clipped", 100.0)):
        rng = np.random.default_rng(902)
        params = {k: nn.Parameter(torch.zeros(s)) for k, s in shapes.items()}
        for k, p in params.items():
            p.grad = rounded(rng, shapes[k], 2.0)
        before = {k: p.grad.clone() for k, p in params.items()}
        norm = nn.utils.clip_grad_norm_(params.values(), max_norm=max_norm)
        runs[name] = {"max_norm": max_norm, "total_norm": norm.item(), "gradients": {k: p.grad for k, p in params.items()}}
    save("torch_clip_gradient_norm", {
        "source": f"{TORCH}, torch.nn.utils.clip_grad_norm_", "made_by": MADE_BY,
        "settings": {"formula": "total_norm over all gradients together (2-norm); g *= min(1, max_norm / (total_norm + 1e-6))"},
        "weights": {}, "gradients": before, "outputs": runs})


if __name__ == "__main__":
    networks()
    activations()
    optimizers()
    schedules()
    clipping()
