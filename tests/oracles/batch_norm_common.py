"""What the batch_norm_*_oracles.py scripts share: inputs that float32 holds exactly, NumPy formulas to check the systems with, the writer.

A parameter (gamma, a moving mean, ...) is stored flat: row-major over the kept axes in increasing order, whatever shape the system gives it.
"""
import numpy as np

import oracle_io

oracle_io.LARGEST_FILE = 1_000_000
CASE_KEYS = {"feature", "mode", "shape", "options"}


def grid(values, limit=7.984375):
    """Rounded to multiples of 1/64 inside (-8, 8): exact in float32."""
    return np.clip(np.round(np.asarray(values, dtype=np.float64) * 64) / 64, -limit, limit)


def kept_axes(axis, rank):
    return sorted(a % rank for a in ([axis] if isinstance(axis, int) else axis))


def reduced_axes(kept, rank):
    return tuple(i for i in range(rank) if i not in kept)


def full_shape(shape, kept):
    return tuple(n if i in kept else 1 for i, n in enumerate(shape))


def count(shape, kept):
    return int(np.prod([shape[i] for i in kept]))


def spread(rng, n, low, high):
    """n distinct values between low and high, in random order, on the grid."""
    return grid(rng.permutation(np.linspace(low, high, n)) + rng.uniform(-0.05, 0.05, n))


def data(rng, shape, kept):
    """Rows whose channels have different means and scales."""
    n, full = count(shape, kept), full_shape(shape, kept)
    return grid(rng.normal(size=shape) * spread(rng, n, 0.5, 2.0).reshape(full) + spread(rng, n, -2.0, 3.0).reshape(full))


def upstream(rng, shape):
    return grid(rng.normal(size=shape))


def parameters(rng, n):
    return {"gamma": spread(rng, n, 0.5, 1.75), "beta": spread(rng, n, -1.5, 1.0), "moving_mean": spread(rng, n, -1.0, 2.0),
            "moving_variance": np.maximum(spread(rng, n, 0.375, 3.5), 0.25)}


def flat(value):
    return np.asarray(value, dtype=np.float64).reshape(-1)


def close(got, want, tolerance=1e-11, what=""):
    got, want = flat(got), flat(want)
    assert got.shape == want.shape, (what, got.shape, want.shape)
    error = np.max(np.abs(got - want) / (1 + np.abs(want))) if got.size else 0.0
    assert error <= tolerance, (what, error, got, want)


def normalize_batch(x, dy, kept, gamma, beta, epsilon, r=1.0, d=0.0, s=1.0, o=0.0):
    """y = ((x - mean) / sqrt(variance + epsilon) * r + d) * s + o, times gamma, plus beta, with the statistics of x; r, d, s, o constants."""
    axes, full = reduced_axes(kept, x.ndim), full_shape(x.shape, kept)
    gamma, beta, r, d, s, o = (np.broadcast_to(v, (count(x.shape, kept),)).reshape(full) for v in (gamma, beta, r, d, s, o))
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    deviation = np.sqrt(variance + epsilon)
    unit = (x - mean) / deviation
    before_gamma = (unit * r + d) * s + o
    dx = gamma * r * s / deviation * (dy - dy.mean(axes, keepdims=True) - unit * (dy * unit).mean(axes, keepdims=True))
    return {"y": before_gamma * gamma + beta, "dx": dx, "dgamma": (dy * before_gamma).sum(axes).reshape(-1), "dbeta": dy.sum(axes).reshape(-1),
            "mean": mean.reshape(-1), "variance": variance.reshape(-1), "m": x.size // mean.size}


def normalize_groups(x, dy, kept, gamma, beta, epsilon, size, **more):
    """Virtual batches of `size` rows: group j holds the rows i with i mod (rows / size) = j."""
    groups = x.shape[0] // size
    y, dx, parts = np.zeros_like(x), np.zeros_like(x), []
    for j in range(groups):
        part = normalize_batch(x[j::groups], dy[j::groups], kept, gamma, beta, epsilon, **more)
        y[j::groups], dx[j::groups] = part["y"], part["dx"]
        parts.append(part)
    out = {"y": y, "dx": dx}
    for key in ("dgamma", "dbeta"):
        out[key] = sum(p[key] for p in parts)
    for key in ("mean", "variance"):
        out[key] = sum(p[key] for p in parts) / groups
    return out


def normalize_stored(x, dy, kept, gamma, beta, epsilon, mean, variance):
    axes, full = reduced_axes(kept, x.ndim), full_shape(x.shape, kept)
    gamma, beta, mean, variance = (np.broadcast_to(v, (count(x.shape, kept),)).reshape(full) for v in (gamma, beta, mean, variance))
    deviation = np.sqrt(variance + epsilon)
    unit = (x - mean) / deviation
    return {"y": unit * gamma + beta, "dx": dy * gamma / deviation, "dgamma": (dy * unit).sum(axes).reshape(-1), "dbeta": dy.sum(axes).reshape(-1)}


def compact(case):
    """Arrays flat, options and names as they are; every input must be exact in float32."""
    out = dict(case)
    for key in ("state",):
        if key in out:
            out[key] = {k: flat(v) for k, v in out[key].items() if v is not None}
            for name, v in out[key].items():
                assert np.array_equal(v, v.astype(np.float32)), name
    for key in ("x", "dy"):
        if key in out:
            out[key] = [flat(v) for v in out[key]]
            for v in out[key]:
                assert np.array_equal(v, v.astype(np.float32)) and np.array_equal(v * 64, np.round(v * 64)), key
            if key == "dy":
                out[key] = out[key][0]
    if "outputs" in out:
        out["outputs"] = {k: (flat(v) if isinstance(v, np.ndarray) else v) for k, v in out["outputs"].items()}
    out["shape"] = list(out["shape"])
    assert CASE_KEYS <= set(out), out.keys()
    return oracle_io.plain(out)


def save(name, source, made_by, settings, cases, least=3):
    cases = [compact(c) for c in cases]
    cells = {}
    for c in cases:
        cells.setdefault((c["feature"], c["mode"]), []).append(tuple(c["shape"]))
    for (feature, mode), shapes in sorted(cells.items()):
        print(f"  {feature:32s} {mode:10s} {len(shapes)}  ranks {sorted(set(len(s) for s in shapes))}")
        assert mode == "refusal" or len(set(shapes)) >= least, (feature, mode, shapes)
    oracle_io.save(name, {"source": source, "made_by": made_by, "settings": settings, "cases": cases})


def refusal(feature, shape, options, call, **more):
    """The exact text of what `call` raises; it must raise."""
    try:
        call()
    except Exception as error:  # any type: it is recorded
        text = str(error)
        return {"feature": feature, "mode": "refusal", "shape": shape, "options": options, "error_type": type(error).__name__, "error": text, **more}
    raise AssertionError(f"{feature}: not refused")
