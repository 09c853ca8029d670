"""What the Python package adds to the C++ library: one row of log_prob beside the Evaluator, and many rows.

    python benchmarks/python.py [BUILD_DIR]

BUILD_DIR holds libpushforward.a (build/ by default); the package must be importable, and g++ at hand. A C++ program
with the same model and rows runs beside; both are asked in turn, so that what else the machine does falls on both, and
the smallest of all rounds counts. Marks: one row at most 4 us above C++, 1e6 x 10 at most 2 % above.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import pushforward as pf

PROGRAM = r"""
#include <chrono>
#include <iostream>
#include <string>

#include <pushforward/evaluator.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/io/npy.hpp>

namespace pf = pushforward;

int main(int, char** argv) {
  const pf::Evaluator<double> evaluator(pf::load<double>(std::string(argv[1])).distribution);
  const pf::NpyArray first = pf::read_npy(argv[2]), second = pf::read_npy(argv[3]);
  const auto view = [](const pf::NpyArray& a) {  // stored by rows, as in Python
    return pf::MatrixView<const double>(a.values.data(), a.values.extent(0), a.values.extent(1), a.values.extent(1), 1);
  };
  const pf::MatrixView<const double> one = view(first), many = view(second);
  pf::Evaluator<double>::Workspace workspace;
  Eigen::VectorXd out(many.rows());
  const auto seconds = [&](pf::MatrixView<const double> rows, int calls) {
    const auto begin = std::chrono::steady_clock::now();
    const pf::VectorView<double> values(out.data(), rows.rows());
    for (int i = 0; i < calls; ++i) evaluator.log_prob_into(rows, values, workspace);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / calls;
  };
  std::string what;
  int calls = 0;
  while (std::cin >> what >> calls) std::cout << seconds(what == "one" ? one : many, calls) << std::endl;
}
"""


def main(build):
    root = pathlib.Path(__file__).resolve().parent.parent
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "beside.cpp").write_text(PROGRAM)
        subprocess.run(
            [
                "g++",
                "-std=c++20",
                "-O2",
                f"-I{root}/include",
                f"-I{build}/include",
                "-I/usr/include/eigen3",
                "beside.cpp",
                f"{build}/libpushforward.a",
                "-lhwy",
                "-lz",
                "-pthread",
                "-o",
                "beside",
            ],
            cwd=folder,
            check=True,
        )
        print(f"{'':<28}{'C++':>12}{'Python':>12}{'above':>12}   mark")
        for label, flow, rows in (
            ("maf(3), 1 layer of 5", pf.maf(3, layers=1, hidden=5), 10),
            ("maf(10), 5 layers of 64", pf.maf(10, layers=5, hidden=64), 1_000_000),
        ):
            one, many = rng.normal(size=(1, flow.dim)), rng.normal(size=(rows, flow.dim))
            flow.save(folder / "model")
            np.save(folder / "one.npy", one)
            np.save(folder / "many.npy", many)
            beside = subprocess.Popen(
                [folder / "beside", "model", "one.npy", "many.npy"],
                cwd=folder,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )

            def measure(what, y, calls, rounds):
                best = [np.inf, np.inf]
                for _ in range(rounds):
                    beside.stdin.write(f"{what} {calls}\n")
                    beside.stdin.flush()
                    best[0] = min(best[0], float(beside.stdout.readline()))
                    begin = time.perf_counter()
                    for _ in range(calls):
                        flow.log_prob(y)
                    best[1] = min(best[1], (time.perf_counter() - begin) / calls)
                return best

            cpp, python = (1e6 * s for s in measure("one", one, 2000, 40))
            print(f"{label + ', one row':<28}{cpp:>9.2f} us{python:>9.2f} us{python - cpp:>9.2f} us   4 us")
            if rows > 10:
                cpp, python = measure("many", many, 1, 9)
                print(f"{label + ', 1e6':<28}{cpp:>10.3f} s{python:>10.3f} s{100 * (python / cpp - 1):>10.1f} %   2 %")
            beside.stdin.close()
            beside.wait()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build").resolve())
