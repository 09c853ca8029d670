"""Oracle numbers for the elementwise distributions.

The stored values are from the textbook formulas at 60 digits (mpmath), rounded once to double: double-precision libraries are
themselves not good to 1e-10 in the far tails. Every value is also computed by scipy.stats and by TensorFlow Probability, and
the largest relative difference of each quantity is stored under "agreement", so that the formulas are checked by two
implementations that are not ours. TensorFlow Probability runs on TensorFlow: the JAX substrate of 0.25.0 does not import
with current JAX.
"""
import warnings

# First, for it says how many threads TensorFlow has.
from distribution_families import HALF, Beta, Cauchy, Gamma, Laplace, Logistic, Normal, StudentT, Uniform, tfd

import mpmath as mp
import numpy as np
import scipy
import tensorflow_probability as tfp

from oracle_io import save

warnings.filterwarnings("ignore")
SOURCE = f"mpmath {mp.__version__} at {mp.mp.dps} digits; agreement with scipy {scipy.__version__} and tensorflow_probability {tfp.__version__}"
PROBABILITIES = [1e-12, 1e-6, 0.01, 0.3, 0.5, 0.9, 1 - 1e-9]


def to_double(value):
    return None if value is None else float(value)


SCIPY = {"log_prob": "logpdf", "cdf": "cdf", "survival": "sf", "log_cdf": "logcdf", "log_survival": "logsf"}
TFP = {"log_prob": "log_prob", "cdf": "cdf", "survival": "survival_function", "log_cdf": "log_cdf", "log_survival": "log_survival_function"}


def relative(a, b):
    """Largest |a - b| / |b| (|a| itself where b = 0), and how often the other library has no finite number."""
    worst, refused = 0.0, 0
    for u, v in zip(np.atleast_1d(np.asarray(a, dtype=float)), np.atleast_1d(np.asarray(b, dtype=float))):
        if u == v:
            continue
        if not np.isfinite(u) or not np.isfinite(v):
            refused += 1
            continue
        worst = max(worst, abs(u - v) / max(abs(v), 1e-300) if v != 0 else abs(u))
    return worst, refused


def family(cls, cases, pairs, outside=()):
    """cases: (parameters, points); pairs: parameters of p and q for the divergence."""
    agreement = {"scipy": {}, "tensorflow_probability": {}}

    def note(library, quantity, got, want):
        worst, refused = relative(got, want)
        old = agreement[library].get(quantity, {"largest_relative_difference": 0.0, "not_finite_there": 0})
        agreement[library][quantity] = {"largest_relative_difference": float(f"{max(worst, old['largest_relative_difference']):.2g}"),
                                        "not_finite_there": old["not_finite_there"] + refused}

    stored = []
    for parameters, points in cases:
        d = cls(**parameters)
        out = {"parameters": parameters, "points": points}
        exact = [mp.mpf(x) for x in points]
        out["log_prob"] = [float(d.logpdf(x)) for x in exact]
        cdf, survival = [d.cdf(x) for x in exact], [d.survival(x) for x in exact]
        for c, s in zip(cdf, survival):
            assert abs(c + s - 1) < mp.mpf(10) ** -40
        out["cdf"], out["survival"] = [float(v) for v in cdf], [float(v) for v in survival]
        out["log_cdf"] = [float(mp.log1p(-s) if s < HALF else mp.log(c)) for c, s in zip(cdf, survival)]
        out["log_survival"] = [float(mp.log1p(-c) if c < HALF else mp.log(s)) for c, s in zip(cdf, survival)]
        quantiles, complements = [], []
        for p in PROBABILITIES:
            p = mp.mpf(p)
            x, y = d.quantile(p, 1 - p), d.quantile(1 - p, p)
            for v, target, f in ((x, p, d.cdf), (y, p, d.survival)):
                assert abs(f(v) / target - 1) < mp.mpf(10) ** -35, (cls.name, parameters, target)
            quantiles.append(float(x))
            complements.append(float(y))
        out["quantile"], out["quantile_complement"] = quantiles, complements
        moments = d.moments()
        moments["stddev"] = None if moments["variance"] is None else mp.sqrt(moments["variance"])
        out.update({k: to_double(v) for k, v in moments.items()})
        if outside:
            out["outside"] = {"points": list(outside), "log_prob": [-np.inf] * len(outside),
                              "cdf": [0.0 if x < d.support[0] else 1.0 for x in outside], "survival": [1.0 if x < d.support[0] else 0.0 for x in outside]}
        stored.append(out)

        s, t = d.scipy(), d.tfp()
        for quantity in SCIPY:
            note("scipy", quantity, getattr(s, SCIPY[quantity])(np.array(points)), out[quantity])
            try:
                note("tensorflow_probability", quantity, getattr(t, TFP[quantity])(np.array(points)).numpy(), out[quantity])
            except NotImplementedError:
                agreement["tensorflow_probability"][quantity] = "not implemented"
        note("scipy", "quantile", s.ppf(PROBABILITIES), quantiles)
        note("scipy", "quantile_complement", s.isf(PROBABILITIES), complements)
        try:
            note("tensorflow_probability", "quantile", t.quantile(np.array(PROBABILITIES)).numpy(), quantiles)
        except NotImplementedError:
            agreement["tensorflow_probability"]["quantile"] = "not implemented"
        for quantity, call in (("mean", s.mean), ("variance", s.var), ("stddev", s.std), ("entropy", s.entropy)):
            if out[quantity] is not None:
                note("scipy", quantity, call(), out[quantity])
        for quantity in ("mean", "variance", "stddev", "mode", "entropy"):
            try:
                if out[quantity] is not None:
                    note("tensorflow_probability", quantity, getattr(t, quantity)().numpy(), out[quantity])
            except NotImplementedError:
                agreement["tensorflow_probability"][quantity] = "not implemented"

    divergences = []
    for p, q in pairs:
        a, b = cls(**p), cls(**q)
        # The integral of the definition: the check of the closed form, or the value itself where there is none.
        if cls is Uniform:
            number = a.kl(b)
        else:
            mp.mp.dps = 30
            cuts = [a.support[0]] + [a.quantile(v, 1 - v) for v in map(mp.mpf, ("1e-9", "1e-3", "0.1", "0.5", "0.9", "0.999"))] + [a.support[1]]
            cuts = sorted(set(cuts + ([b.loc] if hasattr(b, "loc") else [])))
            number = mp.quad(lambda x: mp.exp(a.logpdf(x)) * (a.logpdf(x) - b.logpdf(x)), cuts)
            mp.mp.dps = 60
        value = a.kl(b) if cls.kl_closed_form else number
        if mp.isfinite(value):
            assert abs(number / value - 1) < mp.mpf(10) ** -12, (cls.name, p, q, number, value)
        divergences.append({"p": p, "q": q, "kl_divergence": float(value)})
        try:
            note("tensorflow_probability", "kl_divergence", tfd.kl_divergence(a.tfp(), b.tfp()).numpy(), float(value))
        except NotImplementedError:
            agreement["tensorflow_probability"]["kl_divergence"] = "not implemented"

    for library, table in agreement.items():
        for quantity, v in table.items():
            if isinstance(v, dict) and (v["largest_relative_difference"] > 1e-10 or v["not_finite_there"]):
                print(f"  {cls.name}: {library} {quantity} {v}")
    save(f"distribution_{cls.name}", {
        "source": SOURCE, "made_by": "tests/oracles/distribution_oracles.py",
        "settings": {"probabilities": PROBABILITIES, "quantile": "x with cdf(x) = p, p the exact double", "quantile_complement": "x with survival(x) = p",
                     "null": "undefined", "kl_closed_form": cls.kl_closed_form,
                     "kl_note": "closed form, checked by integration" if cls.kl_closed_form else "no closed form: numerical integral, good to 12 digits"},
        "cases": stored, "kl": divergences, "agreement": agreement})


def located(cls, extra=({},), points=None, pair_extra=({}, {})):
    cases = []
    z = points
    for e in extra:
        for loc, scale in ((0.0, 1.0), (-1.5, 0.25), (3.0, 7.5)):
            cases.append(({**e, "loc": loc, "scale": scale}, [loc + scale * v for v in z]))
    a, b = pair_extra
    pairs = [({**a, "loc": 0.0, "scale": 1.0}, {**b, "loc": 0.7, "scale": 1.8}), ({**b, "loc": -2.0, "scale": 0.5}, {**a, "loc": 1.0, "scale": 3.0}),
             ({**a, "loc": 1.0, "scale": 2.5}, {**b, "loc": 0.5, "scale": 0.75})]
    family(cls, cases, pairs)


if __name__ == "__main__":
    located(Normal, points=[-38.0, -30.0, -10.0, -6.0, -3.0, -1.0, -0.1, 0.0, 0.5, 1.0, 2.0, 5.0, 8.0, 12.0, 37.0])
    located(Logistic, points=[-700.0, -100.0, -40.0, -10.0, -3.0, -1.0, -0.1, 0.0, 0.5, 2.0, 8.0, 36.0, 50.0, 100.0, 700.0])
    located(Laplace, points=[-700.0, -100.0, -40.0, -10.0, -3.0, -1.0, -0.125, 0.0, 0.5, 2.0, 8.0, 36.0, 50.0, 100.0, 700.0])
    located(Cauchy, points=[-1e150, -1e16, -1e8, -1e3, -10.0, -1.0, -0.125, 0.0, 0.5, 2.0, 30.0, 1e4, 1e10, 1e20, 1e150])
    located(StudentT, extra=({"df": 1.5}, {"df": 3.0}, {"df": 12.5}, {"df": 200.0}),
            points=[-1e8, -1e3, -40.0, -10.0, -3.0, -1.0, -0.125, 0.0, 0.5, 2.0, 6.0, 20.0, 1e4, 1e10], pair_extra=({"df": 3.0}, {"df": 7.0}))
    family(Uniform, [({"low": lo, "high": hi}, [lo + (hi - lo) * v for v in (1e-12, 1e-6, 0.01, 0.25, 0.5, 0.75, 0.999, 1 - 1e-9)])
                     for lo, hi in ((0.0, 1.0), (-2.0, 3.0), (10.0, 10.5))],
           [({"low": 0.0, "high": 1.0}, {"low": -1.0, "high": 3.0}), ({"low": 0.0, "high": 2.0}, {"low": 0.0, "high": 2.5}),
            ({"low": 0.0, "high": 2.0}, {"low": 1.0, "high": 2.5})], outside=(-5.0, 20.0))
    gammas = ((0.3, 1.0), (1.0, 2.0), (2.5, 0.5), (7.0, 3.0), (150.0, 10.0))
    family(Gamma, [({"concentration": a, "rate": b}, [v / b for v in (1e-30, 1e-8, 1e-3, 0.1, 0.5, 1.0, 2.0, a, 5.0, 10.0, 30.0, 100.0, 400.0)])
                   for a, b in gammas],
           [({"concentration": 2.5, "rate": 0.5}, {"concentration": 1.5, "rate": 1.0}), ({"concentration": 1.0, "rate": 2.0}, {"concentration": 3.0, "rate": 2.5}),
            ({"concentration": 7.0, "rate": 3.0}, {"concentration": 6.0, "rate": 2.0})], outside=(-1.0, -1e-300))
    betas = ((0.5, 0.5), (0.3, 2.0), (1.0, 1.0), (2.0, 3.0), (5.0, 0.8), (40.0, 60.0))
    family(Beta, [({"concentration1": a, "concentration0": b}, [1e-30, 1e-10, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.625, 0.9, 0.99, 0.9999, 1 - 1e-9, 1 - 2.0 ** -50])
                  for a, b in betas],
           [({"concentration1": 2.0, "concentration0": 3.0}, {"concentration1": 1.5, "concentration0": 1.25}),
            ({"concentration1": 5.0, "concentration0": 4.0}, {"concentration1": 2.0, "concentration0": 6.0})], outside=(-0.5, 1.5))
