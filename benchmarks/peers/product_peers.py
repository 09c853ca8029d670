"""Worker of the libraries of matrix products: the linear maps of flows, forward and both gradients, on one thread.

Every library may keep its operands in the layout that suits it best: all are tried, the fastest is timed.
"""

import ctypes
import itertools
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from protocol import Cannot, Job, serve, timed, warm

MEASURED = 0.02  # seconds that one measurement takes at least
XSMM = Path("/usr/lib")  # Debian's libxsmm-dev has archives only


class OpenBlas:
    """OpenBLAS as numpy brings it."""

    def call(self, m, n, k, transposed):
        a, b = operands(m, n, k, transposed)
        c = np.empty((m, n), np.float32)
        return lambda: np.matmul(a, b, out=c)


class Mkl:
    """MKL as torch brings it."""

    def call(self, m, n, k, transposed):
        import torch

        torch.set_num_threads(1)
        a, b = map(torch.from_numpy, operands(m, n, k, transposed))
        c = torch.empty(m, n)
        return lambda: torch.mm(a, b, out=c)


class OneDnn:
    """oneDNN as torch brings it: a linear layer whose weights are packed beforehand."""

    def call(self, m, n, k, transposed):
        import torch

        if any(transposed):
            return None  # a layer has one layout
        torch.set_num_threads(1)
        x = torch.randn(m, k)
        w = torch.ops.mkldnn._reorder_linear_weight(torch.randn(n, k), m)
        return lambda: torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], "")


class LibXsmm:
    """A kernel that libxsmm generates for the shape, of plain operands."""

    def __init__(self):
        archives = [XSMM / name for name in ("libxsmm.a", "libxsmmnoblas.a")]
        if missing := [str(a) for a in archives if not a.exists()]:
            raise Cannot(f"{missing[0]} is missing: apt-get install libxsmm-dev")
        self.folder = tempfile.TemporaryDirectory()
        library = Path(self.folder.name) / "libxsmm.so"
        whole = ["-Wl,--whole-archive", *map(str, archives), "-Wl,--no-whole-archive"]
        subprocess.run(["cc", "-shared", "-o", library, *whole, "-lpthread", "-ldl", "-lm"], check=True)
        self.xsmm = ctypes.CDLL(str(library))
        self.xsmm.libxsmm_init()
        self.xsmm.libxsmm_smmdispatch.restype = ctypes.c_void_p

    def call(self, m, n, k, transposed):
        if any(transposed):
            return None
        one, zero = (ctypes.byref(ctypes.c_float(value)) for value in (1, 0))
        # Column-major: C (n x m) = B (n x k) A (k x m).
        address = self.xsmm.libxsmm_smmdispatch(n, m, k, None, None, None, one, zero, None, None)
        if not address:
            raise Cannot("no kernel of this size")
        a, b = operands(m, n, k, transposed)
        c = np.empty((m, n), np.float32)
        kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(address)
        pointers = [x.ctypes.data for x in (b, a, c)]
        kernel(*pointers)
        if not np.allclose(c, a @ b, rtol=1e-3, atol=1e-3):
            raise Cannot("its kernel gives another result")
        return lambda keep=(a, b, c): kernel(*pointers)


def operands(m, n, k, transposed):
    random = np.random.default_rng(0)
    shapes = (m, k), (k, n)
    return [
        random.standard_normal(shape[::-1] if t else shape, np.float32).T
        if t
        else random.standard_normal(shape, np.float32)
        for shape, t in zip(shapes, transposed)
    ]


LIBRARIES = {"openblas": OpenBlas, "mkl": Mkl, "onednn": OneDnn, "libxsmm": LibXsmm}


def prepare(request):
    outputs, inputs, rows = map(int, request["model"].split("x"))
    m, n, k = {
        "product_forward": (outputs, rows, inputs),
        "product_input": (inputs, rows, outputs),
        "product_weight": (outputs, inputs, rows),
    }[request["work"]]
    library = LIBRARIES[request["peer"]]()
    calls = [
        library.call(*sizes, k, transposed)
        for sizes in ((m, n), (n, m))
        for transposed in itertools.product((False, True), repeat=2)
    ]
    seconds = {call: min(warm(call, 10), *(timed(call) for _ in range(10))) for call in calls if call is not None}
    call = min(seconds, key=seconds.get)
    count = max(1, int(MEASURED / seconds[call]))
    return Job(lambda: timed(lambda: [call() for _ in range(count)]) / count)


if __name__ == "__main__":
    serve(prepare)
