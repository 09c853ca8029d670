#!/usr/bin/env python3
"""Maps onto simplex, sphere and ordered vectors, and categorical masses: the definitions in mpmath, with log|det| from a
numerical Jacobian at 60 digits in the measure that the library documents, beside torch (its own transform where it has
one, else its automatic differentiation of the definition). Writes surface_*.json and distribution_categorical.json.
"""
import math

import mpmath as mp
import torch
from torch.distributions import Categorical
from torch.distributions.transforms import StickBreakingTransform

from oracle_io import save

mp.mp.dps = 60
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def exact(row):
    return [mp.mpf(float(v)) for v in row]


def stick_breaking(x):
    n, rest, y = len(x), mp.mpf(1), []
    for k, v in enumerate(x):
        z = 1 / (1 + mp.exp(-(v - mp.log(n - k))))
        y.append(rest * z)
        rest *= 1 - z
    return y + [rest]


def softmax_centered(x):
    e = [mp.exp(v) for v in x] + [mp.mpf(1)]
    return [v / sum(e) for v in e]


def unit_vector(x):
    s = sum(v * v for v in x)
    return [2 * v / (s + 1) for v in x] + [(s - 1) / (s + 1)]


def ascending(x):
    y = [x[0]]
    for v in x[1:]:
        y.append(y[-1] + mp.exp(v))
    return y


def jacobian(f, x):
    """Central differences: 60 digits leave 1e-38 of them."""
    columns = []
    for k in range(len(x)):
        h = mp.mpf(10) ** -19 * (1 + abs(x[k]))
        up, down = f(x[:k] + [x[k] + h] + x[k + 1 :]), f(x[:k] + [x[k] - h] + x[k + 1 :])
        columns.append([(a - b) / (2 * h) for a, b in zip(up, down)])
    return mp.matrix(columns).T


def log_det(f, x, measure):
    j = jacobian(f, x)
    if measure == "first columns":
        return mp.log(abs(mp.det(j[: len(x), :])))
    if measure == "surface":
        return mp.log(mp.det(j.T * j)) / 2
    return mp.log(abs(mp.det(j)))


def torch_numbers(name, x):
    """Forward values and log|det| as torch has them."""
    if name == "stick_breaking":
        transform = StickBreakingTransform()
        y = transform(x)
        return y, transform.log_abs_det_jacobian(x, y)
    if name == "softmax_centered":
        f = lambda v: torch.softmax(torch.cat([v, torch.zeros(1)]), 0)
    elif name == "ascending":
        f = lambda v: torch.cumsum(torch.cat([v[:1], torch.exp(v[1:])]), 0)
    else:
        f = lambda v: torch.cat([2 * v, ((v * v).sum() - 1).reshape(1)]) / ((v * v).sum() + 1)
    values, logs = [], []
    for row in x:
        j = torch.autograd.functional.jacobian(f, row)
        values.append(f(row))
        logs.append(torch.linalg.slogdet(j[:-1])[1] if name == "softmax_centered" else torch.linalg.slogdet(j.T @ j)[1] / 2)
    return torch.stack(values), torch.stack(logs)


def rows(n, extremes):
    table = [[round(1.3 * math.sin(1.7 * i + 2.3 * k + 0.4 * i * k), 4) for k in range(n)] for i in range(8)]
    return table + [[0.0] * n] + [row[:n] for row in extremes]


def write(name, f, measure, formula, cases, inverse=None):
    stored, worst = [], 0.0
    for x in cases:
        points = [exact(row) for row in x]
        y = [f(p) for p in points]
        logs = [log_det(f, p, measure) for p in points]
        # The rows y are rounded; what they came from is what they lead to, but for differences of neighbours.
        y_doubles = [[float(v) for v in row] for row in y]
        back = [inverse(exact(row)) for row in y_doubles] if inverse else points
        back_logs = [-log_det(f, p, measure) for p in back]
        stored.append({"x": x, "forward_y": y_doubles, "forward_log_det": [float(v) for v in logs],
                       "inverse_x": [[float(v) for v in row] for row in back], "inverse_log_det": [float(v) for v in back_logs]})
        theirs, their_logs = torch_numbers(name, torch.tensor([row for row in x[:9]]))
        worst = max(worst, (theirs - torch.tensor(y_doubles[:9])).abs().max().item(),
                    (their_logs - torch.tensor([float(v) for v in logs[:9]])).abs().max().item())
    assert worst < 1e-12, (name, worst)
    save(f"surface_{name}", {
        "source": f"mpmath {mp.__version__} at {mp.mp.dps} digits; agreement with torch {torch.__version__.split('+')[0]}",
        "made_by": "tests/oracles/surface_oracles.py",
        "settings": {"formula": formula, "measure": measure}, "torch_largest_difference": float(f"{worst:.2g}"), "cases": stored})


if __name__ == "__main__":
    far = [[30, -30, 5, 0.5], [-30, -30, -30, -30], [30, 30, 30, 30], [-12.5, 25, 0.25, -3]]
    simplex = [rows(n, far) for n in (1, 2, 4)]
    write("stick_breaking", stick_breaking, "first columns", "z_k = 1 / (1 + exp(-(x_k - log(n + 1 - k)))), y_k = z_k prod_(j < k) (1 - z_j)", simplex)
    write("softmax_centered", softmax_centered, "first columns", "softmax of [x, 0]", simplex)
    write("unit_vector", unit_vector, "surface", "[2 x, s - 1] / (s + 1), s = x.x",
          [rows(n, [[30, -30, 5, 0.5], [1e-8, 1e-8, 0, 0], [1e4, -2e4, 5, 1], [0.6, 0.8, 0, 0]]) for n in (1, 2, 4)])
    write("ascending", ascending, "all columns", "y_1 = x_1, y_k = y_(k-1) + exp(x_k)",
          [rows(n, [[-20, 3, -8, 5, 1], [100, -10, 2, 2, -3], [0, 20, 20, -5, 0]]) for n in (1, 3, 5)],
          lambda y: [y[0]] + [mp.log(b - a) for a, b in zip(y, y[1:])])

    logits = [[0.5, -1.25, 2.0, 0.0], [-3.0, 4.5, 0.75, -40.0]]
    y = [[i % 4, (i // 4) % 4] for i in range(16)]
    total = [mp.log(sum(mp.exp(mp.mpf(v)) for v in row)) for row in logits]
    log_p = [[mp.mpf(v) - t for v in row] for row, t in zip(logits, total)]
    log_prob = [sum(log_p[c][k] for c, k in enumerate(row)) for row in y]
    p = [[mp.exp(v) for v in row] for row in log_p]
    mean = [sum(k * v for k, v in enumerate(row)) for row in p]
    theirs = Categorical(logits=torch.tensor(logits))
    assert (theirs.log_prob(torch.tensor(y)).sum(1) - torch.tensor([float(v) for v in log_prob])).abs().max() < 1e-12
    entropy = -sum(a * b for r, s in zip(p, log_p) for a, b in zip(r, s))
    assert abs(theirs.entropy().sum().item() - float(entropy)) < 1e-12
    save("distribution_categorical", {
        "source": f"mpmath {mp.__version__} at {mp.mp.dps} digits; agreement with torch {torch.__version__.split('+')[0]}, torch.distributions.Categorical",
        "made_by": "tests/oracles/surface_oracles.py", "settings": {"formula": "sum over columns of log softmax(logits)[y]"},
        "logits": logits, "y": y, "log_prob": [float(v) for v in log_prob], "mean": [float(v) for v in mean],
        "variance": [float(sum((k - m) ** 2 * v for k, v in enumerate(row))) for row, m in zip(p, mean)],
        "entropy": float(entropy), "cdf": [[float(sum(row[: k + 1])) for k in range(4)] for row in p],
        "log_survival": [[float(mp.log(sum(row[k + 1 :]))) for k in range(3)] for row in p]})
