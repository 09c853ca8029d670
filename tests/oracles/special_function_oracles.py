"""Oracle numbers for src/numerics/special_functions.hpp, from mpmath at 60 digits at the stored double arguments."""
import math

import mpmath as mp

from oracle_io import save

mp.mp.dps = 60


def exact(v):
    return mp.mpf(float(v))


def student_t_cdf(df, z):
    tail = mp.betainc(df / 2, mp.mpf(1) / 2, 0, df / (df + z * z), regularized=True) / 2
    return tail if z < 0 else 1 - tail


def ratio(x, halves):
    return mp.loggamma(x + halves / 2) - mp.loggamma(x)


def difference(x, halves):
    return mp.digamma(x + halves / 2) - mp.digamma(x)


def gamma_mass(a, begin, end):
    """Between two points that many standard deviations from the mean, where no series converges."""
    def density(u):
        t = a + u * mp.sqrt(a)
        return mp.exp((a - 1) * mp.log(t) - t - mp.loggamma(a)) * mp.sqrt(a)
    return mp.quad(density, [begin + (end - begin) * i / 80 for i in range(81)])


def gamma_p(a, x):
    u = (x - a) / mp.sqrt(a)
    return gamma_mass(a, u - 100 / max(-u, 2.5), u) if a > 1e5 else mp.gammainc(a, 0, x, regularized=True)


def gamma_q(a, x):
    u = (x - a) / mp.sqrt(a)
    return gamma_mass(a, u, u + 100 / max(u, 2.5)) if a > 1e5 else mp.gammainc(a, x, mp.inf, regularized=True)


def stored(v):
    """As a parameter is kept: by its logarithm."""
    return exact(math.exp(math.log(v)))


def gamma_log_prob(a, rate, y):
    a, rate = stored(a), stored(rate)
    return a * mp.log(rate) - mp.loggamma(a) + (a - 1) * mp.log(y) - rate * y


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def beta_log_prob(a, b, y):
    a, b = stored(a), stored(b)
    return (a - 1) * mp.log(y) + (b - 1) * mp.log(1 - y) - log_beta(a, b)


def gamma_entropy(a, rate):
    a, rate = stored(a), stored(rate)
    return a - mp.log(rate) + mp.loggamma(a) + (1 - a) * mp.digamma(a)


def beta_entropy(a, b):
    a, b = stored(a), stored(b)
    return (log_beta(a, b) - (a - 1) * mp.digamma(a) - (b - 1) * mp.digamma(b)
            + (a + b - 2) * mp.digamma(a + b))


def gamma_kl(a, rate, b, other):
    a, rate, b, other = map(stored, (a, rate, b, other))
    return ((a - b) * mp.digamma(a) + mp.loggamma(b) - mp.loggamma(a) + b * mp.log(rate / other)
            + a * (other / rate - 1))


def beta_kl(a, b, c, d):
    a, b, c, d = map(stored, (a, b, c, d))
    return (log_beta(c, d) - log_beta(a, b) + (a - c) * mp.digamma(a) + (b - d) * mp.digamma(b)
            - (a - c + b - d) * mp.digamma(a + b))


def ibeta(a, b, x):
    return mp.betainc(a, b, 0, x, regularized=True)


def ibetac(a, b, x):
    return mp.betainc(a, b, x, 1, regularized=True)


STEPS = [[x, h] for x in (1e-3, 0.3, 2.5, 99.9, 100, 1e3, 1e8) for h in range(6)]
GAMMA = [[0.3, 0.1], [2.5, 4], [150, 140], [2e8, 2e8 + 1e4], [1e11, 1e11], [1e12, 1e12 + 5e5], [1e12, 1e12 - 2.5e6],
         [1e15, 1e15], [1e15, 1e15 + 1.5e8]]
POSITIVE = [[1e-3], [0.7], [2.5], [14.9], [15.1], [1e3], [1e12]]
BETA = [[0.5, 3, 0.2], [2, 5, 0.7], [40, 30, 0.5]]
FUNCTIONS = {
    "log_gamma": (mp.loggamma, [[1e-3], [0.7], [12.5], [1e6]]),
    "digamma": (mp.digamma, [[1e-3], [0.7], [12.5], [1e6]]),
    "log_beta": (log_beta, [[0.3, 2], [40, 50], [0.01, 200], [3, 1e12], [1e9, 2e10]]),
    "erfc_inv": (lambda p: mp.erfinv(1 - p), [[1e-10], [0.3], [1.9]]),
    "log_gamma_ratio": (ratio, STEPS),
    "digamma_difference": (difference, STEPS),
    "stirling_error": (lambda x: mp.loggamma(x + 1) - (x + mp.mpf(1) / 2) * mp.log(x) + x - mp.log(2 * mp.pi) / 2, POSITIVE),
    "digamma_minus_log": (lambda x: mp.digamma(x) - mp.log(x), POSITIVE),
    "deviance": (lambda a, d: a * mp.log(a / (a + d)) + d,
                 [[3, 1e-9], [3, 0.29], [3, -0.31], [3, 12], [1e15, 3e7], [1e15, -0.125], [0.01, 5]]),
    "gamma_log_prob": (gamma_log_prob, [[2.5, 3, 0.4], [29, 2, 15], [31, 2, 15], [1e4, 0.5, 2.01e4], [1e8, 1, 1e8 + 1e4],
                                        [1e12, 4, 2.5e11], [1e15, 1, 1e15], [1e15, 8, 1.25e14 + 5e6], [31, 1, 1e-17], [31, 1, 1e-8],
                                        [1e6, 1, 3e6]]),
    "beta_log_prob": (beta_log_prob, [[0.5, 3, 0.2], [40, 50, 0.4], [60, 50, 0.6], [1e4, 0.5, 0.9999], [1e8, 3e8, 0.25],
                                      [1e12, 1e12, 0.5], [1e12, 1e12, 0.5000005], [2, 1e12, 1.5e-12],
                                      [1, 200, 1e-300], [100, 1, 1e-17], [0.01, 200, 1e-40], [3, 1e12, 1e-11],
                                      [1e9, 2e9, 0.9]]),
    "gamma_entropy": (gamma_entropy, [[0.3, 2], [40, 3], [1e8, 1], [1e15, 2]]),
    "beta_entropy": (beta_entropy, [[0.3, 2], [40, 30], [1e8, 1], [1e12, 3e12]]),
    "gamma_kl": (gamma_kl, [[0.3, 2, 4, 5], [40, 3, 30, 2], [1e8, 1, 1.0001e8, 1], [1e12, 1, 1e12, 1.000001]]),
    "beta_kl": (beta_kl, [[0.3, 2, 4, 5], [40, 30, 20, 50], [1e8, 2e8, 1.0001e8, 2e8], [1e12, 3, 1.000002e12, 4]]),
    "gamma_p": (gamma_p, GAMMA),
    "gamma_q": (gamma_q, GAMMA),
    "ibeta": (ibeta, BETA),
    "ibetac": (ibetac, BETA),
    "student_t_cdf": (student_t_cdf, [[0.7, -3], [4, 1.5], [250, -2], [1, 5e-9], [1, 3e-5], [3, -2e-8], [0.01, 1e-6]]),
    "log_tiny_gamma_p": (lambda a, x: mp.log(gamma_p(a, x)), [[2, 1e-200], [150, 1e-3], [300, 10], [1000, 50],
                                                                      [1e10, 1e10 - 4.2e6], [1e3, 1e-30]]),
    "log_tiny_gamma_q": (lambda a, x: mp.log(gamma_q(a, x)), [[0.01, 700], [0.5, 800], [3, 1000], [150, 2500],
                                                                      [1e10, 1e10 + 4.2e6], [1e12, 1.1e12]]),
    "log_tiny_ibeta": (lambda a, b, x: mp.log(ibeta(a, b, x)),
                       [[2, 5, 1e-200], [50, 60, 1e-8], [100, 3, 1e-4], [500, 0.5, 0.125], [1000, 2, 0.25]]),
}

cases = {}
for name, (f, arguments) in FUNCTIONS.items():
    values = [float(f(*(exact(v) for v in row))) for row in arguments]
    assert not name.startswith("log_tiny") or max(values) < -668, (name, values)
    cases[name] = {"arguments": arguments, "values": values}
save("special_functions", {
    "source": "mpmath, 60 digits", "made_by": f"special_function_oracles.py, mpmath {mp.__version__}",
    "settings": "log_gamma_ratio and digamma_difference: (x, halves); incomplete functions are regularised",
    "functions": cases})
