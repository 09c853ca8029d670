"""zuko. Its transforms map data to base; rules give the bijector here, of base to data."""

import functools
import math

import numpy as np

from . import _masked, _torch, _torch_distributions
from . import _parts as pf
from ._flow import Flow
from ._source import Source, blamed
from ._torch import array, layer


def read(flow):
    source = Source(flow)
    source.require(
        hasattr(flow, "parameters"), "a distribution that a flow gave for a context: convert the flow itself"
    )
    source = Source(_torch.double(flow))
    with blamed(source), _torch.in_double():
        model = distribution(source)

    return Flow(model, density(source.it))


def density(flow):
    return _torch.density(flow, lambda rows, context: flow(context).log_prob(rows))


def distribution(source):
    with blamed(source):
        return source.by_type(DISTRIBUTIONS)


def transform(source, dim):
    with blamed(source):
        return source.by_type(TRANSFORMS, dim)


# ------------------------------------------------------------------------------------------------------- distributions


def flow(source):
    base = distribution(source.base)
    return pf.transformed(base, transform(source.transform, pf.dim(base)))


def unconditional(source):
    """A distribution that torch or zuko makes of tensors."""
    made = source.it()
    return _torch_distributions.distribution(Source(made, source.path))


def mixture(source):
    source.require(not source.has("hyper"), "a mixture whose parts depend on the context has no counterpart here")
    made = source.it()
    parts = _torch_distributions.rows(Source(made.base, source.path))
    return pf.mixture(array(source.phi[0]), parts)


# ------------------------------------------------------------------------------------------------------------ bijectors


def composed(source, dim):
    return pf.chain([transform(part, dim) for part in reversed(list(source.transforms))])


def inverse(source, dim):
    return pf.invert(transform(source.transform, dim))


def fixed(source, dim):
    """A transform of zuko's or torch's that is made of tensors."""
    return pf.invert(_torch_distributions.transform(Source(source.it(), source.path), dim))


def elementwise(source, dim):
    count = source.total.it
    tau = univariate(source)
    if not source.has("hyper"):
        raw = np.concatenate([array(phi).reshape(dim, -1) for phi in source.phi], axis=1)
        return pf.elementwise(raw, tau)
    layers, name = _torch.dense(source.hyper)
    return pf.conditional_elementwise(dim, pf.mlp([*layers[:-1], layers[-1].by_parameter(count)], name), tau)


def coupling(source, dim):
    keep, count = array(source.mask), source.total.it
    layers, name = _torch.dense(source.hyper)
    context_dim = layers[0].weight.shape[1] - int(keep.sum())
    net = pf.mlp([*layers[:-1], layers[-1].by_parameter(count)], name, context_dim)
    return pf.coupling(keep, net, univariate(source))


def autoregressive(source, dim):
    hyper, count, tau = source.hyper, source.total.it, univariate(source)
    blocks = [part for part in hyper if part.type == "Residual"]
    if not blocks:
        layers, name = _torch.dense(hyper)
        layers[-1] = layers[-1].by_parameter(count)
        return _masked.autoregressive(layers, dim, count, tau, name)
    first, *between, last = [part for part in hyper if part.type != "Residual"]
    hyper.require(not between, "residual blocks of different widths have no counterpart here")
    name = _torch.one_activation([block[1] for block in blocks])
    pairs = [[layer(block[0]), layer(block[2])] for block in blocks]
    return _masked.residual(layer(first), pairs, layer(last).by_parameter(count), dim, count, tau, name)


# -------------------------------------------------------------------------------------------------------- transformers


def univariate(source):
    """The transformer of a lazy transform."""
    return constructor(source.univariate, source)


def constructor(make, source):
    """The transformer of a constructor of transforms, with what it was given besides its parameters."""
    settings = dict(make.it.keywords) if isinstance(make.it, functools.partial) else {}
    function = make.it.func if isinstance(make.it, functools.partial) else make.it
    name = getattr(function, "__name__", type(function).__name__)
    make.require(name in UNIVARIATE, f"{name} has no counterpart here")
    rule = UNIVARIATE[name]
    if isinstance(rule, str):
        raise make.cannot(f"{name}: {rule}")
    return rule(source, **settings)


def spline(source, bound=5.0, slope=1e-3):
    return pf.spline(source.shapes[0].it[0], -bound, bound, "zuko", slope=slope)


def affine(source, slope=1e-3):
    return pf.affine_transformer("data", "soft_clip", limit=-math.log(slope))


def additive(source):
    return pf.inverted(pf.additive_transformer())


def inverted(source, univariate):
    """Of a transform that `to_zuko` made, as the next one."""
    return pf.inverted(constructor(Source(univariate, f"{source.path}.univariate"), source))


def exp_affine(source, bound=math.inf):
    return pf.inverted(pf.Part("affine_transformer", {"bound": bound}))


# ---------------------------------------------------------------------------------------------------------------- rules

DISTRIBUTIONS = {
    "Flow": flow,
    "UnconditionalDistribution": unconditional,
    "GMM": mixture,
}
TRANSFORMS = {
    "LazyComposedTransform": composed,
    "LazyInverse": inverse,
    "UnconditionalTransform": fixed,
    "ElementWiseTransform": elementwise,
    "GeneralCouplingTransform": coupling,
    "MaskedAutoregressiveTransform": autoregressive,
    "FFJTransform": "a flow in continuous time has no counterpart here",
    "FreeFormJacobianTransform": "a flow in continuous time has no counterpart here",
}
UNIVARIATE = {
    "MonotonicRQSTransform": spline,
    "MonotonicAffineTransform": affine,
    "AdditiveTransform": additive,
    "inverted": inverted,
    "exp_affine": exp_affine,
    "CircularRQSTransform": "its circular shift has no counterpart here",
    # Near to maps that are here, but not the same functions.
    "GaussianizationTransform": "its F is scaled by 1 - 1e-6, and GaussianizationTransformer's is not; fit gf instead",
    "UnconstrainedMonotonicTransform": "UmnnTransformer's integrand is straight between knots; fit unaf instead",
    "MNN": "MonotoneNetworkTransformer has other weights of its signals; fit naf instead",
    "UMNN": "UmnnTransformer's integrand is straight between knots; fit unaf instead",
    "SOSPolynomialTransform": "the soft clips between its layers leave out part of the base; fit sospf instead",
    "ShiftedSOSPTransform": "the soft clips between its layers leave out part of the base; fit sospf instead",
    "BernsteinTransform": "BernsteinTransformer is evaluated up to its ends, this one to a millionth; fit bpf instead",
    "BoundedBernsteinTransform": "its coefficients are bounded otherwise than BernsteinTransformer's; fit bpf instead",
}
