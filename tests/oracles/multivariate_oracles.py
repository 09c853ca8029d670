"""Oracle numbers for multivariate normal, multivariate Student t and mixtures.

The stored values are from the textbook formulas at 60 digits (mpmath), rounded once to double; scipy.stats and TensorFlow
Probability give the same to rounding, which is checked here (1e-10) and stored under "agreement".
"""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import warnings

import mpmath as mp
import numpy as np
import scipy
import scipy.stats as st
import tensorflow as tf
import tensorflow_probability as tfp

from oracle_io import save

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
warnings.filterwarnings("ignore")
mp.mp.dps = 60
tfd = tfp.distributions
SOURCE = f"mpmath {mp.__version__} at {mp.mp.dps} digits; agreement with scipy {scipy.__version__} and tensorflow_probability {tfp.__version__}"
MADE_BY = "tests/oracles/multivariate_oracles.py"
TAU = 2 * mp.pi


def rounded(rng, shape, scale=1.0):
    return np.round(rng.normal(size=shape) * scale, 4)


def lower_triangle(rng, d):
    m = np.tril(rounded(rng, (d, d), 0.7), -1)
    return m + np.diag(np.round(np.exp(rng.normal(size=d) * 0.4), 4))


def points(rng, loc, spread):
    """7 rows: ordinary ones, the location, and two far away."""
    y = np.round(np.asarray(loc) + rng.normal(size=(7, len(loc))) * spread, 4)
    y[4] = loc
    y[5] = np.round(np.asarray(loc) + 30 * spread, 4)
    y[6] = np.round(np.asarray(loc) - 1000 * spread * (1 + np.arange(len(loc))), 4)
    return y




def difference(y, loc):
    return [mp.mpf(float(a)) - mp.mpf(float(b)) for a, b in zip(y, loc)]


def solve_exact(lower, v):
    z = []
    for i, row in enumerate(lower):
        z.append((v[i] - mp.fsum(mp.mpf(float(row[j])) * z[j] for j in range(i))) / mp.mpf(float(row[i])))
    return z


def log_diag(lower):
    return mp.fsum(mp.log(mp.mpf(float(lower[i][i]))) for i in range(len(lower)))


def normal_log_prob(y, loc, lower):
    z = solve_exact(lower, difference(y, loc))
    return -mp.fsum(v * v for v in z) / 2 - len(loc) * mp.log(TAU) / 2 - log_diag(lower)


def student_log_prob(y, df, loc, lower):
    z, d, v = solve_exact(lower, difference(y, loc)), len(loc), mp.mpf(df)
    return (mp.loggamma((v + d) / 2) - mp.loggamma(v / 2) - d * mp.log(v * mp.pi) / 2 - log_diag(lower)
            - (v + d) / 2 * mp.log1p(mp.fsum(t * t for t in z) / v))


def exact_matrix(m):
    return mp.matrix([[mp.mpf(float(v)) for v in row] for row in m])


def product(lower):
    """L L^T, rounded once."""
    m = exact_matrix(lower)
    return [[float(v) for v in row] for row in (m * m.T).tolist()]


def normal_kl(p_loc, p_lower, q_loc, q_lower):
    z = solve_exact(q_lower, [-v for v in difference(p_loc, q_loc)])
    p = exact_matrix(p_lower)
    trace = mp.mpf(0)
    for j in range(len(p_loc)):
        column = [p[i, j] for i in range(len(p_loc))]
        trace += mp.fsum(t * t for t in solve_exact(q_lower, column))
    return log_diag(q_lower) - log_diag(p_lower) + (trace + mp.fsum(t * t for t in z) - len(p_loc)) / 2


class Agreement:
    def __init__(self):
        self.table = {"scipy": {}, "tensorflow_probability": {}}

    def check(self, library, quantity, got, want):
        got, want = np.asarray(got, dtype=float), np.asarray(want, dtype=float)
        worst = float(np.max(np.abs(got - want) / np.maximum(np.abs(want), 1e-3)))
        assert worst < 1e-10, (library, quantity, worst)
        self.table[library][quantity] = max(float(f"{worst:.2g}"), self.table[library].get(quantity, 0.0))


def normal_diag_and_tril():
    for diagonal in (True, False):
        rng = np.random.default_rng(601 if diagonal else 602)
        agreement, cases, models = Agreement(), [], []
        for d in (1, 3, 5):
            loc = rounded(rng, d, 2.0)
            lower = np.diag(np.diag(lower_triangle(rng, d))) if diagonal else lower_triangle(rng, d)
            spread = np.diag(lower)
            y = points(rng, loc, spread)
            log_prob = [float(normal_log_prob(row, loc, lower)) for row in y]
            covariance = product(lower)
            variance = [covariance[i][i] for i in range(d)]
            entropy = float(mp.mpf(d) / 2 * (1 + mp.log(TAU)) + log_diag(lower))
            t = (tfd.MultivariateNormalDiag(loc, np.diag(lower)) if diagonal else tfd.MultivariateNormalTriL(loc, lower))
            s = st.multivariate_normal(loc, covariance)
            stddev = [float(mp.sqrt(mp.fsum(mp.mpf(float(v)) ** 2 for v in row))) for row in lower]
            for quantity, want, a, b in (("log_prob", log_prob, np.atleast_1d(s.logpdf(y)), t.log_prob(y)), ("entropy", entropy, s.entropy(), t.entropy()),
                                         ("covariance", covariance, None, t.covariance()), ("variance", variance, None, t.variance()),
                                         ("stddev", stddev, None, t.stddev()), ("mean", loc, None, t.mean()), ("mode", loc, None, t.mode())):
                if a is not None:
                    agreement.check("scipy", quantity, a, want)
                agreement.check("tensorflow_probability", quantity, b, want)
            parameters = {"loc": loc, "scale_diag": np.diag(lower)} if diagonal else {"loc": loc, "scale_tril": lower}
            cases.append({"parameters": parameters, "points": y, "log_prob": log_prob, "mean": loc, "mode": loc, "covariance": covariance,
                          "variance": variance, "stddev": stddev, "entropy": entropy})
            models.append((d, loc, lower, t, parameters))
        kl = []
        for d in (3, 5):
            _, loc, lower, t, parameters = next(m for m in models if m[0] == d)
            other_loc = rounded(rng, d, 1.5)
            other = np.diag(np.diag(lower_triangle(rng, d))) if diagonal else lower_triangle(rng, d)
            u = (tfd.MultivariateNormalDiag(other_loc, np.diag(other)) if diagonal else tfd.MultivariateNormalTriL(other_loc, other))
            other_parameters = {"loc": other_loc, ("scale_diag" if diagonal else "scale_tril"): np.diag(other) if diagonal else other}
            for a, b, pa, pb, value in ((t, u, parameters, other_parameters, normal_kl(loc, lower, other_loc, other)),
                                        (u, t, other_parameters, parameters, normal_kl(other_loc, other, loc, lower))):
                agreement.check("tensorflow_probability", "kl_divergence", tfd.kl_divergence(a, b), float(value))
                kl.append({"p": pa, "q": pb, "kl_divergence": float(value)})
        name = "multivariate_normal_" + ("diag" if diagonal else "tril")
        save(f"distribution_{name}", {"source": SOURCE, "made_by": MADE_BY,
                                      "settings": {"formula": "loc + scale z, z standard normal; scale_tril lower triangular, covariance = scale scale^T"},
                                      "cases": cases, "kl": kl, "agreement": agreement.table})


def student():
    rng = np.random.default_rng(603)
    agreement, cases = Agreement(), []
    for d, df in ((1, 3.0), (3, 1.5), (4, 5.0), (5, 60.0)):
        loc, lower = rounded(rng, d, 2.0), lower_triangle(rng, d)
        y = points(rng, loc, np.diag(lower))
        v = mp.mpf(df)
        log_prob = [float(student_log_prob(row, df, loc, lower)) for row in y]
        shape = product(lower)
        m = exact_matrix(lower)
        covariance = [[float(c * v / (v - 2)) for c in row] for row in (m * m.T).tolist()] if df > 2 else None
        variance = [covariance[i][i] for i in range(d)] if df > 2 else None
        stddev = [float(mp.sqrt((m * m.T)[i, i] * v / (v - 2))) for i in range(d)] if df > 2 else None
        entropy = float(mp.loggamma(v / 2) - mp.loggamma((v + d) / 2) + d * mp.log(v * mp.pi) / 2 + log_diag(lower)
                        + (v + d) / 2 * (mp.digamma((v + d) / 2) - mp.digamma(v / 2)))
        t = tfd.MultivariateStudentTLinearOperator(np.float64(df), loc, tf.linalg.LinearOperatorLowerTriangular(lower))
        s = st.multivariate_t(loc, shape, df=df)
        agreement.check("scipy", "log_prob", np.atleast_1d(s.logpdf(y)), log_prob)
        agreement.check("tensorflow_probability", "log_prob", t.log_prob(y), log_prob)
        agreement.check("scipy", "entropy", s.entropy(), entropy)
        agreement.check("tensorflow_probability", "entropy", t.entropy(), entropy)
        agreement.check("tensorflow_probability", "mean", t.mean(), loc)
        if df > 2:
            agreement.check("tensorflow_probability", "covariance", t.covariance(), covariance)
            agreement.check("tensorflow_probability", "stddev", t.stddev(), stddev)
        cases.append({"parameters": {"df": df, "loc": loc, "scale_tril": lower}, "points": y, "log_prob": log_prob, "mean": loc, "mode": loc,
                      "covariance": covariance, "variance": variance, "stddev": stddev, "entropy": entropy})
    save("distribution_multivariate_student_t", {
        "source": SOURCE, "made_by": MADE_BY,
        "settings": {"formula": "loc + scale_tril z sqrt(df / chi2(df)); covariance = scale scale^T df / (df - 2)",
                     "null": "df <= 2: not every second moment is finite"},
        "cases": cases, "agreement": agreement.table})


def mixtures():
    rng = np.random.default_rng(604)
    agreement, cases = Agreement(), []
    for name, count, d in (("diag", 3, 4), ("tril", 2, 3), ("diag", 3, 1)):
        probabilities = [0.125, 0.625, 0.25] if count == 3 else [0.375, 0.625]
        locs = [rounded(rng, d, 2.5) for _ in range(count)]
        lowers = [lower_triangle(rng, d) for _ in range(count)]
        if name == "diag":
            lowers = [np.diag(np.diag(m)) for m in lowers]
            components = tfd.MultivariateNormalDiag(np.stack(locs), np.stack([np.diag(m) for m in lowers]))
        else:
            components = tfd.MultivariateNormalTriL(np.stack(locs), np.stack(lowers))
        t = tfd.MixtureSameFamily(tfd.Categorical(probs=np.array(probabilities)), components)
        y = points(rng, locs[0], np.ones(d))
        component_log_prob = [[normal_log_prob(row, loc, m) for loc, m in zip(locs, lowers)] for row in y]
        log_prob = [float(mp.log(mp.fsum(mp.mpf(p) * mp.exp(v) for p, v in zip(probabilities, row)))) for row in component_log_prob]
        responsibilities = []
        for row in component_log_prob:
            total = mp.fsum(mp.mpf(p) * mp.exp(v) for p, v in zip(probabilities, row))
            responsibilities.append([float(mp.mpf(p) * mp.exp(v) / total) for p, v in zip(probabilities, row)])
        mean = mp.matrix(d, 1)
        second = mp.matrix(d, d)
        for p, loc, m in zip(probabilities, locs, lowers):
            column, matrix = mp.matrix([mp.mpf(float(v)) for v in loc]), exact_matrix(m)
            mean += mp.mpf(p) * column
            second += mp.mpf(p) * (matrix * matrix.T + column * column.T)
        covariance = second - mean * mean.T
        mean_out = [float(v) for v in mean]
        covariance_out = [[float(v) for v in row] for row in covariance.tolist()]
        agreement.check("tensorflow_probability", "log_prob", t.log_prob(y), log_prob)
        agreement.check("tensorflow_probability", "mean", t.mean(), mean_out)
        agreement.check("tensorflow_probability", "variance", t.variance(), [covariance_out[i][i] for i in range(d)])
        agreement.check("tensorflow_probability", "covariance", t.covariance(), covariance_out)
        cases.append({"parameters": {"probabilities": probabilities,
                                     "components": [{"loc": loc, ("scale_diag" if name == "diag" else "scale_tril"): np.diag(m) if name == "diag" else m}
                                                    for loc, m in zip(locs, lowers)]},
                      "component_family": "multivariate_normal_" + name, "points": y, "log_prob": log_prob,
                      "component_log_prob": [[float(v) for v in row] for row in component_log_prob], "responsibilities": responsibilities,
                      "mean": mean_out, "covariance": covariance_out, "variance": [covariance_out[i][i] for i in range(d)],
                      "stddev": [float(mp.sqrt(covariance[i, i])) for i in range(d)]})
    save("distribution_mixture", {"source": SOURCE, "made_by": MADE_BY,
                                  "settings": {"formula": "log_prob = log sum_k probabilities[k] exp(component log_prob)"},
                                  "cases": cases, "agreement": agreement.table})


if __name__ == "__main__":
    normal_diag_and_tril()
    student()
    mixtures()
