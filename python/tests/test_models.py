"""Builders, files, copies, pickles, conditional views, seeds, threads, forks."""

import copy
import multiprocessing
import os
import pathlib
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import pushforward as pf

rng = np.random.default_rng(2)
BUILDERS = [pf.maf, pf.iaf, pf.real_nvp, pf.nice, pf.nsf, pf.nsf_ar, pf.sospf, pf.bpf, pf.naf, pf.unaf]


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda b: b.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_builder_survives_a_file(builder, dtype, tmp_path):
    flow = builder(3, layers=2, hidden=8, context_dim=1, seed=3, dtype=dtype)
    assert isinstance(flow, pf.TransformedDistribution)
    assert (flow.dim, flow.context_dim, flow.dtype) == (3, 1, np.dtype(dtype))
    y, c = rng.normal(size=(20, 3)).astype(dtype), rng.normal(size=(20, 1)).astype(dtype)
    flow.columns = ["a", "b", "c"]
    flow.notes = {"who": "a test"}
    flow.save(tmp_path / "m.safetensors")
    loaded = pf.load(tmp_path / "m.safetensors")
    for other in (
        loaded,
        pickle.loads(pickle.dumps(flow)),
        copy.copy(flow),
        copy.deepcopy(flow),
        pf.deserialize(flow.serialize()),
    ):
        assert type(other) is type(flow) and other.dtype == flow.dtype
        assert other.columns == ["a", "b", "c"] and other.notes == {"who": "a test"}
        np.testing.assert_array_equal(other.log_prob(y, c), flow.log_prob(y, c))
    other = "float64" if dtype == "float32" else "float32"
    assert pf.load(tmp_path / "m.safetensors", dtype=other).dtype == np.dtype(other)
    # The latent values are those that the samples came from: sampling and density belong together.
    drawn = flow.sample_each(c, 1, seed=5)[:, 0]
    x, log_det = flow.inverse(drawn, c)
    again, forward_log_det = flow.forward(x, c)
    tolerance = 1e-4 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(again, drawn, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(forward_log_det, -log_det, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(flow.log_prob(drawn, c), flow.base.log_prob(x) + log_det, rtol=tolerance, atol=tolerance)


def test_options_of_builders():
    assert pf.maf(3, layers=2).parameter_count < pf.maf(3, layers=4).parameter_count
    flow = pf.nsf(3, layers=1, hidden=8, spline=pf.RationalQuadraticOptions(bins=5, low=-2, high=2), mixing="reverse")
    assert "bins 5" in repr(flow) and "permute" in repr(flow)
    assert "batch_normalization" in repr(
        pf.maf(3, layers=2, batch_norm=True, batch_norm_options=pf.BatchNormalizationOptions(momentum=0.8))
    )
    assert "student_t" in repr(pf.maf(3, layers=1, base="student_t"))
    with pytest.raises(ValueError, match="relu"):
        pf.maf(3, activation="swish")
    with pytest.raises(ValueError, match="mixing must be one of none, reverse"):
        pf.maf(3, mixing="shuffle")
    with pytest.raises(TypeError):
        pf.maf(3, 2)  # options are named
    with pytest.raises(ValueError):
        pf.maf(0)


def test_forms_of_other_libraries():
    rows = rng.normal(size=(40, 3))
    context = rng.normal(size=(40, 2))
    of_zuko = pf.InvertedTransformer(pf.ScaledAffineTransformer(map="soft_clip", limit=-np.log(1e-3)))
    net = pf.Made(3, 2, context_dim=2, context_form="linear", residual=False, widths=[8, 4], activation="relu")
    parts = [
        pf.MaskedAutoregressive(net, of_zuko),
        pf.LULinear(3, floor=0.0, signs=[1, -1, 1]),
        pf.Elementwise(pf.LinearRationalTransformer(bins=5, end_slope=0.999), 3),
        pf.RationalQuadraticSpline(3, pf.RationalQuadraticOptions(bins=4, tails="linear")),
        pf.MaskedAutoregressive(pf.Made(3, 2, hidden=6, context_dim=2, context_form="gated"), of_zuko),
        pf.MaskedAutoregressive(pf.Made(3, 2, hidden=6, pre_activation=False), of_zuko),
        pf.MaskedAutoregressive(pf.Made(3, 2, context_dim=2, context_form="every_layer", residual=False, blocks=1)),
    ]
    for part in parts:
        given = context if part.context_dim else None
        y, log_det = part.forward(rows, given)
        x, back = part.inverse(y, given)
        np.testing.assert_allclose(x, rows, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(back, -log_det, rtol=1e-9, atol=1e-9)
    assert "soft_clip" in repr(parts[0]) and "context_form gated" in repr(parts[4])
    with pytest.raises(ValueError, match="no limit, which soft_clip, tanh and atan alone have, got 2"):
        pf.ScaledAffineTransformer(limit=2)
    with pytest.raises(ValueError, match="map must be one of"):
        pf.ScaledAffineTransformer(map="square")
    with pytest.raises(ValueError, match="a context in every layer has no residual form"):
        pf.Made(3, 2, context_dim=2, context_form="every_layer")


@pytest.mark.parametrize("make", [
    lambda **o: pf.gf(3, layers=2, components=3, **o), lambda **o: pf.bnaf(3, block=3, **o),
    lambda **o: pf.ncsf(3, layers=2, hidden=6, low=-9, high=9, **o)])
def test_builders_with_options_of_their_own(make, tmp_path):
    y, c = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    flow = make(context_dim=2, seed=4)
    flow.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(pf.load(tmp_path / "m.safetensors").log_prob(y, c), flow.log_prob(y, c))
    assert make(dtype="float32").dtype == np.float32
    with pytest.raises(TypeError):
        make(bins=-1, blocks=2)


def test_repr_is_the_tree():
    text = repr(pf.maf(3, layers=2, hidden=16))
    assert text.splitlines()[1].startswith("transformed_distribution") and "masked_autoregressive" in text
    assert not text.endswith("\n")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_are_pickled(dtype):
    flow = pf.nsf(3, layers=2, hidden=8, context_dim=1, seed=3, dtype=dtype, act_norm=True)
    again = pickle.loads(pickle.dumps(flow.bijector))
    assert type(again) is pf.Chain and again.dtype == np.dtype(dtype) and repr(again) == repr(flow.bijector)
    x, c = rng.normal(size=(9, 3)).astype(dtype), rng.normal(size=(9, 1)).astype(dtype)
    for a, b in zip(again.forward(x, c), flow.bijector.forward(x, c)):
        np.testing.assert_array_equal(a, b)
    made = pf.Made(3, 2, hidden=8, seed=1, dtype=dtype)
    maps = [pf.MaskedAutoregressive(n, order=[2, 0, 1]) for n in (made, pickle.loads(pickle.dumps(made)))]
    np.testing.assert_array_equal(maps[0].forward(x)[0], maps[1].forward(x)[0])
    spline = pickle.loads(pickle.dumps(pf.RationalQuadraticTransformer(pf.RationalQuadraticOptions(bins=5))))
    assert spline.multiplier == 14


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        pf.load(tmp_path / "nowhere")
    path = tmp_path / "m"
    pf.maf(2, layers=1, hidden=4).save(path)
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(OSError, match="checksum"):
        pf.load(path)
    path.write_bytes(b"no model")
    with pytest.raises(OSError):
        pf.load(path)
    with pytest.raises(OSError):
        pf.Normal(2).save(tmp_path / "no" / "folder")


def test_names():
    flow = pf.Normal(2)
    assert flow.columns == []
    with pytest.raises(ValueError, match="2 columns, got 1"):
        flow.columns = ["a"]


def test_parts_must_fit():
    with pytest.raises(ValueError):
        pf.TransformedDistribution(pf.Normal(2), pf.Exp(3))
    with pytest.raises(ValueError, match="lives on real"):
        pf.TransformedDistribution(pf.Normal(2), pf.Log(2))
    with pytest.raises(TypeError, match="bijector is float32"):
        pf.TransformedDistribution(pf.Normal(2), pf.Exp(2, dtype="float32"))
    chain = pf.Chain([pf.Exp(2), pf.Shift(2)])
    assert len(chain) == 2 and isinstance(chain[-1], pf.Shift) and [type(p) for p in chain] == [pf.Exp, pf.Shift]
    with pytest.raises(IndexError):
        chain[2]


def test_seeds():
    flow = pf.maf(2, layers=1, hidden=8)
    np.testing.assert_array_equal(flow.sample(10, seed=1), flow.sample(10, seed=1))
    assert not np.array_equal(flow.sample(10, seed=1), flow.sample(10, seed=2))
    assert not np.array_equal(flow.sample(10), flow.sample(10))
    np.testing.assert_array_equal(flow.sample(10, seed=1), flow.sample(5000, seed=1)[:10])
    engine = pf.Engine(1)
    first, second = flow.sample(10, seed=engine), flow.sample(10, seed=engine)
    np.testing.assert_array_equal(first, flow.sample(10, seed=1))
    assert engine.call == 2 and not np.array_equal(first, second)
    np.testing.assert_array_equal(second, flow.sample(10, seed=pf.Engine(1, call=1)))
    assert pickle.loads(pickle.dumps(engine)) == engine
    np.testing.assert_array_equal(flow.sample(3, seed=np.int64(1)), flow.sample(3, seed=1))
    for bad in (-1, 1.5, "a"):
        with pytest.raises(TypeError, match="seed"):
            flow.sample(1, seed=bad)


def test_conditional_views():
    flow = pf.nsf(2, layers=1, hidden=8, context_dim=3, seed=1)
    y, c = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
    np.testing.assert_array_equal(flow(c).log_prob(y), flow.log_prob(y, c))
    np.testing.assert_array_equal(flow(c[0]).log_prob(y), flow.log_prob(y, np.tile(c[0], (5, 1))))
    assert flow(c).sample().shape == (5, 2)
    assert flow(c).sample(4, seed=1).shape == (4, 5, 2)
    assert flow(c).sample((2, 3)).shape == (2, 3, 5, 2)
    assert flow(c[0]).sample((7,)).shape == (7, 2)
    with pytest.raises(ValueError, match="sample_each"):
        flow.sample(5, context=c)
    each = flow.sample_each(c, 4, seed=1)
    assert each.shape == (5, 4, 2)
    np.testing.assert_array_equal(flow(c).sample(4, seed=1), np.moveaxis(each, 1, 0))
    # Draw k of row i sees that row's context: a column that copies its context shows it.
    copies = pf.TransformedDistribution(
        pf.Normal(1, scale=1e-9),
        pf.Elementwise(pf.AdditiveTransformer(), 1, net=pf.Mlp(1, 1, hidden=[], final_scale=1.0, seed=1)),
    )
    one = copies.sample_each(np.array([[0.0], [1.0], [2.0]]), 2, seed=1)[:, :, 0]
    np.testing.assert_allclose(one[:, 0], one[:, 1], atol=1e-7)
    np.testing.assert_allclose(one[2] - one[1], one[1] - one[0], atol=1e-7)
    assert abs(one[1, 0] - one[0, 0]) > 1e-3


def test_threads_give_the_same_bits():
    flow = pf.maf(4, layers=3, hidden=32, seed=1)
    y = rng.normal(size=(20000, 4))
    wanted = flow.log_prob(y)
    np.testing.assert_array_equal(flow.log_prob(y, threads=2), wanted)
    shared = pf.Execution(2)
    np.testing.assert_array_equal(flow.log_prob(y, threads=shared), wanted)
    np.testing.assert_array_equal(flow.sample(3000, seed=1, threads=2), flow.sample(3000, seed=1))
    for a, b in zip(flow.log_prob_and_gradient(y[:500], threads=2)[:2], flow.log_prob_and_gradient(y[:500])[:2]):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.concatenate([flow.log_prob(y[i : i + 1]) for i in range(20)]), wanted[:20])
    found = {}

    def work(i):
        found[i] = flow.log_prob(y, threads=1 + i % 3)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for value in found.values():
        np.testing.assert_array_equal(value, wanted)
    with pytest.raises(ValueError, match="1024"):
        flow.log_prob(y, threads=0)
    with pytest.raises(TypeError, match="threads"):
        flow.log_prob(y, threads="two")


def test_the_gil_is_released():
    """While a call runs, another Python thread goes on."""
    flow = pf.maf(8, layers=5, hidden=64)
    y = rng.normal(size=(200_000, 8))
    done = threading.Event()
    counted = []

    def count():
        n = 0
        while not done.is_set():
            n += 1
        counted.append(n)

    thread = threading.Thread(target=count)
    thread.start()
    flow.log_prob(y)
    done.set()
    thread.join()
    # Held, the other thread would have counted while the call was on its way in or out alone.
    assert counted[0] > 10_000


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork():
    """A child of a process whose pool has started works, and ends."""
    flow = pf.maf(3, layers=2, hidden=16)
    shared = pf.Execution(2)
    y = rng.normal(size=(5000, 3))
    wanted = flow.log_prob(y, threads=2)
    flow.log_prob(y, threads=shared)
    child = os.fork()
    if child == 0:
        try:
            good = all(np.array_equal(flow.log_prob(y, threads=t), wanted) for t in (1, 2, shared))
            del flow, shared
        finally:
            os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(flow.log_prob(y, threads=2), wanted)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_multiprocessing():
    flow = pf.maf(3, layers=2, hidden=16)
    y = rng.normal(size=(100, 3))
    flow.log_prob(y, threads=2)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for value in pool.map(flow.log_prob, [y, y]):
            np.testing.assert_array_equal(value, flow.log_prob(y))


def test_nothing_optional_is_imported():
    program = (
        "import sys, pushforward; "
        "assert not {'torch', 'sklearn', 'matplotlib', 'pandas', 'pyarrow', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_readme(tmp_path, monkeypatch, capsys):
    """Its program runs as it stands."""
    readme = pathlib.Path(__file__).with_name("README.md")
    if not readme.exists():  # in the checkout
        readme = pathlib.Path(__file__).parents[1] / "README.md"
    program = readme.read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert pf.load("model.safetensors").dim == 2 and "best epoch" in capsys.readouterr().out


def test_the_stubs():
    """A line for each public name, so that editors know it."""
    folder = pathlib.Path(pf.__file__).with_name("_core")
    stub = (folder / "__init__.pyi").read_text()
    for name in pf.__all__:
        if hasattr(pf._core, name) and not isinstance(getattr(pf._core, name), type(pf)):
            assert f"class {name}" in stub or f"def {name}(" in stub, name
    for path in folder.glob("*.pyi"):
        compile(path.read_text(), str(path), "exec")
    assert "def moments(" in (folder / "tf_nn.pyi").read_text()
    assert "from _core" not in stub and "from pushforward._core import" in stub
    assert pathlib.Path(pf.__file__).with_name("py.typed").exists()


def test_state():
    state = pf.Normal(loc=[1.0, 2.0], scale=[1.0, np.e]).state()
    np.testing.assert_allclose(state["loc"], [1, 2])
    np.testing.assert_allclose(state["log_scale"], [0, 1], atol=1e-15)
    made = pf.TransformedDistribution(pf.Normal(3), pf.MaskedAutoregressive(pf.Made(3, 2, hidden=5))).state()
    assert made["bijector.net.initial.weight"].shape == (5, 3)


def test_training_range():
    flow = pf.Normal(2)
    y = rng.uniform(size=(50, 2))
    flow.fit(y, epochs=1, batch_size=50)
    np.testing.assert_allclose(flow.data_range, np.stack([y.min(0), y.max(0)], 1))
    assert flow.rows_outside_training_range(np.array([[0.5, 0.5], [2.0, 0.5]])).tolist() == [1]
