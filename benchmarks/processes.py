"""How well a fit goes on many processes, from the time of a step, its gradient, and the network: python3 processes.py

A step of P processes, each with rows of its own, and one sum of the gradient by recursive halving and doubling
(MpiReducer): 2 log2 P exchanges, in which 2 n (P - 1) / P bytes leave each process and as many come.

    predicted   max over P of the computing + 2 log2 P latency + 2 n (P - 1) / P (1 / bandwidth + 1 / (2 adding))
    simulated   each process computes, each exchange waits for both sides, and its messages take their time and more

The computing of a process differs from step to step by `--jitter` (its standard deviation, as a part), and each message
is late by an exponential time of the mean `--late` besides. The prediction knows the first, by the greatest of P normal
numbers, and of the second its mean alone: what differs between the two is what late messages cost by waiting for each other.
"""

import argparse
import math

import numpy as np

NETWORKS = {  # latency in seconds, bytes a second
    "shared memory": (0.5e-6, 8e9),
    "100 Gb/s, InfiniBand": (2e-6, 11e9),
    "10 Gb/s, Ethernet": (30e-6, 1.1e9),
}


def greatest(processes):
    """The mean of the greatest of so many standard normal numbers, by its quantiles."""
    if processes == 1:
        return 0.0
    x = np.linspace(-8, 8, 40_001)
    cdf = 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    density = processes * cdf ** (processes - 1) * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return float(np.trapezoid(x * density, x) if hasattr(np, "trapezoid") else np.trapz(x * density, x))


def predicted(processes, seconds, size, latency, bandwidth, a):
    steps = 2 * math.log2(processes)
    sent = 2 * size * (processes - 1) / processes
    return (
        seconds * (1 + a.jitter * greatest(processes))
        + steps * (latency + a.late)
        + sent * (1 / bandwidth + 1 / (2 * a.adding))
    )


def simulated(processes, seconds, size, latency, bandwidth, a, rng):
    """The mean time of a step, of `a.steps` in a row: no process begins one before its own last one is over."""
    now = np.zeros(processes)
    ranks = np.arange(processes)
    for _ in range(a.steps):
        now += seconds * np.maximum(1 + a.jitter * rng.normal(size=processes), 0.1)
        parts, step = size / 2, 1
        exchanges = []
        while step < processes:
            exchanges.append((step, parts, 1 / a.adding))
            step, parts = 2 * step, parts / 2
        exchanges += [(step, parts, 0.0) for step, parts, _ in reversed(exchanges)]
        for step, part, adding in exchanges:
            other = ranks ^ step
            # A message leaves when its sender is ready; what comes is added when it is there and the receiver is.
            arrival = now + latency + rng.exponential(a.late, processes) + part / bandwidth
            now = np.maximum(now + part / bandwidth, arrival[other]) + part * adding
    return now.max() / a.steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20e-3, help="of a step of one process, without the sum (20 ms)")
    parser.add_argument("--parameters", type=float, default=1e6, help="of the flow (1e6)")
    parser.add_argument("--scalar", type=int, default=4, choices=(4, 8), help="bytes of one (4)")
    parser.add_argument("--fixed-batch", action="store_true", help="the rows of a step are shared out: each has 1 / P of them")
    parser.add_argument("--jitter", type=float, default=0.03)
    parser.add_argument("--late", type=float, default=2e-6)
    parser.add_argument("--adding", type=float, default=5e9, help="bytes a second that are added (5e9)")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--most", type=int, default=1024)
    a = parser.parse_args()
    size = a.parameters * a.scalar
    rng = np.random.default_rng(1)
    print(f"{a.seconds * 1e3:g} ms a step, {size / 1e6:g} MB of gradient, {'one batch shared' if a.fixed_batch else 'as many rows for each'}")
    print(f"{'processes':>10}", *(f"{name:>26}" for name in NETWORKS), sep="")
    worst = 0.0
    processes = 1
    while processes <= a.most:
        line = f"{processes:>10}"
        seconds = a.seconds / processes if a.fixed_batch else a.seconds
        for latency, bandwidth in NETWORKS.values():
            says = seconds / predicted(processes, seconds, size, latency, bandwidth, a)
            is_so = seconds / simulated(processes, seconds, size, latency, bandwidth, a, rng)
            worst = max(worst, abs(says / is_so - 1))
            line += f"{f'{says:.3f} ({is_so:.3f})':>26}"
        print(line)
        processes *= 2
    print(f"efficiency as predicted (simulated); they differ by {100 * worst:.1f} % at most")


if __name__ == "__main__":
    main()
