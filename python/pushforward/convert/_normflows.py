"""normflows, which has forks of nflows' splines and networks. Its flows map base to data, as here."""

import numpy as np
import torch

from . import _nflows, _torch
from . import _parts as pf
from ._flow import Flow
from ._source import Source, blamed
from ._torch import array


def read(flow):
    source = Source(_torch.double(flow))
    with blamed(source), _torch.in_double():
        model = source.by_type(MODELS)

    return Flow(model, density(source.it))


def density(flow):
    def log_prob(rows, context):
        return flow.log_prob(rows) if context is None else flow.log_prob(rows, context)

    return _torch.density(flow, log_prob)


def model(source):
    with blamed(source.q0):
        base = source.q0.by_type(BASES)
    dim = pf.dim(base)
    return pf.transformed(base, pf.chain([flow(part, dim) for part in source.flows]))


def flow(source, dim):
    with blamed(source):
        return source.by_type(FLOWS, dim)


# ------------------------------------------------------------------------------------------------------- distributions


def diagonal_gaussian(source):
    source.require(len(source.shape) == 1, f"events of the shape {source.shape.it}: only rows have a counterpart here")
    temperature = source.temperature.it or 1.0
    return pf.normal_of_log(array(source.loc), array(source.log_scale) + np.log(temperature))


def conditional_diagonal_gaussian(source):
    dim = source.shape[0].it
    layers, name = network(source.context_encoder)
    net = pf.mlp(layers, name)
    return pf.transformed(pf.standard_normal(dim), pf.conditional_elementwise(dim, net, pf.affine_transformer("base")))


def mixture(source):
    loc, log_scale = (array(a)[0] for a in (source.loc, source.log_scale))
    parts = [pf.normal_of_log(*pair) for pair in zip(loc, log_scale)]
    return pf.mixture(array(source.weight_scores)[0], parts)


# --------------------------------------------------------------------------------------------------------------- flows


def of_nflows(name):
    """What is a transform of data to base inside."""
    return lambda source, dim: _nflows.transform(getattr(source, name), dim)


def lu_linear_permute(source, dim):
    return pf.chain([_nflows.transform(source.linear, dim), _nflows.transform(source.permutation, dim)])


def invertible_affine(source, dim):
    matrix = array(source.it._assemble_W()) if source.use_lu.it else array(source.W)
    return pf.invert(pf.linear(matrix.T, np.zeros(dim)))


def permute(source, dim):
    if source.mode.it == "shuffle":
        return pf.permute(array(source.perm))
    half = dim // 2
    return pf.permute(np.append(np.arange(half, dim), np.arange(half)))


def affine_constant(source, dim):
    if source.has("data_dep_init_done"):
        source.require(float(array(source.data_dep_init_done)) > 0, "ActNorm that has seen no data yet")
        return pf.act_norm(array(source.t), array(source.s))
    return pf.affine(array(source.t), array(source.s))


def affine_autoregressive(source, dim):
    """The network sees the base side."""
    swap = np.arange(2 * dim).reshape(2, dim)[::-1].ravel()  # theirs are scale and shift
    part = _nflows.autoregressive(
        source.autoregressive_net, dim, 2, AUTOREGRESSIVE_SCALE, lambda last: last.outputs(swap)
    )
    return pf.invert(part)


def splits(dim):
    """The columns that stay, by the names of the modes."""
    columns = np.arange(dim)
    return {
        "channel": columns < (dim + 1) // 2,
        "channel_inv": columns >= (dim + 1) // 2,
        "checkerboard": columns % 2 == 1,
        "checkerboard_inv": columns % 2 == 0,
    }


def coupling_block(source, dim):
    split, inner = source.flows[0], source.flows[1]
    modes = splits(dim)
    split.require(split.mode.it in modes, f"the split {split.mode.it!r} has no counterpart here")
    keep = modes[split.mode.it]
    changed = dim - int(keep.sum())
    layers, name = network(inner.param_map)
    if not inner.scale.it:
        return pf.coupling(keep, pf.mlp(layers, name), pf.additive_transformer())
    *hidden, last = layers
    tau, change = SCALES[inner.scale_map.it]
    return pf.coupling(keep, pf.mlp([*hidden, change(last.by_parameter(2), changed)], name), tau)


def divided(last, changed):
    """Outputs 0, raw and shift: the shift comes after the division."""
    nothing = pf.Layer(np.zeros((changed, last.weight.shape[1])), np.zeros(changed))
    return pf.stacked([nothing, last.outputs(slice(changed, None)), last.outputs(slice(changed))])


def same(last, changed):
    return last


AUTOREGRESSIVE_SCALE = _nflows.SIGMOID_SCALE
SCALES = {
    "exp": (pf.affine_transformer("base"), same),
    "sigmoid_inv": (pf.affine_transformer("base", "sigmoid", offset=2.0), same),
    "sigmoid": (
        pf.composed([pf.affine_transformer("data", "sigmoid", offset=2.0), pf.additive_transformer()]),
        divided,
    ),
}


def masked_affine(source, dim):
    keep = array(source.b).ravel() > 0
    nets = [getattr(source, name) for name in ("t", "s")]
    given = [network(net) for net in nets if net.it is not torch.zeros_like]
    source.require(given, "neither a shift nor a scale")
    names = {name for _, name in given}
    source.require(len(names) == 1, "networks of shift and scale with different activations")
    layers = [layers for layers, _ in given]
    change, stay = np.flatnonzero(~keep), np.flatnonzero(keep)
    for i, one in enumerate(layers):
        layers[i] = [*one[:-1], one[-1].outputs(change)]
    together = pf.side_by_side(layers)
    if len(given) < 2:
        nothing = pf.Layer(np.zeros_like(together[-1].weight), np.zeros(len(change)))
        both = [together[-1], nothing] if nets[1].it is torch.zeros_like else [nothing, together[-1]]
        together[-1] = pf.stacked(both)
    together[0] = together[0].inputs(stay)
    return pf.coupling(keep, pf.mlp(together, names.pop()), pf.affine_transformer("base"))


def network(source):
    with blamed(source):
        return _torch.dense(source.net if source.type == "MLP" else source)


def reverse(source, dim):
    return pf.invert(flow(source.flow, dim))


# --------------------------------------------------------------------------------------------------------------- rules

AXES = "events with axes have no counterpart here"
MODELS = {
    "NormalizingFlow": model,
    "ClassCondFlow": "a flow for each class has no counterpart here",
    "MultiscaleFlow": AXES,
    "NormalizingFlowVAE": "a variational autoencoder has no density",
}
BASES = {
    "DiagGaussian": diagonal_gaussian,
    "ConditionalDiagGaussian": conditional_diagonal_gaussian,
    "GaussianMixture": mixture,
}
FLOWS = {
    "CoupledRationalQuadraticSpline": of_nflows("prqct"),
    "AutoregressiveRationalQuadraticSpline": of_nflows("mprqat"),
    "CircularCoupledRationalQuadraticSpline": of_nflows("prqct"),
    "CircularAutoregressiveRationalQuadraticSpline": of_nflows("mprqat"),
    "MaskedAffineAutoregressive": affine_autoregressive,
    "AffineCouplingBlock": coupling_block,
    "MaskedAffineFlow": masked_affine,
    "AffineConstFlow": affine_constant,
    "LULinearPermute": lu_linear_permute,
    "InvertibleAffine": invertible_affine,
    "Permute": permute,
    "Reverse": reverse,
    "BatchNorm": "batch normalisation by the rows at hand alone is no density of a row",
    "Planar": "it has no inverse in closed form",
    "Radial": "it has no inverse in closed form",
    "Residual": "a residual flow has no counterpart here",
    "Invertible1x1Conv": AXES,
}
