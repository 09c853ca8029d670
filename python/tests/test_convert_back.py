"""Models as flows of zuko and of nflows."""

import copy
import math
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
from back import check_ours, check_round_trip, plain, table
from conversion import CONTEXT, DIM, Case, evaluate
from nflows.flows import Flow

import pushforward as pf
from pushforward.convert import CannotConvert, convert, to_nflows, to_zuko

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*triangular_solve.*:UserWarning", "ignore:Inputs to the softmax", "ignore:Initializing zero-element"
)

# What the way in computes of their weights: couplings for masked networks of several columns at once, layers with the
# norms before them, triangular factors, logarithms of scales with an epsilon.
COMPUTED = {
    "NSF, coupling (2 passes)",
    "NSF, coupling (2 passes), context",
    "NSF, 3 passes, context",
    "MAF of a graph",
    "rotation, LU, spline of each column, permutation, inverse",
    "mixture of Gaussians",
    "mixture of Gaussians, diagonal",
    "mixture of Gaussians, spherical, tied",
    "NSF, autoregressive, no residual blocks, batch norm",
    "linear maps and norms",
}
# They have no way back.
ONE_WAY = {name for name in test_convert_nflows.FLOWS if name.startswith("splines of")}


@pytest.mark.parametrize("name", test_convert_zuko.FLOWS)
def test_zuko_and_back(name):
    torch.manual_seed(1)
    flow = test_convert_zuko.FLOWS[name]()
    columns = 1 if "one column" in name else DIM
    case = Case(name, flow, test_convert_zuko.log_prob, None, None, "context" in name, columns=columns)
    check_round_trip(case, to_zuko, name not in COMPUTED)


def context_of(name):
    return {"context": np.random.default_rng(2).normal(size=(64, CONTEXT))} if "context" in name else {}


@pytest.mark.parametrize("name", test_convert_nflows.FLOWS)
def test_nflows_and_back(name):
    torch.manual_seed(1)
    flow = test_convert_nflows.FLOWS[name]()
    if name in ONE_WAY:
        with pytest.raises(CannotConvert, match="lines and parabolas come from nflows, and have no way back"):
            to_nflows(convert(flow, rows=np.random.default_rng(1).normal(size=(64, DIM)), **context_of(name)))
        return
    bounds = (0.0, 1.0) if "intervals" in name else None
    case = Case(name, flow, test_convert_nflows.log_prob, None, None, "context" in name, bounds=bounds)
    check_round_trip(case, to_nflows, name not in COMPUTED)


ZUKO = pf.RationalQuadraticOptions(parameters="zuko", bins=6)
OURS_IN_ZUKO = {
    "nsf(residual=False, spline=zuko's)": plain("nsf", residual=False, spline=ZUKO),
    "nsf_ar(residual=False, spline=zuko's)": plain("nsf_ar", residual=False, spline=ZUKO),
    "maf(tail=inf)": plain("maf", tail=math.inf),
    "maf(tail=inf, act_norm=True)": plain("maf", tail=math.inf, act_norm=True),
    "iaf(tail=inf)": plain("iaf", tail=math.inf),
    "real_nvp(tail=inf)": plain("real_nvp", tail=math.inf),
    "real_nvp(tail=inf, scale_bound=inf)": plain("real_nvp", tail=math.inf, scale_bound=math.inf),
}
OURS_IN_NFLOWS = {
    "nsf()": plain("nsf"),
    "nsf(spline_unchanged=False, dropout=0.1)": plain("nsf", spline_unchanged=False, dropout=0.1),
    "nsf(batch_norm=True, conditioner_batch_norm=True)": plain("nsf", batch_norm=True, conditioner_batch_norm=True),
    "nsf_ar(act_norm=True)": plain("nsf_ar", act_norm=True),
    "nsf_ar(residual=False)": plain("nsf_ar", residual=False),
}


@pytest.mark.parametrize("context", [False, True], ids=["", "context"])
@pytest.mark.parametrize("name", OURS_IN_ZUKO)
def test_ours_in_zuko(name, context):
    if context and name.startswith(("nsf_ar", "maf", "iaf")):  # the context goes through an activation
        with pytest.raises(CannotConvert, match="context_form='linear'"):
            to_zuko(OURS_IN_ZUKO[name](DIM, CONTEXT))
        return
    check_ours(name, OURS_IN_ZUKO[name], to_zuko, test_convert_zuko.log_prob, context)


@pytest.mark.parametrize("context", [False, True], ids=["", "context"])
@pytest.mark.parametrize("name", OURS_IN_NFLOWS)
def test_ours_in_nflows(name, context):
    check_ours(name, OURS_IN_NFLOWS[name], to_nflows, test_convert_nflows.log_prob, context)


def made(context_dim, **options):
    """A masked autoregressive flow by hand."""
    net = pf.Made(DIM, 2, hidden=8, blocks=1, context_dim=context_dim, **options)
    scale = pf.ScaledAffineTransformer(map="soft_clip", limit=-math.log(1e-3))
    layer = pf.MaskedAutoregressive(net, pf.InvertedTransformer(scale))
    return pf.TransformedDistribution(pf.MultivariateNormalDiag(DIM), layer)


def test_zukos_own_form_by_hand():
    """Its networks and scales, built here: an ordinary MAF of one transform there."""
    flow = made(CONTEXT, context_form="linear", residual=False)
    back = to_zuko(flow)
    ordinary = zuko.flows.MAF(DIM, CONTEXT, transforms=1, hidden_features=(8, 8)).double()
    assert {k: v.shape for k, v in back.state_dict().items()} == {k: v.shape for k, v in ordinary.state_dict().items()}
    (layer,) = back.transform.transforms
    assert layer.univariate is zuko.transforms.MonotonicAffineTransform
    ordinary.load_state_dict(back.state_dict())
    y, c = np.random.default_rng(0).normal(size=(2, 50, DIM))
    with torch.no_grad():
        theirs = ordinary(torch.tensor(c[:, :CONTEXT])).log_prob(torch.tensor(y)).numpy()
    np.testing.assert_allclose(theirs, flow.log_prob(y, c[:, :CONTEXT]), rtol=1e-12)


def conditional_in_part():
    """One layer of two has the context."""
    spline = pf.RationalQuadraticTransformer()
    nets = [pf.Made(DIM, spline.multiplier, hidden=8, context_dim=count) for count in (0, CONTEXT)]
    chain = pf.Chain([pf.MaskedAutoregressive(net, spline) for net in nets])
    return pf.TransformedDistribution(pf.MultivariateNormalDiag(DIM), chain)


def test_what_does_not_depend_on_the_context():
    """zuko gives the context to every network: it counts for nothing in those that have none here."""
    spline = pf.RationalQuadraticTransformer(ZUKO)
    of_columns = pf.Elementwise(spline, DIM)
    mask = [1, 0, 1, 0]
    plain_net = pf.Mlp(2, 2 * spline.multiplier, hidden=[8], seed=1)
    of_context = pf.Mlp(2, 2 * spline.multiplier, hidden=[8], context_dim=CONTEXT, seed=2)
    layers = [of_columns, pf.Coupling(mask, plain_net, spline), pf.Coupling(mask, of_context, spline)]
    flow = pf.TransformedDistribution(pf.MultivariateNormalDiag(DIM), pf.Chain(layers))
    y, c = np.random.default_rng(0).normal(size=(2, 50, DIM))
    flow.fit(y, context=c[:, :CONTEXT], epochs=2)
    back, c = to_zuko(flow), c[:, :CONTEXT]
    np.testing.assert_allclose(evaluate(test_convert_zuko.log_prob, back, y, c), flow.log_prob(y, c), rtol=1e-12)
    with pytest.raises(CannotConvert, match="every network takes the context there, and this one does not"):
        to_nflows(conditional_in_part())


def test_what_comes_out():
    """Ordinary objects in evaluation mode, which can be copied, pickled and sampled; the model stays as it is."""
    for flow, write, kind in ((plain("maf", tail=math.inf), to_zuko, zuko.lazy.Flow), (plain("nsf"), to_nflows, Flow)):
        model = flow(DIM, 0)
        before, seed = model.serialize(), torch.get_rng_state()
        back = write(model)
        assert type(back) is kind and not back.training
        assert model.serialize() == before and torch.equal(torch.get_rng_state(), seed)
        y = torch.zeros(3, DIM, dtype=torch.float64)
        for other in (copy.deepcopy(back), pickle.loads(pickle.dumps(back))):
            a, b = (f().log_prob(y) if write is to_zuko else f.log_prob(y) for f in (back, other))
            assert torch.equal(a, b)


def test_columns_with_bounds():
    """What prepare_and_fit makes of supports."""
    rng = np.random.default_rng(0)
    y = np.column_stack(
        [rng.gamma(2, size=1000), rng.uniform(2, 3, 1000), 1 - rng.gamma(3, size=1000), rng.normal(size=1000)]
    )
    supports = ["positive", (2, 3), (None, 1), None]
    flow, _ = pf.prepare_and_fit(plain("maf", tail=math.inf)(DIM, 0), y, supports=supports, epochs=2)
    theirs = evaluate(test_convert_zuko.log_prob, to_zuko(flow), y, None)
    np.testing.assert_allclose(theirs, flow.log_prob(y), rtol=1e-12, atol=1e-12)


def test_what_is_fixed_stays_fixed():
    flow, _ = pf.prepare_and_fit(
        plain("maf", tail=math.inf)(DIM, 0), np.random.default_rng(0).normal(size=(500, DIM)), epochs=1
    )
    standardize = to_zuko(flow).transform.transforms[0]
    assert not list(standardize.parameters()) and list(standardize.buffers())
    own = to_zuko(plain("nsf", residual=False, spline=ZUKO)(DIM, 0)).transform.transforms
    constant = [part for part in own if hasattr(part, "hyper") and len(part.hyper) == 1]
    assert len(constant) == 2 and not any(part.hyper[0].weight.requires_grad for part in constant)


REFUSED = {
    "input_bound": (
        to_nflows,
        lambda: pf.nsf(DIM, layers=1),
        "bijector.2.1",
        "build it with input_bound=inf before training",
    ),
    "tail": (
        to_zuko,
        lambda: pf.maf(DIM, input_bound=math.inf),
        "bijector.8.transformer",
        "affine maps have no tails there: build it with tail=inf before training",
    ),
    "base": (to_zuko, lambda: plain("maf", tail=math.inf, base="student_t")(DIM, 0), "base", "base='normal'"),
    "logistic": (
        to_nflows,
        lambda: plain("nice")(DIM, 0),
        "base",
        "logistic: no such base there: build it with base='normal'",
    ),
    "spline": (
        to_zuko,
        lambda: plain("nsf_ar")(DIM, 0),
        "bijector.5.transformer",
        "RationalQuadraticOptions(parameters='zuko')",
    ),
    "nflows of zuko's": (
        to_nflows,
        lambda: plain("nsf_ar", spline=ZUKO)(DIM, 0),
        "bijector.5.transformer",
        "a spline's parameters are those of nflows there",
    ),
    "network": (
        to_nflows,
        lambda: plain("nsf", residual=False)(DIM, 0),
        "bijector.5.1.net",
        "build it with residual=True",
    ),
    "residual": (
        to_zuko,
        lambda: plain("nsf", spline=ZUKO)(DIM, 0),
        "bijector.5.1.net",
        "build it with residual=False",
    ),
    "norm": (
        to_zuko,
        lambda: plain("maf", tail=math.inf, batch_norm=True)(DIM, 0),
        "bijector.2",
        "zuko has no batch normalization: build it without batch_norm",
    ),
    "scale": (
        to_nflows,
        lambda: plain("maf", tail=math.inf)(DIM, 0),
        "bijector.2.transformer",
        "affine maps have the scale softplus(raw) + 0.001",
    ),
    "supports": (
        to_nflows,
        lambda: pf.TransformedDistribution(pf.Normal(2), pf.ColumnSupports(["positive", None])),
        "bijector",
        "column_supports has no counterpart there",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    write, make, path, reason = REFUSED[name]
    with pytest.raises(CannotConvert) as caught:
        write(make())
    assert caught.value.path == path and reason in caught.value.reason


def test_other_objects():
    for thing in (None, np.zeros(2), zuko.flows.MAF(2)):
        with pytest.raises(TypeError, match="to_zuko: expected a pushforward.Distribution"):
            to_zuko(thing)


def test_libraries_are_imported_when_they_are_needed():
    program = """
import sys
import pushforward as pf
from pushforward.convert import to_zuko, to_nflows, to_normflows
assert not {"torch", "nflows", "zuko", "normflows"} & set(sys.modules)
to_zuko(pf.maf(2, layers=1, hidden=4, input_bound=float("inf"), tail=float("inf")))
assert "zuko" in sys.modules and not {"nflows", "normflows"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_table():
    rows = "| zuko 1.0 | NSF | x | 1 |\n| sbi 1 | n | x | 2 |"
    text = f"a\n<!-- way back -->\n| h |\n|---|\n{rows}\n<!-- end of the way back -->\nb\n"
    new = table(text, [{"peer": "zuko", "flow": "NSF", "weights": "the same bits", "log_prob": 1.26e-15}])
    assert "| NSF | the same bits | 1e-15 |" in new and "| sbi 1 | n | x | 2 |" in new and "zuko 1.0" not in new


def test_the_page(tmp_path, monkeypatch):
    """Its program runs as it stands, after that of the other direction, and its table has all flows that are tested."""
    beside = pathlib.Path(__file__).with_name("conversion.md")
    page = beside if beside.exists() else pathlib.Path(__file__).parents[2] / "docs" / "conversion.md"
    text = page.read_text()
    monkeypatch.chdir(tmp_path)
    names = {"flow": zuko.flows.NSF(2, transforms=2, hidden_features=(8, 8)), "y": np.ones((3, 2))}
    for block in text.split("```python\n")[1:]:
        exec(block.split("```")[0], names)
    rows = text.split("<!-- way back -->")[1].splitlines()
    for library, module, ours in (
        ("zuko", test_convert_zuko, OURS_IN_ZUKO),
        ("nflows", test_convert_nflows, OURS_IN_NFLOWS),
    ):
        found = {row.split(" | ")[1] for row in rows if row.startswith(f"| {library} ")}
        assert found >= set(module.FLOWS) - ONE_WAY | {f"`{name}`" for name in ours}
