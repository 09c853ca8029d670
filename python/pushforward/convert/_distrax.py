"""Flows of distrax, whose bijectors map base to data, as here. Networks of couplings are any functions in JAX."""

import copy
from dataclasses import dataclass

import distrax
import jax
import jax.numpy as jnp
import numpy as np

from . import _masked
from . import _parts as pf
from ._flow import Flow
from ._graph import Affine, Reader, log_scale, network, positive
from ._jaxpr import Graph
from ._source import Source, blamed

AXES = "events with axes have no counterpart here"


def read(flow):
    with jax.enable_x64(True):
        source = Source(double(flow))
        with blamed(source):
            model = distribution(source)

    def log_prob(rows, context):
        with jax.enable_x64(True):
            value = np.asarray(source.it.log_prob(jnp.asarray(rows)))
        return value.reshape(len(rows), -1).sum(1)

    return Flow(model, log_prob)


def double(flow):
    """Its arrays in double; those of its networks become double with what they are multiplied by."""
    return changed(flow, lambda a: jnp.asarray(a, jnp.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a)


def changed(it, change):
    """What has other arrays. What keeps numbers that follow from them, as log determinants, is made anew."""
    if type(it).__name__ in MADE_FROM:
        names = MADE_FROM[type(it).__name__]
        return type(it)(**{name: changed(getattr(it, name), change) for name in names})
    if isinstance(it, (distrax.Bijector, distrax.Distribution)):
        other = copy.copy(it)
        other.__dict__ = changed(vars(it), change)
        return other
    if isinstance(it, dict):
        return {name: changed(value, change) for name, value in it.items()}
    if isinstance(it, (list, tuple)):
        return type(it)(changed(value, change) for value in it)
    return change(it) if isinstance(it, (jax.Array, np.ndarray)) else it


MADE_FROM = {
    "Beta": ("alpha", "beta"),
    "Categorical": ("logits",),
    "DiagLinear": ("diag",),
    "DiagPlusLowRankLinear": ("diag", "u_matrix", "v_matrix"),
    "MixtureSameFamily": ("mixture_distribution", "components_distribution"),
    "MultivariateNormalDiag": ("loc", "scale_diag"),
    "MultivariateNormalFullCovariance": ("loc", "covariance_matrix"),
    "MultivariateNormalTri": ("loc", "scale_tri", "is_lower"),
    "ScalarAffine": ("shift", "scale"),
    "TriangularLinear": ("matrix", "is_lower"),
    "UnconstrainedAffine": ("matrix", "bias"),
}


# ------------------------------------------------------------------------------------------------------- distributions


def distribution(source):
    with blamed(source):
        shape = source.it.batch_shape
        source.require(len(shape) <= 1, f"a batch of distributions, of the shape {shape}")
        return source.by_type(DISTRIBUTIONS)


def columns(value, size):
    return np.broadcast_to(np.asarray(value.it, float), size)


def size_of(source):
    return int(np.prod((*source.it.batch_shape, *source.it.event_shape)))


def with_parameters(make, *names):
    return lambda source: make(*(columns(getattr(source, name), size_of(source)) for name in names))


def location_scale(type):
    return with_parameters(lambda loc, scale: pf.location_scale(type, loc, scale), "loc", "scale")


def gamma(concentration, rate):
    return pf.of_logs("gamma", log_concentration=concentration, log_rate=rate)


def beta(alpha, beta):
    return pf.of_logs("beta", log_concentration1=alpha, log_concentration0=beta)


def independent(source):
    return distribution(source.distribution)


def multivariate_normal(source):
    """Of any form: its bijector is affine."""
    dim = source.it.event_shape[0]
    matrix, loc = affine_map(source.bijector.it.forward, dim)
    if (matrix == np.diag(np.diag(matrix))).all():
        return pf.normal(loc, np.abs(np.diag(matrix)))
    lower = np.linalg.cholesky(matrix @ matrix.T) if np.triu(matrix, 1).any() else matrix
    return pf.normal_tril(loc, lower * np.sign(np.diag(lower)))


def mixture(source):
    logits = np.asarray(source.mixture_distribution.logits.it)
    parts = source.components_distribution
    source.require(logits.ndim == 1, "a batch of mixtures has no counterpart here")
    one = lambda i: changed(parts.it, lambda a: a[i] if a.ndim > 0 else a)  # noqa: E731
    return pf.mixture(logits, [distribution(Source(one(i), f"{parts.path}[{i}]")) for i in range(len(logits))])


def transformed(source):
    base = distribution(source.distribution)
    return pf.transformed(base, bijection(source.bijector, pf.dim(base)))


# ----------------------------------------------------------------------------------------------------------- bijectors


def bijection(source, dim):
    with blamed(source):
        return source.by_type(BIJECTORS, dim)


def chain(source, dim):
    """The last one is applied first."""
    parts = source.bijectors
    return pf.chain([bijection(parts[i], dim) for i in reversed(range(len(parts)))])


def within(source, dim):
    return bijection(source.bijector, dim)


def invert(source, dim):
    return pf.invert(bijection(source.bijector, dim))


def affine_map(function, dim):
    """The matrix and the offset of an affine function of rows, by its values."""
    offset = np.asarray(function(jnp.zeros(dim)))
    return np.asarray(jax.vmap(function)(jnp.eye(dim))).T - offset[:, None], offset


def linear(source, dim):
    matrix, offset = affine_map(source.it.forward, dim)
    return linear_part(matrix, offset)


def linear_part(matrix, offset):
    one = matrix != 0
    if (one.sum(0) == 1).all() and (one.sum(1) == 1).all():  # columns in another order, times numbers
        order, scale = one.argmax(1), matrix[one]
        parts = [pf.permute(order)] if (order != np.arange(len(order))).any() else []
        if offset.any() or (scale != 1).any() or not parts:
            parts.append(pf.diagonal(offset, scale))
        return pf.chain(parts)
    if np.triu(matrix, 1).any():
        return pf.linear(matrix, offset)
    size = np.diag(matrix)
    return pf.triangular(matrix / size, np.diag(size), offset)


def scalar_affine(source, dim):
    return pf.diagonal(columns(source.shift, dim), columns(source.scale, dim))


def shift(source, dim):
    return pf.diagonal(columns(source.shift, dim), 1.0)


def fixed(type):
    return lambda source, dim: pf.map_of(type, dim)


def by_function(source, dim):
    """What is given as functions: an affine one, or one that there is here."""
    reader = Reader(Graph(lambda x: [source.it.forward(x)], dim))
    [output] = reader.graph.outputs
    if not reader.affine(output).weights.keys() - set(reader.inputs):
        found = reader.affine(output)
        return linear_part(found.weights.get(reader.inputs[0], np.zeros((dim, dim))), found.offset)
    units, factor, offset = reader.map_of(output) or (None, None, None)
    source.require(units is not None and units.name in FUNCTIONS, "a function that is not known here")
    before = reader.affine(units.of)
    source.require(not before.weights.keys() - set(reader.inputs), "a function of a function has no counterpart here")
    parts = [linear_part(before.weights[reader.inputs[0]], before.offset), FUNCTIONS[units.name](dim)]
    return pf.chain([*parts, pf.diagonal(offset, factor)])


def spline(source, dim):
    """One for each column."""
    x, y, slopes = (
        np.broadcast_to(np.asarray(value.it), (dim, np.shape(value.it)[-1]))
        for value in (source._x_pos, source._y_pos, source._knot_slopes)
    )
    low, straight = x[0, 0], (slopes[:, [0, -1]] != 1).any()
    source.require((x[:, 0] == low).all() and (y[:, 0] == low).all(), "splines that begin at different places")
    tails, slopes = ("linear", slopes) if straight else ("identity", slopes[:, 1:-1])
    return pf.spline_by_values(np.diff(x), np.diff(y), slopes, low, tails)


def masked_coupling(source, dim):
    mask = np.asarray(source.mask.it)
    source.require(mask.ndim == 1 and source.it.event_ndims_in == 1, AXES)
    keep = np.broadcast_to(mask, dim)
    return coupling(source, keep, lambda x: jnp.where(jnp.asarray(keep), x, 0.0), dim, ~keep)


def split_coupling(source, dim):
    source.require(source.it.event_ndims_in == 1, AXES)
    index = source.split_index.it
    keep = (np.arange(dim) < index) != source.swap.it
    return coupling(source, keep, lambda x: x[:, np.flatnonzero(keep)], dim, None)


def coupling(source, keep, seen, dim, changed):
    """seen: what the conditioner is given of x. changed: the columns of its parameters that count; None: all."""
    described = []

    def arrays(x):
        outputs = []
        made = source.it.bijector(source.it.conditioner(seen(x)))
        described.append(describe(made, outputs))
        return outputs

    own = Source(Conditioned(Graph(arrays, dim), described, int((~keep).sum()), changed), f"{source.path}.bijector()")
    with blamed(own):
        tau, raw = transformer(own, described[-1])
        rows = [a.by_parameter(own.it.dim, a.offset.shape[1:]) for a in raw]
        net = network(own.it.reader, rows)
        net.layers[0] = net.layers[0].inputs(keep)
        if net.layers[0].mask.any():
            return pf.coupling(keep, pf.mlp(net.layers, net.activation), tau)
        return pf.coupling(keep, pf.constant_net(int(keep.sum()), _masked.constant(net.layers, net.activation)), tau)


# -------------------------------------------------------------------------------------------------------- transformers
# The bijector that a network's outputs make, with the tensors of its graph in place of arrays: the transformer here and
# its raw parameters, as Affines of the shape (columns,) or (columns, parameters).


@dataclass
class Made:
    """An object of a class with these attributes."""

    name: str
    attributes: dict


@dataclass
class Slot:
    """An output of the graph."""

    index: int


def describe(it, outputs):
    if isinstance(it, distrax.Bijector):
        name = next((cls.__name__ for cls in type(it).__mro__ if cls.__name__ in TRANSFORMERS), type(it).__name__)
        return Made(name, {key: describe(value, outputs) for key, value in vars(it).items()})
    if isinstance(it, (list, tuple)):
        return [describe(part, outputs) for part in it]
    if isinstance(it, (jax.Array, np.ndarray)) and jnp.issubdtype(it.dtype, jnp.floating):
        outputs.append(it)
        return Slot(len(outputs) - 1)
    return it


class Conditioned:
    """The outputs that make a bijector, and how they follow from the columns that stay."""

    def __init__(self, graph, described, dim, changed):
        self.graph, self.reader, self.dim, self.changed = graph, Reader(graph), dim, changed

    def tensor(self, it):
        return self.graph.outputs[it.index]

    def chosen(self, affine):
        """Of the columns that change."""
        if self.changed is not None and affine.offset.shape[:1] == self.changed.shape:
            return affine.each(lambda a: a[self.changed])
        return affine.each(lambda a: np.broadcast_to(a, (self.dim, *a.shape[1:])))


def transformer(own, made):
    name = made.name if isinstance(made, Made) else type(made).__name__
    own.require(name in TRANSFORMERS, f"a network that makes a {name} has no counterpart here")
    return TRANSFORMERS[name](own, made.attributes)


def parameter(own, it):
    if isinstance(it, Slot):
        return own.it.chosen(own.it.reader.affine(own.it.tensor(it)))
    return Affine(np.broadcast_to(np.asarray(it, float), own.it.dim), {})


def conditional_affine(own, attributes):
    shift = parameter(own, attributes["_shift"])
    if not isinstance(attributes["_scale"], Slot):
        own.require(attributes["_scale"] == 1, "a scale that is a number has no counterpart here")
        return pf.additive_transformer(), [shift]
    options, raw = positive(own, own.it.reader, own.it.tensor(attributes["_scale"]))
    return pf.affine_transformer("base", **options), [shift, own.it.chosen(raw)]


def conditional_shift(own, attributes):
    return pf.additive_transformer(), [parameter(own, attributes["_shift"])]


def conditional_spline(own, attributes):
    """Places of the knots are sums of bins softmax(raw) size + smallest, slopes are softplus(raw) + smallest."""
    reader, raw, ends, smallest = own.it.reader, [], [], []
    for name in ("_x_pos", "_y_pos"):
        places = reader.affine(own.it.tensor(attributes[name]))
        units = list(places.weights)
        own.require(len(units) == 1 and units[0].name == "softmax", f"{name} that are no sums of a softmax")
        steps = np.diff(places.offset, axis=-1)
        weights = np.diff(places.weights[units[0]], axis=-2)
        low, high = (np.unique(np.round(places.offset[..., i], 12)) for i in (0, -1))
        own.require(len(low) == 1 and len(high) == 1, f"{name} that end at different places")
        ends.append((low[0], high[0]))
        smallest.append(float(steps.flat[0]) / (high[0] - low[0]))
        own.require(np.isfinite(weights).all(), f"{name} that are not finite")
        raw.append(own.it.chosen(reader.affine(units[0].of)))
    slopes = reader.affine(own.it.tensor(attributes["_knot_slopes"]))
    units = list(slopes.weights)
    own.require(len(units) == 1 and units[0].name == "softplus", "slopes that are no softplus")
    of = own.it.chosen(reader.affine(units[0].of))
    weights = slopes.weights[units[0]]
    first, last = ((weights[..., i, :] != 0).any() for i in (0, -1))
    own.require(first == last, "splines with a slope of 1 at one end alone have no counterpart here")
    floor = float(slopes.offset.reshape(-1, slopes.offset.shape[-1])[0, 1])
    (low, high), other = ends
    own.require(np.allclose((low, high), other, rtol=1e-12), "splines between different ends have no counterpart here")
    tails = "linear" if first else "identity"
    raw.append(of if first else of.each(lambda a: a[:, 1:-1]))
    bins = raw[0].offset.shape[-1]
    return pf.inverted(pf.spline(bins, low, high, "nflows", tails, *smallest, floor)), raw


def conditional_chain(own, attributes):
    taus, raws = zip(*(transformer(own, part) for part in reversed(attributes["_bijectors"])))
    return pf.composed(list(taus)), [raw for part in raws for raw in part]


def conditional_inverse(own, attributes):
    tau, raw = transformer(own, attributes["_bijector"])
    return pf.inverted(tau), raw


def inside(own, attributes):
    return transformer(own, attributes["_bijector"])


# ---------------------------------------------------------------------------------------------------------------- rules

FUNCTIONS = {
    "exp": lambda dim: pf.map_of("exp", dim),
    "tanh": lambda dim: pf.map_of("tanh", dim),
    "softplus": lambda dim: pf.map_of("softplus", dim),
    "sigmoid": lambda dim: pf.sigmoid(np.zeros(dim), np.ones(dim)),
}
DISTRIBUTIONS = {
    "Normal": with_parameters(pf.normal, "loc", "scale"),
    "Laplace": location_scale("laplace"),
    "Logistic": location_scale("logistic"),
    "Uniform": with_parameters(pf.uniform, "low", "high"),
    "Gamma": with_parameters(gamma, "concentration", "rate"),
    "Beta": with_parameters(beta, "alpha", "beta"),
    "Independent": independent,
    "MultivariateNormalFromBijector": multivariate_normal,
    "MixtureSameFamily": mixture,
    "Transformed": transformed,
    "DistributionFromTFP": "a distribution of TFP has no counterpart here: take distrax's own",
}
BIJECTORS = {
    "LowerUpperTriangularAffine": linear,
    "Chain": chain,
    "Block": within,
    "Inverse": invert,
    "ScalarAffine": scalar_affine,
    "Shift": shift,
    "Linear": linear,
    "UnconstrainedAffine": linear,
    "Sigmoid": lambda source, dim: pf.sigmoid(np.zeros(dim), np.ones(dim)),
    "Tanh": fixed("tanh"),
    "GumbelCDF": fixed("gumbel_cdf"),
    "Lambda": by_function,
    "BijectorFromTFP": by_function,
    "RationalQuadraticSpline": spline,
    "MaskedCoupling": masked_coupling,
    "SplitCoupling": split_coupling,
}
TRANSFORMERS = {
    "ScalarAffine": conditional_affine,
    "Shift": conditional_shift,
    "RationalQuadraticSpline": conditional_spline,
    "Chain": conditional_chain,
    "Inverse": conditional_inverse,
    "Block": inside,
}
