"""Batch normalisation of Aesara: batch_normalization_train, batch_normalization_test, batch_normalization; first and second gradients. float64, Python
linker (no C++ compiler needed). Checked against NumPy formulas; the second gradients against central differences of the first."""
import os
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["AESARA_FLAGS"] = f"cxx=,linker=py,floatX=float64,mode=FAST_COMPILE,base_compiledir={tempfile.mkdtemp()}"

import warnings

warnings.simplefilter("ignore")
import aesara
import aesara.tensor as at
import numpy as np
from aesara.tensor.nnet import batchnorm as bn
from aesara.tensor.type import TensorType

import batch_norm_common as common
from batch_norm_common import close, count, full_shape, grid, refusal

CASES = []


def reduced(axes, rank):
    if axes == "per-activation":
        return (0,)
    if axes == "spatial":
        return (0,) + tuple(range(2, rank))
    return tuple(sorted(axes))


class Place:
    """Symbolic inputs and their values; parameters either of full rank with length 1 on the reduced axes ("kept") or without these axes ("dropped")."""

    def __init__(self, shape, axes, layout):
        self.kept = [i for i in range(len(shape)) if i not in reduced(axes, len(shape))]
        self.full = full_shape(shape, self.kept)
        self.parameter_shape = self.full if layout == "kept" else tuple(shape[i] for i in self.kept)
        self.symbols, self.values = [], []

    def tensor(self, value, name):
        symbol = TensorType("float64", shape=[1 if k == 1 else None for k in value.shape])(name)
        self.symbols.append(symbol)
        self.values.append(value)
        return symbol

    def parameter(self, value, name):
        return self.tensor(value.reshape(self.parameter_shape), name)

    def run(self, outputs):
        got = aesara.function(self.symbols, outputs, on_unused_input="ignore")(*self.values)
        return [np.asarray(g) for g in got]


def kwargs_of(options):
    return {k: (tuple(v) if isinstance(v, list) else v) for k, v in options.items()}


def draw(shape, options, seed):
    rng = np.random.default_rng([51, seed, *shape])
    axes = options.get("axes", "per-activation")
    kept = [i for i in range(len(shape)) if i not in reduced(axes, len(shape))]
    n = count(shape, kept) if kept else 1
    x = common.data(rng, shape, kept) if kept else grid(rng.normal(size=shape) * 1.5 + 1)
    return rng, axes, kept, n, x, common.upstream(rng, shape), common.parameters(rng, n)


def train(feature, shape, options, layout, running, seed):
    rng, axes, kept, n, x, dy, p = draw(shape, options, seed)
    place = Place(shape, axes, layout)
    state = {"gamma": p["gamma"], "beta": p["beta"]}
    sx, sg, sb = place.tensor(x, "x"), place.parameter(p["gamma"], "gamma"), place.parameter(p["beta"], "beta")
    more = {}
    if running:
        state.update(running_mean=p["moving_mean"], running_var=p["moving_variance"])
        more = {"running_mean": place.parameter(p["moving_mean"], "running_mean"), "running_var": place.parameter(p["moving_variance"], "running_var")}
    results = bn.batch_normalization_train(sx, sg, sb, **kwargs_of(options), **more)
    names = ("out", "mean", "invstd", "new_running_mean", "new_running_var")[:len(results)]
    gradients = aesara.grad((results[0] * dy).sum(), [sx, sg, sb])
    got = place.run([*results, *gradients])
    for value in got[1:len(results)]:
        assert value.shape == place.parameter_shape
    out = dict(zip((*names, "dx", "dgamma", "dbeta"), got))
    epsilon, factor = options.get("epsilon", 1e-4), options.get("running_average_factor", 0.1)
    want = common.normalize_batch(x, dy, kept, p["gamma"], p["beta"], epsilon)
    m = want["m"]
    want.update(out=want["y"], invstd=1 / np.sqrt(want["variance"] + epsilon), new_running_mean=(1 - factor) * p["moving_mean"] + factor * want["mean"])
    if m > 1:
        want["new_running_var"] = (1 - factor) * p["moving_variance"] + factor * want["variance"] * m / (m - 1)
    for key, value in out.items():
        if key == "new_running_var" and m == 1:
            assert np.all(np.isnan(value))
        else:
            close(value, want[key], 1e-11, f"{feature} {shape} {key}")
    CASES.append({"feature": feature, "mode": "train", "shape": shape, "options": options, "parameter_layout": layout, "parameter_shape": list(place.parameter_shape), "state": state,
                  "x": [x], "dy": [dy], "outputs": out})


def test(feature, shape, options, layout, seed):
    rng, axes, kept, n, x, dy, p = draw(shape, options, seed + 100)
    place = Place(shape, axes, layout)
    sx, sg, sb = place.tensor(x, "x"), place.parameter(p["gamma"], "gamma"), place.parameter(p["beta"], "beta")
    sm, sv = place.parameter(p["moving_mean"], "mean"), place.parameter(p["moving_variance"], "var")
    result = bn.batch_normalization_test(sx, sg, sb, sm, sv, **kwargs_of(options))
    out = dict(zip(("out", "dx", "dgamma", "dbeta", "dmean", "dvar"), place.run([result, *aesara.grad((result * dy).sum(), [sx, sg, sb, sm, sv])])))
    epsilon = options.get("epsilon", 1e-4)
    want = common.normalize_stored(x, dy, kept, p["gamma"], p["beta"], epsilon, p["moving_mean"], p["moving_variance"])
    deviation = np.sqrt(p["moving_variance"] + epsilon)
    want.update(out=want["y"], dmean=-want["dbeta"] * p["gamma"] / deviation, dvar=-want["dgamma"] * p["gamma"] / (2 * deviation ** 2))
    for key, value in out.items():
        close(value, want[key], 1e-11, f"{feature} test {shape} {key}")
    CASES.append({"feature": feature, "mode": "test", "shape": shape, "options": options, "parameter_layout": layout, "parameter_shape": list(place.parameter_shape),
                  "state": {"gamma": p["gamma"], "beta": p["beta"], "mean": p["moving_mean"], "var": p["moving_variance"]}, "x": [x], "dy": [dy], "outputs": out})


def plain(mode, shape, axes, seed):
    rng, _, kept, n, x, dy, p = draw(shape, {"axes": axes}, seed)
    place = Place(shape, axes, "kept")
    std = np.sqrt(grid(np.maximum(p["moving_variance"], 0.25)))
    std = grid(np.maximum(std, 0.5))
    sx = place.tensor(x, "x")
    sg, sb, sm, ss = (place.parameter(v, k) for k, v in (("gamma", p["gamma"]), ("beta", p["beta"]), ("mean", p["moving_mean"]), ("std", std)))
    result = bn.batch_normalization(sx, sg, sb, sm, ss, mode=mode)
    out = dict(zip(("out", "dx", "dgamma", "dbeta", "dmean", "dstd"), place.run([result, *aesara.grad((result * dy).sum(), [sx, sg, sb, sm, ss])])))
    want = common.normalize_stored(x, dy, kept, p["gamma"], p["beta"], 0.0, p["moving_mean"], std ** 2)
    want.update(out=want["y"], dmean=-want["dbeta"] * p["gamma"] / std, dstd=-want["dgamma"] * p["gamma"] / std)
    for key, value in out.items():
        close(value, want[key], 1e-11, f"{mode} {shape} {key}")
    CASES.append({"feature": "batch_normalization", "mode": mode, "shape": shape, "options": {"mode": mode}, "parameter_layout": "kept", "parameter_shape": list(place.parameter_shape),
                  "axes": list(reduced(axes, len(shape))), "state": {"gamma": p["gamma"], "beta": p["beta"], "mean": p["moving_mean"], "std": std}, "x": [x], "dy": [dy], "outputs": out})


def second_order(shape, options, layout, seed):
    rng, axes, kept, n, x, dy, p = draw(shape, options, seed)
    wx, wg, wb = common.upstream(rng, shape), grid(rng.normal(size=n)), grid(rng.normal(size=n))
    place = Place(shape, axes, layout)
    sx, sd = place.tensor(x, "x"), place.tensor(dy, "dy")
    sg, sb = place.parameter(p["gamma"], "gamma"), place.parameter(p["beta"], "beta")
    epsilon, over = options.get("epsilon", 1e-4), reduced(axes, len(shape))

    def weighted(dx, dgamma, dbeta):
        where = place.full if dgamma.ndim == len(shape) else place.parameter_shape
        return (dx * wx).sum() + (dgamma * wg.reshape(where)).sum() + (dbeta * wb.reshape(where)).sum()

    # Aesara's gradient op on mean and invstd written as functions of x, and the gradient of that.
    wide = sg if layout == "kept" else sg.dimshuffle([kept.index(i) if i in kept else "x" for i in range(len(shape))])
    mean, invstd = sx.mean(over, keepdims=True), 1 / at.sqrt(sx.var(over, keepdims=True) + epsilon)
    first_order = bn.AbstractBatchNormTrainGrad(over)(sx, sd, wide, mean, invstd, epsilon)
    names = ("dx", "dgamma", "dbeta", "second_x", "second_dy", "second_gamma")
    out = dict(zip(names, place.run([*first_order, *aesara.grad(weighted(*first_order), [sx, sd, sg])])))
    # aesara.grad of aesara.grad of batch_normalization_train: the terms through the returned mean and invstd are lost.
    result = bn.batch_normalization_train(sx, sg, sb, **kwargs_of(options))[0]
    nested = weighted(*aesara.grad((result * sd).sum(), [sx, sg, sb]))
    try:
        aesara.grad(nested, [sx])
        raise AssertionError("nested gradient is taken")
    except TypeError as error:
        assert "DisconnectedType" in str(error)
    nested_x, nested_dy, nested_gamma = place.run(aesara.grad(nested + 0.0 * result.sum(), [sx, sd, sg]))
    close(nested_dy, out["second_dy"], 1e-11)
    close(nested_gamma, out["second_gamma"], 1e-11)
    assert np.max(np.abs(nested_x - out["second_x"])) > 1e-2
    out["second_x_nested"] = nested_x

    def value(x, dy, gamma):
        o = common.normalize_batch(x, dy, kept, gamma, p["beta"], epsilon)
        return (o["dx"] * wx).sum() + (o["dgamma"] * wg).sum() + (o["dbeta"] * wb).sum()

    first = common.normalize_batch(x, dy, kept, p["gamma"], p["beta"], epsilon)
    for key in ("dx", "dgamma", "dbeta"):
        close(out[key], first[key], 1e-11, key)
    for position, key in enumerate(("second_x", "second_dy", "second_gamma")):
        arguments = [x, dy, p["gamma"]]
        numeric = np.zeros(arguments[position].size)
        for i in range(numeric.size):
            parts = []
            for step in (1e-4, -1e-4, 2e-4, -2e-4):
                moved = [v.copy() for v in arguments]
                moved[position].reshape(-1)[i] += step
                parts.append(value(*moved))
            numeric[i] = (8 * (parts[0] - parts[1]) - (parts[2] - parts[3])) / 12e-4
        close(out[key], numeric, 1e-7, f"second {shape} {key}")
    for v in (wx, wg, wb):
        assert np.array_equal(v, v.astype(np.float32))
    CASES.append({"feature": "second_order", "mode": "train", "shape": shape, "options": options, "parameter_layout": layout, "parameter_shape": list(place.parameter_shape),
                  "state": {"gamma": p["gamma"], "beta": p["beta"]}, "x": [x], "dy": [dy], "wx": wx.reshape(-1), "wg": wg, "wb": wb, "outputs": out})


def fill():
    ranks = [(6, 4), (5, 3, 2), (4, 2, 3, 2), (3, 2, 2, 2, 2)]
    other = ({}, {"epsilon": 5e-3, "running_average_factor": 0.3}, {"running_average_factor": 0.5}, {"epsilon": 1e-2})
    for number, (shape, more) in enumerate(zip(ranks, other)):
        for layout in ("kept", "dropped"):
            for running in (False, True):
                train("per_activation", shape, more, layout, running, 1)
                train("spatial", shape, {"axes": "spatial", **more}, layout, running, 2)
            kept_only = {k: v for k, v in more.items() if k == "epsilon"}
            test("per_activation", shape, kept_only, layout, 1)
            test("spatial", shape, {"axes": "spatial", **kept_only}, layout, 2)
    tuples = [((6, 4), [1]), ((5, 3, 2), [0, 1]), ((4, 2, 3, 2), [0, 2]), ((3, 2, 2, 2, 2), [0, 1, 4]), ((4, 3, 2), [2, 0]), ((4, 3), [0, 1]), ((3, 1, 4), [0, 2])]
    for number, (shape, axes) in enumerate(tuples):
        for layout in ("kept", "dropped"):
            train("axes_tuple", shape, {"axes": axes, **other[number % 4]}, layout, number % 2 == 0 or layout == "dropped", 3)
            test("axes_tuple", shape, {"axes": axes, **{k: v for k, v in other[number % 4].items() if k == "epsilon"}}, layout, 3)
    for shape, axes in [((1, 3), "per-activation"), ((1, 2, 1), "spatial"), ((1, 2, 2), "per-activation")]:
        train("single_example", shape, {} if axes == "per-activation" else {"axes": axes}, "dropped", True, 4)
    for mode in ("low_mem", "high_mem"):
        for shape, axes in [((6, 4), (0,)), ((5, 3, 2), (0, 2)), ((4, 2, 3, 2), (0, 2, 3)), ((3, 2, 2, 2, 2), (0,)), ((3, 2, 2, 3), (0, 1, 2))]:
            plain(mode, shape, axes, 5)
    for shape, options in [((6, 4), {}), ((5, 3, 2), {"axes": "spatial"}), ((4, 2, 3, 2), {"axes": "spatial", "epsilon": 5e-3}), ((3, 2, 2, 2, 2), {"axes": [0, 1, 4]}), ((5, 2, 2), {}), ((4, 3, 2), {"axes": [0, 1]})]:
        second_order(shape, options, "kept" if len(shape) % 2 else "dropped", 6)


def refuse():
    def tensors(*ranks):
        return [TensorType("float64", shape=[None] * r)() for r in ranks]

    def add(feature, rank, options, call, **more):
        CASES.append(refusal(feature, [2] * rank, options, call, **more))

    for function, extra in ((bn.batch_normalization_train, 0), (bn.batch_normalization_test, 2)):
        name = {"function": function.__name__}

        def call(rank, ranks, function=function, extra=extra, **kwargs):
            return lambda: function(*tensors(rank, *ranks, *([ranks[0]] * extra)), **kwargs)

        add("axes_invalid", 2, {"axes": "channels"}, call(2, (1, 1), axes="channels"), **name)
        add("axes_invalid", 2, {"axes": 0}, call(2, (1, 1), axes=0), **name)
        add("axes_none", 2, {"axes": []}, call(2, (2, 2), axes=()), **name)
        add("axes_range", 2, {"axes": [0, 2]}, call(2, (2, 2), axes=(0, 2)), **name)
        add("axes_range", 3, {"axes": [-1]}, call(3, (3, 3), axes=(-1,)), **name)
        add("parameter_rank", 4, {"axes": "spatial"}, call(4, (2, 2), axes="spatial"), parameter_ranks={"gamma": 2, "beta": 2}, **name)
        add("parameter_rank", 4, {"axes": "spatial"}, call(4, (4, 1), axes="spatial"), parameter_ranks={"gamma": 4, "beta": 1}, **name)
        add("epsilon", 2, {"epsilon": 1e-6}, call(2, (1, 1), epsilon=1e-6), **name)
        add("epsilon", 2, {"epsilon": 0.0}, call(2, (1, 1), epsilon=0.0), **name)
    train_name = {"function": "batch_normalization_train"}

    def running(rank, mean, var):
        def call():
            x, g, b = tensors(rank, 1, 1)
            bn.batch_normalization_train(x, g, b, axes="spatial", running_mean=None if mean is None else tensors(mean)[0], running_var=None if var is None else tensors(var)[0])
        return call

    add("running_pair", 2, {"axes": "spatial"}, running(2, 1, None), parameter_ranks={"gamma": 1, "beta": 1, "running_mean": 1}, **train_name)
    add("running_pair", 2, {"axes": "spatial"}, running(2, None, 1), parameter_ranks={"gamma": 1, "beta": 1, "running_var": 1}, **train_name)
    add("running_rank", 4, {"axes": "spatial"}, running(4, 4, 1), parameter_ranks={"gamma": 1, "beta": 1, "running_mean": 4, "running_var": 1}, **train_name)
    add("running_rank", 4, {"axes": "spatial"}, running(4, 1, 2), parameter_ranks={"gamma": 1, "beta": 1, "running_mean": 1, "running_var": 2}, **train_name)

    def stored(mean, var):
        def call():
            bn.batch_normalization_test(*tensors(4, 1, 1, mean, var), axes="spatial")
        return call

    add("mean_var_rank", 4, {"axes": "spatial"}, stored(4, 1), parameter_ranks={"gamma": 1, "beta": 1, "mean": 4, "var": 1}, function="batch_normalization_test")
    add("mean_var_rank", 4, {"axes": "spatial"}, stored(1, 2), parameter_ranks={"gamma": 1, "beta": 1, "mean": 1, "var": 2}, function="batch_normalization_test")
    add("mode_invalid", 2, {"mode": "no_mem"}, lambda: bn.batch_normalization(*tensors(2, 2, 2, 2, 2), mode="no_mem"), function="batch_normalization")
    # epsilon = 1e-5 exactly is taken in float64; in float32 it is below 1e-5 and refused.
    bn.batch_normalization_train(*tensors(2, 1, 1), epsilon=1e-5)
    with aesara.config.change_flags(floatX="float32"):
        add("epsilon_float32", 2, {"epsilon": 1e-5}, lambda: bn.batch_normalization_train(*tensors(2, 1, 1), epsilon=1e-5), function="batch_normalization_train", floatX="float32")


if __name__ == "__main__":
    fill()
    refuse()
    common.save("batch_norm_aesara", f"aesara {aesara.__version__}, numpy {np.__version__}: batch_normalization_train, batch_normalization_test, batch_normalization",
                "tests/oracles/batch_norm_aesara_oracles.py", {
        "defaults": {"axes": "per-activation", "epsilon": 1e-4, "running_average_factor": 0.1, "mode": "low_mem"},
        "function": "mode train: batch_normalization_train; test: batch_normalization_test; low_mem, high_mem: batch_normalization (takes std, no epsilon; its parameters have full rank, "
                    "`axes` says where their length is 1)",
        "parameter_layout": "kept: full rank with length 1 on the reduced axes; dropped: without these axes; parameter_shape: the shape. mean, invstd, new_running_* come back in the same shape",
        "outputs": "flat; gradients of sum(dy * out)",
        "single_example": "one value for each mean: new_running_var is NaN (null), from infinity times 0",
        "second_order": "second_x, second_dy, second_gamma: gradients of sum(wx * dx) + sum(wg * dgamma) + sum(wb * dbeta) in x, dy and gamma, by the gradient op's own "
                        "gradient with mean and invstd written out in x. second_x_nested: what aesara.grad of aesara.grad of batch_normalization_train gives: it loses the terms through mean and "
                        "invstd and is not the derivative (and is refused with a TypeError unless `out` is itself in the cost)",
        "refusal": "shape gives the rank only (the tensors have no lengths); parameter_ranks: ranks of the parameters where they matter"}, CASES)
