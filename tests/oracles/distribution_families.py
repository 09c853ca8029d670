"""The elementwise distributions of distribution_oracles.py: textbook formulas in mpmath numbers, and the twins of each in
scipy and TensorFlow Probability.
"""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mpmath as mp
import numpy as np
import scipy.stats as st
import tensorflow as tf
import tensorflow_probability as tfp

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
mp.mp.dps = 60
tfd = tfp.distributions
HALF = mp.mpf(1) / 2
f64 = np.float64


def upper_gamma(a, x):
    """Q(a, x), accurate relative to its size."""
    return mp.gammainc(a, x, mp.inf, regularized=True)


def lower_gamma(a, x):
    return mp.gammainc(a, 0, x, regularized=True) if x < a + 1 else 1 - upper_gamma(a, x)


def lower_beta(a, b, x):
    """I_x(a, b); x may be tiny."""
    return mp.betainc(a, b, 0, x, regularized=True) if x > 0 else mp.mpf(0)


class Family:
    """logpdf, cdf, survival and quantile in mpmath numbers; moments; scipy and TFP twins."""
    support = (-mp.inf, mp.inf)
    kl_closed_form = False

    def __init__(self, **p):
        self.plain = p
        for k, v in p.items():
            setattr(self, k, mp.mpf(v))

    # Root of log F = log p (or log S = log q) on a line parametrised by `line`, starting at scipy's answer.
    def solve(self, p, q, start):
        lower = p <= HALF

        def f(t):
            x = self.line(t)
            return mp.log(self.cdf(x) / p) if lower else mp.log(self.survival(x) / q)
        t = self.line_inverse(start)
        root = mp.findroot(f, (t, t + mp.mpf(10) ** -6 * (1 + abs(t))), solver="secant", tol=mp.mpf(10) ** -70, maxsteps=200)
        return self.line(root)

    def line(self, t):
        return t

    def line_inverse(self, x):
        return x

    def quantile(self, p, q):
        raise NotImplementedError


class Normal(Family):
    name, kl_closed_form = "normal", True

    def z(self, x):
        return (x - self.loc) / self.scale

    def logpdf(self, x):
        return -self.z(x) ** 2 / 2 - mp.log(self.scale) - mp.log(2 * mp.pi) / 2

    def cdf(self, x):
        return mp.erfc(-self.z(x) / mp.sqrt(2)) / 2

    def survival(self, x):
        return mp.erfc(self.z(x) / mp.sqrt(2)) / 2

    def quantile(self, p, q):
        return self.loc + self.scale * mp.sqrt(2) * (mp.erfinv(2 * p - 1) if p <= HALF else -mp.erfinv(2 * q - 1))

    def moments(self):
        return {"mean": self.loc, "variance": self.scale ** 2, "mode": self.loc, "entropy": HALF + mp.log(2 * mp.pi) / 2 + mp.log(self.scale)}

    def kl(self, o):
        return mp.log(o.scale / self.scale) + (self.scale ** 2 + (self.loc - o.loc) ** 2) / (2 * o.scale ** 2) - HALF

    def scipy(self):
        return st.norm(self.plain["loc"], self.plain["scale"])

    def tfp(self):
        return tfd.Normal(f64(self.plain["loc"]), f64(self.plain["scale"]))


class Uniform(Family):
    name, kl_closed_form = "uniform", True

    @property
    def support(self):
        return (self.low, self.high)

    def logpdf(self, x):
        return -mp.log(self.high - self.low)

    def cdf(self, x):
        return (x - self.low) / (self.high - self.low)

    def survival(self, x):
        return (self.high - x) / (self.high - self.low)

    def quantile(self, p, q):
        return self.low + p * (self.high - self.low) if p <= HALF else self.high - q * (self.high - self.low)

    def moments(self):
        w = self.high - self.low
        return {"mean": (self.low + self.high) / 2, "variance": w ** 2 / 12, "mode": None, "entropy": mp.log(w)}

    def kl(self, o):
        if o.low <= self.low and self.high <= o.high:
            return mp.log((o.high - o.low) / (self.high - self.low))
        return mp.inf

    def scipy(self):
        return st.uniform(self.plain["low"], self.plain["high"] - self.plain["low"])

    def tfp(self):
        return tfd.Uniform(f64(self.plain["low"]), f64(self.plain["high"]))


class Logistic(Family):
    name = "logistic"

    def z(self, x):
        return (x - self.loc) / self.scale

    def logpdf(self, x):
        z = abs(self.z(x))
        return -z - 2 * mp.log(1 + mp.exp(-z)) - mp.log(self.scale)

    def cdf(self, x):
        return 1 / (1 + mp.exp(-self.z(x)))

    def survival(self, x):
        return 1 / (1 + mp.exp(self.z(x)))

    def quantile(self, p, q):
        return self.loc + self.scale * mp.log(p / q)

    def moments(self):
        return {"mean": self.loc, "variance": (self.scale * mp.pi) ** 2 / 3, "mode": self.loc, "entropy": mp.log(self.scale) + 2}

    def scipy(self):
        return st.logistic(self.plain["loc"], self.plain["scale"])

    def tfp(self):
        return tfd.Logistic(f64(self.plain["loc"]), f64(self.plain["scale"]))


class Laplace(Family):
    name, kl_closed_form = "laplace", True

    def z(self, x):
        return (x - self.loc) / self.scale

    def logpdf(self, x):
        return -abs(self.z(x)) - mp.log(2 * self.scale)

    def cdf(self, x):
        z = self.z(x)
        return mp.exp(z) / 2 if z <= 0 else 1 - mp.exp(-z) / 2

    def survival(self, x):
        z = self.z(x)
        return mp.exp(-z) / 2 if z >= 0 else 1 - mp.exp(z) / 2

    def quantile(self, p, q):
        return self.loc + self.scale * (mp.log(2 * p) if p <= HALF else -mp.log(2 * q))

    def moments(self):
        return {"mean": self.loc, "variance": 2 * self.scale ** 2, "mode": self.loc, "entropy": 1 + mp.log(2 * self.scale)}

    def kl(self, o):
        d = abs(self.loc - o.loc)
        return mp.log(o.scale / self.scale) + d / o.scale + self.scale / o.scale * mp.exp(-d / self.scale) - 1

    def scipy(self):
        return st.laplace(self.plain["loc"], self.plain["scale"])

    def tfp(self):
        return tfd.Laplace(f64(self.plain["loc"]), f64(self.plain["scale"]))


class StudentT(Family):
    name = "student_t"

    def z(self, x):
        return (x - self.loc) / self.scale

    def logpdf(self, x):
        v = self.df
        return (mp.loggamma((v + 1) / 2) - mp.loggamma(v / 2) - mp.log(v * mp.pi) / 2 - mp.log(self.scale)
                - (v + 1) / 2 * mp.log(1 + self.z(x) ** 2 / v))

    def tail(self, z):
        """P(T > z), z >= 0."""
        v = self.df
        if z == 0:
            return HALF
        w = v / (v + z * z)
        return lower_beta(v / 2, HALF, w) / 2 if w < HALF else HALF - lower_beta(HALF, v / 2, z * z / (v + z * z)) / 2

    def cdf(self, x):
        z = self.z(x)
        return self.tail(-z) if z <= 0 else 1 - self.tail(z)

    def survival(self, x):
        z = self.z(x)
        return self.tail(z) if z >= 0 else 1 - self.tail(-z)

    def line(self, t):
        return self.loc + self.scale * mp.sinh(t)

    def line_inverse(self, x):
        return mp.asinh(self.z(x))

    def quantile(self, p, q):
        if p == HALF:
            return self.loc
        start = self.scipy().ppf(float(p)) if p < HALF else self.scipy().isf(float(q))
        return self.solve(p, q, mp.mpf(float(start)))

    def moments(self):
        v, s = self.df, self.scale
        return {"mean": self.loc if v > 1 else None, "variance": s ** 2 * v / (v - 2) if v > 2 else (mp.inf if v > 1 else None), "mode": self.loc,
                "entropy": mp.log(s) + (v + 1) / 2 * (mp.digamma((v + 1) / 2) - mp.digamma(v / 2)) + mp.log(mp.sqrt(v) * mp.beta(v / 2, HALF))}

    def scipy(self):
        return st.t(self.plain["df"], self.plain["loc"], self.plain["scale"])

    def tfp(self):
        return tfd.StudentT(f64(self.plain["df"]), f64(self.plain["loc"]), f64(self.plain["scale"]))


class Cauchy(Family):
    name, kl_closed_form = "cauchy", True

    def z(self, x):
        return (x - self.loc) / self.scale

    def logpdf(self, x):
        return -mp.log(mp.pi * self.scale) - mp.log(1 + self.z(x) ** 2)

    def cdf(self, x):
        return mp.atan2(1, -self.z(x)) / mp.pi

    def survival(self, x):
        return mp.atan2(1, self.z(x)) / mp.pi

    def quantile(self, p, q):
        if p == HALF:
            return self.loc
        return self.loc - self.scale * mp.cot(mp.pi * p) if p <= HALF else self.loc + self.scale * mp.cot(mp.pi * q)

    def moments(self):
        return {"mean": None, "variance": None, "mode": self.loc, "entropy": mp.log(4 * mp.pi * self.scale)}

    def kl(self, o):
        return mp.log(((self.scale + o.scale) ** 2 + (self.loc - o.loc) ** 2) / (4 * self.scale * o.scale))

    def scipy(self):
        return st.cauchy(self.plain["loc"], self.plain["scale"])

    def tfp(self):
        return tfd.Cauchy(f64(self.plain["loc"]), f64(self.plain["scale"]))


class Gamma(Family):
    name, kl_closed_form, support = "gamma", True, (mp.mpf(0), mp.inf)

    def logpdf(self, x):
        a, b = self.concentration, self.rate
        return a * mp.log(b) - mp.loggamma(a) + (a - 1) * mp.log(x) - b * x

    def cdf(self, x):
        return lower_gamma(self.concentration, self.rate * x)

    def survival(self, x):
        a, z = self.concentration, self.rate * x
        return upper_gamma(a, z) if z >= a else 1 - lower_gamma(a, z)

    def line(self, t):
        return mp.exp(t)

    def line_inverse(self, x):
        return mp.log(x)

    def quantile(self, p, q):
        a, b = self.concentration, self.rate
        if p <= HALF and a < 1:
            start = mp.exp((mp.log(p) + mp.loggamma(a + 1)) / a) / b if p < mp.mpf("1e-3") else mp.mpf(float(self.scipy().ppf(float(p))))
        else:
            start = mp.mpf(float(self.scipy().ppf(float(p)) if p <= HALF else self.scipy().isf(float(q))))
        return self.solve(p, q, start)

    def moments(self):
        a, b = self.concentration, self.rate
        return {"mean": a / b, "variance": a / b ** 2, "mode": (a - 1) / b if a > 1 else None,
                "entropy": a - mp.log(b) + mp.loggamma(a) + (1 - a) * mp.digamma(a)}

    def kl(self, o):
        a, b, c, d = self.concentration, self.rate, o.concentration, o.rate
        return (a - c) * mp.digamma(a) - mp.loggamma(a) + mp.loggamma(c) + c * mp.log(b / d) + a * (d - b) / b

    def scipy(self):
        return st.gamma(self.plain["concentration"], scale=1 / self.plain["rate"])

    def tfp(self):
        return tfd.Gamma(f64(self.plain["concentration"]), f64(self.plain["rate"]))


class Beta(Family):
    name, kl_closed_form, support = "beta", True, (mp.mpf(0), mp.mpf(1))

    @property
    def log_beta(self):
        a, b = self.concentration1, self.concentration0
        return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)

    def logpdf(self, x):
        return (self.concentration1 - 1) * mp.log(x) + (self.concentration0 - 1) * mp.log(1 - x) - self.log_beta

    def cdf(self, x):
        a, b = self.concentration1, self.concentration0
        return lower_beta(a, b, x) if x <= HALF else 1 - lower_beta(b, a, 1 - x)

    def survival(self, x):
        a, b = self.concentration1, self.concentration0
        return 1 - lower_beta(a, b, x) if x <= HALF else lower_beta(b, a, 1 - x)

    def quantile(self, p, q):
        # Solved for log x below the median and for log(1 - x) above it; the median itself lies where it lies.
        a, b = self.concentration1, self.concentration0
        if self.cdf(HALF) >= p:
            return mp.exp(self.root(a, b, p, q))
        return 1 - mp.exp(self.root(b, a, q, p))

    @staticmethod
    def root(a, b, p, q):
        """t with I_{exp t}(a, b) = p, exp t <= 1/2."""
        def f(t):
            return mp.log(lower_beta(a, b, mp.exp(t)) / p)
        start = (mp.log(p * a) + mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)) / a
        if start > mp.log("1e-4"):
            lo, hi = mp.mpf(-60) / a, mp.log(HALF)
            for _ in range(60):
                mid = (lo + hi) / 2
                lo, hi = (mid, hi) if f(mid) < 0 else (lo, mid)
            start = (lo + hi) / 2
        return mp.findroot(f, (start, start + mp.mpf(10) ** -9), solver="secant", tol=mp.mpf(10) ** -70, maxsteps=200)

    def moments(self):
        a, b = self.concentration1, self.concentration0
        s = a + b
        return {"mean": a / s, "variance": a * b / (s ** 2 * (s + 1)), "mode": (a - 1) / (s - 2) if a > 1 and b > 1 else None,
                "entropy": self.log_beta - (a - 1) * mp.digamma(a) - (b - 1) * mp.digamma(b) + (s - 2) * mp.digamma(s)}

    def kl(self, o):
        a, b, c, d = self.concentration1, self.concentration0, o.concentration1, o.concentration0
        return (o.log_beta - self.log_beta + (a - c) * mp.digamma(a) + (b - d) * mp.digamma(b) + (c - a + d - b) * mp.digamma(a + b))

    def scipy(self):
        return st.beta(self.plain["concentration1"], self.plain["concentration0"])

    def tfp(self):
        return tfd.Beta(f64(self.plain["concentration1"]), f64(self.plain["concentration0"]))
