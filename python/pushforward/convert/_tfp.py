"""Flows of TensorFlow Probability: transformed distributions, whose bijectors map base to data, as here."""

import inspect
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from . import _masked
from . import _parts as pf
from ._flow import Flow
from ._source import CannotConvert, Source, blamed
from ._graph import Reader, log_scale, network, positive
from ._tensorflow import Graph

tfb, tfd = tfp.bijectors, tfp.distributions
AXES = "events with axes have no counterpart here"


def read(flow):
    given = Context()
    with blamed(Source(flow)):
        source = Source(build(describe(flow, Double(flow.dtype, given))))
    with blamed(source):
        model = distribution(source)

    def log_prob(rows, context):
        given.values = context
        value = source.it.log_prob(tf.constant(rows, tf.float64))
        return np.reshape(value, (len(rows), -1)).sum(1)

    return Flow(model, log_prob)


# -------------------------------------------------------------------------------------------------------------- double
# The flow once more, by the arguments that its parts were made with, in double.


@dataclass
class Made:
    """What is made by cls(**arguments)."""

    cls: type
    arguments: dict


@dataclass
class Slot:
    """A value that is not known yet."""

    index: int


class Context:
    """The one that the flow's networks are given next."""

    values = None


def known(it):
    """Whether its class says what it is made of."""
    return isinstance(it, (tfb.Bijector, tfd.Distribution, tf.linalg.LinearOperator))


def describe(it, change, path=""):
    """Its parts and their arguments, arrays and networks changed."""
    if known(it):
        rule = change.rules.get(type(it).__name__)
        if rule is not None:
            return rule(it, path)
        numbers, arguments = number_names(it), {}
        for name, value in it.parameters.items():
            below = f"{path}.{name}" if path else name
            written = number(value, getattr(it, name, None)) if name in numbers else None
            arguments[name] = describe(value, change, below) if written is None else written
        return Made(type(it), arguments)
    if isinstance(it, (list, tuple)):
        parts = [describe(part, change, f"{path}[{i}]") for i, part in enumerate(it)]
        return parts if isinstance(it, list) else tuple(parts)
    if isinstance(it, dict):
        return {name: describe(part, change, f"{path}[{name!r}]") for name, part in it.items()}
    return change.array(it) if floating(it) else it


def number_names(it):
    """Its arguments that are numbers or arrays of them."""
    try:
        return set(it.parameter_properties())
    except (AttributeError, NotImplementedError):
        return set()


def number(it, rounded):
    """What is written as numbers that are not whole, before they were rounded; None for anything else."""
    if isinstance(it, (int, float)) or (isinstance(it, (list, tuple)) and not any(map(tf.is_tensor, it))):
        value = np.asarray(it)
        if value.dtype.kind == "f" or (value.dtype.kind == "i" and floating(rounded)):
            return value.astype(float)[()]
    return None


def floating(it):
    return getattr(it, "dtype", None) is not None and tf.as_dtype(it.dtype).is_floating


def build(it, values=()):
    if isinstance(it, Made):
        return it.cls(**{name: build(value, values) for name, value in it.arguments.items()})
    if isinstance(it, (list, tuple)):
        return type(it)(build(part, values) for part in it)
    if isinstance(it, dict):
        return {name: build(part, values) for name, part in it.items()}
    return values[it.index] if isinstance(it, Slot) else it


class Double:
    """A flow's arrays in double; its networks as NetworkFunctions, its norms by their moving statistics."""

    def __init__(self, dtype, given):
        self.dtype, self.given = dtype, given
        self.rules = {
            "MaskedAutoregressiveFlow": self.with_network,
            "RealNVP": self.with_network,
            "BatchNormalization": self.batch_norm,
            "RationalQuadraticSpline": self.spline,
        }

    def array(self, it):
        if isinstance(it, tfp.util.DeferredTensor):  # a function of a variable
            graph = Graph(lambda x: [tf.convert_to_tensor(it)], self.dtype, 1)
            return tf.constant(graph.values(graph.outputs, [np.zeros((1, 1))])[0])
        return tf.constant(np.asarray(tf.convert_to_tensor(it), float))

    def with_network(self, it, path):
        function = it.parameters["shift_and_log_scale_fn"] or it.parameters["bijector_fn"]
        changed = {"shift_and_log_scale_fn": None, "bijector_fn": NetworkFunction(it._bijector_fn, function, self)}
        return Made(type(it), {**it.parameters, **changed})

    def batch_norm(self, it, path):
        theirs = it.batchnorm
        if list(np.ravel(theirs.axis)) not in ([-1], [1]):
            raise CannotConvert(path, AXES)
        layer = type(theirs)(axis=-1, epsilon=theirs.epsilon, center=theirs.center, scale=theirs.scale, dtype="float64")
        if theirs.built:
            layer.build((None, theirs.moving_mean.shape[0]))
            layer.set_weights([np.asarray(weight, float) for weight in theirs.get_weights()])
        return Made(type(it), {"batchnorm_layer": layer, "training": False})

    def spline(self, it, path):
        """Its bins end at the same place on both sides, and for each column, which single precision may miss."""
        arguments = {name: self.array(getattr(it, name)) for name in ("bin_widths", "bin_heights", "knot_slopes")}
        ends = [tf.reduce_sum(arguments[name], -1, keepdims=True) for name in ("bin_widths", "bin_heights")]
        end = ends[0][(0,) * len(ends[0].shape)]
        if all(np.allclose(own, end, rtol=1e-5, atol=0) for own in ends):
            for name, own in zip(("bin_widths", "bin_heights"), ends):
                arguments[name] *= end / own
        return Made(type(it), {**arguments, "range_min": self.array(it.range_min)})


class Symbols:
    """Of a bijector that a function returns: its tensors as outputs of the function."""

    rules = {}

    def __init__(self):
        self.outputs = []

    def array(self, it):
        self.outputs.append(tf.identity(tf.convert_to_tensor(it)))
        return Slot(len(self.outputs) - 1)


class NetworkFunction:
    """A function of x, and a context, that returns a bijector: the same in double, and what can be read of it."""

    def __init__(self, function, own, double):
        self.function, self.own, self.double, self.graph = function, own, double, None

    def condition(self, arguments):
        """The name and the width of the context that it takes besides so many arguments, or None."""
        if getattr(self.own, "_conditional", None) is True:  # tfb.AutoregressiveNetwork
            return "conditional_input", self.own._conditional_size
        if isinstance(self.own, tfb.AutoregressiveNetwork):
            return None
        try:
            call = self.own.call if hasattr(self.own, "call") else self.own
            names = list(inspect.signature(call).parameters.values())[arguments:]
        except (TypeError, ValueError):
            return None
        plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        names = [p.name for p in names if p.default is p.empty and p.kind in plain]
        if len(names) > 1:
            raise ValueError(f"a network with several contexts: {', '.join(names)}")
        return (names[0], None) if names else None

    def trace(self, dim, *more):
        if self.graph is not None:
            return
        condition = self.condition(1 + len(more))
        name, width = condition or (None, 0)
        if condition is None:  # before the trace, which must not create variables: layers do the first time,
            for _ in range(2):  # and templates create something else the second time
                self.function(tf.zeros((1, dim), self.double.dtype), *more)

        def call(x, *context):
            symbols = Symbols()
            result = self.function(x, *more, **({name: context[0]} if context else {}))
            self.tree = describe(result, symbols)
            return symbols.outputs

        try:
            self.graph = Graph(call, self.double.dtype, dim, width)
        except tf.errors.OpError as error:
            raise ValueError(error.message) from error
        self.reader = Reader(self.graph)

    @property
    def context_dim(self):
        return (*self.graph.widths, 0)[1]

    def __call__(self, x, *more, **_):
        self.trace(x.shape[-1], *more)
        inputs = [np.asarray(x)] + ([self.double.given.values] if self.context_dim else [])
        return build(self.tree, [tf.constant(v) for v in self.graph.values(self.graph.outputs, inputs)])

    def tensor(self, it):
        """That of the graph, in what is described."""
        return self.graph.outputs[it.index] if isinstance(it, Slot) else it


# ------------------------------------------------------------------------------------------------------- distributions


def distribution(source, size=1):
    """size: of what is scalar."""
    with blamed(source):
        return source.by_type(DISTRIBUTIONS, size)


def flat(source, value, size):
    """A parameter with a value for each column."""
    shape = tuple(source.it.batch_shape) + tuple(source.it.event_shape)
    source.require(len(shape) <= 1, f"a batch of distributions, of the shape {shape}")
    return np.broadcast_to(np.asarray(value.it), shape or (size,)).astype(float)


def with_parameters(make, *names):
    return lambda source, size: make(*(flat(source, getattr(source, name), size) for name in names))


def logs(type, **names):
    def made(source, size):
        values = {ours: flat(source, getattr(source, theirs), size) for ours, theirs in names.items()}
        return pf.of_logs(type, **values)

    return made


def location_scale(type):
    return with_parameters(lambda loc, scale: pf.location_scale(type, loc, scale), "loc", "scale")


def student_t(df, loc, scale):
    return pf.location_scale("student_t", loc, scale, log_df=np.log(df))


def multivariate_normal(source, size):
    """With the covariance S S', S being the scale."""
    scale = np.asarray(source.it.scale.to_dense(), float)
    source.require(scale.ndim == 2, f"a batch of distributions, of the shape {tuple(source.it.batch_shape)}")
    loc = np.broadcast_to(np.asarray(source.loc.it, float), len(scale)) if source.has("loc") else np.zeros(len(scale))
    if (scale == np.diag(np.diag(scale))).all():
        return pf.normal(loc, np.abs(np.diag(scale)))
    return pf.normal_tril(loc, lower_factor(scale))


def lower_factor(scale):
    """The lower triangular L with a positive diagonal and L L' = S S'."""
    lower = np.linalg.cholesky(scale @ scale.T) if np.triu(scale, 1).any() else scale
    return lower * np.sign(np.diag(lower))


def multivariate_student_t(source, size):
    scale = np.asarray(source.it.scale.to_dense(), float)
    df, loc = np.asarray(source.df.it, float), np.asarray(source.loc.it, float)
    source.require(scale.ndim == 2 and df.ndim == 0, "a batch of distributions has no counterpart here")
    return pf.student_t_tril(df, np.broadcast_to(loc, len(scale)), lower_factor(scale))


def sample(source, size):
    shape = np.ravel(source.sample_shape.it)
    if len(shape) == 0:
        return distribution(source.distribution, size)
    scalar = len(source.it.distribution.event_shape) == 0
    source.require(len(shape) == 1 and scalar, AXES)
    return distribution(source.distribution, int(shape[0]))


def independent(source, size):
    return distribution(source.distribution, size)


def transformed(source, size):
    base = distribution(source.distribution, size)
    return pf.transformed(base, bijection(source.bijector, pf.dim(base)))


def of_same_family(source, size):
    logits = np.asarray(source.it.mixture_distribution.logits_parameter())
    source.require(logits.ndim == 1, "a batch of mixtures has no counterpart here")
    parts = source.components_distribution
    return pf.mixture(logits, [distribution(parts[i], size) for i in range(len(logits))])


def mixture(source, size):
    logits = np.asarray(source.it.cat.logits_parameter())
    source.require(logits.ndim == 1, "a batch of mixtures has no counterpart here")
    return pf.mixture(logits, [distribution(part, size) for part in source.components])


# ----------------------------------------------------------------------------------------------------------- bijectors


def bijection(source, dim):
    with blamed(source):
        return source.by_type(BIJECTORS, dim)


def chain(source, dim):
    """The last one is applied first."""
    parts = []
    for i in reversed(range(len(source.bijectors))):
        parts.append(bijection(source.bijectors[i], dim))
        dim = pf.dim(parts[-1], dim)
    return pf.chain(parts) if parts else pf.identity(dim)


def invert(source, dim):
    return pf.invert(bijection(source.bijector, dim))


def columns(value, dim):
    """A parameter with a value for each column."""
    return np.broadcast_to(np.asarray(value.it, float), dim)


def shift(source, dim):
    return pf.diagonal(columns(source.shift, dim), 1.0)


def scale(source, dim):
    if source.has("log_scale"):
        return pf.diagonal(0.0, np.exp(columns(source.log_scale, dim)))
    return pf.diagonal(0.0, columns(source.scale, dim))


def permute(source, dim):
    source.require(int(source.axis.it) == -1, AXES)
    return pf.permute(np.asarray(source.permutation.it))


def transpose(source, dim):
    source.require(int(source.rightmost_transposed_ndims.it) <= 1, AXES)
    return pf.identity(dim)


def linear(source, dim):
    """What is linear, by its values."""
    matrix = np.asarray(source.it.forward(tf.eye(dim, dtype=tf.float64))).T
    if np.triu(matrix, 1).any():
        return pf.linear(matrix, np.zeros(dim))
    size = np.diag(matrix)
    return pf.triangular(matrix / size, np.diag(size), np.zeros(dim))


def fixed(type):
    return lambda source, dim: pf.map_of(type, dim)


def sigmoid(source, dim):
    low = columns(source.low, dim) if source.has("low") else np.zeros(dim)
    high = columns(source.high, dim) if source.has("high") else np.ones(dim)
    return pf.sigmoid(low, high)


def softplus(source, dim):
    """hinge softplus(x / hinge) + low"""
    parts = [pf.map_of("softplus", dim)]
    hinge = columns(source.hinge_softness, dim) if source.has("hinge_softness") else np.ones(dim)
    low = columns(source.low, dim) if source.has("low") else np.zeros(dim)
    if (hinge != 1).any():
        parts.insert(0, pf.diagonal(0.0, 1 / hinge))
    if (hinge != 1).any() or low.any():
        parts.append(pf.diagonal(low, hinge))
    return pf.chain(parts)


def batch_norm(source, dim):
    layer = source.it.batchnorm
    if not layer.built:
        layer.build((None, dim))
    source.require(layer.scale, "a layer of batch normalisation without scale, which its library itself cannot use")
    beta = np.asarray(layer.beta) if layer.center else np.zeros(dim)
    statistics = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    return pf.batch_norm(*statistics, layer.epsilon, "identity", np.asarray(layer.gamma), beta)


def spline(source, dim):
    """One for each column."""
    widths, heights, slopes = (
        np.asarray(getattr(source.it, name)) for name in ("bin_widths", "bin_heights", "knot_slopes")
    )
    bins = max(widths.shape[-1], heights.shape[-1])
    each = [np.broadcast_to(sizes, (dim, bins)) for sizes in (widths, heights)]
    return pf.spline_by_values(*each, np.broadcast_to(slopes, (dim, bins - 1)), float(source.it.range_min))


def conditioner(source):
    return Source(source.it.parameters["bijector_fn"], f"{source.path}.bijector_fn")


def masked_autoregressive(source, dim):
    """The network sees the side of the data."""
    own = conditioner(source)
    with blamed(own):
        own.it.trace(dim)
        tau, net, count = conditioned(own, dim)
        return _masked.autoregressive(net.layers, dim, count, tau, net.activation, net.contexts)


def real_nvp(source, dim):
    masked = source.it.parameters["num_masked"]
    if masked is None:
        masked = int(np.round(dim * source.it.parameters["fraction_masked"]))
    source.require(abs(masked) < dim, f"{abs(masked)} columns that stay, of {dim}")
    keep = np.arange(dim) < masked if masked >= 0 else np.arange(dim) >= dim + masked
    changed = dim - abs(masked)
    own = conditioner(source)
    with blamed(own):
        own.it.trace(abs(masked), changed)
        tau, net, _ = conditioned(own, changed)
        own.require(net.contexts is None, "a context that enters other layers than the first one")
        return pf.coupling(keep, pf.mlp(net.layers, net.activation, own.it.context_dim), tau)


# -------------------------------------------------------------------------------------------------------- transformers
# What a network's function returns, with the tensors of its graph in place of numbers: the transformer here and its raw
# parameters, as Affines of the shape (columns,) or (columns, parameters).


def conditioned(own, dim):
    """The transformer, the network of its parameters, and how many there are."""
    tau, raw = transformer(own, own.it.tree, dim)
    rows = [a.by_parameter(dim, a.offset.shape[1:]) for a in raw]
    net = network(own.it.reader, rows)
    return tau, net, sum(len(a.offset) for a in rows) // dim


def transformer(own, made, dim):
    known = {cls.__name__ for cls in made.cls.__mro__}
    for name, rule in TRANSFORMERS.items():
        if name in known:
            return rule(own, made.arguments, dim)
    raise own.cannot(f"a network that gives the parameters of a {made.cls.__name__} has no counterpart here")


def composed(own, arguments, dim):
    """shift + scale x, or any others, the last one first."""
    parts = arguments["bijectors"] or ()
    classes = [part.cls.__name__ for part in parts]
    if classes == ["Shift", "Scale"]:
        options, raw = scale_map(own, parts[1].arguments, dim)
        return pf.affine_transformer("base", **options), [parameter(own, parts[0].arguments["shift"], dim), raw]
    if len(parts) == 1:
        return transformer(own, parts[0], dim)
    taus, raws = zip(*(transformer(own, part, dim) for part in reversed(parts)))
    return pf.composed(list(taus)), [raw for part in raws for raw in part]


def shifted(own, arguments, dim):
    return pf.additive_transformer(), [parameter(own, arguments["shift"], dim)]


def scaled(own, arguments, dim):
    options, raw = scale_map(own, arguments, dim)
    return pf.affine_transformer("base", **options), [raw.times(0), raw]


def parameter(own, it, dim):
    tensor = own.it.tensor(it)
    if isinstance(it, Slot):
        affine = own.it.reader.affine(tensor)
        return affine.each(lambda a: np.broadcast_to(a, (dim, a.shape[-1])))
    raise own.cannot("a number in the place of a network's output has no counterpart here")


def scale_map(own, arguments, dim):
    """The options of the transformer, and the raw parameter."""
    if arguments.get("log_scale") is not None:
        options, raw = log_scale(own, own.it.reader, own.it.tensor(arguments["log_scale"]))
    else:
        own.require(arguments.get("scale") is not None, "a scale that is not there")
        options, raw = positive(own, own.it.reader, own.it.tensor(arguments["scale"]))
    return options, raw.each(lambda a: np.broadcast_to(a, (dim, a.shape[-1])))


def conditional_spline(own, arguments, dim):
    """Bins softmax(raw) size + smallest, slopes softplus(raw) + smallest. Widths are those of the base side."""
    reader, raw, ends, smallest = own.it.reader, [], [], []
    for name in ("bin_widths", "bin_heights"):
        found = reader.map_of(own.it.tensor(arguments[name]))
        own.require(found is not None and found[0].name == "softmax", f"{name} that are not a softmax")
        units, factor, offset = found
        own.require(np.ptp(factor) == 0 and np.ptp(offset) == 0, f"{name} that end at different places")
        total = factor.flat[0] + offset.flat[0] * units.shape[-1]
        raw.append(reader.affine(units.of))
        ends.append(total)
        smallest.append(offset.flat[0] / total)
    found = reader.map_of(own.it.tensor(arguments["knot_slopes"]))
    own.require(found is not None and found[0].name == "softplus", "knot_slopes that are not a softplus")
    units, factor, offset = found
    own.require((factor == 1).all() and np.ptp(offset) == 0, "knot_slopes of different forms")
    raw.append(reader.affine(units.of))
    own.require(abs(ends[0] - ends[1]) < 1e-6 * ends[0], "bins whose two sides end at different places")
    low = arguments["range_min"]
    low = float(reader.affine(own.it.tensor(low)).offset.flat[0]) if isinstance(low, Slot) else float(low)
    bins = raw[0].offset.shape[-1]
    tau = pf.spline(bins, low, low + ends[0], "nflows", "identity", *smallest, float(offset.flat[0]))
    return pf.inverted(tau), raw


# --------------------------------------------------------------------------------------------------------------- rules

DISTRIBUTIONS = {
    "Normal": with_parameters(pf.normal, "loc", "scale"),
    "Laplace": location_scale("laplace"),
    "Logistic": location_scale("logistic"),
    "Cauchy": location_scale("cauchy"),
    "StudentT": with_parameters(student_t, "df", "loc", "scale"),
    "Uniform": with_parameters(pf.uniform, "low", "high"),
    "Gamma": logs("gamma", log_concentration="concentration", log_rate="rate"),
    "Beta": logs("beta", log_concentration1="concentration1", log_concentration0="concentration0"),
    "MultivariateNormalLinearOperator": multivariate_normal,
    "MultivariateStudentTLinearOperator": multivariate_student_t,
    "_Sample": sample,
    "_Independent": independent,
    "_TransformedDistribution": transformed,
    "_MixtureSameFamily": of_same_family,
    "_Mixture": mixture,
}
BIJECTORS = {
    "_Chain": chain,
    "_Invert": invert,
    "Identity": lambda source, dim: pf.identity(dim),
    "Shift": shift,
    "Scale": scale,
    "Permute": permute,
    "Transpose": transpose,
    "ScaleMatvecLinearOperator": linear,
    "ScaleMatvecLU": linear,
    "Householder": linear,
    "Cumsum": linear,
    "DiscreteCosineTransform": linear,
    "Exp": fixed("exp"),
    "Softplus": softplus,
    "Sigmoid": sigmoid,
    "Tanh": fixed("tanh"),
    "Softsign": fixed("softsign"),
    "Ascending": fixed("ascending"),
    "BatchNormalization": batch_norm,
    "RationalQuadraticSpline": spline,
    "MaskedAutoregressiveFlow": masked_autoregressive,
    "RealNVP": real_nvp,
    "SoftmaxCentered": "its density is by the area of the simplex, not by its first columns",
    "IteratedSigmoidCentered": "its density is by the area of the simplex, not by its first columns",
    "FFJORD": "flows in continuous time have no counterpart here",
    "Glow": "images have no counterpart here",
    "Reshape": AXES,
    "_Blockwise": "parts for groups of columns have no counterpart here",
    "_JointMap": "events of several parts have no counterpart here",
    "Split": "events of several parts have no counterpart here",
    "Restructure": "events of several parts have no counterpart here",
    "Inline": "a bijector by functions alone cannot be read",
}
TRANSFORMERS = {
    "_Chain": composed,
    "Shift": shifted,
    "Scale": scaled,
    "RationalQuadraticSpline": conditional_spline,
}
