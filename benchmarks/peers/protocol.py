"""What all peer workers share: the models' sizes, the line protocol and the ways of timing.

A worker reads one JSON request per line and answers each with one JSON line, so that a driver can alternate between
libraries within one run without paying for imports and compilation in between:

    {"op": "prepare"|"run"|"quit", "peer": .., "model": .., "work": .., "threads": .., "dtype": .., "repeats": ..}
    {"seconds": [..], "note": .., "scaled_from": .., "tile": .., "difference": ..}   or   {"cannot": "reason"}

"prepare" builds, compiles and warms up (its "seconds" is empty), "run" measures `repeats` times. The unit of work of one
entry of "seconds" is one step (train_step), 1e6 rows (log_prob), 1e5 rows (sample), one call on one row (latency_*) and
one value (spline_*). "scaled_from" tells how many rows were really timed. A request may name a model file in "weights": a
library that can take them tells by how much its log_prob of the file's reference rows differs from the file's.
"""

import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Callable


@dataclass(frozen=True)
class Model:
    """Sizes that every library builds from; `kind` says which map stands in the layers."""

    kind: str  # nsf_ar, nsf_c, maf or realnvp
    features: int
    hidden: int
    layers: int
    batch: int
    mixing: bool = True  # a linear map (or a permutation) between the layers


MODELS = {
    "nsf_ar_d6": Model("nsf_ar", 6, 256, 10, 512),
    "nsf_ar_d43": Model("nsf_ar", 43, 64, 10, 128),
    "nsf_c_d63": Model("nsf_c", 63, 256, 10, 512),
    "maf_d43": Model("maf", 43, 512, 5, 128),
    "maf_d43_b1024": Model("maf", 43, 512, 5, 1024),
    "realnvp_d21": Model("realnvp", 21, 256, 10, 256, mixing=False),
    "nsf_c_d6": Model("nsf_c", 6, 32, 5, 1, mixing=False),
}
BINS = 8
BOUND = 3.0
BLOCKS = 2  # residual blocks of a spline's conditioner: 2 * BLOCKS products of hidden x hidden
EVALUATED_ROWS = {"log_prob": 1_000_000, "sample": 100_000}
TILES = {
    "log_prob": (256, 1024, 4096),
    "sample": (1024, 8192),
    "spline_forward": (4096, 32768),
    "spline_inverse": (4096, 32768),
}
MOST_TIMED = 1 << 17
BUDGET = 0.5  # seconds that one measurement of many rows should take
LONGEST = 1.0  # seconds above which no larger tile is tried


class Cannot(Exception):
    """A library has no way to do a job; the text is the reason that readers see."""


@dataclass
class Job:
    """A prepared piece of work: every call of `measure` times it once."""

    measure: Callable[[], float]
    info: dict = field(default_factory=dict)


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def warm(call, times=3):
    """Runs until compilers, caches and allocators have settled; the time of the last call."""
    return [timed(call) for _ in range(times)][-1]


def step_job(call):
    warm(call)
    return Job(lambda: timed(call))


def latency_job(call, calls=200):
    """One row: the median of many calls, because single calls are shorter than the scheduler's disturbances."""
    warm(call, 20)
    return Job(lambda: statistics.median(timed(call) for _ in range(calls)))


def rows_job(tile_call, tiles, unit):
    """Times as many tiles as fit the budget, in the size that suits the library best, scaled to `unit` rows."""
    seconds = {}
    for tile in tiles:
        if seconds and min(seconds.values()) * tile > LONGEST:
            break  # slow work: one small tile is sample enough
        call = tile_call(tile)
        seconds[tile] = warm(call, 2) / tile  # the first call may compile
    tile = min(seconds, key=seconds.get)
    call = tile_call(tile)
    warm(call, 1)
    count = max(1, min(MOST_TIMED // tile, int(BUDGET / (seconds[tile] * tile))))

    def measure():
        return timed(lambda: [call() for _ in range(count)]) * unit / (count * tile)

    return Job(measure, {"scaled_from": count * tile, "tile": tile})


def work_job(work, step, row, tile_call, tiles=None):
    """The job of a work's name from three closures: one makes a step, one a call on a row, one a call on a tile."""
    if work == "train_step":
        return step_job(step())
    if work.startswith("latency_"):
        return latency_job(row())
    return rows_job(tile_call, tiles or TILES[work], EVALUATED_ROWS.get(work, 1))


def serve(prepare):
    """Answers requests until "quit" or end of input; `prepare` turns a request into a Job or raises."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    job = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "quit":
            return
        try:
            if request["op"] == "prepare":
                job = None  # frees the last job's memory first
                job = prepare(request)
                seconds = []
            else:
                seconds = [job.measure() for _ in range(request["repeats"])]
            reply = {"seconds": seconds, **job.info}
        except Cannot as reason:
            reply = {"cannot": str(reason)}
        except Exception as error:  # a library's failure is its answer, not the end of the comparison
            text = " ".join(str(error).split())
            reply = {"cannot": f"{type(error).__name__}: {text[:160]}"}
        print(json.dumps(reply), file=replies)
