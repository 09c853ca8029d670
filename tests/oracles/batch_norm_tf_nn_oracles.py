"""Stateless pieces of batch normalisation in TensorFlow: tf.nn.batch_normalization, tf.nn.moments and relatives, moving averages. float64, checked
against NumPy formulas."""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import tensorflow as tf
from tensorflow.python.training import moving_averages

import batch_norm_common as common
from batch_norm_common import close, count, full_shape, grid, kept_axes, reduced_axes, spread

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
v1 = tf.compat.v1
v1.logging.set_verbosity(v1.logging.ERROR)
CASES = []


def batch_normalization(feature, shape, axis, epsilon, seed, parameters=("mean", "variance", "offset", "scale"), full=True):
    rng = np.random.default_rng([31, seed, *shape])
    kept = kept_axes(axis, len(shape))
    n, wide = count(shape, kept), full_shape(shape, kept)
    x, dy, p = common.data(rng, shape, kept), common.upstream(rng, shape), common.parameters(rng, n)
    state = {k: v for k, v in (("mean", p["moving_mean"]), ("variance", p["moving_variance"]), ("offset", p["beta"]), ("scale", p["gamma"])) if k in parameters}
    parameter_shape = wide if full else (n,)
    leaves = {"x": tf.constant(x), **{k: tf.constant(v.reshape(parameter_shape)) for k, v in state.items()}}
    with tf.GradientTape() as tape:
        tape.watch(list(leaves.values()))
        y = tf.nn.batch_normalization(leaves["x"], leaves["mean"], leaves["variance"], leaves.get("offset"), leaves.get("scale"), epsilon)
        total = tf.reduce_sum(dy * y)
    assert y.dtype == tf.float64
    out = {"y": y.numpy(), **{"d" + k: v.numpy() for k, v in zip(leaves, tape.gradient(total, list(leaves.values())))}}
    scale, offset = state.get("scale", np.ones(n)), state.get("offset", np.zeros(n))
    want = common.normalize_stored(x, dy, kept, scale, offset, epsilon, state["mean"], state["variance"])
    deviation = np.sqrt(state["variance"] + epsilon)
    want.update(dscale=want["dgamma"], doffset=want["dbeta"], dmean=-want["dbeta"] * scale / deviation,
                dvariance=-want["dgamma"] * scale / (2 * (state["variance"] + epsilon)))
    for key, value in out.items():
        close(value, want[key], 1e-11, f"{feature} {shape} {key}")
    CASES.append({"feature": feature, "mode": "stateless", "shape": shape, "options": {"variance_epsilon": epsilon}, "parameter_shape": list(parameter_shape),
                  "axis": kept, "state": state, "x": [x], "dy": [dy], "outputs": out})


def moments(feature, shape, axes, keepdims, seed, weights_shape=None, shift=None):
    rng = np.random.default_rng([32, seed, *shape])
    reduced = tuple(sorted(a % len(shape) for a in axes))
    kept = [i for i in range(len(shape)) if i not in reduced]
    x = common.data(rng, shape, kept) if kept else grid(rng.normal(size=shape) * 1.5 + 1)
    n = count(shape, kept) if kept else 1
    w_mean, w_variance = grid(rng.normal(size=n)), grid(rng.normal(size=n))
    options, extra, leaves = {"axes": list(axes), "keepdims": keepdims}, {}, {"x": tf.constant(x)}
    if weights_shape is not None:
        weights = np.maximum(grid(rng.uniform(0.25, 3.0, weights_shape)), 0.25)
        extra = {"frequency_weights": weights.reshape(-1), "frequency_weights_shape": list(weights_shape)}
        leaves["frequency_weights"] = tf.constant(weights)
    if shift is not None:
        options["shift"] = shift
    out = {}
    with tf.GradientTape() as tape:
        tape.watch(list(leaves.values()))
        if feature == "moments":
            mean, variance = tf.nn.moments(leaves["x"], list(axes), keepdims=keepdims)
        elif feature == "weighted_moments":
            mean, variance = tf.nn.weighted_moments(leaves["x"], list(axes), leaves["frequency_weights"], keepdims=keepdims)
        else:
            used = None if shift is None else tf.constant(shift, tf.float64)
            size, sum_x, sum_square, back = tf.nn.sufficient_statistics(leaves["x"], list(axes), shift=used, keepdims=keepdims)
            mean, variance = tf.nn.normalize_moments(size, sum_x, sum_square, back)
            out = {"count": float(size), "mean_ss": sum_x.numpy(), "variance_ss": sum_square.numpy()}
        total = tf.reduce_sum(w_mean.reshape(mean.shape) * mean) + tf.reduce_sum(w_variance.reshape(variance.shape) * variance)
    gradient = dict(zip(leaves, tape.gradient(total, list(leaves.values()))))
    assert mean.dtype == tf.float64
    out.update(mean=mean.numpy(), variance=variance.numpy(), mean_shape=list(mean.shape), dx=gradient["x"].numpy())
    full = full_shape(shape, kept)
    a, b = w_mean.reshape(full), w_variance.reshape(full)
    w = np.broadcast_to(weights, shape) if weights_shape is not None else np.ones(shape)
    total_weight = w.sum(reduced, keepdims=True)
    m = (w * x).sum(reduced, keepdims=True) / total_weight
    v = (w * (x - m) ** 2).sum(reduced, keepdims=True) / total_weight
    close(out["mean"], m, 1e-12)
    close(out["variance"], v, 1e-11)
    close(out["dx"], w / total_weight * (a + 2 * b * (x - m)), 1e-12)
    if weights_shape is not None:
        out["dfrequency_weights"] = gradient["frequency_weights"].numpy()
        each = (a * (x - m) + b * ((x - m) ** 2 - v)) / total_weight
        close(out["dfrequency_weights"], each.sum(tuple(i for i, k in enumerate(weights_shape) if k == 1 and shape[i] > 1), keepdims=True), 1e-11)
    if "count" in out:
        s = 0.0 if shift is None else shift
        assert out["count"] == x.size / n
        close(out["mean_ss"], (x - s).sum(reduced), 1e-12)
        close(out["variance_ss"], ((x - s) ** 2).sum(reduced), 1e-12)
    for value in (w_mean, w_variance, extra.get("frequency_weights", w_mean)):
        assert np.array_equal(value, value.astype(np.float32))
    CASES.append({"feature": feature, "mode": "stateless", "shape": shape, "options": options, "x": [x], "w_mean": w_mean, "w_variance": w_variance, "outputs": out, **extra})


def sequence(feature, shape, options, seed, steps=4):
    """options decay, zero_debias, num_updates (a list, one number a step); values x, one a step."""
    rng = np.random.default_rng([33, seed, *shape])
    xs = [grid(rng.normal(size=shape) * 1.5 + 1) for _ in range(steps)]
    start, decay = grid(rng.uniform(0.5, 2, shape)), options["decay"]
    weights = [np.maximum(grid(rng.uniform(0.25, 2.0, shape)), 0.25) for _ in range(steps)]

    def system(number):
        with tf.Graph().as_default(), v1.Session() as session:
            feed, weight = v1.placeholder(tf.float64, shape), v1.placeholder(tf.float64, shape)
            updates = v1.placeholder(tf.float64, ())
            variable = v1.get_variable("v", initializer=start, dtype=tf.float64)
            if feature == "assign_moving_average":
                step = moving_averages.assign_moving_average(variable, feed, number, zero_debias=options["zero_debias"])
                result = variable
            elif feature == "weighted_moving_average":
                step = result = moving_averages.weighted_moving_average(feed, number, weight)
            else:
                average = v1.train.ExponentialMovingAverage(number, num_updates=updates if "num_updates" in options else None)
                with tf.control_dependencies([variable.assign(feed)]):
                    step = average.apply([variable])
                result = average.average(variable)
            session.run(v1.global_variables_initializer())
            values = []
            for k, x in enumerate(xs):
                feeds = {feed: x, weight: weights[k], updates: options.get("num_updates", [0] * steps)[k]}
                got = session.run(step, feeds)
                values.append(np.array(got if feature == "weighted_moving_average" else session.run(result)))
            return values

    want, value, biased, top, bottom = [], start.copy(), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for k, x in enumerate(xs):
        rate = decay
        if "num_updates" in options:
            rate = min(decay, (1 + options["num_updates"][k]) / (10 + options["num_updates"][k]))
        if feature == "weighted_moving_average":
            top, bottom = rate * top + (1 - rate) * x * weights[k], rate * bottom + (1 - rate) * weights[k]
            value = top / bottom
        elif options.get("zero_debias"):
            biased = rate * biased + (1 - rate) * x
            value = biased / (1 - rate ** (k + 1))
        else:
            value = rate * value + (1 - rate) * x
        want.append(value.copy())
    rounded = system(decay)
    close(np.stack(rounded), np.stack(want), 1e-6, f"{feature} {options}")
    if not feature.startswith("exponential"):  # there the decay becomes float32 whatever is given
        exact = system(np.float64(decay))
        close(np.stack(exact), np.stack(want), 1e-11, f"{feature} {options}")
        want = exact
    out = {"value": want[-1], "value_by_step": [common.flat(v) for v in want], "value_by_step_as_computed": [common.flat(v) for v in rounded]}
    case = {"feature": feature, "mode": "sequence", "shape": shape, "options": options, "x": xs, "outputs": out}
    if feature == "weighted_moving_average":
        case["weights"] = [common.flat(w) for w in weights]
    else:
        case["state"] = {"variable": start}
    CASES.append(case)


def fill():
    spots = [((6, 4), -1), ((4, 3, 3), 1), ((3, 4, 2, 2), 1), ((2, 2, 2, 2, 3), -1), ((4, 2, 3, 2), [1, 3])]
    for number, (shape, axis) in enumerate(spots):
        batch_normalization("full_rank_parameters", shape, axis, 0.001, 1)
        for feature, parameters in (("no_scale", ("mean", "variance", "offset")), ("no_offset", ("mean", "variance", "scale")), ("neither", ("mean", "variance"))):
            batch_normalization(feature, shape, axis, (0.001, 1e-5, 0.1, 0.001, 0.5)[number], 2, parameters)
    for shape, epsilon in zip([(6, 4), (4, 3, 3), (3, 2, 3, 3), (2, 2, 2, 2, 3)], (0.001, 1e-5, 0.1, 0.001)):
        batch_normalization("last_axis_parameters", shape, -1, epsilon, 3, full=False)
    for number, (shape, axes) in enumerate([((6, 4), [0]), ((6, 4), [1]), ((4, 3, 2), [0, 2]), ((4, 3, 2), [-1]), ((3, 4, 2, 2), [0, 2, 3]), ((3, 2, 2, 3), [0, 1, 2]),
                                            ((2, 2, 2, 2, 3), [0, 1, 2, 3]), ((2, 3, 2, 2, 2), [0, -1, 2, 3]), ((5, 3), [0, 1]), ((4, 2, 3, 2), [0, 2])]):
        for keepdims in (False, True):
            moments("moments", shape, axes, keepdims, 4 + number)
    for shape, axes, keepdims, weights in [((6, 4), [0], False, (6, 1)), ((4, 3, 2), [0, 2], True, (4, 3, 2)), ((3, 4, 2, 2), [0, 2, 3], False, (3, 1, 2, 2)),
                                           ((2, 2, 2, 2, 3), [0, 1, 2, 3], True, (2, 1, 1, 1, 1)), ((5, 3), [0, 1], False, (5, 3)), ((6, 3), [0], True, (6, 3))]:
        moments("weighted_moments", shape, axes, keepdims, 20, weights_shape=weights)
    for shape, axes, keepdims, shift in [((6, 4), [0], False, None), ((6, 4), [0], False, 1.5), ((4, 3, 2), [0, 2], False, -0.75), ((3, 4, 2, 2), [0, 2, 3], True, 2.0),
                                         ((2, 2, 2, 2, 3), [0, 1, 2, 3], True, None), ((5, 3), [0, 1], False, 0.25)]:
        moments("sufficient_statistics", shape, axes, keepdims, 21, shift=shift)
    for zero_debias in (False, True):
        for shape, decay in [((3,), 0.99), ((2, 2), 0.9), ((1, 3, 1), 0.25)]:
            sequence("assign_moving_average", shape, {"decay": decay, "zero_debias": zero_debias}, 1)
    for shape, decay in [((3,), 0.99), ((2, 2), 0.9), ((1, 3, 1), 0.25)]:
        sequence("exponential_moving_average", shape, {"decay": decay}, 2)
        sequence("exponential_moving_average_num_updates", shape, {"decay": decay, "num_updates": [0, 1, 5, 200]}, 3)
        sequence("weighted_moving_average", shape, {"decay": decay}, 4)


if __name__ == "__main__":
    fill()
    common.save("batch_norm_tf_nn", f"tensorflow {tf.__version__}: tf.nn.batch_normalization, moments, weighted_moments, sufficient_statistics, normalize_moments; moving_averages",
                "tests/oracles/batch_norm_tf_nn_oracles.py", {
        "batch_normalization": "y = (x - mean) / sqrt(variance + variance_epsilon) * scale + offset; `axis`: the kept axes; parameter_shape: the shape the parameters were given in; "
                               "state: flat; gradients of sum(dy * y) in x, mean, variance, offset, scale",
        "moments": "mean, variance flat, mean_shape as returned; dx: gradient of sum(w_mean * mean) + sum(w_variance * variance), also in frequency_weights",
        "sufficient_statistics": "count, mean_ss = sum(x - shift), variance_ss = sum((x - shift)^2), then normalize_moments; no shift in options: None",
        "sequence": "x: one value a step; value_by_step: after each step, in double; *_as_computed: with decay as a Python float, which TensorFlow turns into float32 "
                    "(ExponentialMovingAverage does so in any case: its values are the NumPy formula)",
        "assign_moving_average": "state.variable is the value before; with zero_debias it is forgotten: biased average from 0, divided by 1 - decay^step",
        "exponential_moving_average": "average of a variable, started at its initial value (state.variable); num_updates: decay = min(decay, (1 + n) / (10 + n))",
        "weighted_moving_average": "average(value * weight) / average(weight), both from 0; `weights` one a step"}, CASES)
