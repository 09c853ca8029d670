"""Rational-quadratic splines of nflows (identity tails, bounded), normflows (circular) and zuko, both directions, with
gradients by autograd in float64:

    python spline_oracles.py        # torch 2.13, nflows 0.14, normflows 1.7, zuko 1.6
"""
import torch
from nflows.transforms.splines import rational_quadratic as nflows_spline
from normflows.utils import splines as normflows_spline
from oracle_io import save
from zuko.transforms import MonotonicRQSTransform

torch.set_default_dtype(torch.float64)
ROWS = 14


def split(raw, bins):
    return raw[:, :bins], raw[:, bins : 2 * bins], raw[:, 2 * bins :]


def nflows_identity(raw, bins, low, high, **options):
    widths, heights, derivatives = split(raw, bins)
    scale = options.pop("raw_scale", 1.0)

    def apply(x, inverse):
        return nflows_spline.unconstrained_rational_quadratic_spline(
            x, widths * scale, heights * scale, derivatives, inverse=inverse, tail_bound=high, **options
        )

    return apply


def nflows_bounded(raw, bins, low, high, **options):
    widths, heights, derivatives = split(raw, bins)

    def apply(x, inverse):
        return nflows_spline.rational_quadratic_spline(
            x, widths, heights, derivatives, inverse=inverse, left=low, right=high, bottom=low, top=high, **options
        )

    return apply


def normflows_circular(raw, bins, low, high, **options):
    widths, heights, derivatives = split(raw, bins)

    def apply(x, inverse):
        return normflows_spline.unconstrained_rational_quadratic_spline(
            x, widths, heights, derivatives, inverse=inverse, tails="circular", tail_bound=high, **options
        )

    return apply


def zuko(raw, bins, low, high, slope=1e-3):
    transform = MonotonicRQSTransform(*split(raw, bins), bound=high, slope=slope)

    def apply(x, inverse):
        if not inverse:
            return transform.call_and_ladj(x)
        base = transform.inv(x)
        return base, -transform.call_and_ladj(base)[1]

    return apply


CASES = [
    ("nflows_identity", nflows_identity, 8, -3.0, 3.0, {}),
    ("nflows_identity", nflows_identity, 4, -1.5, 1.5, {"min_bin_width": 0.05, "min_bin_height": 0.02, "min_derivative": 0.1}),
    ("nflows_identity", nflows_identity, 8, -3.0, 3.0, {"raw_scale": 0.125}),
    ("nflows_bounded", nflows_bounded, 5, -1.0, 2.0, {}),
    ("nflows_bounded", nflows_bounded, 8, 0.0, 1.0, {"min_derivative": 0.02}),
    ("normflows_circular", normflows_circular, 6, -3.141592653589793, 3.141592653589793, {}),
    ("zuko", zuko, 8, -5.0, 5.0, {}),
    ("zuko", zuko, 3, -2.0, 2.0, {"slope": 0.05}),
]


def main():
    generator = torch.Generator().manual_seed(20261121)
    cases = []
    for system, make, bins, low, high, options in CASES:
        knots = {"nflows_bounded": bins + 1, "normflows_circular": bins}.get(system, bins - 1)
        normal = lambda *shape: torch.randn(*shape, generator=generator)
        raw = (1.5 * normal(ROWS, 2 * bins + knots)).requires_grad_()
        x = low + (high - low) * torch.rand(ROWS, generator=generator)
        if "bounded" not in system and "circular" not in system:
            x[0], x[1] = low - 0.7, high + 2.5  # tails
        x.requires_grad_()
        case = {"system": system, "bins": bins, "low": low, "high": high, "options": options, "raw": raw, "x": x}
        for name, inverse in (("evaluate", False), ("solve", True)):
            value, log_derivative = make(raw, bins, low, high, **dict(options))(x, inverse)
            g_value, g_log = normal(ROWS), normal(ROWS)
            gx, graw = torch.autograd.grad((g_value * value).sum() + (g_log * log_derivative).sum(), (x, raw))
            case[name] = {"value": value, "log_derivative": log_derivative, "g_value": g_value, "g_log": g_log, "gx": gx, "graw": graw}
        cases.append(case)
    for number in range(3):
        save(
            f"splines_{number}",
            {
                "source": "nflows 0.14, normflows 1.7, zuko 1.6 with torch 2.13",
                "made_by": "tests/oracles/spline_oracles.py",
                "settings": "float64; adjoints g_value, g_log; gradients by autograd",
                "cases": cases[number::3],
            },
        )


main()
