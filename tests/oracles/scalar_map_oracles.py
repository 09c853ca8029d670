#!/usr/bin/env python3
"""Oracle numbers for scalar maps beyond those of elementwise_oracles.py: values from the definitions in mpmath AT THE STORED
DOUBLES, log derivatives by differentiating these numerically at 60 digits, inverses by bisection: no formula of a derivative or
an inverse stands here. Beside them, where they have the map, TensorFlow Probability, SciPy or PyTorch; the largest difference,
relative to 1 + |value|, is stored under "agreement". Writes scalar_maps.json.
"""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mpmath as mp
import numpy as np
import scipy
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from oracle_io import save

mp.mp.dps = 60
tfb = tfp.bijectors
INF = mp.mpf("1e5")
LINE = [-30.0, -8.0, -2.5, -1.0, -0.3, -1e-4, -1e-9, 1e-9, 1e-4, 0.3, 1.5, 2.5, 8.0, 30.0]
UNIT = [1e-12, 1e-4, 0.03, 0.2, 0.4999, 0.75, 0.97, 0.9999]
HALF = [1e-12, 1e-4, 0.03, 0.5, 1.25, 3.0, 40.0]


def exact(v):
    return mp.mpf(float(v))


def bounded(raw, bound):
    return bound * mp.tanh(exact(raw) / bound)


def solve(f, y, low, high):
    for _ in range(400):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < y else (low, middle)
    return (low + high) / 2


def slope(f, x):
    h = mp.mpf(10) ** -20 * min(mp.mpf(1), abs(x))
    return mp.log(abs((f(x + h) - f(x - h)) / (2 * h)))


def agreement(peer, x, y, log_slope):
    if peer is None:
        return None
    other_y, other_log = peer(np.array(x))
    worst = 0.0
    for ours, theirs in ((y, other_y), (log_slope, other_log)):
        if theirs is not None:
            ours = np.array([float(v) for v in ours])
            worst = max(worst, float(np.max(np.abs(ours - np.asarray(theirs)) / (1 + np.abs(ours)))))
    assert worst < 1e-7, worst
    return float(f"{worst:.2g}")


def case(cls, f, x, low=-INF, high=INF, constants=None, raw=None, increasing=True, peer=None):
    y = [f(exact(v)) for v in x]
    log_slope = [slope(f, exact(v)) for v in x]
    g = f if increasing else lambda v: -f(v)
    back_y = [float(v) for v in y]
    back = [solve(g, exact(v) if increasing else -exact(v), low, high) for v in back_y]
    keep = [i for i, v in enumerate(back) if low + (high - low) * mp.mpf(10) ** -25 < v < high - (high - low) * mp.mpf(10) ** -25]
    result = {
        "class": cls, "constants": constants or {}, "raw": raw or [], "x": list(x),
        "y": [float(v) for v in y], "log_derivative": [float(v) for v in log_slope],
        "inverse_y": [back_y[i] for i in keep], "inverse_x": [float(back[i]) for i in keep],
        "inverse_log_derivative": [float(-slope(f, back[i])) for i in keep],
    }
    found = agreement(peer, x, y, log_slope)
    if found is not None:
        result["agreement"] = found
    return result


def of_tfp(bijector):
    return lambda x: (bijector.forward(x), bijector.forward_log_det_jacobian(x, 0))


def phi(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def sign(x):
    return -1 if x < 0 else 1


def leaky_tanh(c):
    return lambda x: mp.tanh(x) if abs(x) <= c else sign(x) * (mp.tanh(c) + mp.sech(c) ** 2 * (abs(x) - c))


def log_tanh(c):
    return lambda x: mp.tanh(x) if abs(x) <= c else sign(x) * (mp.tanh(c) + c * mp.sech(c) ** 2 * mp.log(abs(x) / c))


def softplus(x):
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


def soft_clip(low, high, hinge):
    s = lambda v: hinge * softplus(v / hinge)
    width = high - low
    return lambda x: high - width * s(width - s(x - low)) / s(width)


def inverse_yeo_johnson(l):
    return lambda x: ((1 + l * x) ** (1 / l) - 1) if x >= 0 else 1 - (1 - (2 - l) * x) ** (1 / (2 - l))


def tails(l, m):
    def side(x, k):
        return (mp.erfc(x / mp.sqrt(2)) ** -k - 1) / k

    return lambda x: side(x, l) if x >= 0 else -side(-x, m)


def scipy_yeo_johnson(l):
    """SciPy has the way back: at its own values of x."""

    def peer(x):
        y = np.array([float(inverse_yeo_johnson(exact(l))(exact(v))) for v in x])
        back = scipy.stats.yeojohnson(y, lmbda=l)
        assert np.allclose(back, x, rtol=1e-9, atol=1e-12), (back, x)
        return y, None

    return peer


def cases():
    f64 = np.float64
    yield case("Expm1", mp.expm1, LINE, peer=of_tfp(tfb.Expm1()))
    yield case("Sinh", mp.sinh, LINE, peer=of_tfp(tfb.Sinh()))
    yield case("NormalCDF", phi, [-35.0, -12.0, *LINE[1:-2]], peer=of_tfp(tfb.NormalCDF()))
    yield case("GumbelCDF", lambda x: mp.exp(-mp.exp(-x)), [-5.0, *LINE[2:]], peer=of_tfp(tfb.GumbelCDF(f64(0), f64(1))))
    cauchy = lambda x: (scipy.stats.cauchy.cdf(x), scipy.stats.cauchy.logpdf(x))
    yield case("CauchyCDF", lambda x: mp.mpf(1) / 2 + mp.atan(x) / mp.pi, [-1e4, *LINE, 1e4], peer=cauchy)
    yield case("Elu", lambda x: x if x >= 0 else mp.expm1(x), LINE, peer=lambda x: (tf.nn.elu(x), None))
    for s in (0.01, 2.0):
        yield case("LeakyRelu", lambda x, s=exact(s): x if x > 0 else s * x, LINE, constants={"slope": s},
                   peer=lambda x, s=s: (tf.nn.leaky_relu(x, s), None))
    for c in (0.5, 3.0):
        yield case("LeakyTanh", leaky_tanh(exact(c)), LINE, constants={"bound": c})
        yield case("LogTanh", log_tanh(exact(c)), LINE, high=mp.mpf("1e9"), low=-mp.mpf("1e9"), constants={"bound": c})
    for low, high, hinge in ((0.0, 1.0, 1.0), (-2.0, 5.0, 0.25)):
        yield case("SoftClip", soft_clip(exact(low), exact(high), exact(hinge)), [v for v in LINE if abs(v) < 10],
                   low=-mp.mpf(100), high=mp.mpf(100), constants={"low": low, "high": high, "hinge": hinge},
                   peer=of_tfp(tfb.SoftClip(f64(low), f64(high), f64(hinge))))
    for p in (2.0, 0.3, -1.0, -2.5):
        yield case("Power", lambda x, p=exact(p): x**p, HALF, low=mp.mpf(0), high=mp.mpf(10) ** 6, constants={"power": p},
                   increasing=p > 0, peer=of_tfp(tfb.Power(f64(p))))
    for p in (0.5, 3.0):
        yield case("PowerTransform", lambda x, p=exact(p): (1 + p * x) ** (1 / p), [v for v in LINE if p * v > -0.99],
                   low=-1 / exact(p), constants={"power": p}, peer=of_tfp(tfb.PowerTransform(f64(p))))
    for raw in (0.0, 0.8, -1.5):
        l = 2 / (1 + mp.exp(-bounded(raw, 5)))
        yield case("YeoJohnsonTransformer", inverse_yeo_johnson(l), LINE[1:-1], raw=[raw], peer=scipy_yeo_johnson(float(l)))
        t = mp.exp(bounded(raw, 2))
        s = exact(raw / 3)
        k = 2 / mp.sinh(t * mp.asinh(2))
        yield case("SinhArcsinhTransformer", lambda x, t=t, s=s, k=k: k * mp.sinh(t * (mp.asinh(x) + s)), LINE,
                   raw=[raw / 3, raw], peer=of_tfp(tfb.SinhArcsinh(f64(s), f64(t))))
        l, m = mp.exp(bounded(raw, 3) - 2), mp.exp(bounded(raw / 2, 3) - 2)
        yield case("TwoSidedTailTransformer", tails(l, m), LINE[1:-1], low=-mp.mpf(40), high=mp.mpf(40), raw=[raw, raw / 2])
        d = 1 / (1 + mp.exp(3 - exact(raw)))
        yield case("LambertWTransformer", lambda x, d=d: x * mp.exp(d * x * x / 2), LINE, raw=[raw],
                   peer=of_tfp(tfb.LambertWTail(shift=f64(0), scale=f64(1), tailweight=f64(d))))
        a, b = mp.exp(bounded(raw, 5)), mp.exp(bounded(-raw / 2, 5))
        yield case("KumaraswamyTransformer", lambda x, a=a, b=b: 1 - (1 - x**a) ** b, UNIT, low=mp.mpf(0), high=mp.mpf(1),
                   raw=[raw, -raw / 2], peer=of_tfp(tfb.KumaraswamyCDF(f64(a), f64(b))))
        yield case("BetaStretchTransformer", lambda x, a=a: x**a / (x**a + (1 - x) ** a), UNIT, low=mp.mpf(0), high=mp.mpf(1),
                   raw=[raw])
        l = mp.exp(exact(raw / 4))
        yield case("WeibullTransformer", lambda x, l=l, k=a: -mp.expm1(-((x / l) ** k)), [v for v in HALF if v < 3],
                   low=mp.mpf(0), high=mp.mpf(10) ** 4, raw=[raw / 4, raw], peer=of_tfp(tfb.WeibullCDF(f64(l), f64(a))))


if __name__ == "__main__":
    save("scalar_maps", {
        "source": f"mpmath {mp.__version__} at {mp.mp.dps} digits; agreement with tensorflow_probability {tfp.__version__} and "
                  f"scipy {scipy.__version__}",
        "made_by": "tests/oracles/scalar_map_oracles.py",
        "settings": {"directions": "x to y; the inverse at stored doubles y", "raw": "parameters of a transformer, in their order"},
        "cases": list(cases())})
