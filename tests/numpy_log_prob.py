#!/usr/bin/env python3
"""Log-probabilities of rows under a model file, with NumPy alone.

    numpy_log_prob.py model.safetensors                      checks the file: checksum and reference rows
    numpy_log_prob.py model.safetensors rows.csv             prints one log_prob a line; also .npy
    numpy_log_prob.py model.safetensors rows.csv --expect log_prob
                                                             compares with that column of the CSV instead

Columns are those of the data, then those of the context. Nothing of the library is used: this file (format and
distributions) and numpy_maps.py (networks and bijectors) are the second description of the format and of the
mathematics of every class, and the first is checked against it.
"""

import argparse
import json
import math
import struct
import sys
import zlib

import numpy as np

from numpy_maps import bijector, lgamma, log_gamma_ratio, restrict, softplus

LOG_2PI = math.log(2 * math.pi)
DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "u1"}


class Model:
    """A file taken apart: tensors by name, and the entry "pushforward" of the metadata."""

    def __init__(self, path):
        with open(path, "rb") as f:
            data = f.read()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        metadata = header.pop("__metadata__")
        self.text = metadata["pushforward"]
        self.json = json.loads(self.text)
        if self.json["schema"] != 1:
            raise SystemExit(f"{path}: schema version {self.json['schema']}")
        body = data[8 + length :]
        self.tensors = {}
        crc = zlib.crc32(self.text.encode())
        for name in sorted(header, key=lambda n: n.encode()):
            entry = header[name]
            begin, end = entry["data_offsets"]
            shape = entry["shape"]
            self.tensors[name] = np.frombuffer(body[begin:end], DTYPES[entry["dtype"]]).reshape(shape)
            head = name + "\n" + entry["dtype"] + "\n" + "".join(f"{n}," for n in shape) + "\n"
            crc = zlib.crc32(body[begin:end], zlib.crc32(head.encode(), crc))
        stored = metadata.get("pushforward.crc32")
        if stored is not None and stored != f"{crc:08x}":
            raise SystemExit(f"{path}: checksum {crc:08x}, the file says {stored}")

    def node(self):
        return Node(self, self.json["description"], "")

    def log_prob(self, y, context=None):
        node = self.node()
        with np.errstate(all="ignore"):
            result, outside = log_prob(node, y, context)
        result = np.where(outside, -np.inf, result)
        nan = np.isnan(y).any(axis=1)
        return np.where(nan, np.nan, result)


class Node:
    """One component: its constants, its parts, and its tensors in double."""

    def __init__(self, model, description, path):
        self.model, self.path, self.type = model, path, description["type"]
        self.constants = {k: self.constant(v) for k, v in description["constants"].items()}
        self.parts = [
            (c["name"], Node(model, c["description"], path + c["name"] + ".")) for c in description["children"]
        ]

    def constant(self, value):
        number = {"inf": np.inf, "-inf": -np.inf}
        if isinstance(value, dict):
            if "tensor" in value:
                return self.model.tensors[value["tensor"]]
            if "numbers" in value:
                return np.array([number.get(v, v) for v in value["numbers"]], float)
            return float(number.get(value["number"], value["number"]))
        return value

    def __getitem__(self, name):
        return self.constants[name]

    def part(self, name):
        return dict(self.parts)[name]

    def tensor(self, name):
        return self.model.tensors[self.path + name].astype(float)

    def has(self, name):
        return self.path + name in self.model.tensors


# --------------------------------------------------------------------------------------------------- distributions


def log_prob(node, y, context):
    """The log density of each row, and the rows outside the support."""
    n, dim = y.shape
    nowhere = np.zeros(n, bool)
    t = node.type
    if t == "transformed_distribution":
        x, log_det, outside = bijector(node.part("bijector"), y, context, False)
        base, base_outside = log_prob(node.part("base"), x, context)
        return base + log_det, outside | base_outside
    if t == "standardized_context":
        return log_prob(node.part("inner"), y, (context - node.tensor("shift")) / node.tensor("scale"))
    if t == "quantized":
        columns, steps, points = node["columns"], node["steps"], node["points"]
        k = np.rint((y[:, columns] - node["origins"]) / steps)
        numbers = node["origins"] + k * steps
        whole = (steps == np.rint(steps)) & (node["origins"] == np.rint(node["origins"]))
        off = np.abs(y[:, columns] - numbers) > np.where(whole, 0, steps / 100)
        found = np.isin(columns, node.constants.get("found", []))
        numbers = np.where(off & found, y[:, columns], numbers)
        off = (off & ~found).any(axis=1)
        terms, everywhere = [], ~nowhere
        for i in range(points):
            turn = (i - (points - 1) / 2) * node["factors"] / points + 0.5
            x = y.copy()
            x[:, columns] = numbers + steps * (turn - np.floor(turn) - 0.5)
            value, outside = log_prob(node.part("inner"), x, context)
            terms.append(np.where(outside, -np.inf, value))
            everywhere &= outside
        mean = np.logaddexp.reduce(terms, axis=0) - math.log(points)
        return mean + np.log(steps).sum(), off | everywhere
    if t == "mixture":
        logits = node.tensor("logits")
        weights = logits - np.logaddexp.reduce(logits)
        terms, everywhere = [], ~nowhere
        for w, (_, part) in zip(weights, node.parts):
            value, outside = log_prob(part, y, context)
            terms.append(np.where(outside, -np.inf, w + value))
            everywhere &= outside
        return np.logaddexp.reduce(terms, axis=0), everywhere
    if t in ("normal", "multivariate_normal_diag", "cauchy", "laplace", "logistic", "student_t"):
        log_scale = node.tensor("log_scale")
        z = (y - node.tensor("loc")) * np.exp(-log_scale)
        if t == "cauchy":
            value = -np.log1p(z**2) - math.log(math.pi)
        elif t == "laplace":
            value = -np.abs(z) - math.log(2)
        elif t == "logistic":
            value = -z - 2 * softplus(-z)
        elif t == "student_t":
            df = np.exp(node.tensor("log_df"))
            value = log_gamma_ratio(df / 2, 1) - 0.5 * np.log(df * math.pi) - (df + 1) / 2 * np.log1p(z**2 / df)
        else:
            value = -0.5 * z**2 - 0.5 * LOG_2PI
        return (value - log_scale).sum(axis=1), nowhere
    if t in ("multivariate_normal_tril", "multivariate_student_t"):
        log_diagonal = node.tensor("log_diagonal")
        scale = np.tril(node.tensor("lower"), -1) + np.diag(np.exp(log_diagonal))
        z = np.linalg.solve(scale, (y - node.tensor("loc")).T).T
        square = (z**2).sum(axis=1)
        if t == "multivariate_normal_tril":
            return -0.5 * square - 0.5 * dim * LOG_2PI - log_diagonal.sum(), nowhere
        df = float(np.exp(node.tensor("log_df"))[0])
        constant = log_gamma_ratio(df / 2, dim) - 0.5 * dim * math.log(df * math.pi) - log_diagonal.sum()
        return constant - (df + dim) / 2 * np.log1p(square / df), nowhere
    if t == "categorical":
        logits = node.tensor("logits")
        logits = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
        outside = ~((y >= 0) & (y < logits.shape[1]) & (y == np.floor(y))).all(axis=1)
        k = np.where(outside[:, None] | ~np.isfinite(y), 0, y).astype(int)
        return logits[np.arange(dim), k].sum(axis=1), outside
    if t == "uniform":
        low, high = node["low"], node["high"]
        outside = ~((y >= low) & (y <= high)).all(axis=1)
        return np.full(n, -np.log(high - low).sum()), outside
    if t == "gamma":
        y, outside = restrict(y, 0.0, np.inf)
        log_rate = node.tensor("log_rate")
        a, rate = np.exp(node.tensor("log_concentration")), np.exp(log_rate)
        return ((a - 1) * np.log(y) - rate * y + a * log_rate - lgamma(a)).sum(axis=1), outside
    if t == "beta":
        y, outside = restrict(y, 0.0, 1.0)
        a, b = np.exp(node.tensor("log_concentration1")), np.exp(node.tensor("log_concentration0"))
        constant = lgamma(a + b) - lgamma(a) - lgamma(b)
        return ((a - 1) * np.log(y) + (b - 1) * np.log1p(-y) + constant).sum(axis=1), outside
    raise SystemExit(f"unknown distribution {t}")


# ------------------------------------------------------------------------------------------------------------ main


def largest_difference(found, expected):
    """Relative to 1 + |expected|; infinite where one is finite and the other is not."""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        difference = np.abs(found - expected) / (1 + np.abs(expected))
    return float(np.max(np.where(same, 0, np.where(np.isnan(difference), np.inf, difference)), initial=0))


def check_reference(model):
    reference = model.json["reference"]
    rows = np.array(reference["rows"], float)
    if len(rows) == 0:
        return 0, 0.0
    contexts = np.array(reference["contexts"], float)
    expected = np.array(reference["log_prob"], float)[:, 0]
    tolerance = np.array(reference["tolerance"], float)[:, 0]
    found = model.log_prob(rows, contexts if len(contexts) else None)
    if not (np.abs(found - expected) <= tolerance).all():
        raise SystemExit(f"reference rows: found {found}, the file says {expected}")
    return len(rows), largest_difference(found, expected)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("rows", nargs="?", help="CSV with a header line, or NPY")
    parser.add_argument("--expect", metavar="COLUMN", help="compare with this last column of the CSV")
    parser.add_argument("--tolerance", type=float, default=1e-10, help="relative, for --expect (default 1e-10)")
    arguments = parser.parse_args()

    model = Model(arguments.model)
    count, difference = check_reference(model)
    if arguments.rows is None or arguments.expect:
        print(f"{arguments.model}: {count} reference rows, largest difference {difference:.1e}", end="")
        print("" if arguments.expect is None else "; ", end="\n" if arguments.rows is None else "")
    if arguments.rows is None:
        return
    expected = None
    if arguments.rows.endswith(".npy"):
        data = np.load(arguments.rows, allow_pickle=False).astype(float)
    else:
        with open(arguments.rows) as f:
            names = f.readline().strip().split(",")
        data = np.loadtxt(arguments.rows, delimiter=",", skiprows=1, ndmin=2)
        if arguments.expect:
            if names[-1] != arguments.expect:
                raise SystemExit(f"{arguments.rows}: the last column is {names[-1]}, not {arguments.expect}")
            data, expected = data[:, :-1], data[:, -1]
    dim = len(model.json["reference"]["rows"][0]) if count else data.shape[1]
    found = model.log_prob(data[:, :dim], data[:, dim:] if data.shape[1] > dim else None)
    if expected is None:
        for value in found:
            print(repr(float(value)))
        return
    difference = largest_difference(found, expected)
    outside = int(np.isneginf(expected).sum())
    print(f"{len(found)} rows, {outside} outside the support, largest difference {difference:.1e}")
    if not difference <= arguments.tolerance:
        worst = np.argmax(np.abs(found - expected))
        raise SystemExit(f"{arguments.model}: row {worst}: found {found[worst]!r}, expected {expected[worst]!r}")


if __name__ == "__main__":
    sys.exit(main())
