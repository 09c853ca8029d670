"""Batch normalisation of tf_keras: tf.compat.v1.keras.layers.BatchNormalization (V1 class) and, where said, tf.keras.layers.BatchNormalization (V2).

Eager mode, float64, fused kernels float32 (they have no float64). Each number of the system is checked against NumPy formulas.
"""
import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import tensorflow as tf
import tf_keras

import batch_norm_common as common
from batch_norm_common import close, count, flat, full_shape, grid, kept_axes, refusal, spread

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf_keras.backend.set_floatx("float64")  # constraints and regularizers cast to it
V1, V2 = tf.compat.v1.keras.layers.BatchNormalization, tf.keras.layers.BatchNormalization
NAMES = {V1: "tf.compat.v1.keras.layers.BatchNormalization", V2: "tf.keras.layers.BatchNormalization"}
VARIABLES = ("gamma", "beta", "moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")
CASES = []


def regularizer(o):
    return tf_keras.regularizers.L1L2(l1=o.get("l1", 0.0), l2=o.get("l2", 0.0))


def constraint(o):
    if o == "NonNeg":
        return tf_keras.constraints.NonNeg()
    if o == "relu_plus_1e-6":
        return lambda g: tf.nn.relu(g) + 1e-6
    return tf_keras.constraints.MaxNorm(**o["MaxNorm"])


def build(cls, shape, options, state, dtype, wide):
    """wide: momentum as numpy.float64, which tf_keras does not round to float32."""
    kwargs = {"dtype": dtype}
    for key, value in options.items():
        if key.endswith("_initializer"):
            value = tf_keras.initializers.Constant(value)
        elif key.endswith("_regularizer"):
            value = regularizer(value)
        elif key.endswith("_constraint"):
            value = constraint(value)
        elif key == "adjustment":
            full = full_shape(shape, kept_axes(options.get("axis", [-1]), len(shape)))
            scale, bias = (np.reshape(value[k], full) for k in ("scale", "bias"))
            value = lambda _, scale=scale, bias=bias: (tf.constant(scale), tf.constant(bias))
        kwargs[key] = value
    if wide:
        for key, default in (("momentum", 0.99), ("renorm_momentum", 0.99)):
            kwargs[key] = np.float64(options.get(key, default))
    if options.get("renorm"):
        kwargs["epsilon"] = np.float64(options.get("epsilon", 1e-3))  # a Python float becomes a float32 tensor, refused beside float64
    layer = cls(**kwargs)
    layer.build(shape)
    for name, value in state.items():
        variable = getattr(layer, name)
        variable.assign(np.reshape(value, variable.shape))
    return layer


def run(cls, shape, options, state, xs, dy, mode, dtype="float64", wide=True):
    layer = build(cls, shape, options, state, dtype, wide)
    out = {}
    for x in xs:
        variables = [v for v in (layer.gamma, layer.beta) if v is not None]
        with tf.GradientTape() as tape:
            leaf = tf.constant(x, dtype=dtype)
            tape.watch([leaf, *variables])
            y = layer(leaf, training=(mode == "training"))
            total = tf.reduce_sum(tf.constant(dy, dtype=dtype) * y)
        assert y.dtype == dtype and tuple(y.shape) == tuple(shape)
        gradients = dict(zip(["x", *[v.name.split("/")[-1].split(":")[0] for v in variables]], tape.gradient(total, [leaf, *variables])))
        for key in VARIABLES[2:]:
            if hasattr(layer, key):
                out.setdefault(key + "_by_step", []).append(flat(getattr(layer, key).numpy()))
    out["y"] = y.numpy()
    for key, value in gradients.items():
        out["d" + key] = value.numpy()
    for key in VARIABLES[2:]:
        if hasattr(layer, key):
            out[key] = out[key + "_by_step"][-1]
            if len(xs) == 1:
                del out[key + "_by_step"]
    if layer.gamma_regularizer or layer.beta_regularizer:
        out["losses"] = float(sum(float(v) for v in layer.losses))
        for key in ("gamma", "beta"):
            term = getattr(layer, key + "_regularizer")
            if term is not None:
                variable = getattr(layer, key)
                with tf.GradientTape() as tape:
                    loss = term(variable)
                out["regularizer_d" + key] = tape.gradient(loss, variable).numpy()
    for key in ("gamma", "beta"):
        term = getattr(layer, key + "_constraint")
        if term is not None:
            out[key + "_after_constraint"] = term(tf.convert_to_tensor(getattr(layer, key))).numpy()
    return out, layer


def formula(cls, shape, options, state, xs, dy, mode, fused=False):
    """The same in NumPy, in double."""
    o = {"momentum": 0.99, "epsilon": 1e-3, "renorm_momentum": 0.99, **options}
    kept, n = kept_axes(options.get("axis", [-1]), len(shape)), count(shape, kept_axes(options.get("axis", [-1]), len(shape)))
    start = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}
    s = {k: np.full(n, o.get(k + "_initializer", v)) for k, v in start.items()}
    s.update({k: flat(v) for k, v in state.items()})
    gamma, beta = (s[k] if o.get(flag, True) else default for k, flag, default in (("gamma", "scale", 1.0), ("beta", "center", 0.0)))
    epsilon = o["epsilon"]
    batch = mode == "training" and (o.get("trainable", True) or cls is V1)
    update = mode == "training" and o.get("trainable", True)
    if o.get("renorm"):
        for key, default in (("moving_stddev", np.ones(n)), ("renorm_mean", np.zeros(n)), ("renorm_stddev", np.ones(n))):
            s.setdefault(key, default)
    history = {}
    for x in xs:
        more = {}
        if not batch:
            out = common.normalize_stored(x, dy, kept, gamma, beta, epsilon, s["moving_mean"], s["moving_variance"])
        else:
            if "adjustment" in o:
                more = {"s": np.array(o["adjustment"]["scale"]), "o": np.array(o["adjustment"]["bias"])}
            size = o.get("virtual_batch_size")
            moments = common.normalize_groups(x, dy, kept, gamma, beta, epsilon, size) if size else common.normalize_batch(x, dy, kept, gamma, beta, epsilon)
            mean, variance = moments["mean"], moments["variance"]
            if o.get("renorm"):
                clip, std = o.get("renorm_clipping", {}), np.sqrt(variance + epsilon)
                floor = np.maximum(s["renorm_stddev"], np.sqrt(epsilon))
                more["r"] = np.minimum(np.maximum(std / floor, clip.get("rmin", -np.inf)), clip.get("rmax", np.inf))
                more["d"] = np.minimum(np.maximum((mean - s["renorm_mean"]) / floor, -clip.get("dmax", np.inf)), clip.get("dmax", np.inf))
            if size:
                out = common.normalize_groups(x, dy, kept, gamma, beta, epsilon, size, **more)
            else:
                out = common.normalize_batch(x, dy, kept, gamma, beta, epsilon, **more)
            if update:
                momentum, again = o["momentum"], o["renorm_momentum"]
                if fused and out["m"] > 1:
                    variance = variance * out["m"] / (out["m"] - 1)
                s["moving_mean"] = momentum * s["moving_mean"] + (1 - momentum) * mean
                if o.get("renorm"):
                    s["moving_stddev"] = momentum * s["moving_stddev"] + (1 - momentum) * std
                    s["moving_variance"] = np.maximum(s["moving_stddev"] ** 2 - epsilon, 0)
                    s["renorm_mean"] = again * s["renorm_mean"] + (1 - again) * mean
                    s["renorm_stddev"] = again * s["renorm_stddev"] + (1 - again) * std
                else:
                    s["moving_variance"] = momentum * s["moving_variance"] + (1 - momentum) * variance
        for key in VARIABLES[2:]:
            if key in s:
                history.setdefault(key + "_by_step", []).append(s[key].copy())
    for key in ("mean", "variance", "m"):
        out.pop(key, None)
    out.update({k: s[k] for k in VARIABLES[2:] if k in s})
    if len(xs) > 1:
        out.update(history)
    if not o.get("scale", True):
        del out["dgamma"]
    if not o.get("center", True):
        del out["dbeta"]
    losses = 0.0
    for key in ("gamma", "beta"):
        c = o.get(key + "_regularizer")
        if c is not None:
            l1, l2 = c.get("l1", 0.0), c.get("l2", 0.0)
            losses += l1 * np.abs(s[key]).sum() + l2 * (s[key] ** 2).sum()
            out["losses"] = losses
            out["regularizer_d" + key] = l1 * np.sign(s[key]) + 2 * l2 * s[key]
        c = o.get(key + "_constraint")
        if c is not None:
            v = s[key]
            if c == "NonNeg":
                v = np.where(v >= 0, v, 0.0)
            elif c == "relu_plus_1e-6":
                v = np.maximum(v, 0) + 1e-6
            else:
                several = len(kept) > 1  # then gamma has full rank and axis 0 has length 1: each element is a vector of its own
                norm = np.abs(v) if several else np.sqrt((v ** 2).sum())
                v = v * np.clip(norm, 0, c["MaxNorm"]["max_value"]) / (1e-7 + norm)
            out[key + "_after_constraint"] = v
    return out


def add(feature, mode, shape, options=None, seed=0, cls=V1, steps=1, state=True, negative=False, keep=None, x_scale=None):
    options = dict(options or {})
    rng = np.random.default_rng([seed, len(CASES), *shape])
    kept = kept_axes(options.get("axis", [-1]), len(shape))
    n = count(shape, kept)
    xs = [common.data(rng, shape, kept) for _ in range(steps)]
    if x_scale:
        xs = [grid(np.round(rng.normal(size=shape)) / 64 + 1.0) for _ in range(steps)]
    dy = common.upstream(rng, shape)
    values = common.parameters(rng, n) if state else {}
    if options.get("renorm") and state:
        values["moving_stddev"] = np.round(spread(rng, n, 0.75, 1.875) * 8) / 8
        values["moving_variance"] = values["moving_stddev"] ** 2
        values["renorm_mean"] = spread(rng, n, -1.0, 1.5)
        values["renorm_stddev"] = spread(rng, n, 0.625, 1.75)
    if keep is not None:
        values = {k: v for k, v in values.items() if k in keep}
    if negative:
        sign = np.where(np.arange(n) % 2 == 0, -1.0, 1.0)
        values["gamma"], values["beta"] = values["gamma"] * sign, values["beta"] + 0.25
    for flag, key in (("scale", "gamma"), ("center", "beta")):
        if not options.get(flag, True):
            values.pop(key, None)
    fused = feature.startswith("fused")
    want = formula(cls, shape, options, values, xs, dy, mode, fused)
    extra = {"layer": NAMES[cls]} if cls is V2 else {}
    if fused:
        got, layer = run(cls, shape, options, values, xs, dy, mode, dtype="float32", wide=False)
        assert layer.fused is True
        for key in set(got) | set(want):
            close(got[key], want[key], 2e-5 if feature == "fused" else 2e-4, f"{feature} {mode} {shape} {key}")
        outputs = {**want, **{k + "_as_computed": v for k, v in got.items()}}
        extra["dtype"] = "float32"
    else:
        got, layer = run(cls, shape, options, values, xs, dy, mode, wide=True)
        rounded, _ = run(cls, shape, options, values, xs, dy, mode, wide=False)
        assert not layer.fused
        outputs = dict(got)
        assert set(got) == set(want), (sorted(got), sorted(want))
        for key in got:
            close(got[key], want[key], 1e-11, f"{feature} {mode} {shape} {key}")
            close(rounded[key], got[key], 1e-7, f"{feature} {mode} {shape} {key} rounded")
            if key.startswith(("moving_", "renorm_")) or not np.array_equal(flat(rounded[key]), flat(got[key])):
                if mode == "training":
                    outputs[key + "_as_computed"] = rounded[key]
    case = {"feature": feature, "mode": mode, "shape": shape, "options": options, "x": xs, "dy": [dy], "outputs": outputs, **extra}
    if values:
        case["state"] = values
    CASES.append(case)


def both(feature, shape, options=None, seed=0, **more):
    for mode in ("training", "inference"):
        add(feature, mode, shape, options, seed, **more)


def fill():
    ranks = [(6, 4), (4, 3, 3), (3, 2, 3, 3), (2, 2, 2, 2, 3)]
    for shape in ranks + [(1, 3)]:
        both("axis_last", shape, seed=1)
    for shape in [(5, 3, 4), (3, 4, 2, 2), (3, 2, 2, 2, 2)]:
        both("axis_first", shape, {"axis": [1]}, seed=2)
    for shape, axis in [((4, 3, 5), -2), ((3, 3, 2, 3), -3), ((3, 2, 2, 2, 2), -4), ((3, 7), -2), ((3, 2, 3, 2), -2)]:
        both("axis_negative", shape, {"axis": [axis]}, seed=3)
    for shape, axis in [((4, 2, 3, 2), [1, 3]), ((5, 3, 2), [-1, -2]), ((6, 3, 2), [1, 2]), ((3, 3, 2, 3), [1, 2]), ((3, 2, 2, 3, 2), [1, 3]),
                        ((3, 2, 2, 2, 2), [-1, -2]), ((3, 2, 2, 2, 2), [1, 2, 4]), ((2, 5, 3), [0, 2])]:
        both("axis_several", shape, {"axis": axis}, seed=4)
    for feature, options in (("no_center", {"center": False}), ("no_scale", {"scale": False}), ("no_center_no_scale", {"center": False, "scale": False})):
        for shape in ranks:
            both(feature, shape, options, seed=5)
        both(feature, (3, 4, 2, 2), {**options, "axis": [1]}, seed=5)
    for shape, momentum, epsilon in [((6, 4), 0.9, 1e-5), ((4, 3, 3), 0.0, 0.1), ((3, 2, 3, 3), 0.5, 0.5), ((2, 2, 2, 2, 3), 1.0, 1e-3), ((7, 3), 0.999, 1e-8)]:
        options = {k: v for k, v, default in (("momentum", momentum, 0.99), ("epsilon", epsilon, 1e-3)) if v != default}
        both("momentum_epsilon", shape, options, seed=6)
    for shape, values in [((6, 4), (1.5, 0.25, -0.5, 2.0)), ((4, 3, 3), (0.75, -1.0, 1.25, 0.5)), ((3, 2, 3, 3), (-1.25, 0.5, 0.5, 3.0)), ((2, 2, 2, 2, 3), (2.0, 0.125, 0.75, 1.5))]:
        options = dict(zip(("gamma_initializer", "beta_initializer", "moving_mean_initializer", "moving_variance_initializer"), values))
        both("initializers", shape, options, seed=7, state=False)
    for shape, options in [((6, 4), {"gamma_regularizer": {"l1": 0.0625}, "beta_regularizer": {"l2": 0.125}}),
                           ((4, 3, 3), {"gamma_regularizer": {"l2": 0.03125}}),
                           ((3, 2, 3, 3), {"beta_regularizer": {"l1": 0.25}}),
                           ((2, 2, 2, 2, 3), {"gamma_regularizer": {"l1": 0.0625, "l2": 0.03125}, "beta_regularizer": {"l1": 0.015625, "l2": 0.5}}),
                           ((4, 2, 3), {"axis": [1, 2], "gamma_regularizer": {"l1": 0.125, "l2": 0.25}, "beta_regularizer": {"l1": 0.5}})]:
        both("regularizers", shape, options, seed=8, negative=True)
    norm = {"MaxNorm": {"axis": 0, "max_value": 1.5}}
    for shape, options in [((6, 4), {"gamma_constraint": "NonNeg", "beta_constraint": "NonNeg"}),
                           ((4, 3, 3), {"gamma_constraint": norm, "beta_constraint": norm}),
                           ((3, 2, 3, 3), {"gamma_constraint": "relu_plus_1e-6"}),
                           ((2, 2, 2, 2, 3), {"gamma_constraint": "relu_plus_1e-6", "beta_constraint": norm}),
                           ((4, 3, 2), {"axis": [1, 2], "gamma_constraint": {"MaxNorm": {"axis": 0, "max_value": 1.0}}, "beta_constraint": "NonNeg"})]:
        both("constraints", shape, options, seed=9, negative=True)
    clip = {"rmax": 1.25, "rmin": 0.75, "dmax": 0.5}
    for shape, options, keep in [((6, 4), {}, ("gamma", "beta")),
                                 ((6, 3), {"renorm_clipping": clip}, ("gamma", "beta")),
                                 ((4, 3, 3), {"renorm_clipping": clip, "renorm_momentum": 0.75}, None),
                                 ((3, 2, 3, 3), {"renorm_clipping": {"rmax": 1.125, "dmax": 0.25}, "momentum": 0.9, "renorm_momentum": 0.9}, None),
                                 ((2, 2, 2, 2, 3), {"renorm_clipping": {"rmin": 0.875}, "renorm_momentum": 0.5, "epsilon": 1e-5}, None),
                                 ((4, 3, 2, 2), {"axis": [1], "renorm_momentum": 0.8}, None),
                                 ((4, 2, 3, 2), {"axis": [1, 3], "renorm_clipping": {"dmax": 0.125}, "momentum": 0.5}, None),
                                 ((5, 4), {"scale": False, "center": False, "renorm_clipping": clip, "renorm_momentum": 0.9}, None)]:
        both("renorm", shape, {"renorm": True, **options}, seed=10, steps=3, keep=keep)
    for shape, options in [((6, 3), {"virtual_batch_size": 2}), ((6, 2, 3), {"virtual_batch_size": 3}), ((4, 3, 2, 2), {"virtual_batch_size": 2, "axis": [1]})]:
        both("renorm_virtual_batch", shape, {"renorm": True, "renorm_clipping": clip, "renorm_momentum": 0.75, **options}, seed=11, steps=2)
    for shape, options in [((3, 2, 3, 3), {"axis": [3]}), ((3, 2, 2, 2), {"axis": [1]}), ((2, 2, 2, 2, 3), {"axis": [4]}), ((2, 3, 2, 2, 2), {"axis": [1]}),
                           ((2, 3, 3, 2), {"axis": [3], "momentum": 0.75, "epsilon": 0.0625}), ((1, 1, 1, 3), {"axis": [3], "momentum": 0.5}),
                           ((3, 2, 2, 2), {"axis": [3], "center": False}), ((2, 2, 3, 2), {"axis": [1], "scale": False})]:
        both("fused", shape, {"fused": True, **options}, seed=12)
    for shape, axis in [((4, 2, 2, 3), 3), ((4, 3, 2, 2), 1), ((3, 2, 2, 2, 2), 4)]:
        add("fused_small_epsilon", "training", shape, {"fused": True, "axis": [axis], "epsilon": 1e-6}, seed=13, x_scale=True)
    for shape in ranks:
        both("trainable_false_v1", shape, {"trainable": False}, seed=14)
        both("trainable_false_v2", shape, {"trainable": False}, seed=15, cls=V2)
    for shape, options in [((6, 4), {"virtual_batch_size": 2}), ((6, 3), {"virtual_batch_size": 3}), ((6, 2, 3), {"virtual_batch_size": 3}),
                           ((4, 2, 2, 3), {"virtual_batch_size": 2}), ((6, 3, 2), {"virtual_batch_size": 2, "axis": [1]}), ((4, 2, 2, 2), {"virtual_batch_size": 2, "axis": [1, 3]}),
                           ((4, 2, 2, 2, 2), {"virtual_batch_size": 2}), ((6, 2, 2, 2), {"virtual_batch_size": 3, "axis": [-3], "momentum": 0.75}), ((4, 3), {"virtual_batch_size": 4})]:
        both("virtual_batch", shape, options, seed=16)
    add("virtual_batch", "inference", (5, 3), {"virtual_batch_size": 2}, seed=16)  # 2 does not divide 5: allowed at inference
    for shape, axis in [((6, 4), None), ((4, 3, 3), None), ((3, 2, 3, 3), None), ((2, 2, 2, 2, 3), None), ((3, 4, 2, 2), [1]), ((4, 2, 3), [1, 2])]:
        n = count(shape, kept_axes(axis or [-1], len(shape)))
        rng = np.random.default_rng([17, *shape])
        options = {"adjustment": {"scale": spread(rng, n, 0.75, 1.25).tolist(), "bias": spread(rng, n, -0.5, 0.5).tolist()}, **({"axis": axis} if axis else {})}
        both("adjustment", shape, options, seed=17)


def first_generation():
    """TensorFlow 1.2 to 1.12: no environment has it any more; NumPy only. r, d and gradients as in the later generation."""
    epsilon_default, momentum_default = 1e-3, 0.99
    clip = {"rmax": 1.25, "rmin": 0.75, "dmax": 0.5}
    for number, (shape, options, keep) in enumerate([((6, 4), {}, ("gamma", "beta")), ((6, 3), {"renorm_clipping": clip}, ("gamma", "beta")),
                                                     ((4, 3, 3), {"renorm_clipping": clip, "renorm_momentum": 0.75}, None),
                                                     ((3, 2, 3, 3), {"renorm_clipping": {"rmax": 1.125, "dmax": 0.25}, "momentum": 0.9, "renorm_momentum": 0.9}, None),
                                                     ((2, 2, 2, 2, 3), {"renorm_clipping": {"rmin": 0.875}, "renorm_momentum": 0.5, "epsilon": 1e-5}, None),
                                                     ((4, 3, 2, 2), {"axis": [1], "renorm_momentum": 0.8}, None)]):
        for mode in ("training", "inference"):
            rng = np.random.default_rng([18, number, mode == "training"])
            kept = kept_axes(options.get("axis", [-1]), len(shape))
            n = count(shape, kept)
            xs, dy = [common.data(rng, shape, kept) for _ in range(3)], common.upstream(rng, shape)
            state = common.parameters(rng, n)
            # Like the averages after some steps: weight = 1 - renorm_momentum^k, average = weight * value.
            state.update({"renorm_mean": spread(rng, n, -0.75, 0.75), "renorm_stddev": spread(rng, n, 0.375, 1.0),
                          "renorm_mean_weight": np.array([0.75]), "renorm_stddev_weight": np.array([0.75])})
            if keep:
                state = {k: v for k, v in state.items() if k in keep}
            s = {"moving_mean": np.zeros(n), "moving_variance": np.ones(n), "renorm_mean": np.zeros(n), "renorm_stddev": np.zeros(n),
                 "renorm_mean_weight": np.zeros(1), "renorm_stddev_weight": np.zeros(1), **state}
            epsilon, momentum, again = options.get("epsilon", epsilon_default), options.get("momentum", momentum_default), options.get("renorm_momentum", 0.99)
            bounds, history = options.get("renorm_clipping", {}), {}
            for step, x in enumerate(xs):
                if mode == "inference":
                    out = common.normalize_stored(x, dy, kept, s["gamma"], s["beta"], epsilon, s["moving_mean"], s["moving_variance"])
                else:
                    axes = common.reduced_axes(kept, x.ndim)
                    mean, stddev = x.mean(axes).reshape(-1), np.sqrt(x.var(axes).reshape(-1) + epsilon)
                    mixed_mean = s["renorm_mean"] + (1.0 - s["renorm_mean_weight"]) * mean
                    mixed_stddev = s["renorm_stddev"] + (1.0 - s["renorm_stddev_weight"]) * stddev
                    r, d = stddev / mixed_stddev, (mean - mixed_mean) / mixed_stddev
                    if step == 0 and keep:
                        assert np.all(r == 1) and np.all(d == 0)
                    r = np.clip(r, bounds.get("rmin", -np.inf), bounds.get("rmax", np.inf))
                    d = np.clip(d, -bounds.get("dmax", np.inf), bounds.get("dmax", np.inf))
                    out = common.normalize_batch(x, dy, kept, s["gamma"], s["beta"], epsilon, r=r, d=d)
                    for key, value in (("renorm_mean", mean), ("renorm_stddev", stddev)):
                        s[key] = again * s[key] + (1 - again) * value
                        s[key + "_weight"] = again * s[key + "_weight"] + (1 - again)
                    s["moving_mean"] = momentum * s["moving_mean"] + (1 - momentum) * s["renorm_mean"] / s["renorm_mean_weight"]
                    new_variance = (s["renorm_stddev"] / s["renorm_stddev_weight"]) ** 2 - epsilon
                    s["moving_variance"] = momentum * s["moving_variance"] + (1 - momentum) * new_variance
                for key in s:
                    if key not in ("gamma", "beta"):
                        history.setdefault(key + "_by_step", []).append(s[key].copy())
            if mode == "training":  # the gradient, by TensorFlow from the stop-gradient definition
                with tf.GradientTape() as tape:
                    leaf, g, b = (tf.constant(v) for v in (xs[-1], state["gamma"], state["beta"]))
                    tape.watch([leaf, g, b])
                    full = full_shape(shape, kept)
                    m, v = tf.nn.moments(leaf, common.reduced_axes(kept, len(shape)), keepdims=True)
                    y = ((leaf - m) / tf.sqrt(v + epsilon) * r.reshape(full) + d.reshape(full)) * tf.reshape(g, full) + tf.reshape(b, full)
                    total = tf.reduce_sum(dy * y)
                for key, value in zip(("dx", "dgamma", "dbeta"), tape.gradient(total, [leaf, g, b])):
                    close(out[key], value.numpy(), 1e-11, key)
                close(out["y"], y.numpy(), 1e-11, "y")
            outputs = {k: out[k] for k in ("y", "dx", "dgamma", "dbeta")}
            outputs.update({k: v for k, v in s.items() if k not in ("gamma", "beta")})
            outputs.update(history)
            CASES.append({"feature": "renorm_first_generation", "mode": mode, "shape": shape, "options": {"renorm": True, **options}, "state": state, "x": xs,
                          "dy": [dy], "outputs": outputs, "source": "NumPy transcription of tensorflow/python/layers/normalization.py, TensorFlow 1.2 to 1.12"})


def refuse():
    def attempt(cls, shape, dtype="float64", **kwargs):
        def call():
            layer = cls(dtype=dtype, name="batch_normalization", **kwargs)
            layer(tf.zeros(shape, dtype=dtype), training=True)
        return call

    def pair(*_):
        return tf.constant(1.0, tf.float64), tf.constant(0.0, tf.float64)

    def add_refusal(feature, shape, options, cls=V1, dtype="float64", **kwargs):
        extra = {"layer": NAMES[cls]} if cls is V2 else {}
        CASES.append(refusal(feature, shape, options, attempt(cls, shape, dtype, **(kwargs or options)), **extra))

    add_refusal("axis_type", (4, 3), {"axis": "1"})
    add_refusal("axis_type", (4, 3), {"axis": 1.5})
    add_refusal("axis_range", (4, 3), {"axis": [2]})
    add_refusal("axis_range", (4, 3, 2), {"axis": [-4]})
    add_refusal("axis_range", (4, 3, 2), {"axis": [1, 3]})
    add_refusal("axis_duplicate", (4, 3, 2), {"axis": [1, 1]})
    add_refusal("axis_duplicate", (4, 3, 2), {"axis": [1, -2]})
    add_refusal("virtual_batch_not_positive", (4, 3), {"virtual_batch_size": 0})
    add_refusal("virtual_batch_not_positive", (4, 3), {"virtual_batch_size": -2})
    add_refusal("virtual_batch_axis_0", (4, 3), {"virtual_batch_size": 2, "axis": [0]})
    add_refusal("virtual_batch_adjustment", (4, 3), {"virtual_batch_size": 2, "adjustment": {"scale": [1.0], "bias": [0.0]}}, virtual_batch_size=2, adjustment=pair)
    add_refusal("virtual_batch_not_divisor", (5, 3), {"virtual_batch_size": 2})
    add_refusal("renorm_clipping_unknown_key", (4, 3), {"renorm": True, "renorm_clipping": {"rmax": 2.0, "rmid": 1.0}})
    for feature, shape, options, kwargs in [("fused_renorm", (2, 2, 2, 3), {"renorm": True}, {}), ("fused_virtual_batch", (2, 2, 2, 3), {"virtual_batch_size": 2}, {}),
                                            ("fused_adjustment", (2, 2, 2, 3), {"adjustment": {"scale": [1.0], "bias": [0.0]}}, {"adjustment": pair}),
                                            ("fused_rank", (4, 3), {}, {}), ("fused_rank", (2, 2, 3), {}, {}), ("fused_axis", (2, 2, 2, 3), {"axis": [2]}, {}),
                                            ("fused_axis", (2, 2, 2, 3), {"axis": [1, 3]}, {}), ("fused_axis", (2, 2, 2, 3), {"axis": [4]}, {})]:
        add_refusal(feature, shape, {"fused": True, **options}, cls=V2, dtype="float32", **{**options, **kwargs, "fused": True})
    # Rank 5 with axis [-3]: not refused, the layer falls back to the unfused formula.
    layer = V2(fused=True, axis=[-3], dtype="float32")
    layer(tf.zeros((2, 2, 2, 2, 3), dtype="float32"), training=True)
    assert layer.fused is False
    add_refusal("fused_dtype", (2, 2, 2, 3), {"fused": True, "dtype": "float64"}, cls=V2, fused=True)


if __name__ == "__main__":
    fill()
    first_generation()
    refuse()
    common.save("batch_norm_keras", f"tf_keras {tf_keras.__version__}, tensorflow {tf.__version__}, tf.compat.v1.keras.layers.BatchNormalization, eager, CPU",
                "tests/oracles/batch_norm_keras_oracles.py", {
        "defaults": {"axis": [-1], "momentum": 0.99, "epsilon": 1e-3, "center": True, "scale": True, "gamma_initializer": 1.0, "beta_initializer": 0.0,
                     "moving_mean_initializer": 0.0, "moving_variance_initializer": 1.0, "renorm": False, "renorm_momentum": 0.99, "trainable": True},
        "layer": "the V1 class unless the case has `layer` (the V2 class)",
        "precision": "float64, except cases with `dtype` float32 (fused kernels): there every output is the formula in double (NumPy), and the system's "
                     "float32 number is under *_as_computed",
        "parameters": "flat, row-major over the kept axes in increasing order; state keys that are absent have their initial value (renorm: renorm_mean 0, "
                      "renorm_stddev 1, moving_stddev 1)",
        "gradients": "dx, dgamma, dbeta: of sum(dy * y) of the last step, regularizers not included",
        "as_computed": "tf_keras rounds 1 - momentum to float32 when momentum is a Python float: *_as_computed are those numbers. The names without the suffix "
                       "are the same layer with momentum given as numpy.float64, which is not rounded",
        "by_step": "*_by_step: the variable after each step",
        "constraints": "applied by hand to the state, as an optimizer would after its update; the layer's output is before. MaxNorm: w * clip(norm, 0, max_value) / (1e-7 + "
                       "norm), norm over axis 0 of the variable (with several axes the variable has full rank, so each element by itself)",
        "losses": "sum of l1 * sum|w| + l2 * sum(w^2) over gamma and beta",
        "virtual_batch": "row i is in group i mod (rows / virtual_batch_size); at inference there are no groups and no divisibility is asked (TensorFlow 2 behaviour)",
        "adjustment": "scale and bias are returned by the function as constants of full rank",
        "fused": "fused_small_epsilon has batches of tiny variance and epsilon 1e-6: TensorFlow 2.21 has no floor of 1.001e-5 under epsilon (earlier versions had)",
        "refusal": "raised by the constructor, build or the first call with training=True; `adjustment` in options stands for a function"}, CASES)
