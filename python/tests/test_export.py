"""Models as a header in C and as ONNX, through Python. What they compute is tested on every class in C++."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from exports import fitted, rows

import pushforward as pf

CALLS = """
#include "model.h"
double log_prob(const {real} *y, const {real} *c) {{ return model_log_prob(y{given}); }}
void sample(const double *u, const {real} *c, {real} *y) {{ model_sample(u{given}, y); }}
"""


@pytest.fixture(params=["float64", "float32"])
def conditional(request):
    return fitted(request.param)


def compiled(tmp_path, flow):
    """The header's functions, by the C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "a C compiler is needed, as for building the wheel"
    (tmp_path / "model.h").write_text(flow.c_header("model"))
    real, given = "double" if flow.dtype == np.float64 else "float", ", c" if flow.context_dim else ""
    (tmp_path / "model.c").write_text(CALLS.format(real=real, given=given))
    flags = [
        "-std=c99",
        "-O1",
        "-Wall",
        "-Wextra",
        "-pedantic",
        "-Werror",
        "-Wno-unused-function",
        "-Wno-unused-parameter",
    ]
    library = tmp_path / "model.so"
    subprocess.run([compiler, *flags, "-shared", "-fPIC", "-o", library, tmp_path / "model.c", "-lm"], check=True)
    return ctypes.CDLL(str(library))


def test_c_header(conditional, tmp_path):
    library = compiled(tmp_path, conditional)
    library.log_prob.restype = ctypes.c_double
    y, c = rows(conditional)
    real = ctypes.c_double if conditional.dtype == np.float64 else ctypes.c_float
    pointers = [[row.ctypes.data_as(ctypes.POINTER(real)) for row in table] for table in (y, c)]
    got = [library.log_prob(*pair) for pair in zip(*pointers)]
    tolerance = 1e-12 if conditional.dtype == np.float64 else 1e-5
    np.testing.assert_allclose(got, conditional.log_prob(y, c), rtol=tolerance, atol=tolerance)

    # Quantiles of the uniform numbers: the middle of the base goes where the flow puts it.
    u, out = np.full(2, 0.5), np.zeros(2, conditional.dtype)
    library.sample(
        u.ctypes.data_as(ctypes.POINTER(ctypes.c_double)), pointers[1][0], out.ctypes.data_as(ctypes.POINTER(real))
    )
    np.testing.assert_allclose(conditional.latent(out[None], c[:1]), np.zeros((1, 2)), atol=10 * tolerance)


def test_c_header_text():
    flow = pf.maf(2, layers=1, hidden=4)
    flow.columns = ["mass", "charge"]
    assert "flow_log_prob" in flow.c_header() and "mass" in flow.c_header()
    assert "density_log_prob" in flow.c_header("density") and "flow_log_prob" not in flow.c_header(name="density")
    with pytest.raises(ValueError, match="two words"):
        flow.c_header("two words")


def test_onnx_bytes(conditional):
    """A graph with the names that it promises; what it computes is tested where onnxruntime is."""
    density, draws = conditional.onnx_log_prob(), conditional.onnx_sample()
    assert type(density) is bytes and all(name in density for name in (b"log_prob", b"context", b"mass"))
    assert b"pushforward.noise" in draws and b"normal 2" in draws


def test_what_has_no_such_form():
    """Draws by rejection: a header without them, which says so."""
    flow = pf.StudentT(2)
    with pytest.raises(NotImplementedError, match="sample: StudentT works on the values of rows"):
        flow.onnx_sample()
    about, code = flow.c_header().split("*/", 1)
    assert "flow_log_prob(" in code and "flow_sample(" not in code and "StudentT works on the values" in about
    with pytest.raises(NotImplementedError, match="log_prob: Beta .*; sample: Beta "):
        pf.Beta(2).c_header()
