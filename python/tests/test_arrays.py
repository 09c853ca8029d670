"""What goes in: layouts, types, other libraries' arrays; errors that name what is wrong."""

import array

import numpy as np
import pytest
import torch

import pushforward as pf

rng = np.random.default_rng(1)
FLOW = pf.maf(3, layers=2, hidden=16, context_dim=1, seed=1)
Y, C = rng.normal(size=(64, 3)), rng.normal(size=(64, 1))
WANTED = FLOW.log_prob(Y, C)


def layouts(a):
    wide = np.zeros((a.shape[0], 2 * a.shape[1] + 1))
    wide[:, 1::2] = a
    tall = np.zeros((3 * a.shape[0], a.shape[1]))
    tall[::3] = a
    read_only = a.copy()
    read_only.flags.writeable = False
    return {
        "C": np.ascontiguousarray(a),
        "Fortran": np.asfortranarray(a),
        "columns of a wider array": wide[:, 1::2],
        "every third row": tall[::3],
        "reversed rows": np.ascontiguousarray(a[::-1])[::-1],
        "reversed columns": np.ascontiguousarray(a[:, ::-1])[:, ::-1],
        "read only": read_only,
        "torch": torch.from_numpy(a.copy()),
        "torch, transposed": torch.from_numpy(np.asfortranarray(a).T.copy()).T,
        "list": a.tolist(),
        "memoryview": memoryview(np.ascontiguousarray(a)),
    }


@pytest.mark.parametrize("layout", layouts(Y))
def test_layouts_give_the_same_bits(layout):
    np.testing.assert_array_equal(FLOW.log_prob(layouts(Y)[layout], layouts(C)[layout]), WANTED)


def test_memory_map(tmp_path):
    np.save(tmp_path / "y.npy", Y)
    mapped = np.load(tmp_path / "y.npy", mmap_mode="r")
    np.testing.assert_array_equal(FLOW.log_prob(mapped, C), WANTED)


def test_no_copy_is_made():
    """A million rows of a strided view need no more memory than the result."""
    import tracemalloc

    flow = pf.Normal(8)
    y = np.zeros((200_000, 16))[::2, ::2]
    flow.log_prob(y[:10])
    tracemalloc.start()
    out = flow.log_prob(y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert out.nbytes <= peak < out.nbytes + 100_000 < y.nbytes


def test_one_row_of_context_for_all():
    row = np.array([0.3])
    wanted = FLOW.log_prob(Y, np.full((64, 1), 0.3))
    np.testing.assert_array_equal(FLOW.log_prob(Y, row), wanted)
    np.testing.assert_array_equal(FLOW.log_prob(Y, row[None]), wanted)


def test_types_are_never_changed_silently():
    single = FLOW.astype("float32")
    with pytest.raises(TypeError, match=r"log_prob: y is float32 and the model float64.*y\.astype\('float64'\)"):
        FLOW.log_prob(Y.astype("float32"), C)
    with pytest.raises(TypeError, match=r"y is float64 and the model float32.*model\.astype\('float64'\)"):
        single.log_prob(Y, C.astype("float32"))
    with pytest.raises(TypeError, match="context is float64 and the model float32"):
        single.log_prob(Y.astype("float32"), C)
    with pytest.raises(TypeError, match="y is int64"):
        FLOW.log_prob(Y.astype(int), C)
    with pytest.raises(TypeError, match="y is >f8"):
        FLOW.log_prob(Y.astype(">f8"), C)
    with pytest.raises(TypeError, match="y is complex128"):
        FLOW.log_prob(Y.astype(complex), C)
    with pytest.raises(TypeError, match="y is float32"):
        FLOW.log_prob(torch.from_numpy(Y).float(), C)
    with pytest.raises(TypeError, match="masked"):
        FLOW.log_prob(np.ma.masked_greater(Y, 1.0), C)
    with pytest.raises(TypeError, match="detach|require"):
        FLOW.log_prob(torch.from_numpy(Y).requires_grad_(), C)
    with pytest.raises(TypeError, match="y is a str"):
        FLOW.log_prob("rows", C)
    with pytest.raises(TypeError, match="not aligned"):
        packed = np.zeros(64, np.dtype([("a", "u1"), ("y", "f8", 3)]))
        FLOW.log_prob(packed["y"], C)
    with pytest.raises(TypeError, match="float32 or float64"):
        pf.maf(3, dtype="float16")
    with pytest.raises(TypeError, match="scale is float64 and the other parts are float32"):
        pf.Normal(loc=np.zeros(2, "float32"), scale=np.ones(2))
    assert pf.Normal(loc=np.zeros(2, "float32")).dtype == np.float32
    assert pf.Normal(loc=np.zeros(2)).dtype == np.float64


def test_shapes_are_refused_by_name():
    with pytest.raises(ValueError, match=r"y must have 2 axes, got 1: one row is y\[None\], one column y\[:, None\]"):
        FLOW.log_prob(Y[0], C)
    with pytest.raises(ValueError, match="y must have 2 axes, got 3"):
        FLOW.log_prob(Y[None], C)
    with pytest.raises(ValueError, match=r"expected \(N, 3\)"):
        FLOW.log_prob(Y[:, :2], C)
    with pytest.raises(ValueError, match="context"):
        FLOW.log_prob(Y)
    with pytest.raises(ValueError, match="context"):
        FLOW.log_prob(Y, C[:5])
    with pytest.raises(ValueError, match="0 or more"):
        FLOW.sample(-1, context=C[:1])
    assert FLOW.log_prob(Y[:0], C[:0]).shape == (0,)
    assert FLOW.log_prob(Y[:1], C[:1]).shape == (1,)
    assert FLOW.sample(0, context=C[:1]).shape == (0, 3)


def test_results_are_plain_arrays():
    value = FLOW.log_prob(Y, C)
    assert type(value) is np.ndarray and value.flags.owndata and value.flags.writeable
    assert value.dtype == np.float64
    assert FLOW.astype("float32").sample(2, seed=1, context=np.zeros(1, "float32")).dtype == np.float32


def test_buffers_of_others():
    flow = pf.Normal(1)
    one = array.array("d", [0.0])
    with pytest.raises(ValueError, match="2 axes"):
        flow.log_prob(one)
    assert flow.log_prob(memoryview(one).cast("B").cast("d", [1, 1]))[0] == pytest.approx(-0.9189385332046727)
