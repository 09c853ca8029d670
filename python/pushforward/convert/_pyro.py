"""pyro's flows: torch's transformed distributions with transforms of pyro, which map base to data, as here."""

import numpy as np
import torch

from . import _masked, _torch, _torch_distributions
from . import _parts as pf
from ._flow import Flow
from ._source import Source, blamed
from ._torch import array, layer


def read(flow):
    source = Source(_torch.double(flow))
    if source.type != "ConditionalTransformedDistribution":
        return _torch_distributions.read(flow)
    with blamed(source), _torch.in_double():
        model = _torch_distributions.transformed(source)

    def log_prob(rows, context):
        with _torch.in_double():
            return source.it.condition(_torch.tensor(context)).log_prob(_torch.tensor(rows)).numpy()

    return Flow(model, log_prob)


def setting(source, name, usual):
    """Conditional transforms keep theirs until they are conditioned."""
    return source.kwargs.it.get(name, usual) if source.has("kwargs") else getattr(source.it, name, usual)


# ----------------------------------------------------------------------------------------------------- autoregressive


def network(source):
    """arn, or nn in the conditional ones."""
    return source.arn if source.has("arn") else source.nn


def layers_of(net):
    """The first layer of pyro's networks takes [context, x]."""
    layers = [layer(part) for part in net.layers]
    context_dim, inputs = net.context_dim.it, layers[0].weight.shape[1]
    layers[0] = layers[0].inputs(np.roll(np.arange(inputs), -context_dim))
    return layers, _torch.activation(net.f), context_dim


def autoregressive(source, dim, tau, change=lambda last: last):
    """The network sees the base side."""
    net = network(source)
    net.require(not net.has("skip_layer"), "connections from the inputs to the outputs have no counterpart here")
    (*hidden, last), name, _ = layers_of(net)
    last = change(last)
    return pf.invert(_masked.autoregressive([*hidden, last], dim, len(last.bias) // dim, tau, name))


def affine(source, side):
    low, high = setting(source, "log_scale_min_clip", -5.0), setting(source, "log_scale_max_clip", 3.0)
    return pf.affine_transformer(side, low=low, high=high)


def affine_autoregressive(source, dim):
    if not setting(source, "stable", False):
        return autoregressive(source, dim, affine(source, "data"))
    # y = s x + (1 - s) m = s (x - m) + m
    scale = pf.affine_transformer("base", "sigmoid", offset=setting(source, "sigmoid_bias", 2.0))
    tau = pf.inverted(pf.composed([pf.additive_transformer(), scale, pf.additive_transformer()]))

    def change(last):
        mean, raw = last.outputs(slice(dim)), last.outputs(slice(dim, None))
        return pf.stacked([mean.times(-1), mean.times(0), raw, mean])

    return autoregressive(source, dim, tau, change)


def spline_autoregressive(source, dim):
    options = source.spline if source.has("spline") else source
    return autoregressive(source, dim, spline(options))


# ---------------------------------------------------------------------------------------------------------- couplings


def first_columns(source, dim):
    return np.arange(dim) < source.split_dim.it


def affine_coupling(source, dim):
    source.require(setting(source, "dim", -1) == -1, "events with axes have no counterpart here")
    layers, name, context_dim = layers_of(source.nn)
    return pf.coupling(first_columns(source, dim), pf.mlp(layers, name, context_dim), affine(source, "base"))


def spline_coupling(source, dim):
    keep = first_columns(source, dim)
    upper = source.upper_spline
    layers, name, _ = layers_of(upper.nn)
    changed = dim - int(keep.sum())
    part = pf.coupling(keep, pf.mlp(by_parameter(upper, layers, changed), name), pf.inverted(spline(upper)))
    if source.identity.it:
        return part
    constant = pf.constant_net(changed, raw(source.lower_spline).T.ravel())
    return pf.chain([part, pf.coupling(~keep, constant, pf.inverted(spline(source.lower_spline)))])


# ------------------------------------------------------------------------------------------------------------- splines


def spline(source):
    bins, bound = setting(source, "count_bins", 8), setting(source, "bound", 3.0)
    if setting(source, "order", "linear") == "linear":
        return pf.linear_spline(bins, -bound, bound, end=1 - 1e-3)
    return pf.spline(bins, -bound, bound, "nflows", end=1 - 1e-3)


def raw(source):
    """One row for each column."""
    names = ["unnormalized_widths", "unnormalized_heights", "unnormalized_derivatives", "unnormalized_lambdas"]
    return np.concatenate([array(getattr(source, name)) for name in names if source.has(name)], axis=1)


def by_parameter(source, layers, dim):
    """Outputs of a DenseNN, which sorts each of widths, heights, ... by columns."""
    bins, order, start = source.count_bins.it, [], 0
    sizes = [bins, bins, bins - 1] + [bins] * (source.order.it == "linear")
    for size in sizes:
        order.append(start + np.arange(dim * size).reshape(dim, size).T.ravel())
        start += dim * size
    return [*layers[:-1], layers[-1].outputs(np.concatenate(order))]


def elementwise_spline(source, dim):
    return pf.elementwise(raw(source), pf.inverted(spline(source)))


def conditional_spline(source, dim):
    layers, name, _ = layers_of(source.nn)
    return pf.conditional_elementwise(dim, pf.mlp(by_parameter(source, layers, dim), name), pf.inverted(spline(source)))


# -------------------------------------------------------------------------------------------------------------- others


def batch_norm(source, dim):
    mean, variance = array(source.moving_mean), array(source.moving_variance)
    return pf.batch_norm(mean, variance, source.epsilon.it, "relu_floor", array(source.gamma), array(source.beta))


def permute(source, dim):
    source.require(source.dim.it == -1, "events with axes have no counterpart here")
    return pf.permute(array(source.permutation))


def linear(source, dim):
    """What is linear, by its values."""
    with torch.no_grad():
        shift = array(source.it._call(torch.zeros(1, dim, dtype=torch.float64)))[0]
        matrix = array(source.it._call(torch.eye(dim, dtype=torch.float64))).T - shift[:, None]
    return pf.linear(matrix, shift)


def lower_cholesky_affine(source, dim):
    lower, shift = array(source.scale_tril), array(source.loc)
    size = np.diag(lower)
    return pf.triangular(lower / size, np.diag(size), shift)


NO_INVERSE = "it has no inverse in closed form"
TRANSFORMS = {
    "ConditionalComposeTransformModule": lambda source, dim: _torch_distributions.compose(source, dim),
    "ConstantConditionalTransform": lambda source, dim: _torch_distributions.transform(source.transform, dim),
    "_ConditionalInverseTransformModule": lambda source, dim: pf.invert(
        _torch_distributions.transform(source._transform, dim)
    ),
    "AffineAutoregressive": affine_autoregressive,
    "ConditionalAffineAutoregressive": affine_autoregressive,
    "AffineCoupling": affine_coupling,
    "ConditionalAffineCoupling": affine_coupling,
    "SplineAutoregressive": spline_autoregressive,
    "ConditionalSplineAutoregressive": spline_autoregressive,
    "SplineCoupling": spline_coupling,
    "Spline": elementwise_spline,
    "ConditionalSpline": conditional_spline,
    "BatchNorm": batch_norm,
    "Permute": permute,
    "Householder": linear,
    "MatrixExponential": "the series is cut off, and its two directions are not the inverse of each other",
    "LowerCholeskyAffine": lower_cholesky_affine,
    "SoftplusTransform": lambda source, dim: pf.map_of("softplus", dim),
    "NeuralAutoregressive": NO_INVERSE,
    "BlockAutoregressive": NO_INVERSE,
    "Planar": NO_INVERSE,
    "Radial": NO_INVERSE,
    "Sylvester": NO_INVERSE,
    "Polynomial": NO_INVERSE,
    "GeneralizedChannelPermute": "events with axes have no counterpart here",
}
