"""What the tests of the way back share: a flow of a library to a model and back, and models of ours as its flows."""

import copy
import math

import conversion
import numpy as np
import torch
from conversion import CONTEXT, DIM, ROWS, data, evaluate, train

import pushforward as pf
from pushforward.convert import convert

RESULTS = []  # a row of the table for each case


def state(flow):
    """What a flow holds, as far as it counts: weights where their masks are not 0."""
    held = {name: value for name, value in flow.state_dict().items() if not name.endswith("num_batches_tracked")}
    for name in [name for name in held if name.endswith(".mask")]:
        weight = name.removesuffix("mask") + "weight"
        if weight in held:
            held[weight] = held[weight] * held[name]
    for name in [name for name in held if name.endswith(".b")]:  # normflows: which columns networks see
        for weight in [weight for weight in held if weight.startswith(name[:-1]) and weight.endswith("net.0.weight")]:
            held[weight] = held[weight] * held[name]
    return held


def assert_same_weights(flow, back):
    """Bit for bit: under the same names, or, where the parts are put together otherwise, under others."""
    held, found = state(flow), state(back)
    if held.keys() == found.keys():
        for name, value in held.items():
            assert value.dtype == found[name].dtype and torch.equal(value, found[name]), name
        return
    for name in dict(flow.named_parameters()):
        assert any(torch.equal(held[name], value) for value in found.values()), name


def relative(a, b):
    assert a.shape == b.shape and np.isfinite(b).all()
    return float((np.abs(a - b) / (1 + np.abs(b))).max())


def check_round_trip(case, write, exact=True):
    """Theirs to ours and back: the weights bit for bit, the density to 1e-12 at rows far out, in both scalar types.
    exact: not where the way in computed new weights of theirs."""
    train(case, 20)
    y, context = case.rows(1, ROWS, spread=3)
    double = copy.deepcopy(case.flow).double()
    case.exact(double)
    before = conversion.bytes_of(case.flow)[2:]
    model = convert(case.flow)
    back = write(model)
    assert conversion.bytes_of(case.flow)[2:] == before  # torch's random numbers and its default type
    difference = relative(evaluate(case.log_prob, back, y, context), evaluate(case.log_prob, double, y, context))
    assert difference <= 1e-12
    single = write(convert(case.flow, dtype="float32"))
    assert {p.dtype for p in single.parameters()} == {torch.float32}
    if exact:
        assert_same_weights(double, back)
        assert_same_weights(case.flow, single)
    again = convert(back)
    np.testing.assert_allclose(again.log_prob(y, context), model.log_prob(y, context), rtol=1e-12, atol=1e-12)
    record(case.flow, case.name, "the same bits" if exact else "computed", difference)
    assert_trains(case.log_prob, back, *(a if a is None else a[:256] for a in case.rows(2, 256)))


def assert_trains(log_prob, flow, y, context):
    """A step of torch lowers the loss, and moves what is learned alone."""
    learned = [p for p in flow.parameters() if p.requires_grad]
    before = copy.deepcopy(flow.state_dict())
    y, context = torch.from_numpy(y), None if context is None else torch.from_numpy(context)

    def loss():
        return -log_prob(flow, y, context).mean()

    with conversion.double():
        first = loss()
        first.backward()
        assert learned and all(p.grad is not None and torch.isfinite(p.grad).all() for p in learned)
        torch.optim.SGD(learned, 1e-6).step()
        with torch.no_grad():
            assert loss() < first
    trained = {id(p) for p in learned}
    for name, value in flow.named_parameters():
        assert id(value) in trained or torch.equal(value, before[name]), name


def check_ours(name, make, write, log_prob, context=False):
    """A flow of ours after some steps, as the library's: 1e-10 nats."""
    y, c = data(0, 2000, True)
    flow, _ = pf.prepare_and_fit(make(DIM, CONTEXT if context else 0), y, context=c if context else None, epochs=2)
    back = write(flow)
    y, c = data(1, ROWS, True)
    y, c = 2 * y, c if context else None
    right = flow.log_prob(y, c)
    difference = np.abs(evaluate(log_prob, back, y, c) - right)
    assert difference.max() <= 1e-10
    record(
        back, f"`{name}`" + (", context" if context else ""), "the same function", relative(right + difference, right)
    )
    y, c = data(2, 256, True)
    assert_trains(log_prob, back, y, c if context else None)
    single = write(flow.astype("float32"))
    assert {p.dtype for p in single.parameters()} == {torch.float32}


def plain(builder, **options):
    """What a builder makes without what the libraries lack."""
    options = {"input_bound": math.inf, "layers": 2, "hidden": 16} | options
    return lambda dim, context_dim: getattr(pf, builder)(dim, context_dim=context_dim, **options)


def record(flow, name, weights, difference):
    RESULTS.append(
        {"peer": type(flow).__module__.split(".")[0], "flow": name, "weights": weights, "log_prob": difference}
    )


def table(text, results):
    fresh = {
        (result["peer"], result["flow"]): [
            f"{result['peer']} {conversion.version(result['peer'])}",
            result["flow"],
            result["weights"],
            f"{result['log_prob']:.0e}",
        ]
        for result in results
    }
    return conversion.replaced(text, "way back", ["library", "flow", "weights", "log_prob"], fresh)
