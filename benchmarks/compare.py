#!/usr/bin/env python3
"""Times other flow libraries and this one on the same work, alternating in one run, and writes markdown tables.

Every peer is a process that keeps its job prepared (see peers/protocol.py for the line protocol; our program speaks the
same), so that within a round all of them meet the machine in the same state: a slow minute hits everybody.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import re
import select
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
from protocol import EVALUATED_ROWS, MODELS  # noqa: E402

OURS = "pushforward"
SCRIPTS = {
    "zuko": "torch_peers.py",
    "zuko+compile": "torch_peers.py",
    "nflows": "torch_peers.py",
    "nflows+compile": "torch_peers.py",
    "normflows": "torch_peers.py",
    "normflows+compile": "torch_peers.py",
    "flowjax": "jax_peers.py",
    "distrax": "jax_peers.py",
    "onnxruntime": "onnx_peer.py",
    "openblas": "product_peers.py",
    "mkl": "product_peers.py",
    "onednn": "product_peers.py",
    "libxsmm": "product_peers.py",
}
AUTOREGRESSIVE = ["nsf_ar_d6", "nsf_ar_d43", "maf_d43"]
PRODUCTS = [  # outputs x inputs x rows of the flows' linear maps
    "64x64x128",
    "989x64x128",
    "256x256x256",
    "256x32x512",
    "256x256x512",
    "736x256x512",
    "512x43x128",
    "512x512x128",
    "512x512x1024",
]
FLOWS = ["nsf_ar_d6", "nsf_ar_d43", "nsf_c_d63", "maf_d43", "realnvp_d21"]
JOBS = {
    "train_step": [*FLOWS, "maf_d43_b1024"],
    "log_prob": FLOWS,
    "sample": AUTOREGRESSIVE,
    "latency_log_prob": ["nsf_c_d6"],
    "latency_sample": ["nsf_c_d6"],
    "spline_forward": ["spline8"],
    "spline_inverse": ["spline8"],
    "product_forward": PRODUCTS,
    "product_input": PRODUCTS,
    "product_weight": PRODUCTS,
}
TITLES = {
    "train_step": "Training: one step (forward, backward, Adam) at the model's batch",
    "log_prob": "Density of 1,000,000 rows",
    "sample": "Drawing 100,000 rows from autoregressive flows",
    "latency_log_prob": "Density of one row, one thread",
    "latency_sample": "Drawing one row, one thread",
    "spline_forward": "Rational-quadratic spline with log-derivative, one value, one thread",
    "spline_inverse": "Inverse spline with log-derivative, one value, one thread",
    "product_forward": "Linear map of outputs x inputs x rows, one thread",
    "product_input": "Gradient of its argument",
    "product_weight": "Gradient of its weights",
}
# Ratios that this library wants to reach against the best other one; where a ratio lies above what the machine allows,
# SHARE of the roofline.
MARKS = {
    **{("train_step", m): 3 for m in ("nsf_ar_d6", "nsf_ar_d43", "nsf_c_d63")},
    **{("train_step", m): 2.5 for m in ("maf_d43", "realnvp_d21")},
    **{("log_prob", m): 3 for m in FLOWS},
    ("sample", "nsf_ar_d6"): 10,
    ("sample", "nsf_ar_d43"): 40,
    ("sample", "maf_d43"): 40,
    ("spline_forward", "spline8"): 10,
    ("spline_inverse", "spline8"): 10,
    **{(work, m): 0.85 for work in ("product_forward", "product_input", "product_weight") for m in PRODUCTS},
}
# One row: against these libraries, and in seconds.
LATENCY_MARKS = {"onnxruntime": 5, **{peer: 50 for peer, script in SCRIPTS.items() if script == "torch_peers.py"}}
SECONDS = {"latency_log_prob": 1e-5, "latency_sample": 1e-5, "spline_forward": 12e-9, "spline_inverse": 12e-9}
DRAWING_MARK = 1.6  # times the seconds of scoring, ours
SHARE = 0.65
SHARES = {("train_step", "maf_d43_b1024"): 0.6}  # marks on the rate of useful operations alone
UNSTEADY = 1.5  # slowest over fastest, from which on the machine was not quiet enough
PACKAGES = ["torch", "zuko", "nflows", "normflows", "jax", "jaxlib", "flowjax", "distrax", "onnxruntime"]


def of_kernel(work):
    """One kernel by itself, measured in float32."""
    return work.startswith(("spline_", "product_"))


def small(work):
    """Work that a second thread would only slow down, or that is defined on one."""
    return work.startswith("latency_") or of_kernel(work)


def able(peer, work):
    """Libraries of matrix products do nothing else, and the flow libraries are not asked for them."""
    return peer == OURS or (SCRIPTS[peer] == "product_peers.py") == work.startswith("product_")


class Worker:
    """A peer's process, bound to as many processors as it may use threads: no library can then use more."""

    def __init__(self, command, threads, timeout):
        processors = sorted(os.sched_getaffinity(0))[:threads]
        count = str(threads)
        environment = {**os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "PYTHONWARNINGS": "ignore"}
        if " avx512f " in Path("/proc/cpuinfo").read_text():
            environment["OPENBLAS_CORETYPE"] = "SKYLAKEX"  # it takes new AMD processors for old ones, at half the speed
        self.timeout = timeout
        self.errors = tempfile.TemporaryFile()  # kept for a crash's last words
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, processors),
        )

    def ask(self, request):
        """The reply; a worker that dies or does not answer in time is closed, and the reply says so."""
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return self.fail(self.last_words())
        ready, _, _ = select.select([self.process.stdout], [], [], self.timeout)
        if not ready:
            return self.fail(f"no answer within {self.timeout} s")
        line = self.process.stdout.readline()
        return json.loads(line) if line else self.fail(self.last_words())

    def last_words(self):
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "nothing on stderr")
        return f"the process died (status {self.process.returncode}): {last.strip()[:160]}"

    def fail(self, reason):
        self.process.kill()
        self.process.wait()
        return {"cannot": reason}

    def alive(self):
        return self.process.poll() is None

    def close(self):
        if not self.alive():
            return
        self.process.stdin.write(b'{"op": "quit"}\n')
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Crew:
    """The workers of a run, started when first needed and again after a failure."""

    def __init__(self, options):
        self.options = options
        self.workers = {}

    def command(self, peer):
        if peer == OURS:
            return [str(self.options.engine)]
        return [self.options.python, str(HERE / "peers" / SCRIPTS[peer])]

    def ask(self, peer, request):
        key = peer, request["threads"]
        worker = self.workers.get(key)
        if worker is None or not worker.alive():
            worker = self.workers[key] = Worker(self.command(peer), request["threads"], self.options.timeout)
        return worker.ask({**request, "peer": peer})

    def close(self):
        for worker in self.workers.values():
            worker.close()


def measure(crew, peers, work, model, dtype, options):
    """Each peer's seconds over the rounds, or the reason why it has none."""
    request = {
        "model": model,
        "work": work,
        "dtype": dtype,
        "threads": 1 if small(work) else options.threads,
        "repeats": options.repeats,
    }
    if OURS in peers and model in MODELS and MODELS[model].kind.startswith("nsf"):
        request["weights"] = f"{options.weights}/{model}.{dtype}.safetensors"
        if not Path(request["weights"]).exists() and "cannot" in (reply := crew.ask(OURS, {**request, "op": "write"})):
            sys.exit(f"{OURS} cannot write {model}: {reply['cannot']}")
    replies = {peer: crew.ask(peer, {**request, "op": "prepare"}) for peer in peers}
    left = [peer for peer in peers if "cannot" not in replies[peer]]
    for round_number in range(options.rounds + 1):  # round 0 warms up
        for peer in list(left):
            reply = crew.ask(peer, {**request, "op": "run"})
            if "cannot" in reply:
                replies[peer] = reply
                left.remove(peer)
            elif round_number > 0:
                replies[peer]["seconds"] += reply["seconds"]
    return replies


def duration(seconds):
    for unit, scale in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def cell(reply):
    """Median and, in brackets, the spread: the fastest and the slowest measurement; a star tells of a wide one."""
    if "cannot" in reply:
        return "cannot"
    seconds = reply["seconds"]
    star = "\\*" if max(seconds) > UNSTEADY * min(seconds) else ""
    return f"{duration(statistics.median(seconds))}{star} ({duration(min(seconds))} – {duration(max(seconds))})"


def roofline(work, model, reply, limits, threads):
    """The least seconds that the useful work can take on this machine: multiply-adds of the weights that exist at the
    rate of the best matrix product, splines at the kernel's rate, Adam's reads and writes (7 for each parameter)."""
    if work not in ("train_step", "log_prob", "sample") or "parameters" not in reply:
        return None
    rows = MODELS[model].batch if work == "train_step" else EVALUATED_ROWS[work]
    passes = 3 if work == "train_step" else 1
    spline = limits["spline"] + (limits["spline_backward"] if work == "train_step" else 0)
    seconds = rows * (passes * 2 * reply["parameters"] / limits["flops"] + reply["splines"] * spline / threads)
    if work == "train_step":
        seconds += 7 * reply["parameters"] * limits["size"] / limits["bytes"]
    return seconds


def verdict(work, model, medians, best, least):
    """Whether the mark is met: by the ratio or by the share of the roofline; one row by its time and ratios."""
    ours = medians[OURS]
    if work.startswith("latency_"):
        ratios = [(p, medians[p] / ours, m) for p, m in LATENCY_MARKS.items() if p in medians]
        met = ours <= SECONDS[work] and all(ratio >= mark for _, ratio, mark in ratios)
        parts = [duration(SECONDS[work]), *(f"{p} {ratio:.0f}x of {mark}x" for p, ratio, mark in ratios)]
        return ", ".join(parts) + (": yes" if met else ": no")
    if (share := SHARES.get((work, model))) is not None:
        return f"{share:.0%} of the roofline: " + ("yes" if least / ours >= share else "no")
    mark = MARKS.get((work, model))
    if mark is None or best is None:
        return "–"
    above = least is not None and best / mark < least
    if work in SECONDS:
        met = ours <= SECONDS[work] and best / ours >= mark
        return f"{duration(SECONDS[work])}, {mark}x: " + ("yes" if met else "no")
    if best / ours >= mark:
        return f"{mark}x: yes"
    if above:
        return f"{mark}x is above the roofline, {SHARE:.0%} of it: " + ("yes" if least / ours >= SHARE else "no")
    return f"{mark}x: no"


def table_row(work, model, dtype, replies, limits, threads):
    medians = {p: statistics.median(replies[p]["seconds"]) for p in replies if "cannot" not in replies[p]}
    others = {p: seconds for p, seconds in medians.items() if p != OURS}
    best = min(others, key=others.get, default=None)
    row = [model, dtype, *map(cell, replies.values()), best or "none"]
    if OURS in replies:
        row.append(f"{others[best] / medians[OURS]:.2f}" if best and OURS in medians else "–")
        least = roofline(work, model, replies[OURS], limits[dtype], threads) if OURS in medians else None
        row.append(f"{least / medians[OURS]:.0%}" if least else "–")
        met = dtype == "float32" and OURS in medians
        row.append(verdict(work, model, medians, others.get(best), least) if met else "–")
    return "| " + " | ".join(row) + " |"


def remarks(results, peers, key):
    """What peers say of themselves, each text once with the work it is about."""
    where = defaultdict(list)
    for (work, model, dtype), replies in results.items():
        for peer in peers:
            if text := replies.get(peer, {}).get(key):
                where[peer, text].append(f"{work}/{model} ({dtype})")
    return [f"- **{peer}**: {text} — {', '.join(places)}" for (peer, text), places in where.items()]


def drawing_beside_scoring(results):
    """Seconds of a drawn row over those of a scored one: what the one-pass inverse of masked networks is for."""
    lines = []
    for (work, model, dtype), replies in results.items():
        scored = results.get(("log_prob", model, dtype), {}).get(OURS, {"cannot": ""})
        drawn = replies.get(OURS, {"cannot": ""})
        if work != "sample" or "cannot" in scored or "cannot" in drawn:
            continue
        rows = EVALUATED_ROWS["log_prob"] / EVALUATED_ROWS["sample"]
        ratio = rows * statistics.median(drawn["seconds"]) / statistics.median(scored["seconds"])
        met = "yes" if ratio <= DRAWING_MARK else "no"
        lines.append(f"- {model} ({dtype}): {ratio:.2f}, at most {DRAWING_MARK}: {met}")
    return lines


def same_weights(results):
    """How far log_prob differs between libraries that have the same weights, in nats; the rest has its own."""
    largest = defaultdict(float)
    for (_, model, dtype), replies in results.items():
        for peer, reply in replies.items():
            if "difference" in reply:
                largest[peer, model, dtype] = max(largest[peer, model, dtype], reply["difference"])
    return [f"- {peer}: {model} ({dtype}) {value:.1g}" for (peer, model, dtype), value in largest.items()]


def timed_rows(results):
    """How many rows each peer was really given where the cell tells of a million or of 100,000."""
    lines = []
    for (work, model, dtype), replies in results.items():
        rows = [f"{p} {replies[p]['scaled_from']} by {replies[p]['tile']}" for p in replies if "tile" in replies[p]]
        if rows and work in ("log_prob", "sample"):
            lines.append(f"- {work}/{model} ({dtype}): {', '.join(rows)}")
    return lines


def report(results, peers, options):
    lines = [f"Cells: median (fastest – slowest); \\*: the slowest took more than {UNSTEADY} times the fastest."]
    if OURS in peers:
        lines[0] += (
            f" `best / {OURS}`: how many times as long the best other library takes. `roofline`: the least time that the"
            f" useful work needs on this machine over {OURS}'s."
        )
        for dtype, limit in options.limits.items():
            lines.append(
                f"This machine now, {options.threads} threads, {dtype}: matrix products {limit['flops'] / 1e9:.0f}"
                f" GFLOP/s, copying {limit['bytes'] / 1e9:.1f} GB/s; one thread: spline {limit['spline'] * 1e9:.1f} ns,"
                f" its gradient {limit['spline_backward'] * 1e9:.1f} ns."
            )
    for work in JOBS:
        rows = [
            table_row(w, m, d, replies, options.limits, options.threads)
            for (w, m, d), replies in results.items()
            if w == work
        ]
        if not rows:
            continue
        own = [f"best / {OURS}", "roofline", "mark"] if OURS in peers else []
        heads = ["model", "type", *(p for p in peers if able(p, work)), "best peer", *own]
        lines += ["", f"## {TITLES[work]} (`{work}`)", "", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
        lines += rows
    for title, key in (("What a peer cannot do", "cannot"), ("Where the work differs", "note")):
        if texts := remarks(results, peers, key):
            lines += ["", f"## {title}", "", *texts]
    if OURS in peers and (ratios := drawing_beside_scoring(results)):
        lines += ["", f"## {OURS}: drawing beside scoring, for a row", "", *ratios]
    if differences := same_weights(results):
        lines += ["", f"## The same weights as {OURS}: by how many nats log_prob differs at most", "", *differences]
    if scaled := timed_rows(results):
        lines += ["", "## Rows really timed, and the tile that suited best (the rest is scaled linearly)", "", *scaled]
    return "\n".join([machine(options), "", *lines]) + "\n"


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def versions(python):
    """Versions in the peers' environment, which need not be ours."""
    if Path(python) == Path(sys.executable):
        return versions_here()
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import compare; print(compare.versions_here())"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


def versions_here():
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} missing")
    return ", ".join([f"Python {platform.python_version()}", *found])


def machine(options):
    return "\n".join(
        [
            f"- Date: {datetime.date.today()}",
            f"- Processor: {processor()}, {os.cpu_count()} cores; threads of each library: {options.threads}",
            f"- System: {platform.system()} {platform.machine()}; {options.versions}",
            f"- {options.rounds} rounds of {options.repeats}, alternating between the libraries; one more to warm up",
        ]
    )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="regular expression on work/model")
    parser.add_argument("--peers", default=",".join(SCRIPTS), help="comma-separated names")
    parser.add_argument("--peers-only", action="store_true", help="leave our program out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1, help="measurements of a peer in each round")
    parser.add_argument("--dtype", default="float32,float64")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--timeout", type=int, default=600, help="seconds for one answer, compilation included")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--engine", type=Path, default=HERE.parent / "build/benchmarks/engine")
    parser.add_argument("--out", type=Path, help="file of the tables (default: standard output)")
    options = parser.parse_args()
    unknown = set(options.peers.split(",")) - set(SCRIPTS)
    if unknown:
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; there are {', '.join(SCRIPTS)}")
    return options


def main():
    options = arguments()
    options.versions = versions(options.python)
    peers = options.peers.split(",")
    if not options.peers_only:
        if options.engine.exists():
            peers.append(OURS)
        else:
            print(f"no {options.engine}: our side is left out", file=sys.stderr)
    jobs = [
        (work, model, dtype)
        for work, models in JOBS.items()
        for model in models
        for dtype in options.dtype.split(",")
        if re.search(options.only, f"{work}/{model}") and (dtype == "float32" or not of_kernel(work))
    ]
    crew = Crew(options)
    results = {}
    options.limits = {}
    with tempfile.TemporaryDirectory() as options.weights, contextlib.closing(crew):
        if OURS in peers:
            for dtype in options.dtype.split(","):
                request = {"op": "limits", "threads": options.threads, "dtype": dtype}
                options.limits[dtype] = {**crew.ask(OURS, request), "size": 8 if dtype == "float64" else 4}
        for work, model, dtype in jobs:
            print(f"{work}/{model} {dtype}", file=sys.stderr, flush=True)
            results[work, model, dtype] = measure(crew, [p for p in peers if able(p, work)], work, model, dtype, options)
            if options.out:
                options.out.write_text(report(results, peers, options))  # what there is survives an interruption
    if not options.out:
        print(report(results, peers, options))


if __name__ == "__main__":
    main()
