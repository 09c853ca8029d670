"""The Python package beside zuko with the same weights: log_prob of one row and of many, and sampling.

    python benchmarks/python_zuko.py [THREADS]

Needs the package, torch and zuko. zuko's flow is converted (pushforward.convert), so that both compute the same
numbers; both are asked in turn in float32, and the smallest of all rounds counts. Marks: 50 times as fast at one row, 5
at 20,000 rows, 40 in sampling.
"""

import sys
import time

import numpy as np
import torch
import zuko

from pushforward.convert import convert


def smallest(rounds, times, *calls):
    """Seconds of one call, of `times` in a row, in the best round of each."""
    best = [np.inf] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            begin = time.perf_counter()
            for _ in range(times):
                call()
            best[i] = min(best[i], (time.perf_counter() - begin) / times)
    return best


def main(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    flows = [
        ("NSF(5), 3 x (64, 64)", zuko.flows.NSF(5, transforms=3)),
        ("MAF(5), 3 x (64, 64)", zuko.flows.MAF(5, transforms=3)),
        ("NSF(20), 5 x (64, 64)", zuko.flows.NSF(20, transforms=5)),
        ("conditional NSF(5 | 3)", zuko.flows.NSF(5, 3, transforms=3)),
    ]
    print(f"float32, {threads} threads, smallest of all rounds")
    print(f"{'':<26}{'':<22}{'zuko':>12}{'ours':>12}{'ratio':>9}   mark")
    for label, theirs in flows:
        context_dim = 3 if "|" in label else 0
        ours = convert(theirs, dtype="float32")
        context = rng.normal(size=context_dim).astype("float32") if context_dim else None
        given = None if context is None else torch.from_numpy(context)

        def log_prob(rows):
            y = torch.from_numpy(rows)
            with torch.no_grad():
                return theirs(given).log_prob(y)

        def sample(n):
            with torch.no_grad():
                return theirs(given).sample((n,))

        one, many = (rng.normal(size=(n, ours.dim)).astype("float32") for n in (1, 20_000))
        np.testing.assert_allclose(ours.log_prob(many, context), log_prob(many).numpy(), rtol=2e-3, atol=2e-3)
        work = [
            ("log_prob, 1 row", 20, 100, lambda: log_prob(one), lambda: ours.log_prob(one, context), 50),
            (
                "log_prob, 20,000 rows",
                7,
                1,
                lambda: log_prob(many),
                lambda: ours.log_prob(many, context, threads=threads),
                5,
            ),
            ("sample, 1,000", 7, 3, lambda: sample(1000), lambda: ours.sample(1000, context=context, threads=threads), 40),
        ]
        for what, rounds, times, peer, own, mark in work:
            a, b = smallest(rounds, times, peer, own)
            print(f"{label:<26}{what:<22}{1e3 * a:>9.3f} ms{1e3 * b:>9.3f} ms{a / b:>9.1f}   {mark}")
            label = ""


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
