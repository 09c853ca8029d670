"""Flows of ours as flows of nflows. Its transforms map data to base."""

import math

import numpy as np
import torch
from nflows import distributions as nd
from nflows import transforms as nf
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms.normalization import ActNorm, BatchNorm

from . import _back, _splines
from . import _parts as pf
from ._back import fill, fixed, tensor
from ._nflows import SIGMOID_SCALE, SOFTPLUS_SCALE


def write(model, context_dim):
    if model.type == "embedded_context":
        net = model.child("net")
        flow = write(model.child("inner"), net["outputs"])
        flow._embedding_net = _back.sequential(*_back.dense(net))
        return flow
    base, transforms = _splines.base_and_maps(
        model, TRANSFORMS, nf.InverseTransform, context_dim, pair, normal_of_context, BASES
    )
    return Flow(nf.CompositeTransform(transforms) if transforms else nf.IdentityTransform(), base)


# ------------------------------------------------------------------------------------------------------- distributions


def normal(base):
    if _splines.is_standard(base):
        return nd.StandardNormal([base["dim"]])
    made = fill(nd.DiagonalNormal([base["dim"]]), mean_=base.tensor("loc"), log_std_=base.tensor("log_scale"))
    return made if base.type == "normal" or base["trainable"] else fixed(made)


def normal_of_context(dim, layers, activation):
    return nd.ConditionalDiagonalNormal([dim], _back.sequential(layers, activation))


# ---------------------------------------------------------------------------------------- transforms without networks


def permutation(component, context_dim):
    return nf.Permutation(tensor(np.argsort(component["permutation"]))), False


def lu_linear(component, context_dim):
    made = _splines.fill_lu(nf.LULinear(component["dim"], eps=component["floor"]), component)
    return signed(made, component["signs"]), True


def signed(made, signs):
    """L U with signs on the diagonal of U is S (S L S) (S U), S being the signs: the signs last."""
    if signs is None or (signs > 0).all():
        return made
    i, k = np.tril_indices(len(signs), -1)
    made.lower_entries.mul_(tensor(1.0 * signs[i] * signs[k]))
    i, k = np.triu_indices(len(signs), 1)
    made.upper_entries.mul_(tensor(1.0 * signs[i]))
    made.bias.mul_(tensor(1.0 * signs))
    return nf.CompositeTransform([made, reflection(signs)])


def reflection(signs):
    """x_d times signs_d."""
    vectors = np.eye(len(signs))[signs < 0]
    made = nf.HouseholderSequence(len(signs), len(vectors))
    return fixed(fill(made, q_vectors=vectors))


def whiten(component, context_dim):
    diagonal = component.tensor("diagonal")
    part = pf.lu_linear(
        np.tril(component.tensor("lower"), -1) / diagonal,
        np.zeros((len(diagonal), len(diagonal))),
        pf.inverse_softplus(diagonal),
        np.zeros(len(diagonal)),
        0.0,
    )
    made, to_data = lu_linear(_back.Component(part, component.path), context_dim)
    return fixed(made), to_data


def affine(component, context_dim):
    return act_norm(component.tensor("shift"), component.log_scale()), True


def act_norm(shift, log_scale):
    made = fill(ActNorm(len(shift)), shift=shift, log_scale=log_scale)
    made.initialized.fill_(True)
    return made


def standardize(component, context_dim):
    return nf.PointwiseAffineTransform(tensor(component.tensor("shift")), tensor(component.tensor("scale"))), True


def scale(component, context_dim):
    made, signs = act_norm(np.zeros(component["dim"]), component.log_scale()), component["sign"]
    made.shift.requires_grad_(False)
    return (nf.CompositeTransform([made, reflection(signs)]) if (signs < 0).any() else made), True


def shift(component, context_dim):
    made = act_norm(component.tensor("shift"), np.zeros(component["dim"]))
    made.log_scale.requires_grad_(False)
    return made, True


def batch_norm(component, context_dim):
    """Of rows, by moving statistics when they are not trained."""
    dim, epsilon = int(component["input_shape"][-1]), component["epsilon"]
    component.require(
        len(component["input_shape"]) == 2 and not component["fused"] and component["center"] and component["scale"],
        "there it is that of rows, with beta and gamma",
    )
    name, maps = component["gamma_map"], {"identity": lambda g: g, "exp": np.exp, "relu_floor": relu_floor}
    if name == "softplus":
        raw = component.tensor("raw_gamma")
    else:
        gamma = maps[name](component.tensor({"identity": "gamma", "exp": "log_gamma"}.get(name, "raw_gamma")))
        component.require((gamma > epsilon).all(), "gamma is above epsilon there")
        raw = pf.inverse_softplus(gamma - epsilon)
    made = BatchNorm(dim, epsilon, round(1 - component["momentum"], 12))
    fill(made, unconstrained_weight=raw, bias=component.tensor("beta"))
    fill(made, running_mean=component.tensor("moving_mean"), running_var=component.tensor("moving_variance"))
    return made, False


def relu_floor(raw):
    return np.maximum(raw, 0) + 1e-6


def sigmoid(component, context_dim):
    """Theirs keeps away from the ends by eps; here it does not."""
    low, high = component["low"], component["high"]
    made = nf.Sigmoid(eps=torch.finfo(torch.get_default_dtype()).tiny)
    if not low.any() and (high == 1).all():
        return made, True
    return nf.CompositeTransform([made, nf.PointwiseAffineTransform(tensor(low), tensor(high - low))]), True


def elementwise(component, context_dim):
    component.not_bounded()
    component.require(
        _splines.is_spline(component) and not component["conditional"],
        "of columns by themselves only splines that do not depend on the context are there",
    )
    tau, raw = component.child("transformer"), component.tensor("raw")
    made = _splines.cdf(nf.PiecewiseRationalQuadraticCDF, component["dim"], tau, raw)
    return made if component["trainable"] else fixed(made), False


# --------------------------------------------------------------------------------------------- transforms with networks

CLASSES = _splines.Classes(
    nf.PiecewiseRationalQuadraticCouplingTransform, nf.PiecewiseRationalQuadraticCDF, ResidualNet
)


def autoregressive(component, context_dim):
    component.not_bounded()
    net, tau = component.child("net"), component.child("transformer")
    settings = _splines.made_settings(net, context_dim, "activated")
    if _splines.is_spline(component):
        make = nf.MaskedPiecewiseRationalQuadraticAutoregressiveTransform
        made, change = make(**settings, **_splines.settings(tau)), lambda last: _splines.scaled(last, tau)
    else:
        tau.require(
            tau.part == SOFTPLUS_SCALE, "affine maps have the scale softplus(raw) + 0.001 of data to base there"
        )
        made, change = nf.MaskedAffineAutoregressiveTransform(**settings), _splines.swapped
    _splines.fill_made(made.autoregressive_net, component, change)
    return made, False


def coupling(component, context_dim):
    if _splines.is_spline(component):
        return _splines.coupling(CLASSES, component, context_dim), False
    tau = component.child("transformer")
    turned = tau.type == "inverted_transformer"
    inner = tau.child("transformer") if turned else tau
    if inner.type == "additive_transformer":
        inner.require(inner["bound"] == math.inf, "shifts have no bound there: build it with shift_bound=inf")
        make = nf.AdditiveCouplingTransform
    else:
        tau.require(
            inner.part == SIGMOID_SCALE.parts["transformer"],
            "affine maps have the scale sigmoid(raw + 2) + 0.001 there",
        )
        make = nf.AffineCouplingTransform
    return make(_splines.mask(component), _splines.network(CLASSES, component, context_dim)), not turned


def pair(first, second, context_dim):
    """A coupling and what it does with the columns that it keeps."""
    if not _splines.of_the_kept(first, second):
        return None
    return _splines.coupling(CLASSES, first[0], context_dim, second[0])


# -------------------------------------------------------------------------------------------------------------- rules

BASES = {
    "multivariate_normal_diag": normal,
    "normal": normal,
    **_back.OTHER_BASES,
}
TRANSFORMS = {
    "permute": permutation,
    "lu_linear": lu_linear,
    "whiten": whiten,
    "affine": affine,
    "act_norm": affine,
    "standardize": standardize,
    "scale": scale,
    "shift": shift,
    "sigmoid": sigmoid,
    "tanh": lambda component, context_dim: (nf.Tanh(), True),
    "batch_normalization": batch_norm,
    "elementwise": elementwise,
    "masked_autoregressive": autoregressive,
    "coupling": coupling,
}
