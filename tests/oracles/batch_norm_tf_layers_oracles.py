"""Batch normalisation of tf.compat.v1.layers.batch_normalization: version 1 graphs, sessions, collections; float64. Checked against NumPy formulas."""
import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import warnings

import numpy as np
import tensorflow as tf
import tf_keras

import batch_norm_common as common
from batch_norm_common import close, count, flat, kept_axes, refusal, spread
from batch_norm_keras_oracles import V1, formula

warnings.simplefilter("ignore")
tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
v1 = tf.compat.v1
LAYER = v1.layers.batch_normalization
MOVING = ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")
CASES = []


def call(options, tensor, mode, wide, **more):
    kwargs = dict(options)
    if wide:
        kwargs["momentum"] = np.float64(options.get("momentum", 0.99))
        kwargs["renorm_momentum"] = np.float64(options.get("renorm_momentum", 0.99))
    if options.get("renorm"):
        kwargs["epsilon"] = np.float64(options.get("epsilon", 1e-3))
    return LAYER(tensor, training=(mode == "training"), **{"name": "bn", **kwargs, **more})


def run(options, state, xs, dy, mode, wide, calls, run_updates):
    """calls = 1: the steps are session runs. calls = 2: one graph with two calls, the second with reuse=True, one step each."""
    out = {}
    with tf.Graph().as_default(), v1.Session() as session:
        places = [v1.placeholder(tf.float64, xs[0].shape) for _ in range(calls)]
        ys = [call(options, p, mode, wide, **({"reuse": True} if i else {})) for i, p in enumerate(places)]
        variables = {v.name.split("/")[-1].split(":")[0]: v for v in v1.global_variables()}
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        out["trainable_variables"] = [v.name for v in v1.trainable_variables()]
        out["global_variables"] = [v.name for v in v1.global_variables()]
        out["update_ops"] = len(updates)
        per_call = len(updates) // calls
        learned = [k for k in ("gamma", "beta") if k in variables]
        gradients = tf.gradients(tf.reduce_sum(dy * ys[-1]), [places[-1], *[variables[k] for k in learned]])
        assert ys[-1].dtype == tf.float64
        session.run(v1.global_variables_initializer())
        for key, value in state.items():
            variables[key].load(np.reshape(value, variables[key].shape), session)
        for step, x in enumerate(xs):
            which = step if calls > 1 else 0
            chosen = updates[which * per_call:(which + 1) * per_call] if run_updates else []
            fetched = session.run({"y": ys[which], "gradients": gradients, "updates": chosen}, {p: x for p in places})
            if calls > 1 and step == 0:
                out["y_of_first_call"] = fetched["y"]
            if len(xs) > 1:
                for key in MOVING:
                    if key in variables:
                        out.setdefault(key + "_by_step", []).append(flat(session.run(variables[key])))
        out["y"] = fetched["y"]
        out.update(zip(["dx", *["d" + k for k in learned]], fetched["gradients"]))
        out.update({k: flat(session.run(variables[k])) for k in MOVING if k in variables})
    return out


def add(feature, mode, shape, options=None, seed=0, steps=1, calls=1, run_updates=True, state=True, names=False):
    options = dict(options or {})
    rng = np.random.default_rng([seed, len(CASES), *shape])
    kept = kept_axes(options.get("axis", [-1]), len(shape))
    n = count(shape, kept)
    xs, dy = [common.data(rng, shape, kept) for _ in range(max(steps, calls))], common.upstream(rng, shape)
    values = common.parameters(rng, n) if state else {}
    if options.get("renorm"):
        values["moving_stddev"] = np.round(spread(rng, n, 0.75, 1.875) * 8) / 8
        values["moving_variance"] = values["moving_stddev"] ** 2
        values["renorm_mean"], values["renorm_stddev"] = spread(rng, n, -1.0, 1.5), spread(rng, n, 0.625, 1.75)
    for flag, key in (("scale", "gamma"), ("center", "beta")):
        if not options.get(flag, True):
            values.pop(key, None)
    got = run(options, values, xs, dy, mode, True, calls, run_updates)
    rounded = run(options, values, xs, dy, mode, False, calls, run_updates)
    known = {k: v for k, v in options.items() if k not in ("name", "trainable")}
    updated = run_updates and options.get("trainable", True)
    want = formula(V1, shape, known if updated else {**known, "trainable": False}, values, xs, dy, mode)
    if calls > 1:
        want["y_of_first_call"] = formula(V1, shape, known, values, xs[:1], dy, mode)["y"]
    outputs = {}
    for key, value in got.items():
        if key in ("trainable_variables", "global_variables", "update_ops"):
            if names:
                outputs[key] = value
            continue
        close(value, want[key], 1e-11, f"{feature} {mode} {shape} {key}")
        close(rounded[key], value, 1e-7, f"{feature} {mode} {shape} {key} rounded")
        outputs[key] = value
        if mode == "training" and (key.startswith(MOVING) or not np.array_equal(flat(rounded[key]), flat(value))):
            outputs[key + "_as_computed"] = rounded[key]
    assert got["update_ops"] == (2 * calls if mode == "training" and options.get("trainable", True) else 0)
    case = {"feature": feature, "mode": mode, "shape": shape, "options": options, "x": xs, "dy": [dy], "outputs": outputs, "update_ops_run": run_updates}
    if values:
        case["state"] = values
    CASES.append(case)


def both(feature, shape, options=None, seed=0, **more):
    for mode in ("training", "inference"):
        add(feature, mode, shape, options, seed, **more)


def fill():
    ranks = [(6, 4), (4, 3, 3), (3, 2, 3, 3), (2, 2, 2, 2, 3)]
    clip = {"rmax": 1.25, "rmin": 0.75, "dmax": 0.5}
    for shape in ranks:
        both("defaults", shape, seed=21, state=False)
    for shape, axis in [((5, 3, 4), [1]), ((3, 4, 2, 2), [1]), ((3, 2, 2, 2, 2), [-3]), ((4, 2, 3, 2), [1, 3]), ((4, 3, 2), [1, 2]), ((3, 2, 2, 3, 2), [-1, -2])]:
        both("axis", shape, {"axis": axis}, seed=22)
    for shape, options in zip(ranks, ({}, {"momentum": 0.75}, {"epsilon": 0.0625}, {"axis": [1]})):
        both("reuse", shape, options, seed=23, calls=2, names=True)
    for shape, options in zip(ranks, ({}, {"momentum": 0.75}, {"axis": [1]}, {})):
        both("updates_not_run", shape, options, seed=24, run_updates=False, steps=2)
        both("updates_run", shape, options, seed=25, steps=2)
    for shape, options in zip(ranks + [(5, 3), (4, 2, 2)], ({}, {"scale": False}, {"center": False}, {"trainable": False}, {"center": False, "scale": False, "name": "norm"},
                                                            {"name": "deep/norm", "axis": [1, 2]})):
        both("trainable_collections", shape, options, seed=26, names=True)
    add("trainable_collections", "training", (6, 3), {"renorm": True}, seed=26, names=True)
    for shape, options in zip(ranks + [(4, 3, 2, 2)], ({}, {"renorm_clipping": clip, "renorm_momentum": 0.75}, {"renorm_clipping": {"rmax": 1.125, "dmax": 0.25}, "momentum": 0.9},
                                                       {"renorm_clipping": {"rmin": 0.875}, "renorm_momentum": 0.5, "epsilon": 1e-5}, {"axis": [1], "renorm_momentum": 0.8})):
        both("renorm", shape, {"renorm": True, **options}, seed=27, steps=3)

    def twice():
        with tf.Graph().as_default():
            LAYER(tf.zeros((4, 3), tf.float64), name="bn")
            LAYER(tf.zeros((4, 3), tf.float64), name="bn")

    def unknown():
        with tf.Graph().as_default():
            LAYER(tf.zeros((4, 3), tf.float64), name="bn", reuse=True)

    def other_shape():
        with tf.Graph().as_default():
            LAYER(tf.zeros((4, 3), tf.float64), name="bn")
            LAYER(tf.zeros((4, 2), tf.float64), name="bn", reuse=True)

    CASES.append(refusal("reuse_of_unknown_name", (4, 3), {"name": "bn", "reuse": True}, unknown))
    CASES.append(refusal("name_twice_without_reuse", (4, 3), {"name": "bn"}, twice))
    CASES.append(refusal("reuse_with_other_shape", (4, 2), {"name": "bn", "reuse": True}, other_shape))


if __name__ == "__main__":
    fill()
    common.save("batch_norm_tf_layers", f"tensorflow {tf.__version__}, tf_keras {tf_keras.__version__}, tf.compat.v1.layers.batch_normalization in a version 1 graph, CPU",
                "tests/oracles/batch_norm_tf_layers_oracles.py", {
        "defaults": {"axis": [-1], "momentum": 0.99, "epsilon": 1e-3, "center": True, "scale": True, "training": False, "trainable": True, "name": "bn (given in every case)",
                     "reuse": None, "renorm": False, "renorm_momentum": 0.99},
        "update_ops_run": "whether the operations of the collection UPDATE_OPS are run, in the same session run as y and the gradients of the step",
        "steps": "one session run for each list of x; y and the gradients are of the last",
        "reuse": "two calls on the same variables, the second with reuse=True and the second list of x: y_of_first_call, y; the updates of the first call run before those of the second; "
                 "the gradients are of sum(dy * y) of the second call",
        "trainable": "trainable=False: batch statistics are still used in training, but there are no UPDATE_OPS and no trainable variables (dgamma, dbeta asked for explicitly)",
        "as_computed": "*_as_computed: with momentum as a Python float, 1 - momentum rounded to float32; without the suffix: momentum as numpy.float64, exact",
        "renorm": "float64 needs epsilon as numpy.float64; a Python float is refused in training: Input 'y' of 'Maximum' Op has type float32 that does not match type float64 of argument 'x'.",
        "parameters": "flat, row-major over the kept axes in increasing order; no state: the initial values"}, CASES)
