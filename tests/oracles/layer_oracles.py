#!/usr/bin/env python3
"""Oracle numbers for maps of several columns and transformers with networks: by their definitions in PyTorch, or by
other libraries (nflows' splines, zuko's RotationTransform and CircularShiftTransform,
SciPy's quadrature, discrete cosine transform and Helmert matrix, NumPy's Fourier transform, torch.matrix_exp), in double, with log|det| by automatic
differentiation of the whole map.
Writes layers.json.
"""
import numpy as np
import scipy.fft
import scipy.integrate
import scipy.linalg
import torch
from nflows.transforms.splines.linear import linear_spline
from nflows.transforms.splines.quadratic import quadratic_spline
from torch.nn.functional import elu, softplus
from zuko.transforms import CircularShiftTransform, RotationTransform

from oracle_io import save

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
rng = np.random.default_rng(23)


def numbers(*shape, scale=1.0):
    return torch.tensor(np.round(scale * rng.normal(size=shape), 4))


def case(cls, constants, tensors, f, rows, forward, keep=None):
    """f maps one row; forward: from the base to the data. keep: the columns of the result that count for log|det|."""
    out = torch.stack([f(r) for r in rows])
    jacobian = torch.stack([torch.autograd.functional.jacobian(f, r) for r in rows])
    log_det = torch.linalg.slogdet(jacobian if keep is None else jacobian[:, :keep])[1]
    return {"class": cls, "constants": constants, "tensors": {k: v.numpy() for k, v in tensors.items()}, "forward": forward,
            "in": rows.numpy(), "out": out.detach().numpy(), "log_det": log_det.detach().numpy()}


def sylvester(dim, rank):
    t = {"vectors": numbers(rank, dim), "r": numbers(rank, rank), "s": numbers(rank, rank), "raw_p": numbers(rank),
         "raw_s": numbers(rank), "b": numbers(rank)}
    q = torch.eye(dim)
    for v in t["vectors"]:
        q = q @ (torch.eye(dim) - 2 * torch.outer(v, v) / (v @ v))
    q, d = q[:, :rank], torch.exp(5 * torch.tanh(t["raw_s"] / 5))
    s = torch.triu(t["s"], 1) + torch.diag(d)
    r = torch.triu(t["r"], 1) + torch.diag((softplus(t["raw_p"]) - 1) / d)
    f = lambda x: x + q @ r @ torch.tanh(s @ q.T @ x + t["b"])
    return case("Sylvester", {"dim": dim, "rank": rank, "floor": 0.0}, t, f, numbers(5, dim, scale=2), True)


def low_rank(dim, rank, size):
    t = {"raw_diagonal": numbers(dim), "u": numbers(rank, dim, scale=size), "v": numbers(rank, dim), "bias": numbers(dim)}
    d = torch.diag(softplus(t["raw_diagonal"]) + 1e-3)
    k = 0.95 / torch.sqrt(1 + ((t["v"] @ torch.linalg.inv(d) @ t["u"].T) ** 2).sum())
    f = lambda x: (d + k * t["u"].T @ t["v"]) @ x + t["bias"]
    return case("LowRankLinear", {"dim": dim, "rank": rank}, t, f, numbers(4, dim), True)


def exponential(dim, size):
    t = {"a": numbers(dim, dim, scale=size)}
    return case("MatrixExponential", {"dim": dim}, t, lambda x: torch.matrix_exp(t["a"]) @ x, numbers(4, dim), True)


def rotation(dim, size):
    t = {"a": numbers(dim, dim, scale=size)}
    zuko = RotationTransform(t["a"])
    return case("Rotation", {"dim": dim}, t, lambda x: zuko(x), numbers(4, dim), True)


def matrix_case(cls, constants, matrix, dim):
    return case(cls, constants, {}, lambda x: torch.tensor(matrix) @ x, numbers(3, dim), True)


def fourier(n):
    """Real and imaginary parts by NumPy, packed."""
    f = np.fft.rfft(np.eye(n), axis=0, norm="ortho")
    rows = [f[0].real]
    for k in range(1, (n + 1) // 2):
        rows += [np.sqrt(2) * f[k].real, np.sqrt(2) * f[k].imag]
    return np.array(rows + ([f[n // 2].real] if n % 2 == 0 else []))


def isometric(n):
    v = torch.tensor(scipy.linalg.helmert(n + 1).T)
    return case("IsometricLogRatio", {"n": n}, {}, lambda x: torch.softmax(v @ x, 0), numbers(5, n, scale=2), True, n)


def zero_sum(n):
    r = np.sqrt(n + 1)
    f = lambda x: torch.cat([x - x.sum() / (r + n + 1), -x.sum()[None] / r])
    return case("ZeroSum", {"n": n}, {}, f, numbers(5, n, scale=3), True, n)


def unit_ball(dim):
    return case("UnitBall", {"dim": dim}, {}, lambda x: x / torch.sqrt(1 + x @ x), numbers(5, dim, scale=2), True)


def l1_ball(dim):
    def f(x):
        t = torch.tanh(x)
        return t * torch.cat([torch.ones(1), torch.cumprod(1 - t[:-1].abs(), 0)])

    return case("L1Ball", {"dim": dim}, {}, f, numbers(5, dim), True)


def partial_correlations(n):
    """torch's own map. Below the diagonal, row by row."""
    below = [i * n + j for i in range(n) for j in range(i)]
    f = lambda x: torch.distributions.transforms.CorrCholeskyTransform()(x).flatten()
    rows = numbers(5, n * (n - 1) // 2)
    jacobian = torch.stack([torch.autograd.functional.jacobian(f, r)[below] for r in rows])
    return {"class": "PartialCorrelations", "constants": {"n": n}, "tensors": {}, "forward": True, "in": rows.numpy(),
            "out": torch.stack([f(r) for r in rows]).numpy(), "log_det": torch.linalg.slogdet(jacobian)[1].numpy()}


def circular(shift):
    # zuko's has the period 2 bound around 0 and moves by the bound.
    zuko = CircularShiftTransform(bound=2.0)
    return case("CircularShift", {"low": -2.0, "high": 2.0}, {"shift": torch.full((1,), shift)},
                lambda y: zuko(y), torch.tensor([[-1.9], [-0.3], [0.2], [1.7]]), True)


def transformer_case(name, constants, tensors, raw, f, y):
    """f of single values, from the data to the base."""
    rows = torch.tensor(y)[:, None]
    tensors = {**{"transformer." + k: v for k, v in tensors.items()}, "raw": raw}
    return case(name, constants, tensors, lambda v: f(v), rows, False)


def moebius(count):
    raw, u, v = numbers(count), numbers(count), numbers(count)
    size = 0.99 / torch.sqrt(1 + u**2 + v**2)
    w, p = torch.complex(u * size, v * size), torch.softmax(raw, 0)

    def angle(theta):
        z = torch.exp(1j * theta)
        h = (1 - w.abs() ** 2) / (z - w).abs() ** 2 * (z - w) - w
        one = (1 - w.abs() ** 2) / (1 - w).abs() ** 2 * (1 - w) - w
        return torch.remainder(torch.angle(h / one), 2 * np.pi)

    f = lambda y: ((p * angle(np.pi * (y + 1))).sum() / np.pi - 1)[None]
    return transformer_case("Moebius", {"components": count, "low": -1.0, "high": 1.0}, {}, torch.cat([raw, u, v]), f,
                            [-0.95, -0.4, 0.01, 0.3, 0.9])


def projection():
    raw = numbers(2)
    a = torch.exp(5 * torch.tanh(raw[0] / 5))
    f = lambda y: 2 * torch.atan(a * torch.tan(y / 2) + raw[1])
    # theta = y + pi: tan(theta / 2 - pi / 2) is tan(y / 2).
    return transformer_case("NonCompactProjection", {}, {}, raw, f, [-3.0, -1.5, 0.0, 0.4, 2.9])


def network_tensors(signals, hidden):
    sizes = hidden + [1]
    t = {"argument": numbers(hidden[0], 1), "signals": numbers(hidden[0], signals), "bias": numbers(hidden[0])}
    for i, h in enumerate(hidden):
        t[f"layer{i + 1}.weight"], t[f"layer{i + 1}.bias"] = numbers(sizes[i + 1], h, scale=0.7), numbers(sizes[i + 1])
    return t


def umnn(signals, hidden, bins, bound):
    """The integral by SciPy's quadrature between the knots."""
    t, raw = network_tensors(signals, hidden), numbers(signals + 1)
    knots = np.linspace(-bound, bound, bins + 1)
    h = torch.tensor(knots)[:, None] * t["argument"][:, 0] + t["signals"] @ raw[:-1] + t["bias"]
    for i in range(len(hidden)):
        h = torch.tanh(h) @ t[f"layer{i + 1}.weight"].T + t[f"layer{i + 1}.bias"]
    values = torch.exp(5 * torch.tanh(h[:, 0] / 5)).numpy()
    g = lambda x: np.interp(x, knots, values)
    y = np.array([-3.5, -1.2, 0.0, 0.7, 1.9, 2.6])
    areas = []
    for end in y:
        places = sorted([0.0, end, *[k for k in knots if min(end, 0) < k < max(end, 0)]], reverse=bool(end < 0))
        areas.append(sum(scipy.integrate.quad(g, a, b, epsabs=1e-15, epsrel=1e-13)[0] for a, b in zip(places, places[1:])))
    return {"class": "Umnn", "constants": {"signals": signals, "hidden": hidden, "bins": bins, "bound": bound},
            "tensors": {**{"transformer." + k: v.numpy() for k, v in t.items()}, "raw": raw.numpy()}, "forward": False,
            "in": y[:, None], "out": np.array(areas)[:, None] + raw[-1].numpy(), "log_det": np.log(g(y))}


def monotone(signals, hidden):
    t, raw = network_tensors(signals, hidden), numbers(signals + 2)

    def f(y):
        h = softplus(t["argument"]) @ y + t["signals"] @ raw[:-2] + t["bias"]
        for i, units in enumerate(hidden):
            a = torch.cat([elu(h[: units // 2]), -elu(-h[units // 2 :])])
            h = softplus(t[f"layer{i + 1}.weight"]) @ a + t[f"layer{i + 1}.bias"]
        return torch.exp(5 * torch.tanh(raw[-2] / 5)) * y + h + raw[-1]

    c = transformer_case("MonotoneNetwork", {"signals": signals, "hidden": hidden}, {}, raw, f, [-4.0, -0.5, 0.3, 2.0])
    c["tensors"].update({"transformer.transformer." + k: v.numpy() for k, v in t.items()})
    return c


def blocks(dim, layers, block, line, context):
    t = {}
    for l in range(layers + 1):
        m, n = (1 if l == 0 else block), (1 if l == layers else block)
        t[f"layer{l}.diagonal"], t[f"layer{l}.lower"] = numbers(dim * n, m), numbers(dim * n, dim * m)
        t[f"layer{l}.bias"] = numbers(dim * n)
    if line:
        t["gate"] = numbers(dim)
    c = numbers(context)
    if context:
        t["context.weight"], t["context.bias"] = numbers(dim * block, context), numbers(dim * block)

    def f(y):
        a = y
        for l in range(layers + 1):
            m, n = (1 if l == 0 else block), (1 if l == layers else block)
            w = torch.kron(torch.tril(torch.ones(dim, dim), -1), torch.ones(n, m)) * t[f"layer{l}.lower"]
            h = w @ a + torch.block_diag(*torch.exp(t[f"layer{l}.diagonal"]).reshape(dim, n, m)) @ a + t[f"layer{l}.bias"]
            if l == 0 and context:
                h = h + t["context.weight"] @ c + t["context.bias"]
            a = torch.tanh(h) + 0.01 * h
        return h + torch.exp(5 * torch.tanh(t["gate"] / 5)) * y if line else h

    result = case("BlockAutoregressive", {"dim": dim, "layers": layers, "block": block, "line": line, "context": c.numpy()}, t, f,
                  numbers(4, dim), False)
    return result


def lines(bins):
    raw = numbers(bins)
    f = lambda y: linear_spline(y, raw[None, :], left=0.0, right=1.0, bottom=0.0, top=1.0)[0]
    return transformer_case("PolynomialSpline", {"degree": 1, "bins": bins}, {}, raw, f, [0.03, 0.31, 0.5, 0.77, 0.98])


def parabolas(bins):
    widths, heights = numbers(bins), numbers(bins + 1)
    f = lambda y: quadratic_spline(y, widths[None, :], heights[None, :])[0]
    return transformer_case("PolynomialSpline", {"degree": 2, "bins": bins}, {}, torch.cat([widths, heights]), f,
                            [0.03, 0.31, 0.5, 0.77, 0.98])


def cases():
    yield sylvester(4, 2)
    yield sylvester(3, 3)
    yield low_rank(5, 2, 1.0)
    yield low_rank(3, 3, 40.0)
    yield exponential(4, 1.0)
    yield exponential(3, 4.0)
    yield rotation(4, 2.0)
    yield matrix_case("DiscreteTransform", {"dim": 6, "basis": "cosine"}, scipy.fft.dct(np.eye(6), axis=0, norm="ortho"), 6)
    yield matrix_case("DiscreteTransform", {"dim": 6, "basis": "fourier"}, fourier(6), 6)
    yield matrix_case("DiscreteTransform", {"dim": 5, "basis": "fourier"}, fourier(5), 5)
    yield isometric(4)
    yield circular(2.0)
    yield moebius(1)
    yield moebius(4)
    yield projection()
    yield umnn(3, [6, 5], 8, 2.0)
    yield monotone(2, [5, 4])
    yield monotone(1, [3])
    yield blocks(3, 2, 3, True, 0)
    yield blocks(2, 1, 4, False, 2)
    yield lines(5)
    yield parabolas(6)
    yield zero_sum(3)
    yield unit_ball(3)
    yield l1_ball(4)
    yield partial_correlations(4)


if __name__ == "__main__":
    save("layers", {"source": "PyTorch " + torch.__version__ + ", zuko 1.6.0, nflows 0.14, SciPy " + scipy.__version__,
                    "made_by": "layer_oracles.py", "settings": "float64", "cases": list(cases())})
