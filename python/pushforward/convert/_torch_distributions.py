"""torch.distributions, and what is built of its classes. Its transforms map base to data, as here."""

import numpy as np

from . import _parts as pf
from . import _torch
from ._flow import Flow
from ._source import Source, blamed
from ._torch import array


def read(flow):
    source = Source(_torch.double(flow))
    with blamed(source), _torch.in_double():
        model = distribution(source)

    def log_prob(rows, context):
        with _torch.in_double():
            value = source.it.log_prob(_torch.tensor(rows))
        return value.reshape(len(rows), -1).sum(1).numpy()

    return Flow(model, log_prob)


# ------------------------------------------------------------------------------------------------------- distributions


def distribution(source):
    with blamed(source):
        return source.by_type(DISTRIBUTIONS)


def flat(source, tensor):
    """A parameter with a value for each column."""
    shape = source.it.batch_shape + source.it.event_shape
    source.require(len(shape) <= 1, f"a batch of distributions, of the shape {tuple(shape)}")
    return np.broadcast_to(array(tensor), shape or (1,)).astype(float)


def normal(source):
    return pf.normal(flat(source, source.loc), flat(source, source.scale))


def location_scale(type):
    return lambda source: pf.location_scale(type, flat(source, source.loc), flat(source, source.scale))


def student_t(source):
    df = np.log(flat(source, source.df))
    return pf.location_scale("student_t", flat(source, source.loc), flat(source, source.scale), log_df=df)


def normal_tril(source):
    return pf.normal_tril(flat(source, source.loc), array(source.scale_tril))


def uniform(source):
    return pf.uniform(flat(source, source.low), flat(source, source.high))


def gamma(source):
    return pf.of_logs("gamma", log_concentration=flat(source, source.concentration), log_rate=flat(source, source.rate))


def beta(source):
    a, b = flat(source, source.concentration1), flat(source, source.concentration0)
    return pf.of_logs("beta", log_concentration1=a, log_concentration0=b)


def independent(source):
    base = source.base_dist
    return distribution(base)


def transformed(source):
    base = distribution(source.base_dist)
    parts, dim = [], pf.dim(base)
    for part in source.transforms:
        parts.append(transform(part, dim))
        dim = pf.dim(parts[-1], dim)
    return pf.transformed(base, pf.chain(parts))


def mixture(source):
    logits = source.mixture_distribution.logits
    return pf.mixture(array(logits), rows(source.component_distribution))


def rows(source):
    """A batch of distributions, as a list."""
    source.require(len(source.it.batch_shape) == 1, f"a batch of the shape {tuple(source.it.batch_shape)}")
    if source.type in ("Independent", "DiagNormal"):
        loc, scale = source.base_dist.loc, source.base_dist.scale
        return [pf.normal(*pair) for pair in zip(array(loc), np.broadcast_to(array(scale), loc.it.shape))]
    if source.type == "MultivariateNormal":
        tril = np.broadcast_to(array(source.scale_tril), (*source.loc.it.shape, source.loc.it.shape[-1]))
        return [pf.normal_tril(*pair) for pair in zip(array(source.loc), tril)]
    raise source.cannot(f"a batch of {source.type} has no counterpart here")


# ----------------------------------------------------------------------------------------------------------- transforms


def transform(source, dim):
    with blamed(source):
        if source.library == "pyro":
            from . import _pyro  # which takes the other transforms from here

            return source.by_type({**TRANSFORMS, **_pyro.TRANSFORMS}, dim)
        return source.by_type(TRANSFORMS, dim)


def inverse(source, dim):
    return pf.invert(transform(source._inv, dim))


def compose(source, dim):
    parts = []
    for part in source.parts if source.has("parts") else source.transforms:
        parts.append(transform(part, dim))
        dim = pf.dim(parts[-1], dim)
    return pf.chain(parts)


def affine(source, dim):
    return pf.diagonal(*(np.broadcast_to(array(a), dim) for a in (source.loc, source.scale)))


def shift(source, dim):
    return pf.Part("shift", {"dim": dim}, {"shift": np.broadcast_to(array(source.shift), dim)})


def fixed(type):
    return lambda source, dim: pf.map_of(type, dim)


def sigmoid(source, dim):
    return pf.sigmoid(np.zeros(dim), np.ones(dim))


def permutation(source, dim):
    return pf.permute(array(source.order))


def rotation(source, dim):
    return pf.linear(array(source.R), np.zeros(dim))


def lu_linear(source, dim):
    lower, upper = array(source.L), array(source.U)
    size = np.diag(lower)
    return pf.triangular(lower / size, size[:, None] * upper, np.zeros(dim))


DISTRIBUTIONS = {
    "Normal": normal,
    "DiagNormal": independent,
    "BoxUniform": independent,
    "Laplace": location_scale("laplace"),
    "Cauchy": location_scale("cauchy"),
    "StudentT": student_t,
    "MultivariateNormal": normal_tril,
    "Uniform": uniform,
    "Gamma": gamma,
    "Beta": beta,
    "Independent": independent,
    "TransformedDistribution": transformed,
    "ConstantConditionalDistribution": independent,  # pyro's
    "MixtureSameFamily": mixture,
}
TRANSFORMS = {
    "ComposeTransform": compose,
    "ComposedTransform": compose,
    "_InverseTransform": inverse,
    "Inverse": inverse,  # what zuko calls it
    "IndependentTransform": lambda source, dim: transform(source.base_transform, dim),
    "AffineTransform": affine,
    "AdditiveTransform": shift,  # zuko's
    "ExpTransform": fixed("exp"),
    "SoftplusTransform": fixed("softplus"),
    "TanhTransform": fixed("tanh"),
    "SigmoidTransform": sigmoid,
    "StickBreakingTransform": lambda source, dim: pf.Part("stick_breaking", {"base_dim": dim}),
    "PermutationTransform": permutation,
    "RotationTransform": rotation,
    "LULinearTransform": lu_linear,
}
