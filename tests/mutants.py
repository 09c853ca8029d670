#!/usr/bin/env python3
"""Changes one line at a time by rule, and sees whether the tests notice.

A mutant is one changed line of the mathematics: a vector-Jacobian term negated or dropped, a line of a visitor
dropped, a direction swapped, an addend of the context or of a log_det dropped or negated, a sign flipped, a function
exchanged for a near one. Each is built in a scratch copy of the tree and tested; it counts as caught if a test fails,
crashes or exceeds the time limit. Survivors must be listed in tests/mutants_equivalent.txt with a proof that the
change changes nothing; otherwise the exit status is 1.

    tests/mutants.py --list                  what would be run, with counts per class and operation
    tests/mutants.py --only bijectors/exp    those whose description matches
    tests/mutants.py --sample 60 --seed 2    a random part
    tests/mutants.py --per-unit 3            three of each class and operation, of as many rules as it has
    tests/mutants.py --since COMMIT          those of lines that are newer than a commit
    tests/mutants.py --jobs 4 --work DIR     four scratch copies, kept in DIR for the next run
"""

import argparse
import concurrent.futures
import os
import pathlib
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from mutants_rules import mutations

ROOT = pathlib.Path(__file__).resolve().parent.parent
EQUIVALENT = ROOT / "tests" / "mutants_equivalent.txt"
PATTERNS = [
    "src/kernels/[aelnrst]*.cpp",
    "src/kernels/*-inl.hpp",
    "src/kernels/moments.hpp",
    "src/kernels/philox.hpp",
    "src/core/bijector.cpp",
    "src/core/distribution.cpp",
    "src/core/latents.cpp",
    "src/core/pass.cpp",
    "src/core/random.cpp",
    "src/core/space.cpp",
    "src/core/tape.cpp",
    "src/ops/*.[ch]pp",
    "src/numerics/*.[ch]pp",
    "src/training/*.[ch]pp",
    "src/diagnostics/*.cpp",
    "src/inference/*.cpp",
    "src/testing/chart.cpp",
    "src/testing/stochastic_contract.cpp",
    "include/pushforward/dual.hpp",
    "include/pushforward/training/losses.hpp",
    "nn/*.[ch]pp",
    "include/pushforward/nn/*.hpp",
    "src/batch_norm/*.cpp",
    "ports/*.cpp",
    "flows/builders.cpp",
    "bijectors/*.[ch]pp",
    "distributions/*.[ch]pp",
    "include/pushforward/bijectors/*.hpp",
    "include/pushforward/fixed_map.hpp",
    "include/pushforward/distributions/*.hpp",
]
OPS = ["ops_elementwise_test", "ops_linear_test", "ops_test", "ops_batch_norm_test"]
BIJECTORS = ["bijectors_elementwise_test", "bijectors_linear_test", "batch_normalization_test",
             "batch_normalization_oracle_test"]
DISTRIBUTIONS = ["distributions_oracle_test", "distributions_test", "distributions_samples_test"]
FLOWS = ["flow_test", "prefix_test"]
PORTS = ["tf_nn_test", "aesara_test", "ports_oracle_test"]
TRAINING = ["fit_batch_norm_test", "calibrate_test", "fit_test", "fit_options_test", "prepare_test", "optimizer_test",
            "checkpoint_test"]
COUPLED = ["coupling_test", "objective_test", "shards_test", "reducer_test"]
# The first one that fails ends the matter, so the one that most likely does comes first.
TESTS = {
    "src/kernels/activation": ["kernels_functions_test", "tangent_test"],
    "src/kernels/linear": ["kernels_linear_test"],
    "src/kernels/math": ["kernels_functions_test", "spline_test", "fused_ops_test"],
    "src/kernels/normalize": ["batch_norm_test", "ops_batch_norm_test", "batch_normalization_test"],
    "src/kernels/philox": ["random_test"],
    "src/kernels/random": ["random_test", "random_draws_test"],
    "src/kernels/spline": ["fused_ops_test", "spline_test", "contract_test"],
    "src/kernels/tails": ["affine_tail_test"],
    "src/kernels": ["kernels_test"] + OPS,
    "src/core/bijector": ["space_test", "noise_test", "surfaces_test", "batch_normalization_test", "contract_test",
                          "batch_norm_frictions_test"],
    "src/core/distribution": ["noise_test", "tails_test", "contract_test"] + DISTRIBUTIONS + FLOWS,
    "src/core/pass": ["nn_test", "noise_test", "contract_test"],
    "src/core/random": ["random_test", "random_draws_test", "row_stream_test"],
    "src/core/space": ["space_test", "misfit_test", "surfaces_test"],
    "src/core/tape": ["ops_test", "scope_test", "objective_test", "optimizer_test", "contract_test"],
    "src/training/baseline": ["baseline_test"] + TRAINING,
    "src/training/bounded": ["fit_inputs_test"] + TRAINING,
    "src/training/calibrate": ["calibrate_test", "coupling_test", "objective_test", "noise_test"] + TRAINING,
    "src/training/coupled_columns": COUPLED,
    "src/training/step": COUPLED + ["optimizer_test", "scope_test"] + TRAINING,
    "src/training/fit_best": ["fit_best_test"],
    "src/training/folds": ["fit_best_test"],
    "src/training/candidates": ["fit_best_test"],
    "src/training/heavy_tails": ["fit_best_test"],
    "src/training/gaussian_mixture": ["fit_best_test"],
    "src/training/fit": ["fit_test", "objective_test", "coupling_test"] + TRAINING,
    "src/training/loop": ["fit_options_test", "fit_test", "fit_non_finite_test"] + TRAINING + COUPLED,
    "src/training/rows": ["fit_test", "fit_options_test", "misfit_test", "quantized_test"] + TRAINING,
    "src/training/prepare": ["prepare_test"] + TRAINING,
    "src/training/split": ["split_test"] + TRAINING,
    "src/training/reverse_kl": ["fit_options_test"] + TRAINING,
    "src/training": ["optimizer_test", "optimizer_fit_test"] + TRAINING,
    "training/losses": ["optimizer_test"] + TRAINING,
    "src/core/latents": ["calibration_test"],
    "src/testing/audit": ["audit_test"],
    "src/diagnostics": ["calibration_test"],
    "src/inference": ["conditioning_test"],
    "src/testing/stochastic": ["stochastic_contract_test"],
    "src/testing/chart": ["surfaces_test", "contract_test"],
    "dual": ["tangent_test"],
    "src/ops/batch_norm": ["ops_batch_norm_test"] + BIJECTORS[::-1] + OPS[:3] + ["reducer_test"],
    "src/ops/batch": ["scope_test", "objective_test"],
    "src/ops/checkpoint": ["scope_test", "noise_test"],
    "src/ops/trace": ["trace_test"],
    "src/ops/tails": ["affine_tail_test", "contract_test"],
    "src/ops/circle": ["layers_test", "contract_test"],
    "src/ops/element_map": ["layers_test", "scalar_maps_test", "contract_test"],
    "src/ops/line_integral": ["layers_test", "contract_test"],
    "src/ops/linear_groups": ["layers_test", "contract_test"],
    "src/ops/matrix": ["linear_maps_test", "layers_test", "contract_test"],
    "src/ops/parabola": ["layers_test", "contract_test"],
    "src/ops/polynomial_spline": ["layers_test", "contract_test"],
    "src/ops/linear_rational": ["scalar_maps_test", "contract_test"],
    "src/ops/linear": ["ops_linear_test", "contract_test"] + OPS + BIJECTORS,
    "src/ops/structure": ["ops_test", "contract_test", "trace_test"] + OPS + BIJECTORS + ["wrapper_test"],
    "src/ops/spline": ["fused_ops_test", "spline_test"],
    "src/ops/intervals": ["fused_ops_test", "contract_test"] + BIJECTORS,
    "src/ops/density": ["fused_ops_test", "surfaces_test"] + DISTRIBUTIONS,
    "src/ops": OPS + ["fused_ops_test", "trace_test", "contract_test"] + BIJECTORS + ["tangent_test"],
    "src/numerics": ["special_functions_test"] + DISTRIBUTIONS,
    "src/batch_norm": ["batch_norm_test", "batch_norm_layer_test", "batch_norm_frictions_test"] + PORTS + BIJECTORS[::-1] + TRAINING,
    "nn/balanced_scales": ["tangent_test", "layers_test", "contract_test"],
    "nn/periodic_features": ["tangent_test", "shaped_flows_test", "contract_test"],
    "nn/": ["nn_test", "tangent_test", "contract_test", "model_golden_test"] + FLOWS,
    "ports": ["batch_norm_layer_test", "batch_norm_frictions_test"] + PORTS,
    "flows": ["preset_test", "shaped_flows_test", "flow_test", "spline_test", "contract_test", "prefix_test"],
    "distributions/transformed": ["contract_test"] + FLOWS + DISTRIBUTIONS,
    "src/": ["contract_test"] + FLOWS + DISTRIBUTIONS,
    "bijectors/rational_quadratic": ["contract_test", "spline_test"] + FLOWS,
    "bijectors/batch_normalization": ["contract_test", "batch_normalization_test"] + BIJECTORS + FLOWS,
    "bijectors/ascending": ["surfaces_test", "contract_test"],
    "bijectors/householder": ["linear_maps_test", "contract_test"],
    "bijectors/planar": ["linear_maps_test", "contract_test"],
    "bijectors/radial": ["linear_maps_test", "contract_test"],
    "bijectors/triangular_linear": ["linear_maps_test", "contract_test"],
    "bijectors/bijector_to": ["audit_test"],
    "bijectors/softmax": ["surfaces_test", "layers_test", "contract_test"],
    "bijectors/identity_tails": ["shaped_flows_test", "contract_test"],
    "bijectors/blocks": ["blocks_test", "contract_test"],
    "distributions/product": ["blocks_test", "contract_test"],
    "bijectors/running_sum": ["surfaces_test", "contract_test"],
    "bijectors/cholesky_outer_product": ["matrix_spaces_test", "contract_test"],
    "bijectors/correlation_cholesky": ["matrix_spaces_test", "contract_test"],
    "bijectors/fill_scale_tril": ["matrix_spaces_test", "contract_test"],
    "bijectors/softmax_centered": ["surfaces_test", "contract_test"],
    "bijectors/stick_breaking": ["surfaces_test", "contract_test"],
    "bijectors/surface": ["surfaces_test", "contract_test"],
    "bijectors/unit_vector": ["surfaces_test", "contract_test"],
    "distributions/categorical": ["surfaces_test", "contract_test"],
    "bijectors/affine_transformer": ["affine_tail_test", "contract_test", "scalar_maps_test"] + FLOWS,
    "bijectors/bernstein": ["monotone_transformers_test", "contract_test"],
    "bijectors/gaussianization": ["monotone_transformers_test", "contract_test"],
    "bijectors/logistic_mixture": ["monotone_transformers_test", "contract_test"],
    "bijectors/log_sum_exp": ["monotone_transformers_test", "contract_test"],
    "bijectors/sos_polynomial": ["monotone_transformers_test", "contract_test"],
    "bijectors/frechet": ["contract_test"],
    "bijectors/generalized_pareto": ["contract_test"],
    "bijectors/gompertz": ["contract_test"],
    "bijectors/moyal": ["contract_test"],
    "bijectors/cumsum": ["contract_test"],
    "bijectors/whiten": ["bijectors_linear_test", "contract_test", "prepare_test"],
    "bijectors/conditioner": ["affine_tail_test", "contract_test"] + FLOWS,
    "bijectors/elementwise": ["contract_test", "scalar_maps_test"],
    "bijectors/composed_transformer": ["contract_test", "scalar_maps_test"],
    "bijectors/numerical_inverse": ["contract_test", "numerical_inverse_test", "scalar_maps_test"],
    "bijectors": ["contract_test"] + BIJECTORS + FLOWS,
    "fixed_map": ["contract_test", "scalar_maps_test"],
    "distributions/start": ["mixture_start_test"] + DISTRIBUTIONS,
    "src/training/grids": ["fit_best_test", "fit_options_test"],
    "distributions/quantized": ["quantized_test", "contract_test"],
    "distributions/log_sum": ["quantized_test", "distributions_test", "contract_test"],
    "distributions/mixture": ["distributions_test", "mixture_start_test", "tails_test", "contract_test"] + DISTRIBUTIONS,
    "distributions": ["contract_test"] + DISTRIBUTIONS,
}
IN_LAYERS = (
    "bijectors/block_autoregressive bijectors/circular_shift bijectors/discrete bijectors/isometric bijectors/l1_ball "
    "bijectors/low_rank bijectors/matrix_exp bijectors/moebius bijectors/monotone bijectors/non_compact "
    "bijectors/partial_corr bijectors/polynomial_spline bijectors/rotation bijectors/sylvester bijectors/tanh_step "
    "bijectors/umnn bijectors/unit_ball bijectors/zero_sum distributions/embedded "
    "nn/element_network"
).split()
IN_SCALAR_MAPS = (
    "bijectors/beta_stretch bijectors/bounded_tanh bijectors/cauchy_cdf bijectors/elu bijectors/expm1 "
    "bijectors/gumbel_cdf bijectors/hyperbolic bijectors/kumaraswamy bijectors/lambert_w bijectors/leaky "
    "bijectors/linear_rational bijectors/log_tanh bijectors/modulus bijectors/normal_cdf bijectors/power "
    "bijectors/scaled_affine_transformer bijectors/sinh bijectors/soft_clip bijectors/two_sided bijectors/weibull "
    "bijectors/yeo_johnson"
).split()
TESTS |= {name: ["layers_test", "contract_test"] for name in IN_LAYERS}
TESTS |= {name: ["scalar_maps_test", "contract_test"] for name in IN_SCALAR_MAPS}


class Mutant:
    def __init__(self, path, number, unit, rule, old, new):
        self.path, self.number, self.unit, self.rule, self.old, self.new = path, number, unit, rule, old, new

    @property
    def folder(self):
        """Headers belong to their sources; operations and kernels of one name are two units."""
        return str(pathlib.PurePath(self.path.removeprefix("include/pushforward/")).parent)

    @property
    def key(self):
        """Stays the same when lines are added above."""
        return f"{self.path}: {self.old.strip()} -> {self.new.strip()}"

    def __str__(self):
        return f"{self.path}:{self.number} [{self.unit}] {self.rule}: {self.old.strip()} -> {self.new.strip()}"


def unit_of(lines, number, path):
    """The operation for sources of operations, else the class or file."""
    if not path.startswith(("src/", "ports/")):
        return pathlib.PurePath(path).stem
    for k in range(number, -1, -1):
        m = re.match(r"(?!namespace|using|#|//)\S.*?\b(operator ?\S+?|\w+)\([^;]*\{$|(?:struct|class) (\w+)[^;]*\{$", lines[k])
        if m:
            return m.group(1) or m.group(2)
        m = re.match(r"(?!namespace|using|#|//)\S.*?\b(\w+)\([^;{]*\) \{.*\}$", lines[k]) if k == number else None
        if m:
            return m.group(1)
        m = re.match(r"(?!namespace|using|#|//)\S.*?\b(\w+)\([^;{]*$", lines[k])
        if m and k + 1 < len(lines) and lines[k + 1].startswith(" ") and lines[k + 1].rstrip().endswith("{"):
            return m.group(1)
    return pathlib.PurePath(path).stem


def all_mutants(root):
    result = []
    for pattern in PATTERNS:
        for file in sorted(root.glob(pattern)):
            path = str(file.relative_to(root))
            lines = file.read_text().split("\n")
            in_instantiation = False
            for number, line in enumerate(lines):
                starts = line.startswith("#define PUSHFORWARD_INSTANTIATE")
                in_instantiation = starts or in_instantiation and "#undef" not in line
                if in_instantiation or line.lstrip().startswith("//") or line.rstrip().endswith("\\"):
                    continue
                seen = set()
                for rule, new in mutations(line, path):
                    if new.strip() not in seen and new.strip() != line.strip():
                        seen.add(new.strip())
                        result.append(Mutant(path, number + 1, unit_of(lines, number, path), rule, line, new))
    return result


def read_equivalent():
    """Key of each mutant that is known to change nothing, and the proof."""
    proofs, key = {}, None
    if EQUIVALENT.exists():
        for line in EQUIVALENT.read_text().split("\n"):
            if line.startswith("#") or not line.strip():
                continue
            if line[0].isspace():
                if key:
                    proofs[key] += line.strip() + " "
            else:
                key = line.strip()
                proofs[key] = ""
    return proofs


class Scratch:
    """A copy of the tree with a build of its own."""

    def __init__(self, directory, timeout):
        self.tree, self.build, self.timeout = directory / "tree", directory / "build", timeout
        self.copy()
        self.environment = dict(os.environ, CCACHE_BASEDIR=str(directory), CCACHE_NOHASHDIR="1")
        subprocess.run(
            ["cmake", "-G", "Ninja", "-S", self.tree, "-B", self.build, "-DCMAKE_BUILD_TYPE=Release",
             "-DCMAKE_CXX_FLAGS_RELEASE=-O1", "-DPUSHFORWARD_BUILD_SAMPLES=OFF", "-DPUSHFORWARD_BUILD_TOOLS=OFF"],
            check=True, stdout=subprocess.DEVNULL, env=self.environment)
        self.baseline = {}

    def copy(self):
        """Writes only what differs: what was changed and is now restored must look new to the build."""
        kept = set()
        for directory, folders, names in os.walk(ROOT):
            folders[:] = [f for f in folders if not re.fullmatch(r"\.git|__pycache__|build(-.*)?", f)]
            for name in names:
                source = pathlib.Path(directory) / name
                target = self.tree / source.relative_to(ROOT)
                kept.add(target)
                if not target.exists() or target.read_bytes() != source.read_bytes():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target)
        for old in [f for f in self.tree.rglob("*") if f.is_file() and f not in kept]:
            old.unlink()

    def make(self, test):
        return subprocess.run(["ninja", "-C", self.build, "-j1", test], text=True, env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, test):
        """Exit status, which counts failed checks; None if the time is over."""
        # A test that passes on the unchanged tree is caught by its first failed check.
        first = ["--abort"] if self.baseline.get(test) == 0 else []
        try:
            return subprocess.run([self.build / "tests" / test, *first], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  timeout=self.timeout, cwd=self.build).returncode
        except subprocess.TimeoutExpired:
            return None

    def check_baseline(self, tests):
        for test in tests:
            done = self.make(test)
            if done.returncode != 0:
                sys.exit(f"the unchanged tree does not build {test}:\n{done.stdout[-3000:]}")
            self.baseline[test] = self.run(test)
            if self.baseline[test] is None:
                sys.exit(f"{test} exceeds the time limit on the unchanged tree")
            if self.baseline[test] != 0:
                print(f"warning: {test} fails on the unchanged tree (status {self.baseline[test]}); caught means here: "
                      "another status", flush=True)

    def test(self, mutant):
        file = self.tree / mutant.path
        original = file.read_text()
        lines = original.split("\n")
        lines[mutant.number - 1] = mutant.new
        try:
            for test in tests_of(mutant.path):
                if test not in self.baseline:  # most mutants end with the first test, so the others may never be built
                    file.write_text(original)
                    self.check_baseline([test])
                file.write_text("\n".join(lines))
                if self.make(test).returncode != 0:
                    return "does not compile"
                status = self.run(test)
                if status != self.baseline[test]:
                    return f"caught by {test}" + (" (time)" if status is None else "")
            return "SURVIVED"
        finally:
            file.write_text(original)


def lines_since(commit):
    """Pairs of path and number of the lines that differ from those of a commit."""
    diff = subprocess.run(["git", "diff", "--unified=0", "--no-prefix", "--no-color", commit, "--"], cwd=ROOT, check=True,
                          capture_output=True, text=True).stdout
    lines, path = set(), ""
    for line in diff.split("\n"):
        if line.startswith("+++ "):
            path = line[len("+++ "):]
        elif m := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            start = int(m.group(1))
            lines.update((path, number) for number in range(start, start + int(m.group(2) or 1)))
    return lines


def spread(mutants, seed):
    """In random order, but no rule a second time before every rule had its turn."""
    turns, order = {}, []
    for m in random.Random(f"{seed} {mutants[0].unit}").sample(mutants, len(mutants)):
        turns[m.rule] = turns.get(m.rule, 0) + 1
        order.append((turns[m.rule], m))
    return [m for _, m in sorted(order, key=lambda pair: pair[0])]


def tests_of(path):
    path = path.removeprefix("include/pushforward/")
    longest = max((prefix for prefix in TESTS if path.startswith(prefix)), key=len, default="src/")
    return list(dict.fromkeys(TESTS[longest]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the mutants and exit")
    parser.add_argument("--only", default="", metavar="REGEX", help="mutants whose description matches")
    parser.add_argument("--since", metavar="COMMIT", help="mutants of lines that differ from those of a commit")
    parser.add_argument("--sample", type=int, metavar="N", help="N of them at random")
    parser.add_argument("--per-unit", type=int, metavar="N", help="N that compile of each class and operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one run of one test")
    parser.add_argument("--work", metavar="DIR", help="keep the scratch copies here")
    options = parser.parse_args()

    mutants = all_mutants(ROOT)
    everything = {m.key for m in mutants}
    proofs = read_equivalent()
    bad = [k for k in proofs if not proofs[k]]
    if bad:
        sys.exit("no proof is given for:\n  " + "\n  ".join(bad))
    known = set(re.findall(r"^ *pushforward_test\((\w+)", (ROOT / "tests/CMakeLists.txt").read_text(), re.M))
    unknown = {test for tests in TESTS.values() for test in tests} - known
    if unknown:
        sys.exit(f"no such test: {', '.join(sorted(unknown))}")
    mutants = [m for m in mutants if re.search(options.only, str(m))]
    if options.since:
        newer = lines_since(options.since)
        mutants = [m for m in mutants if (m.path, m.number) in newer]
    if options.sample is not None and options.sample < len(mutants):
        mutants = random.Random(options.seed).sample(mutants, options.sample)
    if options.list:
        counts = {}
        for m in mutants:
            print(m)
            counts[m.unit] = counts.get(m.unit, 0) + 1
        print(f"\n{len(mutants)} mutants:", ", ".join(f"{u} {n}" for u, n in sorted(counts.items())))
        few = [u for u, n in sorted(counts.items()) if n < 3]
        if few:
            print("fewer than 3:", ", ".join(few))
        return 0

    work = pathlib.Path(options.work or tempfile.mkdtemp(prefix="mutants-")).resolve()
    start = time.monotonic()
    results = []
    try:
        copies = queue.Queue()
        for job in range(max(1, min(options.jobs, len(mutants)))):
            directory = work / str(job)
            directory.mkdir(parents=True, exist_ok=True)
            scratch = Scratch(directory, options.timeout)
            copies.put(scratch)

        units = {}
        for m in mutants:
            units.setdefault((m.folder, m.unit) if options.per_unit else str(m), []).append(m)
        wanted = options.per_unit or 1
        said = threading.Lock()

        def run(unit):
            scratch, tested = copies.get(), 0
            try:
                for mutant in spread(unit, options.seed):
                    outcome = scratch.test(mutant)
                    if outcome == "SURVIVED" and mutant.key in proofs:
                        outcome = "survived, equivalent"
                    with said:
                        results.append((mutant, outcome))
                        print(f"{len(results)} {time.monotonic() - start:.0f} s {outcome}: {mutant}", flush=True)
                    tested += outcome != "does not compile"
                    if tested == wanted:
                        return
            finally:
                copies.put(scratch)

        with concurrent.futures.ThreadPoolExecutor(max_workers=options.jobs) as pool:
            list(pool.map(run, units.values()))
    finally:
        if not options.work:
            shutil.rmtree(work, ignore_errors=True)

    def count(start_of_outcome):
        return sum(outcome.startswith(start_of_outcome) for _, outcome in results)

    survivors = [m for m, outcome in results if outcome == "SURVIVED"]
    print(f"\n{len(results)} mutants: {count('caught')} caught, {count('does not')} do not compile, "
          f"{count('survived')} equivalent, {len(survivors)} survived")
    for m in survivors:
        print(f"  {m}")
    for key in sorted(proofs.keys() - everything):
        print(f"warning: no longer a mutant: {key}")
    for key in sorted({m.key for m, outcome in results if outcome.startswith("caught")} & proofs.keys()):
        print(f"warning: called equivalent but caught: {key}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
