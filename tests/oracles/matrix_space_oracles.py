#!/usr/bin/env python3
"""Oracle numbers for maps onto matrices: TensorFlow Probability's `FillScaleTriL`, `CholeskyOuterProduct` and
`CorrelationCholesky`, in double. TFP fills triangles in an order of its own: x is taken from it by its own inverse. Writes
matrix_spaces.json.
"""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from oracle_io import save

tfb = tfp.bijectors
rng = np.random.default_rng(5)


def triangle_rows(n, below_only):
    """The places of x, row by row, in TFP's order."""
    k = n - below_only
    order = np.asarray(tfb.FillTriangular().inverse(np.arange(k * k, dtype=float).reshape(k, k) * np.tri(k))).astype(int)
    places = [i * k + j for i in range(k) for j in range(i + 1)]
    return [places.index(p) for p in order]


def case(cls, n, x, y, log_det):
    return {"class": cls, "n": n, "x": x, "y": np.asarray(y).reshape(len(x), -1), "log_det": np.asarray(log_det)}


def cases():
    for n in (1, 2, 4):
        x = np.round(rng.normal(size=(6, n * (n + 1) // 2)), 4)
        fill = tfb.FillScaleTriL(diag_bijector=tfb.Softplus(), diag_shift=None)
        their = x[:, triangle_rows(n, 0)]
        factor = fill.forward(their)
        yield case("FillScaleTriL", n, x, factor, fill.forward_log_det_jacobian(their, 1))
        outer = tfb.CholeskyOuterProduct()
        yield case("CholeskyOuterProduct", n, np.asarray(factor).reshape(len(x), -1), outer.forward(factor),
                   outer.forward_log_det_jacobian(factor, 2))
        if n > 1:
            x = np.round(1.5 * rng.normal(size=(6, n * (n - 1) // 2)), 4)
            correlation = tfb.CorrelationCholesky()
            their = x[:, triangle_rows(n, 1)]
            yield case("CorrelationCholesky", n, x, correlation.forward(their), correlation.forward_log_det_jacobian(their, 1))


if __name__ == "__main__":
    save("matrix_spaces", {
        "source": f"tensorflow_probability {tfp.__version__}, tensorflow {tf.__version__}",
        "made_by": "tests/oracles/matrix_space_oracles.py",
        "settings": {"y": "row-major", "x": "row by row"},
        "cases": list(cases())})
