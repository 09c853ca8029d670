#!/usr/bin/env python3
"""Reference numbers for the random transforms, made without the library.

Philox 4x32-10 is written down from the paper (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as
1, 2, 3, SC 2011) and checked against the known answers of Random123; the transforms are the plain formulas in
double precision with the logarithm, sine and cosine of the C library.

    philox_reference.py tests/data/random_golden.txt

replaces the `reference` lines of the file and keeps the `golden` lines. Those are the library's own bits, printed by
`random_test "[golden]"`: they change only on purpose.
"""
import math
import sys

import numpy as np

MASK = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)

UNIFORM, NORMAL, NAME_KEY, CALL_KEY = 0, 2, 5, 6

COLUMNS = 16
# seed, call, row, first column
POINTS = [
    (0, 0, 0, 0),
    (1234, 7, 3, 5),
    (0xDEADBEEFCAFEF00D, 2**32 + 3, 2**39 + 5, 2**31 - COLUMNS),
]

HEADER = """\
# Random draws of 16 successive columns.
#
# reference <bits of k> <transform> <seed> <call> <row> <first column> <16 values>: the formulas in double precision,
#   by tests/oracles/philox_reference.py; float draws are made from 32 bits, double draws from 52.
# stream <seed> <name> <seed of the stream>
# golden <type> <transform> <seed> <call> <row> <first column> <16 values>: the library's own bits, by
#   random_test "[golden]". A change here changes every sample of every user.
"""


def philox(counter, key):
    x = [np.uint64(v) for v in counter]
    k = [np.uint64(v) for v in key]
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * x[0]
        p1 = np.uint64(0xCD9E8D57) * x[2]
        x = [(p1 >> SHIFT) ^ x[1] ^ k[0], p1 & MASK, (p0 >> SHIFT) ^ x[3] ^ k[1], p0 & MASK]
        k = [(k[0] + np.uint64(0x9E3779B9)) & MASK, (k[1] + np.uint64(0xBB67AE85)) & MASK]
    return [int(v) for v in x]


def check_known_answers():
    ones = 0xFFFFFFFF
    for counter, key, answer in (
        ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([ones] * 4, [ones] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
         "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ):
        got = " ".join(f"{v:08x}" for v in philox(counter, key))
        if got != answer:
            raise SystemExit(f"philox: expected {answer}, got {got}")


def halves(x):
    return [x & 0xFFFFFFFF, x >> 32]


def derived_key(key, kind, value):
    low, high = philox([kind << 29, *halves(value), 0], halves(key))[:2]
    return high << 32 | low


def stream_seed(seed, name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return derived_key(seed, NAME_KEY, h)


def word(seed, call, kind, row, column):
    key = seed if call < 2**32 else derived_key(seed, CALL_KEY, call >> 32)
    counter = [kind << 29 | column // 4, row & 0xFFFFFFFF, row >> 32, call & 0xFFFFFFFF]
    return philox(counter, halves(key))[column % 4]


def unit(bits, kind, seed, call, row, column):
    k = word(seed, call, kind, row, column)
    if bits == 52:
        k = k << 20 | word(seed, call, kind + 1, row, column) >> 12
    return (k + 0.5) * 2.0**-bits


def uniform(bits, *where):
    u = unit(bits, UNIFORM, *where)
    return u if bits == 52 else (math.floor(u * 2**23) + 0.5) * 2.0**-23


def normal(bits, seed, call, row, column):
    pair = column - column % 2
    radius = math.sqrt(-2 * math.log(unit(bits, NORMAL, seed, call, row, pair)))
    angle = 2 * math.pi * unit(bits, NORMAL, seed, call, row, pair + 1)
    return radius * (math.sin(angle) if column % 2 else math.cos(angle))


def logistic(bits, *where):
    u = unit(bits, UNIFORM, *where)
    return math.log(u / (1 - u))


def laplace(bits, *where):
    u = unit(bits, UNIFORM, *where)
    return math.log(2 * u) if u < 0.5 else -math.log(2 * (1 - u))


def cauchy(bits, *where):
    return math.tan(math.pi * (unit(bits, UNIFORM, *where) - 0.5))


def exponential(bits, *where):
    return -math.log(unit(bits, UNIFORM, *where))


def main():
    check_known_answers()
    lines = []
    for bits in (32, 52):
        for transform in (uniform, normal, logistic, laplace, cauchy, exponential):
            for seed, call, row, first in POINTS:
                values = [transform(bits, seed, call, row, c) for c in range(first, first + COLUMNS)]
                lines.append(f"reference {bits} {transform.__name__} {seed} {call} {row} {first} "
                             + " ".join(map(repr, values)))
    lines.append(f"stream 1234 dropout {stream_seed(1234, 'dropout')}")
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    try:
        with open(sys.argv[1], encoding="ascii") as old:
            golden = [line for line in old.read().splitlines() if line.startswith("golden ")]
    except FileNotFoundError:
        golden = []
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write(HEADER + "\n".join(lines + golden) + "\n")


if __name__ == "__main__":
    main()
