"""Oracle numbers from tfp.bijectors.BatchNormalization (TensorFlow, tf_keras layer, float64).

x is the base side and y the data side, as in TensorFlow Probability. `inverse` and `inverse_log_det_jacobian` are called
separately, each on a freshly restored layer. tf_keras' layer computes in float64 when its dtype is float64.
"""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from oracle_io import save

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
SOURCE = f"tensorflow_probability {tfp.__version__}, tensorflow {tf.__version__}, tf_keras {tf_keras.__version__}, tfp.bijectors.BatchNormalization"


def case(name, shape, axis, epsilon, momentum, seed):
    rng = np.random.default_rng(seed)
    features = shape[-1]

    def rounded(s, scale=1.0):
        return np.round(rng.normal(size=s) * scale, 4)

    y = np.round(rng.normal(size=shape) * np.linspace(0.5, 3.0, features) + np.linspace(-2.0, 5.0, features), 4)
    x = rounded(shape)
    upstream_x, upstream_log_det = rounded(shape), 0.7531
    weights = {"gamma": np.round(np.exp(rng.normal(size=features) * 0.5), 4), "beta": rounded(features),
               "moving_mean": rounded(features), "moving_variance": np.round(np.exp(rng.normal(size=features)), 4)}
    event_ndims = len(shape) - 1

    def fresh(training):
        layer = tf_keras.layers.BatchNormalization(axis=axis, momentum=momentum, epsilon=epsilon, dtype="float64",
                                                   gamma_constraint=lambda g: tf.nn.relu(g) + 1e-6)
        bijector = tfp.bijectors.BatchNormalization(batchnorm_layer=layer, training=training)
        layer.build(shape)
        layer.set_weights([weights[k] for k in ("gamma", "beta", "moving_mean", "moving_variance")])
        return bijector, layer

    outputs = {}
    for training in (True, False):
        bijector, layer = fresh(training)
        with tf.GradientTape() as tape:
            leaf = tf.constant(y)
            tape.watch(leaf)
            inverse_x = bijector.inverse(leaf)
            total = tf.reduce_sum(upstream_x * inverse_x)
        gradient_x = tape.gradient(total, [leaf, layer.gamma, layer.beta])
        after = {"moving_mean_after": layer.moving_mean.numpy(), "moving_variance_after": layer.moving_variance.numpy()}
        bijector, layer = fresh(training)
        with tf.GradientTape() as tape:
            leaf = tf.constant(y)
            tape.watch(leaf)
            log_det = bijector.inverse_log_det_jacobian(leaf, event_ndims)
            scaled = upstream_log_det * tf.reduce_sum(log_det)
        gradient_log_det = tape.gradient(scaled, [leaf, layer.gamma], unconnected_gradients="zero")
        if training:
            assert np.array_equal(layer.moving_mean.numpy(), weights["moving_mean"])
        bijector, layer = fresh(training)
        forward_y = bijector.forward(tf.constant(x))
        forward_log_det = bijector.forward_log_det_jacobian(tf.constant(x), event_ndims)
        assert inverse_x.dtype == tf.float64 and log_det.dtype == tf.float64
        outputs["training" if training else "inference"] = {
            "inverse_x": inverse_x.numpy(), "inverse_log_det": log_det.numpy(), "forward_y": forward_y.numpy(),
            "forward_log_det": forward_log_det.numpy(), **after,
            "gradient_y_of_x": gradient_x[0].numpy(), "gradient_gamma_of_x": gradient_x[1].numpy(), "gradient_beta_of_x": gradient_x[2].numpy(),
            "gradient_y_of_log_det": gradient_log_det[0].numpy(), "gradient_gamma_of_log_det": gradient_log_det[1].numpy()}

    # Independent check: the formulas in the settings, in NumPy.
    axes = tuple(range(len(shape) - 1))
    mean, var = y.mean(axes), y.var(axes)
    sites = int(np.prod(shape[1:-1]))
    for key, m, v in (("training", mean, var), ("inference", weights["moving_mean"], weights["moving_variance"])):
        o = outputs[key]
        assert np.allclose(o["inverse_x"], weights["gamma"] * (y - m) / np.sqrt(v + epsilon) + weights["beta"], rtol=1e-12, atol=1e-12)
        assert np.allclose(o["inverse_log_det"], sites * np.sum(np.log(weights["gamma"]) - 0.5 * np.log(v + epsilon)), rtol=1e-12)
    for key, batch in (("mean", mean), ("variance", var)):
        # tf_keras rounds 1 - momentum to float32 on the way, so its averages are right to 1e-9 only: the double ones are stored beside them.
        decay, got = float(np.float32(1 - momentum)), outputs["training"][f"moving_{key}_after"]
        assert np.allclose(got, weights[f"moving_{key}"] - decay * (weights[f"moving_{key}"] - batch), rtol=1e-12, atol=1e-14)
        outputs["training"][f"moving_{key}_after_in_double"] = momentum * weights[f"moving_{key}"] + (1 - momentum) * batch
        assert np.allclose(got, outputs["training"][f"moving_{key}_after_in_double"], rtol=1e-8, atol=1e-8)

    save(f"tfp_batch_norm_{name}", {
        "source": SOURCE, "made_by": "tests/oracles/tfp_batch_norm_oracles.py",
        "settings": {"shape": list(shape), "axis": axis, "epsilon": epsilon, "momentum_of_old": momentum, "event_ndims": event_ndims,
                     "upstream_log_det": upstream_log_det,
                     "formula": "x = gamma * (y - mean) / sqrt(variance + epsilon) + beta; inverse_log_det = sites * sum(log(gamma) - 0.5 * "
                                "log(variance + epsilon)), one scalar for all rows, sites = product of the event axes other than the channel",
                     "variance": "biased (1/m), both to normalise and for the moving average (unfused layer)",
                     "moving_update": "moving = momentum_of_old * moving + (1 - momentum_of_old) * batch, by `inverse` in training only; "
                                  "moving_*_after are tf_keras' own, which rounds 1 - momentum to float32; moving_*_after_in_double are the formula in double (NumPy)",
                     "forward": "always the moving statistics, before any update (each call on a freshly restored layer)",
                     "gradients": "gradient_*_of_x: of sum(upstream_x * inverse_x); gradient_*_of_log_det: of upstream_log_det * inverse_log_det; "
                                  "both through the batch statistics"},
        "weights": weights, "y": y, "x": x, "upstream_x": upstream_x, "outputs": outputs})


if __name__ == "__main__":
    case("2d", (7, 4), -1, 1e-3, 0.99, 411)
    case("2d_other_constants", (6, 5), -1, 1e-5, 0.9, 412)
    case("3d_channels_last", (4, 3, 2), -1, 1e-3, 0.99, 413)
