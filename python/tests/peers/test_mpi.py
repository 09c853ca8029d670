"""pushforward.mpi under mpirun: the same bits for any number of processes."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
import pushforward as pf
from pushforward.mpi import Reducer

rng = np.random.default_rng(1)
y = rng.normal(size=(800, 3))
y[:, 1] += y[:, 0] ** 2
ranks = Reducer()
flow = pf.maf(3, layers=2, hidden=12, batch_norm=True, seed=ranks.rank, dtype=sys.argv[2])
reducer = ranks if ranks.size > 1 else None
flow.fit(y.astype(sys.argv[2]), epochs=4, batch_size=64, shards=int(sys.argv[1]), reducer=reducer, seed=2)
sys.stdout.write(f"{flow.log_prob(y.astype(sys.argv[2])).sum()!r}\\n")
"""
# Of OpenMPI: as root, and more processes than processors.
SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
}


def run(path, processes, *arguments):
    command = ["mpirun", "-n", str(processes), sys.executable, "-m", "mpi4py", str(path), *arguments]
    done = subprocess.run(command, env={**os.environ, **SETTINGS}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == processes
    return set(lines)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shards, processes", [(8, (2, 4, 8)), (6, (3, 6))])
def test_same_bits(tmp_path, shards, processes, dtype):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    alone = run(path, 1, str(shards), dtype)
    assert len(alone) == 1
    for count in processes:
        assert run(path, count, str(shards), dtype) == alone
