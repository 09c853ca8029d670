"""Flows of ours as flows of normflows. Its flows map base to data; rules speak of their `inverse`, data to base."""

import normflows as nf
import numpy as np
from normflows.flows.neural_spline.autoregressive import MaskedPiecewiseRationalQuadraticAutoregressive
from normflows.flows.neural_spline.coupling import PiecewiseRationalQuadraticCDF, PiecewiseRationalQuadraticCoupling

from . import _back, _splines
from . import _parts as pf
from ._back import fill, fixed, tensor
from ._normflows import AUTOREGRESSIVE_SCALE, SCALES, splits


def write(model, context_dim):
    def inverse(flow):
        model.require(context_dim == 0, f"{type(flow).__name__} turned round takes no context there")
        return nf.flows.Reverse(flow)

    base, flows = _splines.base_and_maps(model, FLOWS, inverse, context_dim, pair, normal_of_context, BASES)
    make = nf.ConditionalNormalizingFlow if context_dim else nf.NormalizingFlow
    return make(base, flows[::-1])


# ------------------------------------------------------------------------------------------------------- distributions


def normal(base):
    made = nf.distributions.DiagGaussian(base["dim"], trainable=base.type == "normal" or base["trainable"])
    return fill(made, loc=base.tensor("loc"), log_scale=base.tensor("log_scale"))


def normal_of_context(dim, layers, activation):
    return nf.distributions.base.ConditionalDiagGaussian(dim, mlp(layers, activation))


def mixture(base):
    parts = base.children()
    base.require(all(part.type == "normal" for part in parts), "the parts of a mixture are independent normals there")
    made = nf.distributions.GaussianMixture(len(parts), parts[0]["dim"])
    loc, log_scale = (np.array([part.tensor(name) for part in parts]) for name in ("loc", "log_scale"))
    return fill(made, loc=loc, log_scale=log_scale, weight_scores=base.tensor("logits"))


# ----------------------------------------------------------------------------------------------- flows without networks


def permute(component, context_dim):
    permutation = component["permutation"]
    made = nf.flows.Permute(len(permutation))
    return fill(made, perm=permutation, inv_perm=np.argsort(permutation)), False


def lu_linear(component, context_dim):
    """Theirs is the other way round."""
    component.require(
        component["signs"] is None or not component.tensor("bias").any(), "its shift has no counterpart there"
    )
    if component["signs"] is not None:
        return signed(component), True
    return linear(component, np.arange(component["dim"])), True


def linear(component, permutation):
    made = nf.flows.LULinearPermute(component["dim"])
    fill(made.permutation, _permutation=permutation)
    made.linear.eps = component["floor"]
    _splines.fill_lu(made.linear, component)
    return made


def signed(component):
    """Rows times the transposed matrix (L U)' = (U' / d) (d L')."""
    size = np.logaddexp(0, component.tensor("raw_diagonal")) + component["floor"]
    diagonal = size * component["signs"]
    made = nf.flows.InvertibleAffine(component["dim"])
    fill(made, P=np.eye(len(size)), sign_S=component["signs"], log_S=np.log(size))
    lower = np.triu(component.tensor("upper"), 1).T / diagonal
    return fill(made, L=lower, U=diagonal[:, None] * np.tril(component.tensor("lower"), -1).T)


def affine(component, context_dim):
    s, t = component.log_scale(), component.tensor("shift")
    if context_dim:
        return diagonal(s, t), False
    make = nf.flows.ActNorm if component.type == "act_norm" else nf.flows.AffineConstFlow
    made = fill(make((component["dim"],)), s=s, t=t)
    if component.type == "act_norm":
        made.data_dep_init_done.fill_(1)
    return made, False


def standardize(component, context_dim):
    s, t = np.log(component.tensor("scale")), component.tensor("shift")
    if context_dim:
        return fixed(diagonal(s, t)), False
    return fill(nf.flows.AffineConstFlow((component["dim"],), scale=False, shift=False), s=s, t=t), False


def shift(component, context_dim):
    t = component.tensor("shift")
    if context_dim:
        return diagonal(np.zeros(len(t)), t), False
    return fill(nf.flows.AffineConstFlow((component["dim"],), scale=False), t=t), False


def diagonal(log_scale, shift):
    """The same in a conditional flow, where theirs takes no context: the linear map does."""
    size, nothing = np.exp(-log_scale), np.zeros((len(shift), len(shift)))
    part = pf.lu_linear(nothing, nothing, pf.inverse_softplus(size), -shift * size, 0.0)
    made = linear(_back.Component(part), np.arange(len(shift)))
    for name in ("lower_entries", "upper_entries"):
        getattr(made.linear, name).requires_grad_(False)
    return made


# -------------------------------------------------------------------------------------------------- flows with networks

CLASSES = _splines.Classes(PiecewiseRationalQuadraticCoupling, PiecewiseRationalQuadraticCDF, nf.nets.ResidualNet)


def autoregressive(component, context_dim):
    component.not_bounded()
    net, tau = component.child("net"), component.child("transformer")
    settings = _splines.made_settings(net, context_dim, "gated")
    net.require(net["residual"], "blocks are residual there: build it with residual=True")
    if _splines.is_spline(component):
        inner = MaskedPiecewiseRationalQuadraticAutoregressive(**settings, **_splines.settings(tau))
        _splines.fill_made(inner.autoregressive_net, component, lambda last: _splines.scaled(last, tau))
        made = nf.flows.AutoregressiveRationalQuadraticSpline(net["dim"], 1, 1)
        made.mprqat = inner
        return made, False
    tau.require(
        tau.part == AUTOREGRESSIVE_SCALE,
        "affine maps have the scale sigmoid(raw + 2) + 0.001, by a network of the base",
    )
    made = nf.flows.MaskedAffineAutoregressive(**settings)
    _splines.fill_made(made.autoregressive_net, component, _splines.swapped)
    return made, True


def spline_coupling(component, context_dim, own=None):
    made = nf.flows.CoupledRationalQuadraticSpline(2, 1, 1)
    made.prqct = _splines.coupling(CLASSES, component, context_dim, own)
    return made


def coupling(component, context_dim):
    if _splines.is_spline(component):
        return spline_coupling(component, context_dim), False
    component.require(context_dim == 0, "affine couplings take no context there")
    component.not_bounded()
    keep, tau = component["mask"] != 0, component.child("transformer")
    layers, name = _back.dense(component.child("net"))
    component.require(keep.any(), "a coupling in which no column stays has no counterpart there")
    mode = next((mode for mode, stay in splits(len(keep)).items() if (stay == keep).all()), None)
    if tau.part == pf.additive_transformer():
        if mode is None:
            return nf.flows.MaskedAffineFlow(tensor(1.0 * keep), t=mlp(of_all(layers, keep), name)), False
        return nf.flows.AffineCouplingBlock(mlp(layers, name), scale=False, split_mode=mode), False
    separate = masked_affine(keep, layers, name) if tau.part == pf.affine_transformer("base") else None
    if separate is not None:
        return separate, False
    component.require(mode is not None, "columns that stay are halves or every other one there")
    scale_map = next((scale_map for scale_map, (known, _) in SCALES.items() if tau.part == known), None)
    tau.require(
        scale_map is not None,
        "scales are exp(raw), sigmoid(raw + 2) or its inverse there: scale_bound=inf and tail=inf give exp(raw)",
    )
    last = layers[-1]
    if scale_map == "sigmoid":  # 0, raw and shift
        changed = len(last.bias) // 3
        first = last.outputs(slice(changed))
        tau.require(not first.weight.any() and not first.bias.any(), "a second shift has no counterpart there")
        last = last.outputs(np.r_[2 * changed : 3 * changed, changed : 2 * changed])
    net = mlp([*layers[:-1], last.by_column(2)], name)
    return nf.flows.AffineCouplingBlock(net, scale_map=scale_map, split_mode=mode), False


def masked_affine(keep, layers, name):
    """Where shifts and scales come from networks of their own, or one of them is 0; otherwise None."""
    half, last = len(layers[-1].bias) // 2, layers[-1]
    nets = {which: [*layers[:-1], last.outputs(part)] for which, part in (("t", slice(half)), ("s", slice(half, None)))}
    given = {which: net for which, net in nets.items() if net[-1].weight.any() or net[-1].bias.any()}
    if len(given) == 2:
        given = apart(*given.values())
    if given is None:
        return None
    return nf.flows.MaskedAffineFlow(
        tensor(1.0 * keep), **{which: mlp(of_all(net, keep), name) for which, net in given.items()}
    )


def apart(shifts, scales):
    """Two networks on the same hidden units, each with those alone that it uses; None if they share some."""
    ends = []
    for of_shift, of_scale in zip(used(shifts), used(scales)):
        middle = len(of_shift) // 2
        if of_shift[middle:].any() or of_scale[:middle].any():
            middle = 1 + np.flatnonzero(of_shift).max(initial=-1)
        if of_scale[:middle].any():
            return None
        ends.append(middle)
    return {
        "t": cut(shifts, [slice(end) for end in ends]),
        "s": cut(scales, [slice(end, None) for end in ends]),
    }


def cut(layers, units):
    whole = slice(None)
    return [layer.inputs(i).outputs(o) for layer, i, o in zip(layers, [whole, *units], [*units, whole])]


def used(layers):
    """Of each hidden layer, the units that the outputs depend on."""
    units = []
    for layer in reversed(layers[1:]):
        units.insert(0, layer.weight[units[0] if units else slice(None)].any(axis=0))
    return units


def of_all(layers, keep):
    """A network that takes all columns, and has an output for each."""
    first = np.zeros((len(layers[0].bias), len(keep)))
    first[:, keep] = layers[0].weight
    layers = [pf.Layer(first, layers[0].bias), *layers[1:]]
    last, rows = layers[-1], ~keep
    weight, bias = np.zeros((len(keep), last.weight.shape[1])), np.zeros(len(keep))
    weight[rows], bias[rows] = last.weight, last.bias
    return [*layers[:-1], pf.Layer(weight, bias)]


def mlp(layers, activation):
    """As normflows has it where it has the activation."""
    net = _back.sequential(layers, activation)
    slope = {"relu": 0.0, "leaky_relu": 0.01}.get(activation)
    if slope is None:
        return net
    made = nf.nets.MLP([layers[0].weight.shape[1], *(len(layer.bias) for layer in layers)], leaky=slope)
    made.net.load_state_dict(net.state_dict())
    return made


def pair(first, second, context_dim):
    """A permutation and a linear map, or a coupling and what it does with the columns that it keeps."""
    (one, _), (other, turned) = first, second
    if (one.type, other.type, turned) == ("permute", "lu_linear", True) and other["signs"] is None:
        return linear(other, np.argsort(one["permutation"]))
    if _splines.of_the_kept(first, second):
        return spline_coupling(one, context_dim, other)
    return None


# --------------------------------------------------------------------------------------------------------------- rules

BASES = {
    "multivariate_normal_diag": normal,
    "normal": normal,
    "mixture": mixture,
    **_back.OTHER_BASES,
}
FLOWS = {
    "permute": permute,
    "lu_linear": lu_linear,
    "affine": affine,
    "act_norm": affine,
    "standardize": standardize,
    "shift": shift,
    "masked_autoregressive": autoregressive,
    "coupling": coupling,
    "batch_normalization": "normflows normalises by the rows at hand: build it without batch_norm",
}
