#!/usr/bin/env python3
"""Scores of the plain `pushforward fit` beside what else one could have done, on the same rows; see default.sh.

Every model is fitted to the same training rows and judged by the same test rows. Where the tool finds columns on grids,
its scores are logs of masses of cells; the peers then see training rows moved within their cells, and are judged by the
mean of their density over 32 places of each cell of a test row, times its size.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PRESETS = ["maf", "iaf", "real_nvp", "nice", "nsf", "nsf_ar"]
PLACES = 32


# ------------------------------------------------------------------------------------------------------------ tables


def moons(r, n):
    t, upper = np.pi * r.random(n), r.random(n) < 0.5
    y = np.where(upper[:, None], np.c_[np.cos(t), np.sin(t)], np.c_[1 - np.cos(t), 0.5 - np.sin(t)])
    return y + 0.1 * r.standard_normal((n, 2))


def rings(r, n):
    t, radius = 2 * np.pi * r.random(n), r.choice([1.0, 2.0, 3.0], n) + 0.1 * r.standard_normal(n)
    return np.c_[radius * np.cos(t), radius * np.sin(t)]


def gaussians(r, n):
    t = 2 * np.pi * r.integers(0, 8, n) / 8
    return 3 * np.c_[np.cos(t), np.sin(t)] + 0.3 * r.standard_normal((n, 2))


def grid25(r, n):
    return 2.0 * r.integers(-2, 3, (n, 2)) + 0.2 * r.standard_normal((n, 2))


def checkerboard(r, n):
    x = 4 * r.random(n) - 2
    y = r.random(n) - 2.0 * r.integers(0, 2, n) + np.floor(x) % 2
    return 2 * np.c_[x, y]


def pinwheel(r, n):
    arm = r.integers(0, 5, n)
    x, y = 1 + 0.3 * r.standard_normal(n), 0.1 * r.standard_normal(n)
    t = 2 * np.pi * arm / 5 + 0.25 * np.exp(x) * 2
    return 2 * np.c_[x * np.cos(t) - y * np.sin(t), x * np.sin(t) + y * np.cos(t)]


def spirals(r, n):
    t = np.sqrt(r.random(n)) * 3 * np.pi
    side = r.choice([-1.0, 1.0], n)
    return side[:, None] * np.c_[-np.cos(t) * t, np.sin(t) * t] / 3 + 0.1 * r.standard_normal((n, 2))


def swiss_roll(r, n):
    t = 1.5 * np.pi * (1 + 2 * r.random(n))
    return np.c_[t * np.cos(t), t * np.sin(t)] / 3 + 0.2 * r.standard_normal((n, 2))


def banana(r, n):
    x = r.standard_normal((n, 2))
    return np.c_[x[:, 0], x[:, 0] ** 2 + 0.3 * x[:, 1]]


def funnel(r, n):
    v = 1.5 * r.standard_normal(n)
    return np.c_[v, np.exp(v / 2) * r.standard_normal(n)]


def cosine(r, n):
    x = 6 * r.random(n) - 3
    return np.c_[x, np.cos(2 * x) + 0.15 * r.standard_normal(n)]


def heavy_tails(r, n):
    x = r.standard_t(3, (n, 2))
    return np.c_[x[:, 0], 0.7 * x[:, 0] + x[:, 1]]


def cauchy(r, n):
    return r.standard_cauchy((n, 2))


def bounded(r, n):
    x = r.random(n)
    return np.c_[x, x * r.random(n)]


def beta(r, n):
    return np.c_[r.beta(0.6, 0.6, n), r.beta(2, 5, n)]


def skewed(r, n):
    x = r.gamma(1.5, 1, n)
    return np.c_[x, np.exp(0.5 * r.standard_normal(n)) * (1 + x)]


def normal(r, n):
    x = r.standard_normal((n, 2))
    return np.c_[x[:, 0], 0.95 * x[:, 0] + 0.3 * x[:, 1]]


def scales(r, n):
    narrow = r.random(n) < 0.5
    return np.where(narrow[:, None], 0.02, 1.0) * r.standard_normal((n, 2))


def counts(r, n):
    k = r.poisson(3, n)
    return np.c_[k, k + r.standard_normal(n)]


def categories(r, n):
    a = r.choice(5, n, p=[0.1, 0.2, 0.4, 0.2, 0.1])
    return np.c_[a, np.round(2 * r.standard_normal(n) * (1 + a), 1)]


TOYS = [moons, rings, gaussians, grid25, checkerboard, pinwheel, spirals, swiss_roll, banana, funnel, cosine, heavy_tails,
        cauchy, bounded, beta, skewed, normal, scales, counts, categories]  # fmt: skip


def table(name, folder, seed):
    """Names of the columns, training rows, test rows; of "wind12:500" 500 rows to train and all others to test."""
    name, _, few = name.partition(":")
    r = np.random.default_rng(seed)
    for toy in TOYS:
        if toy.__name__ == name:
            return ["x", "y"], toy(r, int(few or 5000)), toy(r, 5000)
    with open(folder / f"{name}.csv") as f:
        names = f.readline().strip().split(",")
    rows = np.loadtxt(folder / f"{name}.csv", delimiter=",", skiprows=1)
    keep = [i for i, n in enumerate(names) if n != "fold"]
    rows, names = rows[:, keep], [names[i] for i in keep]
    order = r.permutation(len(rows))
    test = len(rows) - int(few) if few else len(rows) // 5
    return names, rows[order[test:]], rows[order[:test]]


# ------------------------------------------------------------------------------------------------------------ models


class Grids:
    """What the tool found: cells of rows, for peers that know densities alone."""

    def __init__(self, names, grids):
        self.columns = [names.index(g["column"]) for g in grids]
        self.steps = np.array([g["step"] for g in grids])

    def move(self, r, rows):
        moved = rows.copy()
        if self.columns:
            moved[:, self.columns] += self.steps * (r.random((len(rows), len(self.columns))) - 0.5)
        return moved

    def log_mass(self, log_density, rows):
        if not self.columns:
            return log_density(rows)
        r = np.random.default_rng(0)
        values = [log_density(self.move(r, rows)) for _ in range(PLACES)]
        return np.logaddexp.reduce(values, axis=0) - np.log(PLACES) + np.log(self.steps).sum()


def write(path, names, rows):
    np.savetxt(path, rows, delimiter=",", header=",".join(names), comments="", fmt="%.17g")


def run(tool, *arguments):
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def tool_scores(tool, folder, *options):
    """Log-likelihoods of the test rows, the report of the fit, and its seconds."""
    begin = time.perf_counter()
    report = json.loads(run(tool, "fit", folder / "train.csv", "--out", folder / "m.st", "--json", *options))
    seconds = time.perf_counter() - begin
    run(tool, "log-prob", folder / "m.st", folder / "test.csv", "--out", folder / "scores.csv")
    return np.loadtxt(folder / "scores.csv", skiprows=1), report, seconds


def mixture(train, test, grids, seed):
    from sklearn.mixture import GaussianMixture

    r = np.random.default_rng(seed)
    rows = grids.move(r, train)
    order = r.permutation(len(rows))
    judges, rest = rows[order[: len(rows) // 10]], rows[order[len(rows) // 10 :]]
    fits = (GaussianMixture(k, random_state=seed, reg_covar=1e-6).fit(rest) for k in range(1, 31))
    best = max(fits, key=lambda m: m.score(judges))
    return grids.log_mass(best.score_samples, test)


def torch_flow(make, train, test, grids, seed, seconds):
    """The usual recipe: standardised columns, Adam 1e-3, batches of 256, the best of epochs, 20 without a better one."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(2)
    r = np.random.default_rng(seed)
    location, scale = train.mean(axis=0), train.std(axis=0)

    def tensor(rows):
        return torch.tensor((rows - location) / scale, dtype=torch.float32)

    order = r.permutation(len(train))
    judges, rest = tensor(grids.move(r, train[order[: len(train) // 10]])), train[order[len(train) // 10 :]]
    parameters, log_prob = make(train.shape[1])
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    best, kept, waited, end = -np.inf, None, 0, time.perf_counter() + seconds
    while waited < 20 and time.perf_counter() < end:
        rows = tensor(grids.move(r, rest))
        for batch in torch.randperm(len(rows)).split(256):
            optimizer.zero_grad()
            loss = -log_prob(rows[batch]).mean()
            if not torch.isfinite(loss):
                continue
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            score = log_prob(judges).mean().item()
        waited += 1
        if score > best:
            best, waited, kept = score, 0, [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for p, value in zip(parameters, kept):
            p.copy_(value)
        return grids.log_mass(lambda rows: log_prob(tensor(rows)).double().numpy() - np.log(scale).sum(), test)


def zuko_nsf(dim):
    import zuko

    flow = zuko.flows.NSF(dim, transforms=5, hidden_features=(64, 64))
    return list(flow.parameters()), lambda rows: flow().log_prob(rows)


def nflows_nsf(dim):
    from nflows import distributions, flows, nn, transforms

    def network(inputs, outputs):
        return nn.nets.ResidualNet(inputs, outputs, hidden_features=64, num_blocks=2)

    parts = []
    for i in range(5):
        mask = [(i + c) % 2 for c in range(dim)]
        parts += [transforms.LULinear(dim, identity_init=True),
                  transforms.PiecewiseRationalQuadraticCouplingTransform(
                      mask, network, num_bins=8, tails="linear", tail_bound=4)]  # fmt: skip
    flow = flows.Flow(transforms.CompositeTransform(parts), distributions.StandardNormal([dim]))
    return list(flow.parameters()), flow.log_prob


# -------------------------------------------------------------------------------------------------------------- main


def mean_and_error(values):
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values))


def compare(name, seed, args):
    """The default's scores, its report and seconds; and those of the others by name."""
    names, train, test = table(name, args.data, seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder / "train.csv", names, train)
        write(folder / "test.csv", names, test)
        own, report, seconds = tool_scores(args.tool, folder, "--seed", seed, "--ensemble", args.ensemble)
        grids, others = Grids(names, report.get("grids", [])), {}
        if "mixture" not in args.without:
            others["mixture"] = mixture(train, test, grids, seed)
        for preset in [] if "presets" in args.without else PRESETS:
            # As many epochs as make three times the steps of the default, batches as large as there.
            batch = min(512, max(32, 1 << max(0, (len(train) // 32).bit_length() - 1)))
            epochs = max(1, round(3 * min(8000 + len(train), 40000) / max(1, len(train) * 0.9 / batch)))
            options = ["--model", preset, "--epochs", epochs, "--batch", batch, "--seed", seed, "--precision", "float"]
            try:
                others[preset] = tool_scores(args.tool, folder, *options, *(["--dequantize"] if grids.columns else []))[0]
            except RuntimeError as error:
                print(f"  {preset}: {error}", file=sys.stderr)
        if "peers" not in args.without:
            others["zuko NSF"] = torch_flow(zuko_nsf, train, test, grids, seed, args.seconds)
            if len(names) > 1:
                others["nflows RQ-NSF"] = torch_flow(nflows_nsf, train, test, grids, seed, args.seconds)
    return own, report, seconds, others


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tables", help="names, with commas; all by default; wind12:500: with so many training rows")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--without", default="", help="mixture, presets, peers")
    parser.add_argument("--ensemble", type=int, default=1, help="members of the default")
    parser.add_argument("--seconds", type=float, default=600, help="at most, for a flow of another library")
    args = parser.parse_args()
    args.without = args.without.split(",")
    real = sorted(p.stem for p in args.data.glob("*.csv")) if args.data.is_dir() else []
    tables = args.tables.split(",") if args.tables else [t.__name__ for t in TOYS] + real
    print("| table | seed | default | chosen | seconds | best other | its score | behind | within the mark |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    missed = []
    for name in tables:
        for seed in map(int, args.seeds.split(",")):
            own, report, seconds, others = compare(name, seed, args)
            mean, error = mean_and_error(own)
            line = f"| {name} | {seed} | {mean:.3f} +- {error:.3f} | {report['chosen']} | {seconds:.0f} |"
            if others:
                best = max(others, key=lambda o: others[o].mean())
                behind, paired = mean_and_error(others[best] - own)
                met = behind <= max(0.1, 2 * paired)
                line += f" {best} | {others[best].mean():.3f} | {behind:.3f} +- {paired:.3f} | {'yes' if met else 'no'} |"
                if not met:
                    missed.append(f"{name} {seed}")
            print(line, flush=True)
    print(f"\nmissed: {', '.join(missed) if missed else 'none'}")


if __name__ == "__main__":
    main()
