"""What `convert` does whatever library the flow comes from, and what it refuses."""

import copy
import json
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import test_convert_nflows
import test_convert_zuko
import torch
import zuko
from conversion import table
from nflows import transforms as nf
from nflows.distributions import StandardNormal
from nflows.flows import Flow

import pushforward as pf
from pushforward.convert import CannotConvert, convert


@pytest.fixture
def flow():
    torch.manual_seed(3)
    return zuko.flows.NSF(2, 1, transforms=2, hidden_features=(8, 8))


def of(*parts, **options):
    return Flow(nf.CompositeTransform(list(parts)), StandardNormal([2]), **options)


def reference(path):
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return {k: np.array(v) for k, v in json.loads(header["__metadata__"]["pushforward"])["reference"].items()}


def test_rows_that_are_given(flow, tmp_path):
    path, rng = tmp_path / "flow.safetensors", np.random.default_rng(0)
    rows, context = rng.normal(size=(200, 2)), rng.normal(size=(200, 1))
    convert(flow, path, rows=rows, context=context)
    found = reference(path)
    assert len(found["rows"]) == 64
    np.testing.assert_array_equal(found["rows"][[0, -1]], rows[[0, -1]])
    np.testing.assert_array_equal(found["contexts"][[0, -1]], context[[0, -1]])
    with torch.no_grad():
        theirs = copy.deepcopy(flow).double()(torch.tensor(found["contexts"])).log_prob(torch.tensor(found["rows"]))
    np.testing.assert_array_equal(found["log_prob"][:, 0], theirs.numpy())  # theirs, not ours
    convert(flow, path, context=context[:10])
    np.testing.assert_array_equal(reference(path)["contexts"], context[:10])
    for wrong in ({"rows": rows}, {"rows": rows[:3], "context": context}, {"rows": rows[:, :1], "context": context}):
        with pytest.raises(ValueError, match="convert: "):
            convert(flow, **wrong)


def test_drawn_rows(flow, tmp_path):
    """The same for the same seed; half of them far out."""
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(paths, (0, 0, 1)):
        convert(flow, path, seed=seed)
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    rows = reference(paths[0])["rows"]
    assert np.std(rows[32:], axis=0).min() > 3 * np.std(rows[:32], axis=0).min()


def test_a_file_is_checked_on_each_start(flow, tmp_path):
    path = tmp_path / "flow.safetensors"
    convert(flow, path)
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    value = repr(reference(path)["log_prob"][5, 0]).removeprefix("np.float64(").removesuffix(")")
    header = raw[8 : 8 + length].decode()
    assert header.count(value) == 1
    path.write_bytes(raw[:8] + header.replace(value, value[:-4] + "9" + value[-3:]).encode() + raw[8 + length :])
    with pytest.raises(OSError):
        pf.load(path)


def test_names_and_type(flow, tmp_path):
    model = convert(flow, tmp_path / "a", columns=["x", "y"], context_columns=["t"], dtype="float32")
    again = pf.load(tmp_path / "a")
    assert again.columns == model.columns == ["x", "y"] and again.context_columns == ["t"]
    assert again.dtype == model.dtype == np.float32
    assert again.notes["converted from"].startswith("zuko ")
    with pytest.raises(ValueError, match="float16"):
        convert(flow, dtype="float16")


def test_nothing_is_written_without_a_model(flow, tmp_path):
    (tmp_path / "old").write_text("old")
    with pytest.raises(CannotConvert):
        convert(of(nf.LeakyReLU()), tmp_path / "old")
    assert [p.name for p in tmp_path.iterdir()] == ["old"] and (tmp_path / "old").read_text() == "old"
    with pytest.raises(OSError):
        convert(flow, tmp_path / "none" / "file")


def test_objects_of_no_library():
    for thing in (np.zeros(3), torch.nn.Linear(2, 2), None):
        with pytest.raises(TypeError, match="no library that is known: .*nflows.*zuko"):
            convert(thing)


def test_a_subclass_that_computes_something_else():
    """The class says one thing and the object does another: the reference rows tell."""

    class Twice(Flow):
        def _log_prob(self, inputs, context):
            return 2 * super()._log_prob(inputs, context)

    with pytest.raises(CannotConvert, match="row 0 has log_prob"):
        convert(Twice(nf.LULinear(2), StandardNormal([2])))


class Wave(torch.nn.Module):
    def forward(self, x):
        return torch.sin(x)


UNIVARIATE = {"univariate": zuko.transforms.BernsteinTransform, "shapes": [(6,)]}
REFUSED = {
    "leaky": (lambda: of(nf.LULinear(2), nf.LeakyReLU()), "_transform._transforms[1]", "LeakyReLU has no counterpart"),
    "cubic": (
        lambda: of(nf.MaskedPiecewiseCubicAutoregressiveTransform(4, 2, 8)),
        "_transform._transforms[0]",
        "cubic splines have no counterpart here",
    ),
    "embedding": (
        lambda: of(nf.LULinear(2), embedding_net=torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))),
        "_embedding_net[1]",
        "LayerNorm in a network has no counterpart",
    ),
    "norm": (
        lambda: of(nf.MaskedAffineAutoregressiveTransform(2, 8, use_batch_norm=True)),
        "_transform._transforms[0].autoregressive_net.blocks[0]",
        "inside a masked residual block",
    ),
    "network": (
        lambda: of(nf.AdditiveCouplingTransform([0, 1], torch.nn.Linear)),
        "_transform._transforms[0].transform_net",
        "torch's Linear has no counterpart",
    ),
    "activation": (
        lambda: zuko.flows.NSF(2, transforms=2, activation=Wave),
        "transform.transforms[1].hyper[1]",
        "the activation Wave",
    ),
    "slope": (
        lambda: zuko.flows.NSF(2, transforms=1, activation=lambda: torch.nn.LeakyReLU(0.2)),
        "transform.transforms[0].hyper[1]",
        "negative_slope = 0.2; here it is 0.01",
    ),
    "layer norm": (
        lambda: zuko.flows.NICE(
            2, transforms=1, normalize=True, univariate=zuko.transforms.AdditiveTransform, shapes=[()]
        ),
        "transform.transforms[0].hyper[2]",
        "the activation LayerNorm",
    ),
    "polynomial": (
        lambda: zuko.flows.MAF(2, transforms=1, **UNIVARIATE),
        "transform.transforms[0].univariate",
        "BernsteinTransform: BernsteinTransformer is evaluated up to its ends",
    ),
    "circular": (lambda: zuko.flows.NCSF(2), "transform.transforms[2].univariate", "circular shift"),
    "continuous": (lambda: zuko.flows.CNF(2), "transform", "continuous time"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, path, reason = REFUSED[name]
    with pytest.raises(CannotConvert, match="^" + path.replace("[", r"\[").replace(".", r"\.")) as caught:
        convert(make())
    assert isinstance(caught.value, NotImplementedError)
    assert caught.value.path == path and reason in caught.value.reason
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.path, str(again)) == (path, str(caught.value))


def test_libraries_are_not_imported():
    program = """
import sys
import pushforward, pushforward.convert
loaded = {"torch", "nflows", "zuko", "jax", "tensorflow"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_table():
    text = (
        "a\n<!-- table -->\n| h |\n|---|\n| zuko 1.0 | NSF | 1 |\n| sbi 1 | npe | 2 |\n<!-- end of the table -->\nb\n"
    )
    row = {"peer": "zuko", "flow": "NSF", "double": 1.26e-13, "float32": 2e-5, "own": 3e-5, "to base": 0.0}
    new = table(text, [row])
    assert "| 1e-13 | 2e-05 | 3e-05 | 0e+00 | - |" in new and "| sbi 1 | npe | 2 |" in new and "zuko 1.0" not in new
    assert new.startswith("a\n") and new.endswith("-->\nb\n")


def page():
    beside = pathlib.Path(__file__).with_name("conversion.md")
    return (beside if beside.exists() else pathlib.Path(__file__).parents[2] / "docs" / "conversion.md").read_text()


def test_the_page(tmp_path, monkeypatch):
    """Its program runs as it stands, and its table has all flows that are tested."""
    program = page().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(program, {"flow": zuko.flows.NSF(2, transforms=2, hidden_features=(8, 8)), "y": np.ones((3, 2))})
    assert pf.load("flow.safetensors").dim == 2
    table = page().split("<!-- table -->")[1].split("<!-- end of the table -->")[0]
    for library, flows in {"nflows": test_convert_nflows.FLOWS, "zuko": test_convert_zuko.FLOWS}.items():
        rows = [line for line in table.splitlines() if line.startswith(f"| {library} ")]
        assert {row.split(" | ")[1] for row in rows if "e-" in row} == set(flows)
