"""tfp.bijectors.BatchNormalization around a tf_keras layer, float64: more shapes and axes than tfp_batch_norm_oracles.py. Checked against NumPy formulas."""
import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import batch_norm_common as common
from batch_norm_common import close, count, full_shape, grid, kept_axes, refusal

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
LAYER = tf_keras.layers.BatchNormalization
CASES = []


def add(feature, mode, shape, options, seed):
    rng = np.random.default_rng([41, seed, mode == "training", *shape])
    kept = kept_axes(options.get("axis", [-1]), len(shape))
    n, full = count(shape, kept), full_shape(shape, kept)
    y, dy, base = common.data(rng, shape, kept), common.upstream(rng, shape), grid(rng.normal(size=shape))
    state, a, event_ndims = common.parameters(rng, n), float(grid(rng.normal())), len(shape) - 1
    if not options.get("center", True):
        del state["beta"]
    epsilon, momentum, training = options.get("epsilon", 1e-3), options.get("momentum", 0.99), mode == "training"

    def fresh(wide=True):
        kwargs = {"momentum": 0.99, **options}
        kwargs["axis"] = options["axis"] if "axis" in options else -1
        kwargs["momentum"] = np.float64(kwargs["momentum"]) if wide else kwargs["momentum"]
        layer = LAYER(dtype="float64", gamma_constraint=lambda g: tf.nn.relu(g) + 1e-6, **kwargs)
        bijector = tfp.bijectors.BatchNormalization(batchnorm_layer=layer, training=training)
        layer.build(shape)
        for key, value in state.items():
            variable = getattr(layer, key)
            variable.assign(np.reshape(value, variable.shape))
        return bijector, layer

    def learned(layer):
        return [v for v in (layer.gamma, layer.beta) if v is not None]

    bijector, layer = fresh(wide=False)
    bijector.inverse(tf.constant(y))
    rounded = {k: getattr(layer, k).numpy().reshape(-1) for k in ("moving_mean", "moving_variance")}
    bijector, layer = fresh()
    with tf.GradientTape() as tape:
        leaf = tf.constant(y)
        tape.watch(leaf)
        inverse = bijector.inverse(leaf)
        total = tf.reduce_sum(dy * inverse)
    gradient = tape.gradient(total, [leaf, *learned(layer)])
    out = {"inverse": inverse.numpy(), **dict(zip(("inverse_dx", "inverse_dgamma", "inverse_dbeta"), (g.numpy() for g in gradient)))}
    out.update({k: getattr(layer, k).numpy().reshape(-1) for k in ("moving_mean", "moving_variance")})
    if training:
        for key in rounded:
            close(rounded[key], out[key], 1e-7)
            out[key + "_as_computed"] = rounded[key]
    bijector, layer = fresh()
    with tf.GradientTape() as tape:
        leaf = tf.constant(y)
        tape.watch(leaf)
        ildj = bijector.inverse_log_det_jacobian(leaf, event_ndims)
        total = a * tf.reduce_sum(ildj)
    gradient = tape.gradient(total, [leaf, layer.gamma], unconnected_gradients="zero")
    for key in ("moving_mean", "moving_variance"):
        close(getattr(layer, key).numpy(), state[key], 0.0, "ildj must not update")
    assert ildj.shape == () and ildj.dtype == tf.float64 and inverse.dtype == tf.float64
    out.update(inverse_log_det_jacobian=float(ildj), ildj_dx=gradient[0].numpy(), ildj_dgamma=gradient[1].numpy())
    bijector, layer = fresh()
    out["forward"] = bijector.forward(tf.constant(base)).numpy()
    out["forward_log_det_jacobian"] = float(bijector.forward_log_det_jacobian(tf.constant(base), event_ndims))

    gamma, beta = state["gamma"], state.get("beta", np.zeros(n))
    axes, sites = common.reduced_axes(kept, y.ndim), int(np.prod(shape[1:])) // n
    mean, variance = (y.mean(axes).reshape(-1), y.var(axes).reshape(-1)) if training else (state["moving_mean"], state["moving_variance"])
    want = common.normalize_batch(y, dy, kept, gamma, beta, epsilon) if training else common.normalize_stored(y, dy, kept, gamma, beta, epsilon, mean, variance)
    check = {"inverse": want["y"], "inverse_dx": want["dx"], "inverse_dgamma": want["dgamma"], "inverse_dbeta": want["dbeta"],
             "inverse_log_det_jacobian": sites * np.sum(np.log(gamma) - 0.5 * np.log(variance + epsilon)), "ildj_dgamma": a * sites / gamma,
             "ildj_dx": -a * sites * (y - mean.reshape(full)) / ((y.size // n) * (variance + epsilon).reshape(full)) if training else np.zeros(shape),
             "forward": (base - beta.reshape(full)) * np.sqrt(state["moving_variance"] + epsilon).reshape(full) / gamma.reshape(full) + state["moving_mean"].reshape(full),
             "forward_log_det_jacobian": -sites * np.sum(np.log(gamma) - 0.5 * np.log(state["moving_variance"] + epsilon))}
    for key, batch in (("moving_mean", mean), ("moving_variance", variance)):
        check[key] = momentum * state[key] + (1 - momentum) * batch if training else state[key]
    for key, value in check.items():
        if key in out:
            close(out[key], value, 1e-11, f"{feature} {mode} {shape} {key}")
    assert np.array_equal(base, base.astype(np.float32))
    CASES.append({"feature": feature, "mode": mode, "shape": shape, "options": options, "event_ndims": event_ndims, "state": state, "x": [y], "dy": [dy], "base_x": base.reshape(-1),
                  "upstream_log_det": a, "outputs": out})


def both(feature, shape, options=None, seed=0):
    for mode in ("training", "inference"):
        add(feature, mode, shape, dict(options or {}), seed)


if __name__ == "__main__":
    for shape in [(6, 4), (4, 3, 3), (3, 2, 3, 3), (2, 2, 2, 2, 3)]:
        both("axis_last", shape, seed=1)
        both("no_center", shape, {"center": False}, seed=3)
    for shape, axis in [((5, 3, 2), [-2, -1]), ((4, 3, 2), [1, 2]), ((4, 2, 3, 2), [-1, -2]), ((4, 2, 3, 2), [1, 2, 3]), ((3, 2, 2, 2, 2), [-2, -1]), ((3, 2, 2, 2, 2), [2, 3, 4])]:
        both("axis_several_trailing", shape, {"axis": axis}, seed=2)
    for shape, options in [((7, 3), {"momentum": 0.0, "epsilon": 0.25}), ((4, 2, 3), {"momentum": 0.9, "epsilon": 1e-5}), ((3, 2, 2, 3), {"momentum": 0.5})]:
        both("momentum_epsilon", shape, options, seed=4)
    make = tfp.bijectors.BatchNormalization
    CASES.append(refusal("layer_renorm", (4, 3), {"batchnorm_layer": {"renorm": True}}, lambda: make(batchnorm_layer=LAYER(renorm=True))))
    CASES.append(refusal("layer_virtual_batch", (4, 3), {"batchnorm_layer": {"virtual_batch_size": 2}}, lambda: make(batchnorm_layer=LAYER(virtual_batch_size=2))))
    CASES.append(refusal("not_a_layer", (4, 3), {"batchnorm_layer": "a string"}, lambda: make(batchnorm_layer="a string")))
    CASES.append(refusal("not_a_layer", (4, 3), {"batchnorm_layer": "LayerNormalization"}, lambda: make(batchnorm_layer=tf_keras.layers.LayerNormalization())))

    def no_scale():
        bijector = make(batchnorm_layer=LAYER(scale=False, dtype="float64"))
        bijector.inverse_log_det_jacobian(tf.zeros((4, 3), tf.float64), 1)
    CASES.append(refusal("no_scale_log_det", (4, 3), {"batchnorm_layer": {"scale": False}}, no_scale))
    common.save("batch_norm_tfp", f"tensorflow_probability {tfp.__version__}, tensorflow {tf.__version__}, tf_keras {tf_keras.__version__}, tfp.bijectors.BatchNormalization",
                "tests/oracles/batch_norm_tfp_oracles.py", {
        "defaults": {"axis": [-1], "momentum": 0.99, "epsilon": 1e-3, "center": True, "scale": True},
        "options": "of the layer; `training` of the bijector is the mode; event_ndims is the rank - 1",
        "x": "the data side, given to `inverse` and `inverse_log_det_jacobian`; base_x: the noise side, given to `forward` and `forward_log_det_jacobian`; each call on a freshly restored layer",
        "inverse": "(x - mean) / sqrt(variance + epsilon) * gamma + beta; inverse_dx, inverse_dgamma, inverse_dbeta: of sum(dy * inverse)",
        "inverse_log_det_jacobian": "one number for all rows, sites * sum(log gamma - 0.5 * log(variance + epsilon)), sites = product of the event axes that are not kept; "
                                    "ildj_dx, ildj_dgamma: of upstream_log_det * inverse_log_det_jacobian, through the batch statistics in training",
        "forward": "always the moving statistics before any update",
        "moving": "moving_*: after `inverse` (nothing else updates); *_as_computed: with momentum as a Python float, 1 - momentum rounded to float32"}, CASES)
