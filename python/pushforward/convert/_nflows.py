"""nflows, and glasflow with its fork of it. Transforms map data to base; rules give the bijector of base to data."""

import math

import numpy as np
import torch

from . import _parts as pf
from . import _torch
from ._flow import Flow
from ._source import Source, blamed
from ._torch import activation, array, layer, norm


def read(flow):
    source = Source(_torch.double(flow))
    with blamed(source), _torch.in_double():
        model = source.by_type(FLOWS)

    return Flow(model, density(source.it))


def density(flow):
    return _torch.density(flow, flow.log_prob)


def flow(source):
    base = source._distribution.by_type(BASES)
    model = pf.transformed(base, transform(source._transform, dimension(source)))
    return _torch.embedded(source._embedding_net, model) if source.has("_embedding_net") else model


def dimension(source):
    shape = source._distribution._shape
    shape.require(len(shape) == 1, f"events of the shape {tuple(shape.it)}: only rows have a counterpart here")
    return shape.it[0]


def transform(source, dim):
    with blamed(source):
        return source.by_type(TRANSFORMS, dim)


# ----------------------------------------------------------------------------------------------------- distributions


def standard_normal(source):
    dim = source._shape.it[0]
    source.it._log_z = torch.tensor(0.5 * dim * math.log(2 * math.pi))  # sbi rounds the constant to single precision
    return pf.standard_normal(dim)


def diagonal_normal(source):
    return pf.normal_of_log(array(source.mean_), array(source.log_std_))


def conditional_diagonal_normal(source):
    dim, encoder = source._shape.it[0], source._context_encoder
    if not isinstance(encoder.it, torch.nn.Module):  # the context is mean and logarithm of the scale itself
        layers, name = [pf.identity_layer(2 * dim)], "relu"
    else:
        layers, name = network_layers(encoder)
    net = pf.mlp(layers, name)
    base = pf.standard_normal(dim)
    return pf.transformed(base, pf.conditional_elementwise(dim, net, pf.affine_transformer("base")))


# ---------------------------------------------------------------------------------------- transforms without networks


def composite(source, dim):
    return pf.chain([transform(part, dim) for part in reversed(list(source._transforms))])


def inverse(source, dim):
    return pf.invert(transform(source._transform, dim))


def permutation(source, dim):
    source.require(source._dim.it == 1, f"a permutation of the axis {source._dim.it}")
    return pf.permute(np.argsort(array(source._permutation)))


def lu_linear(source, dim):
    lower, upper = np.eye(dim), np.zeros((dim, dim))
    lower[np.tril_indices(dim, -1)] = array(source.lower_entries)
    upper[np.triu_indices(dim, 1)] = array(source.upper_entries)
    raw, bias = array(source.unconstrained_upper_diag), array(source.bias)
    return pf.invert(pf.lu_linear(lower, upper, raw, bias, source.eps.it))


def linear(source, dim):
    return pf.invert(pf.linear(array(source.it.weight()), array(source.bias)))


def householder(source, dim):
    return pf.invert(pf.linear(array(source.it.matrix()), np.zeros(dim)))


def pointwise_affine(source, dim):
    scale, shift = (np.broadcast_to(array(a), dim) for a in (source._scale, source._shift))
    return pf.invert(pf.diagonal(shift, scale))


def act_norm(source, dim):
    return pf.invert(pf.act_norm(array(source.shift), array(source.log_scale)))


def batch_norm(source, dim):
    mean, variance = array(source.running_mean), array(source.running_var)
    return pf.batch_norm(
        mean, variance, source.eps.it, "softplus", array(source.unconstrained_weight), array(source.bias)
    )


def sigmoid(source, dim):
    squash = pf.invert(pf.sigmoid(np.zeros(dim), np.ones(dim)))
    return pf.chain([squash, pf.diagonal(np.zeros(dim), 1 / array(source.temperature))])


def fixed(type):
    return lambda source, dim: pf.invert(pf.map_of(type, dim))


def spline_cdf(source, dim):
    names = ("unnormalized_widths", "unnormalized_heights", "unnormalized_derivatives")
    return pf.elementwise(np.concatenate([array(getattr(source, name)) for name in names], axis=-1), spline(source))


# ------------------------------------------------------------------------------------------------------- transformers

# Those of nflows itself.
SOFTPLUS_SCALE = pf.affine_transformer("data", "softplus", floor=1e-3)
SIGMOID_SCALE = pf.affine_transformer("data", "sigmoid", offset=2.0, floor=1e-3)


def spline(source, net=None):
    bins = source.num_bins.it if source.has("num_bins") else source.unnormalized_widths.it.shape[-1]
    tails = source.tails.it
    source.require(tails in ("linear", None), f"the tails {tails!r} have no counterpart here")
    bound = float(array(source.tail_bound))
    low, high = (-bound, bound) if tails else (0, 1)
    width = 1 if net is None else getattr(net.it, "hidden_features", 1)
    return pf.spline(
        bins,
        low,
        high,
        "nflows",
        "identity" if tails else "bounded",
        source.min_bin_width.it,
        source.min_bin_height.it,
        source.min_derivative.it,
        1 / math.sqrt(width),
    )


def polynomial_spline(degree):
    """Splines by lines or parabolas: the transformer, and by what the raw widths and heights are multiplied before."""

    def transformer(source, net=None):
        tails = source.tails.it if source.has("tails") else None
        source.require(tails in ("linear", None), f"the tails {tails!r} have no counterpart here")
        source.require(
            tails is None or degree == 1, "with tails its density jumps at their ends, where that of ours is continuous"
        )
        bound = float(source.tail_bound.it) if tails else None
        low, high = (-bound, bound) if tails else (0.0, 1.0)
        if degree == 1:
            raw = "unnormalized_pdf"
            smallest = (1e-3, 1e-300)  # lines have no smallest rise there
        else:
            raw = "unnormalized_widths"
            smallest = (source.min_bin_width.it, source.min_bin_height.it)
        bins = source.num_bins.it if source.has("num_bins") else getattr(source, raw).it.shape[-1]
        tau = pf.polynomial_spline(degree, bins, low, high, "identity" if tails else "bounded", *smallest)
        width = getattr(net.it, "hidden_features", 1) if net is not None and degree == 2 else 1
        return tau, 1 / math.sqrt(width)

    return transformer


def polynomial_cdf(degree):
    def rule(source, dim):
        names = ("unnormalized_pdf",) if degree == 1 else ("unnormalized_widths", "unnormalized_heights")
        raw = np.concatenate([array(getattr(source, name)) for name in names], axis=-1)
        return pf.elementwise(raw, polynomial_spline(degree)(source)[0])

    return rule


def spline_count(source):
    name = "_output_dim_multiplier" if source.has("_output_dim_multiplier") else "_transform_dim_multiplier"
    return getattr(source.it, name)()


# ----------------------------------------------------------------------------------------------------- autoregressive


def affine_autoregressive(source, dim):
    tau, factor = affine(source, SOFTPLUS_SCALE)
    swap = np.arange(2 * dim).reshape(2, dim)[::-1].ravel()  # theirs are scale and shift
    factors = np.repeat([1.0, factor], dim)
    return autoregressive(source.autoregressive_net, dim, 2, tau, lambda last: last.outputs(swap).times(factors))


def spline_autoregressive(source, dim):
    net = source.autoregressive_net
    return autoregressive(net, dim, spline_count(source), spline(source, net))


def polynomial_autoregressive(degree):
    def rule(source, dim):
        net, count = source.autoregressive_net, spline_count(source)
        tau, factor = polynomial_spline(degree)(source, net)
        # The widths alone are divided there.
        factors = np.repeat(np.where(np.arange(count) < source.num_bins.it, factor, 1.0), dim)
        return autoregressive(net, dim, count, tau, lambda last: last.times(factors))

    return rule


def autoregressive(source, dim, count, tau, change=lambda last: last):
    """change: what is done with the last layer once its outputs are sorted by parameters."""
    source.require("MADE" in source.type, f"{source.type} has no counterpart here")
    first, last, blocks = source.initial_layer, source.final_layer, list(source.blocks)
    normflows, conditional = source.library == "normflows", source.has("context_layer")
    residual = all(b.has("linear_layers") for b in blocks) if normflows else source.use_residual_blocks.it
    source.require(residual or not normflows, "blocks that are not residual have no counterpart here")
    order, degrees = np.argsort(array(last.degrees)[::count]), [array(first.degrees)]
    by_order = (np.arange(count)[:, None] * dim + order).ravel()
    layers = {"initial": layer(first).inputs(order)}
    layers["final"] = change(layer(last).by_parameter(count)).outputs(by_order)
    if conditional:
        layers["context"] = layer(source.context_layer)
    for i, block in enumerate(blocks):
        degrees.append(array(block.degrees))
        if residual:
            block.require(not block.use_batch_norm.it, "batch normalisation inside a masked residual block")
            layers.update({f"block{i}.linear{k}": layer(part) for k, part in enumerate(block.linear_layers)})
            if conditional:
                layers[f"block{i}.context"] = layer(block.context_layer)
        else:
            layers[f"layer{i}"] = _torch.fold(block.batch_norm, layer(block.linear))
    context_dim = layers["context"].weight.shape[1] if conditional else 0
    holders = [part for part in (source, *blocks) if part.has("activation")]
    name = _torch.one_activation([part.activation for part in holders])
    form = "gated" if normflows and conditional else "activated"
    net = pf.made(dim, count, degrees, layers, name, residual, context_dim, form)
    return pf.masked_autoregressive(net, tau, order)


# ---------------------------------------------------------------------------------------------------------- couplings


def coupling(transformer, by_parameter=False):
    """The rule of a coupling layer. by_parameter: the network's outputs are sorted by columns first."""

    def rule(source, dim):
        keep = np.isin(np.arange(dim), array(source.identity_features))
        changed = dim - int(keep.sum())
        count = spline_count(source) if by_parameter else 1
        tau, factor = transformer(source)
        factors = 1.0 if factor == 1 else factor if by_parameter else np.repeat([1.0, factor], changed)
        net = network(source.transform_net, lambda last: last.by_parameter(count).times(factors))
        part = pf.coupling(keep, net, tau)
        if not source.has("unconditional_transform"):
            return part
        # The columns that stay go through a map of their own once the network has seen them.
        own = transform(source.unconditional_transform, dim - changed)
        constant = pf.constant_net(changed, own.tensors["raw"])
        return pf.chain([pf.coupling(~keep, constant, own.parts["transformer"]), part])

    return rule


def affine(source, usual):
    """The transformer, and by what the raw scales are multiplied before they go into it."""
    if not source.has("scale_activation"):
        return usual, 1.0
    settings = scale_map(source.scale_activation)
    return pf.affine_transformer("data", **settings), settings["limit"] / 2 if settings["map"] == "tanh" else 1.0


def scale_map(source):
    """What a function is, by its values."""
    r = torch.linspace(-30, 30, 121, dtype=torch.float64)
    limit = float(torch.log(source.it(torch.tensor([60.0], dtype=torch.float64))))
    softplus, sigmoid = torch.nn.functional.softplus(r), torch.sigmoid(r)
    known = [
        ({"map": "exp"}, torch.exp(r)),
        ({"map": "sigmoid", "offset": 2.0, "floor": 1e-3}, torch.sigmoid(r + 2) + 1e-3),
        ({"map": "softplus", "floor": 1e-3}, softplus + 1e-3),
        ({"map": "softplus", "floor": 1e-3, "high": math.log(3)}, (softplus + 1e-3).clamp(0, 3)),
        ({"map": "tanh", "limit": limit}, torch.exp(2 * limit * (sigmoid - 0.5))),  # exp(limit tanh(r / 2))
    ]
    for settings, values in known:
        if torch.allclose(source.it(r), values, rtol=1e-12, atol=0):
            return settings
    raise source.cannot("a map of the scale that is not known here")


def sigmoid_scale(source):
    return affine(source, SIGMOID_SCALE)


def shift(source):
    return pf.inverted(pf.additive_transformer()), 1


def spline_of(source):
    return spline(source, source.transform_net), 1


def polynomial_of(degree):
    return lambda source: polynomial_spline(degree)(source, source.transform_net)


def network(source, change):
    """The network of a coupling, with a change to its last layer."""
    with blamed(source):
        return source.by_type(NETWORKS, change)


def residual_network(source, change):
    source.require(not source.has("preprocessing"), "periodic columns have no counterpart here")
    context_dim = source.context_features.it if source.has("context_features") else 0
    blocks = list(source.blocks)
    gates = [layer(block.context_layer) for block in blocks] if context_dim else []
    norms = [[norm(n) for n in block.batch_norm_layers] for block in blocks if block.use_batch_norm.it]
    return pf.residual_network(
        layer(source.initial_layer),
        [[layer(part) for part in block.linear_layers] for block in blocks],
        change(layer(source.final_layer)),
        _torch.one_activation([block.activation for block in blocks]),
        context_dim,
        gates,
        norms,
    )


def of_context(source, change):
    """sbi's network of a single column, which sees the context alone."""
    (*hidden, last), name = _torch.dense(source.spline_predictor)
    return pf.mlp([*hidden, change(last)], name, hidden[0].weight.shape[1])


def network_layers(source):
    """Layers and activation of a network that takes one argument."""
    if source.type != "MLP":
        return _torch.dense(source)
    source.require(not source._activate_output.it, "a network whose outputs go through the activation")
    layers = [layer(part) for part in (source._input_layer, *source._hidden_layers, source._output_layer)]
    return layers, activation(source._activation)


# -------------------------------------------------------------------------------------------------------------- rules

CUBIC = "cubic splines have no counterpart here"
FLOWS = {"Flow": flow}
BASES = {
    "StandardNormal": standard_normal,
    "DiagonalNormal": diagonal_normal,
    "ConditionalDiagonalNormal": conditional_diagonal_normal,
    "MADEMoG": "a mixture with weights by the columns before has no counterpart here",
}
TRANSFORMS = {
    "CompositeTransform": composite,
    "InverseTransform": inverse,
    "IdentityTransform": lambda source, dim: pf.identity(dim),
    "Permutation": permutation,
    "LULinear": lu_linear,
    "NaiveLinear": linear,
    "QRLinear": linear,
    "SVDLinear": linear,
    "OneByOneConvolution": "events with axes have no counterpart here",
    "HouseholderSequence": householder,
    "PointwiseAffineTransform": pointwise_affine,
    "ActNorm": act_norm,
    "BatchNorm": batch_norm,
    "Sigmoid": sigmoid,
    "Tanh": fixed("tanh"),
    "PiecewiseRationalQuadraticCDF": spline_cdf,
    "PiecewiseLinearCDF": polynomial_cdf(1),
    "PiecewiseQuadraticCDF": polynomial_cdf(2),
    "PiecewiseCubicCDF": CUBIC,
    "MaskedAffineAutoregressiveTransform": affine_autoregressive,
    "MaskedPiecewiseRationalQuadraticAutoregressiveTransform": spline_autoregressive,
    "MaskedPiecewiseLinearAutoregressiveTransform": polynomial_autoregressive(1),
    "MaskedPiecewiseQuadraticAutoregressiveTransform": polynomial_autoregressive(2),
    "MaskedPiecewiseCubicAutoregressiveTransform": CUBIC,
    "AffineCouplingTransform": coupling(sigmoid_scale),
    "AdditiveCouplingTransform": coupling(shift),
    "PiecewiseRationalQuadraticCouplingTransform": coupling(spline_of, by_parameter=True),
    "PiecewiseLinearCouplingTransform": coupling(polynomial_of(1), by_parameter=True),
    "PiecewiseQuadraticCouplingTransform": coupling(polynomial_of(2), by_parameter=True),
    "PiecewiseCubicCouplingTransform": CUBIC,
    "MultiscaleCompositeTransform": "events with axes have no counterpart here",
}
NETWORKS = {
    "ResidualNet": residual_network,
    "ContextSplineMap": of_context,
    "ConvResidualNet": "convolutions have no counterpart here",
}
# normflows' names of its forks.
TRANSFORMS |= {
    "_Permutation": permutation,
    "_LULinear": lu_linear,
    "PiecewiseRationalQuadraticCoupling": coupling(spline_of, by_parameter=True),
    "MaskedPiecewiseRationalQuadraticAutoregressive": spline_autoregressive,
}
