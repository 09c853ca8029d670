"""Flows of TensorFlow Probability against TensorFlow Probability: the trained weights in a flow that is built in
double."""

import pathlib
import re
import warnings

import numpy as np
import pytest
from conversion import CONTEXT, DIM, RESULTS, ROWS, check_file, data, largest, nats

from pushforward.convert import CannotConvert, convert

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tf_keras

tfb, tfd = tfp.bijectors, tfp.distributions
pytestmark = pytest.mark.filterwarnings("ignore")
BINS = 5


def normal(dtype, dim=DIM):
    return tfd.Sample(tfd.Normal(tf.zeros([], dtype), tf.ones([], dtype)), dim)


def dense(dtype, *units, activation="relu", last=None):
    layers = [tf_keras.layers.Dense(n, activation, dtype=dtype) for n in units[:-1]]
    return tf_keras.Sequential([*layers, tf_keras.layers.Dense(units[-1], last, dtype=dtype)])


def autoregressive(dtype, params=2, **options):
    options = {"hidden_units": [16, 16], "activation": "relu", **options}
    return tfb.AutoregressiveNetwork(params, DIM, dtype=dtype, **options)


def layers(dtype, bijectors):
    """With permutations between."""
    order, parts = [1, 2, 3, 0], []
    for bijector in bijectors:
        parts += [bijector, tfb.Permute(order)]
    return tfd.TransformedDistribution(normal(dtype), tfb.Chain(parts))


def maf(dtype, training, inverted=False, **options):
    nets = [autoregressive(dtype, **options) for _ in range(3)]
    parts = [tfb.MaskedAutoregressiveFlow(net, name=f"part{i}") for i, net in enumerate(nets)]
    return layers(dtype, [tfb.Invert(part) if inverted else part for part in parts]), nets


def conditional_maf(dtype, training, **options):
    return maf(dtype, training, conditional=True, conditional_event_shape=CONTEXT, **options)


def templates(dtype, training):
    """The context is that of nothing: templates take none."""
    nets = [tfb.masked_autoregressive_default_template([16, 16]) for _ in range(2)]
    return layers(dtype, [tfb.MaskedAutoregressiveFlow(net) for net in nets]), nets


def nice(dtype, training):
    nets = [tfb.real_nvp_default_template([16], shift_only=True) for _ in range(3)]
    return layers(dtype, [tfb.RealNVP(2, shift_and_log_scale_fn=net) for net in nets]), nets


def real_nvp(dtype, training):
    nets = [tfb.real_nvp_default_template([16, 16]) for _ in range(2)]
    return layers(dtype, [tfb.RealNVP(2, shift_and_log_scale_fn=net) for net in nets]), nets


def normalised(dtype, training):
    nets = [dense(dtype, 16, 16, 4) for _ in range(3)]
    norms = [
        tf_keras.layers.BatchNormalization(dtype=dtype, gamma_constraint=lambda g: tf.nn.relu(g) + 1e-6) for _ in nets
    ]

    def function(net):
        def shift_and_log_scale(x, output_units):
            shift, log_scale = tf.split(net(x), 2, -1)
            return shift, tf.tanh(log_scale)

        return shift_and_log_scale

    parts = []
    for net, norm in zip(nets, norms):
        parts += [tfb.BatchNormalization(norm, training=training), tfb.RealNVP(2, shift_and_log_scale_fn=function(net))]
    return layers(dtype, parts), [*nets, *norms]


class Bounded(tf.Module):
    """A network of [x, context] with a scale of its own for tanh."""

    def __init__(self, dtype):
        self.net = dense(dtype, 24, 12, 4, activation=tf.nn.leaky_relu)
        self.net.build((None, 2 + CONTEXT))

    def __call__(self, x, output_units, context):
        shift, log_scale = tf.split(self.net(tf.concat([x, context], -1)), 2, -1)
        return shift, 1.5 * tf.tanh(log_scale)


def conditional_real_nvp(dtype, training):
    nets = [Bounded(dtype) for _ in range(2)]
    parts = [tfb.RealNVP(-2, shift_and_log_scale_fn=net, name=f"part{i}") for i, net in enumerate(nets)]
    return layers(dtype, parts), nets


def two_networks(dtype, training):
    """Of Keras 3, for the shift and for a scale that is a softplus."""

    def net(units):
        parts = [keras.layers.Dense(n, "softplus", dtype=dtype) for n in units]
        return keras.Sequential([*parts, keras.layers.Dense(2, dtype=dtype)])

    nets = [net([16, 12]), net([8, 12])]

    def bijector(x, output_units):
        return tfb.Shift(nets[0](x))(tfb.Scale(tf.nn.softplus(nets[1](x) + 0.5) + 1e-2))

    return layers(dtype, [tfb.RealNVP(fraction_masked=0.5, bijector_fn=bijector)]), nets


def spline(outputs):
    """(..., columns, 3 BINS - 1) as the parameters of splines on [-4, 4]."""
    widths, heights, slopes = tf.split(outputs, [BINS, BINS, BINS - 1], -1)
    sizes = [tf.math.softmax(part) * (8 - BINS * 1e-2) + 1e-2 for part in (widths, heights)]
    return tfb.RationalQuadraticSpline(*sizes, tf.math.softplus(slopes) + 1e-3, range_min=-4)


def coupling_splines(dtype, training):
    nets = [dense(dtype, 16, 16, 2 * (3 * BINS - 1), activation="swish") for _ in range(3)]

    def function(net):
        return lambda x, output_units: spline(tf.reshape(net(x), (-1, output_units, 3 * BINS - 1)))

    return layers(dtype, [tfb.RealNVP(2, bijector_fn=function(net)) for net in nets]), nets


def autoregressive_splines(dtype, training):
    nets = [autoregressive(dtype, 3 * BINS - 1, activation="elu") for _ in range(2)]

    def function(net):
        return lambda x: spline(net(x))

    return layers(dtype, [tfb.MaskedAutoregressiveFlow(bijector_fn=function(net)) for net in nets]), nets


def by_hand(dtype, training):
    """Maps with numbers, and variables, of their own."""
    rng = np.random.default_rng(3)
    matrix = (np.eye(DIM) + 0.3 * rng.normal(size=(DIM, DIM))).astype("f4")
    # The same in single precision.
    sizes = np.array([[8, 10, 6, 14, 10], [12, 4, 16, 10, 6], [10, 10, 10, 10, 8], [6, 14, 8, 12, 8]]) / 8
    sizes = [sizes, sizes[:, ::-1]]
    slopes = rng.uniform(0.3, 2, (DIM, BINS - 1)).astype("f4")
    unit = np.ones(DIM) / 2
    shift = tf.Variable(np.arange(DIM) / 8, dtype=dtype)
    parts = [
        tfb.Shift(shift),
        tfb.Scale(tf.constant([1.5, -0.5, 2.0, 1.0], dtype)),
        tfb.ScaleMatvecTriL(tf.constant(np.tril(matrix), dtype)),
        tfb.RationalQuadraticSpline(*(tf.constant(a, dtype) for a in (*sizes, slopes)), range_min=-3.0),
        tfb.ScaleMatvecLU(tf.constant(matrix, dtype), [2, 0, 3, 1]),
        tfb.Householder(tf.constant(unit, dtype)),
        tfb.ScaleMatvecDiag(tf.constant([0.5, 1.25, -1.0, 2.0], dtype)),
        tfb.Invert(tfb.Softsign()),
        tfb.Softsign(),
        tfb.Scale(log_scale=tf.constant(0.25, dtype)),
    ]
    base = tfd.MultivariateStudentTLinearOperator(
        tf.constant(4.0, dtype),
        tf.zeros(DIM, dtype),
        tf.linalg.LinearOperatorLowerTriangular(tf.constant(np.tril(matrix), dtype)),
    )
    return tfd.TransformedDistribution(base, tfb.Chain(parts)), []


def mixture(dtype, training):
    loc = tf.Variable(np.arange(3 * DIM).reshape(3, DIM) / 6 - 1, dtype=dtype)
    scale = tfp.util.TransformedVariable(tf.ones((3, DIM), dtype), tfb.Softplus())
    logits = tf.Variable([0.0, 0.5, 1.0], dtype=dtype)
    return tfd.MixtureSameFamily(tfd.Categorical(logits), tfd.MultivariateNormalDiag(loc, scale)), []


FLOWS = {
    "MAF": maf,
    "MAF, context in every layer, tanh": lambda *a: conditional_maf(*a, activation="tanh"),
    "MAF, hidden layers of 24 and 12, context in the first": lambda *a: conditional_maf(
        *a, hidden_units=[24, 12], conditional_input_layers="first_layer", input_order=[3, 1, 4, 2]
    ),
    "IAF, right-to-left, sigmoid": lambda *a: maf(*a, inverted=True, activation="sigmoid", input_order="right-to-left"),
    "MAF, default template": templates,
    "NICE, default template": nice,
    "RealNVP, default template": real_nvp,
    "RealNVP, tanh, batch norm between": normalised,
    "RealNVP, leaky_relu, tanh, context": conditional_real_nvp,
    "RealNVP, two networks of Keras 3, softplus": two_networks,
    "NSF, coupling, swish": coupling_splines,
    "NSF, autoregressive, ELU": autoregressive_splines,
    "by hand: linear maps, a spline, Student t": by_hand,
    "mixture of Gaussians": mixture,
}


def arguments(flow, context):
    """For each part with a context by name."""
    if context is None:
        return {}
    own = tf.convert_to_tensor(context)
    name = "context" if any("real_nvp" in type(b).__module__ for b in flow.bijector.bijectors) else "conditional_input"
    return {b.name: {name: own} for b in flow.bijector.bijectors if b.name.startswith("part")}


def log_prob(flow, y, context):
    more = {} if context is None else {"bijector_kwargs": arguments(flow, context)}
    return flow.log_prob(tf.convert_to_tensor(y), **more)


def variables(flow, nets):
    """As TensorFlow has them; Keras 3 has its own around them."""
    found = [v for part in (flow, *nets) for v in part.variables]
    found = [v if callable(v.value) else v.value for v in found]
    return list({id(v): v for v in found}.values())


def built(name, dtype, training, y, context):
    """AutoregressiveNetwork has layers inside that are of Keras' own type, whatever its dtype."""
    for library in (keras, tf_keras):
        library.backend.set_floatx(dtype)
    try:
        flow, nets = FLOWS[name](dtype, training)
        for _ in range(2):
            log_prob(flow, y[:2].astype(dtype), None if context is None else context[:2].astype(dtype))
    finally:
        for library in (keras, tf_keras):
            library.backend.set_floatx("float32")
    return flow, variables(flow, nets)


def train(flow, trained, y, context, steps=200):
    if not trained:
        return
    optimizer = tf_keras.optimizers.Adam(1e-3, clipnorm=5.0)
    optimizer.build(trained)

    @tf.function(autograph=False)
    def step(y, c):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(log_prob(flow, y, c))
        gradients = [tf.where(tf.math.is_finite(g), g, 0) for g in tape.gradient(loss, trained)]
        optimizer.apply_gradients(zip(gradients, trained))

    for i in range(steps):
        batch = slice(64 * i, 64 * (i + 1))
        step(tf.constant(y[batch]), None if context is None else tf.constant(context[batch]))


@pytest.mark.parametrize("name", FLOWS)
def test_same_as_tfp(name, tmp_path):
    tf_keras.utils.set_random_seed(0)
    keras.utils.set_random_seed(0)
    conditional = ", context" in name
    y, c = (a.astype("f4") for a in data(0, 64 * 200, conditional))
    context = c if conditional else None
    flow, values = built(name, "float32", True, y, context)
    train(flow, [v for v in values if v.trainable], y, context)
    before = [v.numpy() for v in values]
    model = convert(flow, tmp_path / "flow.safetensors")
    assert all(np.array_equal(a, v) for a, v in zip(before, values))
    check_file(tmp_path / "flow.safetensors", model)

    single, double = (built(name, dtype, False, y, context) for dtype in ("float32", "float64"))
    for _, copies in (single, double):
        assert len(copies) == len(values)
        for copy, value in zip(copies, before):
            copy.assign(value.astype(copy.dtype.as_numpy_dtype))
    (single, _), (double, _) = single, double

    y, c = data(1, ROWS, conditional)
    y, context = 3 * y, c if conditional else None
    result = {"peer": "tensorflow-probability", "flow": name}
    result["double"] = nats(model.log_prob(y, context), log_prob(double, y, context))
    assert result["double"] <= 1e-10
    if hasattr(flow, "bijector"):
        x, more = 2 * data(2, ROWS)[0], arguments(double, context)
        base = double.bijector.inverse(tf.constant(y), **more)
        out = double.bijector.forward(tf.constant(x), **more)
        result["to base"] = largest(model.inverse(y, context)[0], base, relative=True)
        result["to data"] = largest(model.forward(x, context)[0], out, relative=True)
        assert result["to base"] <= 1e-8 and result["to data"] <= 1e-8
    y, context = (y / 1.5).astype("f4"), None if context is None else c.astype("f4")
    right = np.asarray(log_prob(double, y.astype(float), None if context is None else context.astype(float)))
    result["float32"] = nats(convert(flow, dtype="float32").log_prob(y, context), right, single=True)
    result["own"] = nats(log_prob(single, y, context), right, single=True)
    assert result["float32"] <= max(1e-4, 2 * result["own"])
    RESULTS.append(result)


TRIANGLE = [[1.0, 0.0, 0.0], [0.5, -2.0, 0.0], [0.1, 0.2, 3.0]]
DISTRIBUTIONS = {
    "scalars": lambda: tfd.Sample(tfd.Normal(0.1, 2), 3),
    "batch": lambda: tfd.Laplace([0.0, 1.0, 2.0], 0.3),
    "cauchy": lambda: tfd.Independent(tfd.Cauchy([0.0, 1.0, 2.0], 1.0), 1),
    "logistic": lambda: tfd.Sample(tfd.Logistic(0.0, 1.0), [3]),
    "student_t": lambda: tfd.Independent(tfd.StudentT([3.0, 4.0, 5.0], [0.0, 1.0, 2.0], 1.0), 1),
    "gamma": lambda: tfd.Independent(tfd.Gamma([1.5, 2.0, 3.0], 0.7), 1),
    "beta": lambda: tfd.Independent(tfd.Beta([1.5, 2.0, 3.0], 0.7), 1),
    "uniform": lambda: tfd.Independent(tfd.Uniform([0.0, -1.0, 2.0], 3.0), 1),
    "normal_tril": lambda: tfd.MultivariateNormalTriL([0.0, 1.0, 2.0], TRIANGLE),
    "normal_diag": lambda: tfd.MultivariateNormalDiag([0.0, 1.0, 2.0], [1.0, -2.0, 3.0]),
    "normal_full": lambda: tfd.MultivariateNormalFullCovariance([0.0, 1.0, 2.0], np.diag([1.0, 2.0, 3.0]) + 0.3),
    "normal_low_rank": lambda: tfd.MultivariateNormalDiagPlusLowRank(
        [0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [[0.2], [0.4], [0.1]]
    ),
    "mixture": lambda: tfd.Mixture(
        tfd.Categorical(probs=[0.3, 0.7]),
        [tfd.MultivariateNormalTriL(tf.zeros(3), TRIANGLE), tfd.Sample(tfd.StudentT(3.0, 0.0, 1.0), 3)],
    ),
    "normals": lambda: tfd.MixtureSameFamily(
        tfd.Categorical(logits=[0.3, 0.7]), tfd.MultivariateNormalTriL(tf.zeros((2, 3)), tf.eye(3, batch_shape=[2]))
    ),
    "log_normal": lambda: tfd.Independent(tfd.LogNormal([0.0, 1.0, 2.0], 0.5), 1),
    "interval": lambda: tfd.TransformedDistribution(
        tfd.Sample(tfd.Normal(0.0, 1.0), 3), tfb.Chain([tfb.Sigmoid(-3.0, tf.constant([4.0, 5.0, 6.0]))])
    ),
    "positive": lambda: tfd.TransformedDistribution(
        tfd.Sample(tfd.Normal(0.0, 1.0), 3), tfb.Softplus(hinge_softness=0.5, low=-1.0)
    ),
    "ascending": lambda: tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), 3), tfb.Ascending()),
    "log": lambda: tfd.TransformedDistribution(tfd.Sample(tfd.Gamma(2.0, 1.0), 3), tfb.Log()),
    "tanh": lambda: tfd.TransformedDistribution(
        tfd.Sample(tfd.Normal(0.0, 1.0), 3), tfb.Chain([tfb.Tanh(), tfb.Cumsum(), tfb.DiscreteCosineTransform()])
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(name):
    """In single precision here; conversion itself compares 64 rows in double."""
    flow = DISTRIBUTIONS[name]()
    model = convert(flow)
    y = np.asarray(flow.sample(200, seed=1))
    theirs = np.asarray(flow.log_prob(y)).reshape(200, -1).sum(1)
    ours = model.log_prob(y.astype(float))
    np.testing.assert_allclose(ours, theirs, rtol=2e-3 if name in ("tanh", "interval") else 2e-5, atol=2e-5)


def test_scale_maps():
    """And gelu, whose root TensorFlow rounds to single precision in double too: in single precision here."""
    net = dense("float32", 8, 4, activation="gelu")
    y = 2 * data(3, 500, columns=4)[0]
    maps = {
        "tanh": lambda r: tf.tanh(r),
        "softsign": lambda r: 2 * tf.nn.softsign(r),
        "atan": lambda r: tf.atan(r / 2),
        "clip": lambda r: tf.clip_by_value(3 * r, -0.5, 0.7),
        "sigmoid": lambda r: tf.math.log(tf.sigmoid(r + 2.0) + 1e-3),
        "softplus": lambda r: tf.math.log(tf.nn.softplus(r)),
    }
    for name, map in maps.items():

        def function(x, output_units, map=map):
            shift, raw = tf.split(net(x), 2, -1)
            return shift, map(raw)

        flow = tfd.TransformedDistribution(normal("float32"), tfb.RealNVP(2, shift_and_log_scale_fn=function))
        if name == "softplus":  # a floor of 0 is one
            assert "softplus" in repr(convert(flow))
        theirs = flow.log_prob(y.astype("f4"))
        np.testing.assert_allclose(convert(flow).log_prob(y), theirs, rtol=1e-4, atol=1e-4, err_msg=name)


def refused(bijector, path, reason, base=None):
    with pytest.raises(CannotConvert, match=reason) as error:
        convert(tfd.TransformedDistribution(base or normal("float32"), bijector))
    assert error.value.path == path


def test_refused():
    net = tf_keras.Sequential([tf_keras.layers.Dense(8, "relu"), tf_keras.layers.Dense(8)])
    halves, after, whole = (tf_keras.layers.Dense(units) for units in (4, 4, 8))

    def network(function):
        return tfb.RealNVP(2, shift_and_log_scale_fn=lambda x, output_units: tf.split(function(x), 2, -1))

    refused(network(lambda x: after(tf.nn.relu6(halves(x)))), "bijector.bijector_fn", "operation Relu6")
    refused(network(lambda x: after(tf.nn.selu(halves(x)))), "bijector.bijector_fn", "operation Selu")
    refused(network(lambda x: halves(x) ** 2), "bijector.bijector_fn", "operation Square|operation Pow")
    refused(network(lambda x: halves(x) * net(x)[:, :4]), "bijector.bijector_fn", "operation Mul")
    refused(network(lambda x: halves(x) + after(tf.tanh(halves(x)))), "bijector.bijector_fn", "past layers")
    refused(network(lambda x: halves(x) - tf.reduce_mean(halves(x), 0)), "bijector.bijector_fn", "mixes rows")
    mixed = tfb.Chain([tfb.Permute([1, 0, 2, 3]), tfb.MaskedAutoregressiveFlow(lambda y: tf.split(whole(y), 2, -1))])
    refused(mixed, "bijector.bijectors[1].bijector_fn", "depend on each other in a circle")
    refused(tfb.IteratedSigmoidCentered(), "bijector", "area of the simplex")
    refused(tfb.Blockwise([tfb.Exp(), tfb.Tanh()], [2, 2]), "bijector", "groups of columns")
    refused(tfb.Reshape([2, 2]), "bijector", "events with axes")
    refused(tfb.Sinh(), "bijector", "Sinh has no counterpart here")
    refused(tfb.Inline(tf.exp, tf.math.log, forward_min_event_ndims=0), "bijector", "functions alone")
    with pytest.raises(CannotConvert, match="JointDistributionSequential has no counterpart"):
        convert(tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Normal(0.0, 1.0)]))


def test_page():
    """The program of the guide's page, which needs TensorFlow."""
    page = pathlib.Path(__file__).with_name("guide") / "from_tfp.md"
    if not page.exists():  # in the checkout
        page = pathlib.Path(__file__).parents[3] / "docs" / "guide" / "from_tfp.md"
    [program] = re.findall(r"^```py\n(.*?)^```$", page.read_text(), re.M | re.S)
    exec(program, {})
