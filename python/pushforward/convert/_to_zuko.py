"""Flows of ours as flows of zuko. Its transforms map data to base."""

import functools
import math

import numpy as np
import torch
import zuko
from torch.distributions import transforms as tt
from zuko.flows import ElementWiseTransform, GeneralCouplingTransform, MaskedAutoregressiveTransform
from zuko.lazy import Flow, LazyComposedTransform, UnconditionalDistribution, UnconditionalTransform

from . import _back
from . import _parts as pf
from ._back import fill_layer, fixed, tensor


def write(model, context_dim):
    base, steps = _back.split(model)
    made = base.by_type(DISTRIBUTIONS)
    if not steps and base.type == "mixture":
        return made
    transforms = _back.maps(steps, TRANSFORMS, lambda transform: transform.inv, context_dim)
    return Flow(transforms or [UnconditionalTransform(zuko.transforms.IdentityTransform)], made)


# ------------------------------------------------------------------------------------------------------- distributions


def normal(base):
    loc, scale = tensor(base.tensor("loc")), tensor(np.exp(base.tensor("log_scale")))
    learned = base.type == "normal" or base["trainable"]
    return UnconditionalDistribution(zuko.distributions.DiagNormal, loc=loc, scale=scale, buffer=not learned)


def normal_tril(base):
    scale = np.tril(base.tensor("lower"), -1) + np.diag(np.exp(base.tensor("log_diagonal")))
    return UnconditionalDistribution(
        torch.distributions.MultivariateNormal, tensor(base.tensor("loc")), scale_tril=tensor(scale)
    )


def uniform(base):
    return UnconditionalDistribution(
        zuko.distributions.BoxUniform, tensor(base["low"]), tensor(base["high"]), buffer=True
    )


def mixture(base):
    parts = base.children()
    types = {part.type for part in parts}
    full = types == {"multivariate_normal_tril"}
    base.require(full or types == {"normal"}, f"a mixture of {', '.join(sorted(types))} has no counterpart there")
    dim = parts[0]["dim"]
    log_scale = np.array([part.tensor("log_diagonal" if full else "log_scale") for part in parts])
    gmm = zuko.mixtures.GMM(dim, components=len(parts), covariance_type="full" if full else "diagonal")
    if (np.exp(log_scale) <= gmm.epsilon).any():
        gmm.epsilon = 0.0
    phi = [
        base.tensor("logits"),
        [part.tensor("loc") for part in parts],
        np.log(np.exp(log_scale) - gmm.epsilon),
        *([[part.tensor("lower")[np.tril_indices(dim, -1)] for part in parts]] if full else []),
    ]
    for parameter, value in zip(gmm.phi, phi):
        parameter.copy_(tensor(value).reshape(parameter.shape))
    return gmm


# ----------------------------------------------------------------------------------------------- transforms of networks


def coupling(component, context_dim):
    component.not_bounded()
    keep, net = component["mask"] != 0, component.child("net")
    if not keep.any():
        return by_columns(component, len(keep), net, context_dim)
    univariate, shapes, count = transformer(component.child("transformer"))
    layers, name = _back.dense(net, context_dim)
    layers = [*layers[:-1], layers[-1].by_column(count)]
    made = GeneralCouplingTransform(
        len(keep), context_dim, keep, univariate, shapes, hidden_features=hidden(layers), activation=_back.MODULES[name]
    )
    return filled(made, layers, net), False


def elementwise(component, context_dim):
    component.not_bounded()
    if component["conditional"]:
        net = component.child("net")
    else:
        net = _back.Component(pf.constant_net(0, component.tensor("raw")), component.path)
    made, to_data = by_columns(component, component["dim"], net, context_dim)
    return made if component["trainable"] else fixed(made), to_data


def by_columns(component, dim, net, context_dim):
    """Columns whose parameters depend on the context alone, or on nothing."""
    univariate, shapes, count = transformer(component.child("transformer"))
    if context_dim == 0:
        made = ElementWiseTransform(dim, 0, univariate, shapes)
        raw, ends = net.tensor("value").reshape(count, dim).T, np.cumsum([math.prod(shape) for shape in shapes])
        for phi, values in zip(made.phi, np.split(raw, ends[:-1], axis=1)):
            phi.copy_(tensor(values).reshape(phi.shape))
        return made, False
    layers, name = _back.dense(net, 0 if component["conditional"] else context_dim)
    layers = [*layers[:-1], layers[-1].by_column(count)]
    made = ElementWiseTransform(
        dim, context_dim, univariate, shapes, hidden_features=hidden(layers), activation=_back.MODULES[name]
    )
    return filled(made, layers, net), False


def hidden(layers):
    return [len(layer.bias) for layer in layers[:-1]]


def filled(made, layers, net):
    """With the layers in its network. What depends on nothing stays so."""
    for linear, layer in zip((part for part in made.hyper.modules() if hasattr(part, "weight")), layers):
        fill_layer(linear, layer)
        if net.type == "constant":
            linear.weight.requires_grad_(False)
    return made


def autoregressive(component, context_dim):
    component.not_bounded()
    net = component.child("net")
    univariate, shapes, count = transformer(component.child("transformer"))
    dim, residual, given = net["dim"], net["residual"], net["context_dim"]
    net.require(
        dim > 1, "a MADE of one column has no counterpart there: take Elementwise with a network of the context"
    )
    net.require(
        given == 0 or net["context_form"] == "linear",
        "the context goes into the first layer as it is there, not through an activation: context_form='linear'",
    )
    net.require(
        not residual or not net["pre_activation"], "blocks begin with a layer there: build it with residual=False"
    )
    order, place = _back.order_of(component)
    by_column = (np.arange(count) * dim + place[:, None]).ravel()
    layers = _back.masked(net)
    layers[0], layers[-1] = layers[0].inputs(place), layers[-1].outputs(by_column)
    layers[0] = with_context(layers[0], net, given, context_dim)
    name = net["activation"]
    if not residual:
        layers = _back.without_hidden(layers, name)
    made = MaskedAutoregressiveTransform(
        dim,
        context_dim,
        order=torch.from_numpy(place.copy()),
        univariate=univariate,
        shapes=shapes,
        hidden_features=[net["hidden_degrees"].size] * net["blocks"] if residual else hidden(layers),
        activation=_back.MODULES[name],
        residual=residual,
    )
    return filled(made, layers, net), False


def with_context(first, net, given, context_dim):
    """The first layer, which takes the context too."""
    if context_dim == 0:
        return first
    weight, bias = np.zeros((len(first.bias), context_dim)), first.bias
    if given:
        weight, bias = net.tensor("context.weight"), bias + net.tensor("context.bias")
    mask = np.hstack([first.mask, np.ones(weight.shape, bool)])
    return pf.Layer(np.hstack([first.weight, weight]), bias, mask)


# -------------------------------------------------------------------------------------------------------- transformers


def transformer(component):
    """Their constructor of the map of data to base, the shapes of its parameters, and their number."""
    turned = component.type == "inverted_transformer"
    inner = component.child("transformer") if turned else component
    univariate, shapes, to_data = inner.by_type(TRANSFORMERS)
    if to_data != turned:
        univariate = functools.partial(inverted, univariate=univariate)
    return univariate, shapes, sum(math.prod(shape) for shape in shapes)


def inverted(*parameters, univariate):
    return univariate(*parameters).inv


def exp_affine(shift, raw, bound=math.inf):
    """y = exp(s) x + shift with s = bound tanh(raw / bound)."""
    return tt.AffineTransform(shift, torch.exp(raw if bound == math.inf else bound * torch.tanh(raw / bound)))


def affine(component):
    component.require(
        component["tail"] == math.inf, "affine maps have no tails there: build it with tail=inf before training"
    )
    return exp_affine_of(component["bound"]), [(), ()], True


def exp_affine_of(bound):
    return exp_affine if bound == math.inf else functools.partial(exp_affine, bound=bound)


def scaled_affine(component):
    map, limit = component["map"], component["limit"]
    usual = (component["offset"], component["low"], component["high"]) == (0, -math.inf, math.inf)
    component.require(usual and map in ("exp", "tanh", "soft_clip"), f"scales by {map} have no counterpart there")
    if map != "soft_clip" or limit == math.inf:
        return exp_affine_of(limit if map == "tanh" else math.inf), [(), ()], True
    slope = math.exp(-limit)
    rounded = float(f"{slope:.12g}")
    slope = rounded if -math.log(rounded) == limit else slope
    affine = zuko.transforms.MonotonicAffineTransform
    return affine if slope == 1e-3 else functools.partial(affine, slope=slope), [(), ()], True


def additive(component):
    component.require(component["bound"] == math.inf, "shifts have no bound there: build it with shift_bound=inf")
    return zuko.transforms.AdditiveTransform, [()], True


def spline(component):
    component.require(component["tails"] == "identity", "splines are the identity outside their interval there")
    _back.check_spline(component, "zuko", (-component["high"], component["high"]))
    bins, settings = component["bins"], {"slope": component["slope"]}
    if component["high"] != 5:
        settings["bound"] = component["high"]
    univariate = functools.partial(zuko.transforms.MonotonicRQSTransform, **settings)
    return univariate, [(bins,), (bins,), (bins - 1,)], False


# ------------------------------------------------------------------------------------------------ transforms of tensors


def permutation(component, context_dim):
    order = tensor(np.argsort(component["permutation"]))
    return UnconditionalTransform(zuko.transforms.PermutationTransform, order, buffer=True), False


def lu_linear(component, context_dim):
    """Theirs has the diagonal in the lower factor."""
    lower, upper = np.tril(component.tensor("lower"), -1), np.triu(component.tensor("upper"), 1)
    diagonal = np.logaddexp(0, component.tensor("raw_diagonal")) + component["floor"]
    if component["signs"] is not None:
        diagonal = diagonal * component["signs"]
    both = lower * diagonal + np.diag(diagonal) + upper / diagonal[:, None]
    return linear(both, component.tensor("bias")), True


def whiten(component, context_dim):
    both = np.tril(component.tensor("lower"), -1) + np.diag(component.tensor("diagonal"))
    return fixed(linear(both, np.zeros(len(both)))), True


def linear(both, bias):
    made = UnconditionalTransform(zuko.transforms.LULinearTransform, tensor(both))
    if not bias.any():
        return made
    return LazyComposedTransform(made, UnconditionalTransform(zuko.transforms.AdditiveTransform, tensor(bias)))


def affine_map(component, context_dim):
    return UnconditionalTransform(exp_affine, tensor(component.tensor("shift")), tensor(component.log_scale())), True


def standardize(component, context_dim):
    parameters = tensor(component.tensor("shift")), tensor(component.tensor("scale"))
    return UnconditionalTransform(tt.AffineTransform, *parameters, buffer=True), True


def scale(component, context_dim):
    scale = tensor(component["sign"] * np.exp(component.log_scale()))
    return UnconditionalTransform(tt.AffineTransform, torch.zeros_like(scale), scale), True


def shift(component, context_dim):
    return UnconditionalTransform(zuko.transforms.AdditiveTransform, tensor(component.tensor("shift"))), True


def sigmoid(component, context_dim):
    low, high = component["low"], component["high"]
    made = UnconditionalTransform(tt.SigmoidTransform)
    if not low.any() and (high == 1).all():
        return made, True
    stretch = UnconditionalTransform(tt.AffineTransform, tensor(low), tensor(high - low), buffer=True)
    return LazyComposedTransform(made, stretch), True


def column_supports(component, context_dim):
    bounds = tensor(component["low"]), tensor(component["high"])
    sides = {name: tuple(component[f"bounded_{name}"].tolist()) for name in ("below", "above")}
    return UnconditionalTransform(by_support, *bounds, buffer=True, **sides), True


def by_support(low, high, below, above):
    """Each column from the real line to its interval."""
    return tt.CatTransform([of_support(*column) for column in zip(low, high, below, above)], dim=-1)


def of_support(low, high, below, above):
    if below and above:
        return tt.ComposeTransform([tt.SigmoidTransform(), tt.AffineTransform(low, high - low)])
    if below:
        return tt.ComposeTransform([tt.SoftplusTransform(), tt.AffineTransform(low, 1)])
    if above:
        return tt.ComposeTransform([tt.AffineTransform(0, -1), tt.SoftplusTransform(), tt.AffineTransform(high, -1)])
    return tt.identity_transform


def of(transform):
    return lambda component, context_dim: (UnconditionalTransform(transform), True)


# ---------------------------------------------------------------------------------------------------------------- rules

DISTRIBUTIONS = {
    "normal": normal,
    "multivariate_normal_diag": normal,
    "multivariate_normal_tril": normal_tril,
    "uniform": uniform,
    "mixture": mixture,
    **_back.OTHER_BASES,
}
TRANSFORMS = {
    "coupling": coupling,
    "elementwise": elementwise,
    "masked_autoregressive": autoregressive,
    "permute": permutation,
    "lu_linear": lu_linear,
    "whiten": whiten,
    "affine": affine_map,
    "act_norm": affine_map,
    "standardize": standardize,
    "scale": scale,
    "shift": shift,
    "sigmoid": sigmoid,
    "column_supports": column_supports,
    "exp": of(tt.ExpTransform),
    "softplus": of(tt.SoftplusTransform),
    "tanh": of(tt.TanhTransform),
    "batch_normalization": "zuko has no batch normalization: build it without batch_norm",
}
TRANSFORMERS = {
    "affine_transformer": affine,
    "scaled_affine_transformer": scaled_affine,
    "additive_transformer": additive,
    "rational_quadratic_transformer": spline,
}
