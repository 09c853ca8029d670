"""Splines, masked networks, couplings and LU maps as nflows has them, and normflows in its forks: filled with ours."""

import math
from dataclasses import dataclass

import numpy as np

from . import _back
from ._back import fill, fill_layer, tensor


@dataclass
class Classes:
    """Those of a library."""

    spline_coupling: type
    spline_cdf: type
    residual_net: type


# ------------------------------------------------------------------------------------------------------------ splines


def settings(tau):
    """Of the constructors of splines."""
    bounded = tau["tails"] == "bounded"
    tau.require(
        bounded or tau["tails"] == "identity", f"splines whose tails are {tau['tails']} have no counterpart there"
    )
    _back.check_spline(tau, "nflows", (0, 1) if bounded else (-tau["high"], tau["high"]))
    return {name: tau[name] for name in ("min_bin_width", "min_bin_height", "min_derivative")} | {
        "num_bins": tau["bins"],
        "tails": None if bounded else "linear",
        "tail_bound": tau["high"],
    }


def count(tau):
    """Of the parameters of a column."""
    return 3 * tau["bins"] + (1 if tau["tails"] == "bounded" else -1)


def cdf(make, dim, tau, raw):
    """Columns with splines of their own. raw: parameter by parameter."""
    made, bins = make([dim], **settings(tau)), tau["bins"]
    columns = raw.reshape(-1, dim).T.copy()
    columns[:, : 2 * bins] *= tau["raw_scale"]
    names = ("unnormalized_widths", "unnormalized_heights", "unnormalized_derivatives")
    return fill(made, **dict(zip(names, np.split(columns, [bins, 2 * bins], axis=1))))


def scaled(layer, tau, width=1):
    """The last layer of a network, column by column. width: by its root raw widths and heights are divided there."""
    factor, parameters = tau["raw_scale"] * math.sqrt(width), count(tau)
    if not math.isclose(factor, 1, rel_tol=1e-15):
        factors = np.where(np.arange(parameters) < 2 * tau["bins"], factor, 1)
        layer = layer.times(np.repeat(factors, len(layer.bias) // parameters))
    return layer.by_column(parameters)


# -------------------------------------------------------------------------------------------------- masked networks


def made_settings(net, context_dim, form):
    """Of the constructors of what has a MADE. form: how the context goes in."""
    widths = {len(units) for units in _back.degrees(net)}
    net.require(len(widths) == 1, "hidden layers of different widths have no counterpart there")
    net.require(net["pre_activation"] or not net["residual"], "residual blocks begin with the activation there")
    net.require(net["context_dim"] == context_dim, "every network takes the context there, and this one does not")
    net.require(
        context_dim == 0 or net["context_form"] == form,
        f"the context goes in as context_form='{form}' there, and here as '{net['context_form']}'",
    )
    return {
        "features": net["dim"],
        "hidden_features": widths.pop(),
        "context_features": context_dim or None,
        "num_blocks": net["blocks"],
        "use_residual_blocks": net["residual"],
        "activation": _back.function(net["activation"]),
        "dropout_probability": net["dropout"],
    }


def fill_made(made, component, change):
    """With the network of an autoregressive map. change: sorts the last layer's outputs by columns."""
    net = component.child("net")
    _, place = _back.order_of(component)
    *layers, last = _back.masked(net)
    layers[0], last = layers[0].inputs(place), change(last)
    parameters = net["multiplier"]
    last = last.outputs((place[:, None] * parameters + np.arange(parameters)).ravel())
    linears, units = [made.initial_layer], _back.degrees(net)
    for block in made.blocks:
        linears += list(block.linear_layers) if net["residual"] else [block.linear]
    for i, (linear, layer) in enumerate(zip(linears, layers)):
        fill_layer(linear, layer)
        linear.degrees.copy_(tensor(units[0 if net["residual"] else i]))
    fill_layer(made.final_layer, last)
    made.final_layer.degrees.copy_(tensor(np.repeat(place + 1, parameters)))
    if net["context_dim"]:
        fill_layer(made.context_layer, net.layer("context"))
        for i, block in enumerate(made.blocks if net["residual"] else ()):
            fill_layer(block.context_layer, net.layer(f"block{i}.context"))


def swapped(layer):
    """Scale and shift for each column, of the shifts and then the scales of all."""
    return layer.outputs(np.arange(len(layer.bias)).reshape(2, -1)[::-1].ravel()).by_column(2)


# ---------------------------------------------------------------------------------------------------------- couplings


def mask(component):
    """Above 0 for what changes."""
    component.not_bounded()
    component.require(component["mask"].any(), "a coupling in which no column stays has no counterpart there")
    return tensor((component["mask"] == 0).astype(int))


def coupling(classes, component, context_dim, own=None):
    """own: the coupling that follows, of the columns that this one keeps, by splines that depend on nothing."""
    tau = component.child("transformer")
    made = classes.spline_coupling(
        mask(component),
        network(classes, component, context_dim, lambda last: scaled(last, tau, component.child("net")["hidden"])),
        **settings(tau),
    )
    if own is not None:
        raw = own.child("net").tensor("value")
        made.unconditional_transform = cdf(
            classes.spline_cdf, made.num_identity_features, own.child("transformer"), raw
        )
    return made


def of_the_kept(first, second):
    """Whether the second step is one of the columns that the first one keeps, and can be its `own`."""
    return (
        all(step.type == "coupling" and not turned for step, turned in (first, second))
        and all(is_spline(step) for step, _ in (first, second))
        and second[0].child("net").type == "constant"
        and ((first[0]["mask"] == 0) == (second[0]["mask"] != 0)).all()
    )


def is_spline(component):
    tau = component.child("transformer")
    tau.require(
        tau.type != "polynomial_spline_transformer",
        "splines of lines and parabolas come from nflows, and have no way back",
    )
    return tau.type == "rational_quadratic_transformer"


def network(classes, component, context_dim, change=lambda last: last):
    """What makes the network of a coupling. change: of its last layer."""
    net = component.child("net")
    net.require(
        net.type != "constant", "columns that depend on nothing are there beside a coupling of the others alone"
    )
    net.require(
        net.type == "residual_network",
        f"networks of couplings are residual ones there, and this is {net.type}: build it with residual=True",
    )
    net.require(net["context_dim"] == context_dim, "every network takes the context there, and this one does not")

    def create(inputs, outputs):
        made = classes.residual_net(
            inputs,
            outputs,
            net["hidden"],
            context_features=context_dim or None,
            num_blocks=net["blocks"],
            activation=_back.function(net["activation"]),
            dropout_probability=net["dropout"],
            use_batch_norm=net["batch_norm"],
        )
        fill_layer(made.initial_layer, net.layer("initial"))
        fill_layer(made.final_layer, change(net.layer("final")))
        for i, block in enumerate(made.blocks):
            for k, linear in enumerate(block.linear_layers):
                fill_layer(linear, net.layer(f"block{i}.linear{k}"))
            if context_dim:
                fill_layer(block.context_layer, net.layer(f"block{i}.context"))
            for k, norm in enumerate(block.batch_norm_layers if net["batch_norm"] else ()):
                fill(norm, **{there: net.tensor(f"block{i}.norm{k}.{here}") for here, there in NORM.items()})
        return made

    return create


NORM = {"moving_mean": "running_mean", "moving_variance": "running_var", "gamma": "weight", "beta": "bias"}


# --------------------------------------------------------------------------------------------------------------- others


def fill_lu(made, component):
    dim = component["dim"]
    return fill(
        made,
        lower_entries=component.tensor("lower")[np.tril_indices(dim, -1)],
        upper_entries=component.tensor("upper")[np.triu_indices(dim, 1)],
        unconstrained_upper_diag=component.tensor("raw_diagonal"),
        bias=component.tensor("bias"),
    )


def base_of_context(make, component, turned):
    """Mean and scale from the context: an elementwise map here, a base there. None if the component is no such map."""
    if component.type != "elementwise" or not component["conditional"] or turned:
        return None
    tau = component.child("transformer")
    if tau.type != "affine_transformer" or (tau["bound"], tau["tail"]) != (math.inf, math.inf):
        return None
    component.not_bounded()
    return make(component["dim"], *_back.dense(component.child("net")))


def is_standard(base):
    """Whether it is a standard normal that is not learned."""
    constant = base.type == "multivariate_normal_diag" and not base["trainable"]
    return constant and not base.tensor("loc").any() and not base.tensor("log_scale").any()


def base_and_maps(model, rules, inverse, context_dim, pairs, normal_of_context, bases):
    """The library's base, and its maps of data to base."""
    base, steps = _back.split(model)
    distribution = None
    if steps and is_standard(base):
        distribution = base_of_context(normal_of_context, *steps[-1])
        steps = steps[:-1] if distribution else steps
    return distribution or base.by_type(bases), _back.maps(steps, rules, inverse, context_dim, pairs=pairs)
