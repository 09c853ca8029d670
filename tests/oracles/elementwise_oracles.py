"""Oracle numbers for elementwise bijectors: Exp, Log, Softplus, Sigmoid(low, high), Tanh, Shift, Scale.

The stored values are from the formulas at 60 digits (mpmath) AT THE STORED DOUBLE x or y, rounded once; TensorFlow
Probability's bijectors give the same to the differences stored under "agreement". (x_of_y and inverse_log_det are functions
of the double y: where y has been rounded next to its limit they differ from the x that it came from, as they must.)
"""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mpmath as mp
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from oracle_io import save

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
mp.mp.dps = 60
tfb = tfp.bijectors
f64 = np.float64
LINE = [-30.0, -20.0, -15.0, -10.0, -5.0, -2.0, -1.0, -0.5, -0.1, -1e-3, -1e-8, 0.0, 1e-8, 1e-3, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0]


def exact(v):
    return mp.mpf(float(v))


def softplus(x):
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


def case(name, bijector, parameters, forward, inverse, slope, x, extra_y, inside):
    """`forward`, `inverse` and log `slope` (at x) as mpmath functions; `inside` says which y belong to the codomain."""
    forward_y = [forward(exact(v)) for v in x]
    log_det = [slope(exact(v)) for v in x]
    y = sorted({float(v) for v in forward_y if inside(float(v))} | set(extra_y))
    x_of_y = [inverse(exact(v)) for v in y]
    inverse_log_det = [-slope(v) for v in x_of_y]
    for v, w in zip(x_of_y, y):
        assert abs(forward(v) - exact(w)) <= mp.mpf(10) ** -30 * (1 + abs(exact(w)))
    out = {"parameters": parameters, "x": list(x), "forward_y": [float(v) for v in forward_y], "forward_log_det": [float(v) for v in log_det],
           "y": y, "inverse_x": [float(v) for v in x_of_y], "inverse_log_det": [float(v) for v in inverse_log_det]}
    agreement = {}
    for quantity, got in (("forward_y", bijector.forward(np.array(x))), ("forward_log_det", bijector.forward_log_det_jacobian(np.array(x), 0)),
                          ("inverse_x", bijector.inverse(np.array(y))), ("inverse_log_det", bijector.inverse_log_det_jacobian(np.array(y), 0))):
        want = np.array(out[quantity])
        got = np.broadcast_to(np.asarray(got), want.shape)
        worst = float(np.max(np.abs(got - want) / np.maximum(np.abs(want), 1e-300) * (want != 0) + np.abs(got - want) * (want == 0)))
        agreement[quantity] = float(f"{worst:.2g}")
        if worst > 1e-10:
            print(f"  {name} {parameters}: {quantity} {worst:.2g}")
        assert np.allclose(got, want, rtol=1e-6, atol=1e-6)
    out["tensorflow_probability_largest_relative_difference"] = agreement
    return out


def write(name, cls, formula, cases):
    save(f"elementwise_{name}", {
        "source": f"mpmath {mp.__version__} at {mp.mp.dps} digits; agreement with tensorflow_probability {tfp.__version__}, tfp.bijectors.{cls}",
        "made_by": "tests/oracles/elementwise_oracles.py",
        "settings": {"formula": formula, "log_det": "per element (event_ndims 0), natural logarithm"}, "cases": cases})


def zero(_):
    return mp.mpf(0)


if __name__ == "__main__":
    positive = [1e-300, 1e-30, 1e-8, 1e-3, 0.1, 0.5, 1.0, 1.5, 10.0, 1e4, 1e13, 1e300]
    write("exp", "Exp", "y = exp(x)", [
        case("exp", tfb.Exp(), {}, mp.exp, mp.log, lambda x: x, LINE + [-700.0, 700.0], positive, lambda y: y > 0)])
    write("log", "Log", "y = log(x), x > 0", [
        case("log", tfb.Log(), {}, mp.log, mp.exp, lambda x: -mp.log(x), positive, LINE, lambda y: True)])
    write("softplus", "Softplus", "y = log(1 + exp(x))", [
        case("softplus", tfb.Softplus(), {}, softplus, lambda y: y + mp.log(-mp.expm1(-y)), lambda x: -softplus(-x), LINE + [-700.0, 700.0],
             [1e-300, 1e-8, 0.5, 1.0, 40.0, 1e4], lambda y: y > 0)])
    sigmoids = []
    for low, high in ((0.0, 1.0), (-2.0, 3.0), (10.0, 10.5)):
        lo, hi = exact(low), exact(high)
        x = LINE if low == 0.0 else [v for v in LINE if abs(v) <= 20.0]
        sigmoids.append(case("sigmoid", tfb.Sigmoid(f64(low), f64(high)) if low else tfb.Sigmoid(), {"low": low, "high": high},
                             lambda v: lo + (hi - lo) / (1 + mp.exp(-v)), lambda y: mp.log((y - lo) / (hi - y)),
                             lambda v: mp.log(hi - lo) - softplus(v) - softplus(-v), x, [low + (high - low) * u for u in (0.25, 0.5, 0.75)],
                             lambda y: low < y < high))
    write("sigmoid", "Sigmoid", "y = low + (high - low) / (1 + exp(-x))", sigmoids)
    write("tanh", "Tanh", "y = tanh(x)", [
        case("tanh", tfb.Tanh(), {}, mp.tanh, mp.atanh, lambda x: 2 * (mp.log(2) - x - softplus(-2 * x)), LINE, [-0.75, -0.25, 0.25, 0.75],
             lambda y: -1 < y < 1)])
    write("shift", "Shift", "y = x + shift", [
        case("shift", tfb.Shift(f64(s)), {"shift": s}, lambda x, s=s: x + exact(s), lambda y, s=s: y - exact(s), zero, LINE, [0.0, 2.0], lambda y: True)
        for s in (0.0, 1.75, -3.3)])
    write("scale", "Scale", "y = scale x", [
        case("scale", tfb.Scale(f64(s)), {"scale": s}, lambda x, s=s: x * exact(s), lambda y, s=s: y / exact(s),
             lambda x, s=s: mp.log(abs(exact(s))), LINE, [0.0, 2.0], lambda y: True)
        for s in (1.0, 0.3, -2.5, 1e-6)])
