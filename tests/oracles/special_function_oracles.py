"""Oracle numbers for src/numerics/special_functions.hpp, from mpmath at 60 digits at the stored double arguments."""
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


def gamma_p(a, x):
    return mp.gammainc(a, 0, x, regularized=True)


def gamma_q(a, x):
    return mp.gammainc(a, x, mp.inf, regularized=True)


def ibeta(a, b, x):
    return mp.betainc(a, b, 0, x, regularized=True)


def ibetac(a, b, x):
    return mp.betainc(a, b, x, 1, regularized=True)


STEPS = [[x, h] for x in (1e-3, 0.3, 2.5, 99.9, 100, 1e3, 1e8) for h in range(6)]
GAMMA = [[0.3, 0.1], [2.5, 4], [150, 140]]
BETA = [[0.5, 3, 0.2], [2, 5, 0.7], [40, 30, 0.5]]
FUNCTIONS = {
    "log_gamma": (mp.loggamma, [[1e-3], [0.7], [12.5], [1e6]]),
    "digamma": (mp.digamma, [[1e-3], [0.7], [12.5], [1e6]]),
    "log_beta": (lambda a, b: mp.log(mp.beta(a, b)), [[0.3, 2], [40, 50]]),
    "erfc_inv": (lambda p: mp.erfinv(1 - p), [[1e-10], [0.3], [1.9]]),
    "log_gamma_ratio": (ratio, STEPS),
    "digamma_difference": (difference, STEPS),
    "gamma_p": (gamma_p, GAMMA),
    "gamma_q": (gamma_q, GAMMA),
    "ibeta": (ibeta, BETA),
    "ibetac": (ibetac, BETA),
    "student_t_cdf": (student_t_cdf, [[0.7, -3], [4, 1.5], [250, -2]]),
    "log_tiny_gamma_p": (lambda a, x: mp.log(gamma_p(a, x)), [[2, 1e-200], [150, 1e-3], [300, 10], [1000, 50]]),
    "log_tiny_gamma_q": (lambda a, x: mp.log(gamma_q(a, x)), [[0.01, 700], [0.5, 800], [3, 1000], [150, 2500]]),
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
