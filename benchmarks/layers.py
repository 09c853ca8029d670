#!/usr/bin/env python3
"""Times single layers of this library and of others on the same work, in turn, in one run: markdown on standard output.

    python benchmarks/layers.py [--rows 20000] [--columns 6] [--rounds 5] [--only EXPRESSION]

Needs the Python package (python/README.md) and whichever of zuko, nflows and normflows are to be met; those
that are missing are named. One thread each, float32, both directions with log|det|, parameters of the same sizes.
"""

import argparse
import functools
import os
import re
import statistics
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

import pushforward as pf

try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    raise SystemExit("benchmarks/layers.py needs torch: pip install torch zuko nflows normflows")


def elementwise(transformer, dim):
    solved = pf.NumericalInverse(transformer) if transformer.name in SOLVED else transformer
    raw = np.random.default_rng(1).normal(size=transformer.multiplier * dim) * 0.3
    return pf.Elementwise(solved, dim, raw=raw.astype("float32"))


SOLVED = ("SosPolynomialTransformer", "BernsteinTransformer", "GaussianizationTransformer")


def ours(bijector, to_base):
    call = bijector.inverse if to_base else bijector.forward
    return lambda rows: call(rows)


def zuko_map(transform, to_base):
    def run(rows):
        with torch.no_grad():
            return transform.call_and_ladj(rows) if to_base else transform.inv.call_and_ladj(rows)

    return run


def torch_module(module, to_base, inverse_name="inverse", forward_name="forward"):
    call = getattr(module, forward_name if to_base else inverse_name)

    def run(rows):
        with torch.no_grad():
            return call(rows)

    return run


def layers(dim):
    """(layer, ours, {peer: function of the direction})."""
    try:
        import zuko

        z = zuko.transforms
        phi = functools.partial(torch.randn, dim)
        mlp = zuko.nn.MLP(17, 1, [32, 32], activation=torch.nn.ELU)
        signal = torch.randn(dim, 16) * 0.3

        def integrand(x):
            return torch.exp(mlp(torch.cat([x[..., None], signal.expand(*x.shape, 16)], -1)).squeeze(-1).clamp(-5, 5))

        of_zuko = {
            "SOS polynomial, degree 4": z.SOSPolynomialTransform(phi(3, 5) * 0.3),
            "Bernstein polynomial, degree 16": z.BernsteinTransform(phi(17) * 0.3),
            "Gaussianization, 8 components": z.GaussianizationTransform(phi(8) * 0.3, phi(8) * 0.3),
            "UMNN, 33 evaluations of 32 x 32": z.UnconstrainedMonotonicTransform(integrand, n=32),
            "rational-quadratic spline, 8 bins": z.MonotonicRQSTransform(phi(8), phi(8), phi(7)),
            "rotation": z.RotationTransform(torch.randn(dim, dim)),
        }
    except ImportError:
        print("zuko is not there\n")
        of_zuko = {}
    try:
        from nflows import transforms as n

        of_nflows = {
            "quadratic spline, 10 bins": n.PiecewiseQuadraticCDF([dim], num_bins=10, tails="linear", tail_bound=3.0),
            "linear spline, 10 bins": n.PiecewiseLinearCDF([dim], num_bins=10, tails="linear", tail_bound=3.0),
            "rational-quadratic spline, 8 bins": n.PiecewiseRationalQuadraticCDF(
                [dim], num_bins=8, tails="linear", tail_bound=3.0
            ),
            "Householder, 4 reflections": n.HouseholderSequence(dim, 4),
            "LU linear": n.LULinear(dim),
        }
    except ImportError:
        print("nflows is not there\n")
        of_nflows = {}
    try:
        import normflows

        of_normflows = {
            "planar": normflows.flows.Planar((dim,)),
            "radial": normflows.flows.Radial((dim,)),
        }
    except ImportError:
        print("normflows is not there\n")
        of_normflows = {}
    single = {"dtype": "float32"}
    return [
        (
            "rational-quadratic spline, 8 bins",
            pf.RationalQuadraticSpline(dim, pf.RationalQuadraticOptions(bins=8), **single),
        ),
        ("quadratic spline, 10 bins", elementwise(pf.PolynomialSplineTransformer(bins=10, **single), dim)),
        ("linear spline, 10 bins", elementwise(pf.PolynomialSplineTransformer(degree=1, bins=10, **single), dim)),
        ("SOS polynomial, degree 4", elementwise(pf.SosPolynomialTransformer(**single), dim)),
        ("Bernstein polynomial, degree 16", elementwise(pf.BernsteinTransformer(**single), dim)),
        ("Gaussianization, 8 components", elementwise(pf.GaussianizationTransformer(**single), dim)),
        ("UMNN, 33 evaluations of 32 x 32", elementwise(pf.UmnnTransformer(**single), dim)),
        ("planar", pf.Planar(dim, seed=1, **single)),
        ("radial", pf.Radial(dim, **single)),
        ("Householder, 4 reflections", pf.Householder(dim, count=4, **single)),
        ("LU linear", pf.LULinear(dim, **single)),
        ("rotation", pf.Rotation(dim, seed=1, **single)),
    ], of_zuko, of_nflows, of_normflows


def best(functions, rows, rounds):
    """Median seconds of each, the functions taking turns."""
    times = {name: [] for name in functions}
    for turn in range(rounds + 1):
        for name, (call, data) in functions.items():
            begin = time.perf_counter()
            call(data)
            if turn > 0:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(t) for name, t in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="layers whose name this expression finds; zuko's UMNN takes minutes")
    a = parser.parse_args()
    y = np.random.default_rng(2).normal(size=(a.rows, a.columns)).astype("float32")
    t = torch.tensor(y)
    own, of_zuko, of_nflows, of_normflows = layers(a.columns)
    print(f"{a.rows} rows of {a.columns} columns, float32, one thread, median of {a.rounds}; ns for each value\n")
    print("| layer | direction | pushforward | zuko | nflows | normflows | best peer / pushforward |")
    print("|---|---|---|---|---|---|---|")
    for name, bijector in own:
        if not re.search(a.only, name):
            continue
        for to_base in (True, False):
            functions = {"pushforward": (ours(bijector, to_base), y)}
            if name in of_zuko:
                functions["zuko"] = (zuko_map(of_zuko[name], to_base), t)
            if name in of_nflows:
                functions["nflows"] = (torch_module(of_nflows[name], to_base), t)
            # normflows' maps have one direction alone, from the base.
            if name in of_normflows and not to_base:
                functions["normflows"] = (torch_module(of_normflows[name], True), t)
            seconds = {k: v / (a.rows * a.columns) * 1e9 for k, v in best(functions, y, a.rounds).items()}
            peers = [v for k, v in seconds.items() if k != "pushforward"]
            names = ("pushforward", "zuko", "nflows", "normflows")
            cells = [f"{seconds[k]:.1f}" if k in seconds else "cannot" for k in names]
            cells.append(f"{min(peers) / seconds['pushforward']:.1f}" if peers else "–")
            print(f"| {name} | {'density' if to_base else 'sampling'} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
