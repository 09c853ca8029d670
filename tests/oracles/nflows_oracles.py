"""Oracle numbers from nflows: masked autoregressive and coupling transforms, batch norm, LU, activation norm, whole flows.

Everything is float64. In these files y is the data side and x the noise side, whatever nflows calls them:
  inverse_x, inverse_log_det   nflows `forward` (data to noise) at the rows "y"
  forward_y, forward_log_det   nflows `inverse` (noise to data) at the rows "x"
  round_trip_y                 nflows `inverse` of inverse_x
Weights are drawn here and rounded to 4 decimals, so that the text holds them exactly.
"""
import os
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore", message=".*triangular_solve.*")

import importlib.metadata
import numpy as np
import torch
from torch.nn import functional as F

from nflows.distributions.normal import StandardNormal
from nflows.flows.autoregressive import MaskedAutoregressiveFlow
from nflows.flows.realnvp import SimpleRealNVP
from nflows.nn.nets import ResidualNet
from nflows.transforms import (ActNorm, AdditiveCouplingTransform, AffineCouplingTransform, BatchNorm, LULinear,
                               MaskedAffineAutoregressiveTransform)

from oracle_io import save

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
MADE_BY = "tests/oracles/nflows_oracles.py"
VERSIONS = f"nflows {importlib.metadata.version('nflows')}, torch {torch.__version__.split('+')[0]}"
ROWS = 7
ACTIVATIONS = {"relu": F.relu, "tanh": torch.tanh}

MADE_SCALE = "scale = softplus(u_scale) + 1e-3; x = scale * y + u_shift; inverse_log_det = sum(log(scale))"
COUPLING_SCALE = "scale = sigmoid(u_scale + 2) + 1e-3; x = scale * y + u_shift; inverse_log_det = sum(log(scale))"


def rounded(rng, shape, scale=1.0):
    return torch.tensor(np.round(rng.normal(size=shape) * scale, 4))


def randomise(module, rng):
    """Every parameter drawn anew: nflows starts the last layer of a residual block near zero, which would hide mistakes."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            fan = p.shape[1] if p.dim() == 2 else 4
            p.copy_(rounded(rng, tuple(p.shape), 1.2 / np.sqrt(fan)))


def split_state(module, strip=""):
    """weights (float), masks (0/1) and degrees (integers), by nflows name."""
    weights, masks, degrees = {}, {}, {}
    for name, t in module.state_dict().items():
        name = name.removeprefix(strip)
        if name.endswith(".mask"):
            masks[name] = t.to(torch.int64)
        elif name.endswith(".degrees"):
            degrees[name] = t
        elif t.is_floating_point():
            weights[name] = t
    return weights, masks, degrees


def both_directions(transform, y, x, context=None):
    with torch.no_grad():
        inverse_x, inverse_log_det = transform.forward(y, context)
        forward_y, forward_log_det = transform.inverse(x, context)
        round_trip_y, _ = transform.inverse(inverse_x, context)
    assert torch.max(torch.abs(round_trip_y - y)) < 1e-10
    assert torch.max(torch.abs(inverse_log_det)) > 0.2 or isinstance(transform, AdditiveCouplingTransform)
    return {"inverse_x": inverse_x, "inverse_log_det": inverse_log_det, "forward_y": forward_y,
            "forward_log_det": forward_log_det, "round_trip_y": round_trip_y}


def made_case(residual, context_features, activation, seed):
    features, hidden, blocks = 5, 12, 2
    rng = np.random.default_rng(seed)
    t = MaskedAffineAutoregressiveTransform(features, hidden, context_features=context_features or None, num_blocks=blocks,
                                            use_residual_blocks=residual, activation=ACTIVATIONS[activation])
    randomise(t, rng)
    t.eval()
    y, x = rounded(rng, (ROWS, features)), rounded(rng, (ROWS, features))
    context = rounded(rng, (ROWS, context_features)) if context_features else None
    weights, masks, degrees = split_state(t, "autoregressive_net.")
    degrees["input.degrees"] = torch.arange(1, features + 1)
    with torch.no_grad():
        u_scale, u_shift = t._unconstrained_scale_and_shift(t.autoregressive_net(y, context))
    if residual:
        network = ("h = L(initial_layer)(y) [+ act(context_layer c + bias)]; per block: h = h + L1(act(L0(act(h)) [+ context_layer c + bias])); "
                   "out = L(final_layer)(h)")
    else:
        network = ("h = act(L(initial_layer)(y) [+ act(context_layer c + bias)]); per block: h = act(L(linear)(h)) (no context in blocks); "
                   "out = L(final_layer)(h)")
    content = {
        "source": f"{VERSIONS}, nflows.transforms.MaskedAffineAutoregressiveTransform (MADE)",
        "made_by": MADE_BY,
        "settings": {"features": features, "hidden_features": hidden, "num_blocks": blocks, "residual_blocks": residual,
                     "context_features": context_features, "activation": activation, "scale_formula": MADE_SCALE,
                     "scale_floor": 1e-3, "scale_map": "softplus", "network": network,
                     "masked_linear": "L(v) = (weight * mask) v + bias; stored weights are not masked",
                     "mask_rule": "hidden: out_degree >= in_degree; final: out_degree > in_degree",
                     "output_order": "final_layer row 2*i is u_scale of feature i, row 2*i + 1 its u_shift"},
        "weights": weights, "masks": masks, "degrees": degrees, "y": y, "x": x,
        "outputs": {"u_scale": u_scale, "u_shift": u_shift, **both_directions(t, y, x, context)},
    }
    if context is not None:
        content["context"] = context
    kind = "residual" if residual else "feedforward"
    save(f"nflows_made_{kind}_{activation}" + ("_context" if context_features else ""), content)


class ConcatMlp(torch.nn.Module):
    """A plain MLP of (identity half, context): the conditioner most libraries use."""

    def __init__(self, inputs, outputs, context_features, hidden, activation):
        super().__init__()
        self.layer0 = torch.nn.Linear(inputs + context_features, hidden)
        self.layer1 = torch.nn.Linear(hidden, hidden)
        self.layer2 = torch.nn.Linear(hidden, outputs)
        self.activation = activation

    def forward(self, h, context=None):
        if context is not None:
            h = torch.cat((h, context), dim=1)
        return self.layer2(self.activation(self.layer1(self.activation(self.layer0(h)))))


def coupling_case(name, affine, conditioner, activation, context_features, mask, seed):
    features, hidden, blocks = len(mask), 10, 2
    rng = np.random.default_rng(seed)
    act = ACTIVATIONS[activation]

    def create(inputs, outputs):
        if conditioner == "residual":
            return ResidualNet(inputs, outputs, hidden_features=hidden, context_features=context_features or None, num_blocks=blocks,
                               activation=act)
        return ConcatMlp(inputs, outputs, context_features, hidden, act)

    t = (AffineCouplingTransform if affine else AdditiveCouplingTransform)(torch.tensor(mask), create)
    randomise(t, rng)
    t.eval()
    y, x = rounded(rng, (ROWS, features)), rounded(rng, (ROWS, features))
    context = rounded(rng, (ROWS, context_features)) if context_features else None
    weights, _, _ = split_state(t, "transform_net.")
    with torch.no_grad():
        raw = t.transform_net(y[:, t.identity_features], context)
    n = len(t.transform_features)
    outputs = {"raw": raw, "u_shift": raw[:, :n], **both_directions(t, y, x, context)}
    if affine:
        outputs["u_scale"] = raw[:, n:]
    if conditioner == "residual":
        network = ("h = initial_layer([y_identity, c]); per block: r = linear_layers.1(act(linear_layers.0(act(h)))); with context "
                   "r = r * sigmoid(context_layer(c)); h = h + r; out = final_layer(h)")
    else:
        network = "out = layer2(act(layer1(act(layer0([y_identity, c])))))"
    content = {
        "source": f"{VERSIONS}, nflows.transforms.{type(t).__name__} with "
                  + ("nflows.nn.nets.ResidualNet" if conditioner == "residual" else "a torch.nn.Linear MLP of [identity half, context]"),
        "made_by": MADE_BY,
        "settings": {"features": features, "hidden_features": hidden, "context_features": context_features, "activation": activation,
                     "conditioner": conditioner, "num_blocks": blocks if conditioner == "residual" else None, "mask": mask,
                     "identity_features": t.identity_features, "transform_features": t.transform_features,
                     "scale_formula": COUPLING_SCALE if affine else "scale = 1; x = y + u_shift; inverse_log_det = 0",
                     "scale_floor": 1e-3 if affine else None, "scale_map": "sigmoid(u + 2)" if affine else "one",
                     "network": network,
                     "output_order": "first all u_shift in the order of transform_features, then all u_scale"},
        "weights": weights, "y": y, "x": x, "outputs": outputs,
    }
    if context is not None:
        content["context"] = context
    save(f"nflows_coupling_{name}", content)


def randomise_flow(flow, rng):
    randomise(flow, rng)
    with torch.no_grad():
        for m in flow.modules():
            if isinstance(m, BatchNorm):
                d = m.running_mean.numel()
                m.running_mean.copy_(rounded(rng, d, 0.5))
                m.running_var.copy_(torch.tensor(np.round(np.exp(rng.normal(size=d) * 0.5), 4)))


def flow_outputs(flow, y, x):
    with torch.no_grad():
        z, log_det = flow._transform(y)
        log_prob = flow.log_prob(y)
        base = flow._distribution.log_prob(z)
        data, data_log_det = flow._transform.inverse(x)
        steps, h = [], y
        for t in flow._transform._transforms:
            h, _ = t(h)
            steps.append(h)
        back, _ = flow._transform.inverse(z)
    assert torch.max(torch.abs(log_prob - base - log_det)) < 1e-12
    assert torch.max(torch.abs(back - y)) < 1e-9
    return {"inverse_x": z, "inverse_log_det": log_det, "base_log_prob": base, "log_prob": log_prob, "forward_y": data,
            "forward_log_det": data_log_det, "after_layer": steps}


STRIP = "_transform._transforms."


def real_nvp():
    features, hidden, layers, blocks = 5, 8, 4, 1
    rng = np.random.default_rng(301)
    flow = SimpleRealNVP(features, hidden, layers, blocks)
    randomise_flow(flow, rng)
    flow.eval()
    y, x = rounded(rng, (ROWS, features)), rounded(rng, (ROWS, features))
    weights, _, _ = split_state(flow, STRIP)
    described = [{"type": "affine_coupling", "identity_features": t.identity_features, "transform_features": t.transform_features}
                 for t in flow._transform._transforms]
    save("nflows_realnvp", {
        "source": f"{VERSIONS}, nflows.flows.realnvp.SimpleRealNVP", "made_by": MADE_BY,
        "settings": {"features": features, "hidden_features": hidden, "num_layers": layers, "num_blocks": blocks, "activation": "relu",
                     "layers": described, "layer_order": "data to noise: layers[0] is applied to y first", "base": "standard normal",
                     "scale_formula": COUPLING_SCALE, "conditioner": "residual",
                     "network": "h = initial_layer(y_identity); per block: h = h + linear_layers.1(relu(linear_layers.0(relu(h)))); out = final_layer(h)",
                     "output_order": "first all u_shift in the order of transform_features, then all u_scale",
                     "weight_names": "<layer>.transform_net.<name>"},
        "weights": weights, "y": y, "x": x, "outputs": flow_outputs(flow, y, x)})


def maf_model():
    features, hidden, layers, blocks = 5, 10, 3, 1
    rng = np.random.default_rng(302)
    flow = MaskedAutoregressiveFlow(features, hidden, layers, blocks, use_residual_blocks=False, activation=torch.tanh,
                                    batch_norm_between_layers=True)
    randomise_flow(flow, rng)
    y, x = rounded(rng, (ROWS, features)), rounded(rng, (ROWS, features))
    return flow, y, x, {"features": features, "hidden_features": hidden, "num_layers": layers, "num_blocks": blocks}


def maf():
    flow, y, x, sizes = maf_model()
    flow.eval()
    weights, masks, degrees = split_state(flow, STRIP)
    described = []
    for i, t in enumerate(flow._transform._transforms):
        name = type(t).__name__
        if name == "ReversePermutation":
            described.append({"type": "permutation", "index": weights.pop(f"{i}._permutation", t._permutation),
                              "rule": "out[:, j] = in[:, index[j]]"})
        elif name == "BatchNorm":
            described.append({"type": "batch_norm", "epsilon": t.eps, "momentum_of_new": t.momentum})
        else:
            described.append({"type": "masked_affine_autoregressive"})
    settings = {**sizes, "activation": "tanh", "residual_blocks": False, "layers": described, "base": "standard normal",
                "layer_order": "data to noise: layers[0] is applied to y first", "scale_formula": MADE_SCALE,
                "network": "h = act(L(initial_layer)(y)); per block: h = act(L(linear)(h)); out = L(final_layer)(h); L(v) = (weight * mask) v + bias",
                "output_order": "final_layer row 2*i is u_scale of feature i, row 2*i + 1 its u_shift",
                "batch_norm_formula": "gamma = softplus(unconstrained_weight) + epsilon; out = gamma * (in - running_mean) / sqrt(running_var + epsilon) + bias; "
                                      "inverse_log_det = sum(log(gamma) - 0.5 * log(running_var + epsilon))",
                "weight_names": "<layer>.autoregressive_net.<name> for the autoregressive layers, <layer>.<name> for batch norm"}
    gammas = {f"{i}.gamma": t.weight for i, t in enumerate(flow._transform._transforms) if isinstance(t, BatchNorm)}
    save("nflows_maf", {
        "source": f"{VERSIONS}, nflows.flows.autoregressive.MaskedAutoregressiveFlow with nflows.transforms.BatchNorm, eval mode",
        "made_by": MADE_BY, "settings": settings, "weights": weights, "masks": masks, "degrees": degrees, "y": y, "x": x,
        "outputs": {**flow_outputs(flow, y, x), "gammas": gammas}})


def maf_gradient():
    wanted = ["1.autoregressive_net.initial_layer.weight", "4.autoregressive_net.blocks.0.linear.weight",
              "7.autoregressive_net.final_layer.weight", "7.autoregressive_net.final_layer.bias", "2.unconstrained_weight", "2.bias",
              "5.unconstrained_weight"]
    results = {}
    for mode in ("running", "minibatch"):
        flow, y, _, _ = maf_model()
        flow.train(mode == "minibatch")
        y = y.clone().requires_grad_(True)
        log_prob = flow.log_prob(y)
        loss = -log_prob.mean()
        loss.backward()
        named = {n.removeprefix(STRIP): p for n, p in flow.named_parameters()}
        result = {"loss": loss.item(), "log_prob": log_prob, "gradient_y": y.grad, "gradients": {n: named[n].grad for n in wanted}}
        if mode == "minibatch":
            state = {n.removeprefix(STRIP): b for n, b in flow.named_buffers()}
            result["running_after"] = {n: b for n, b in state.items() if ".running_" in n or n.startswith("running_")}
            assert len(result["running_after"]) == 6
        results[mode] = result
    save("nflows_maf_gradient", {
        "source": f"{VERSIONS}, automatic differentiation of nflows.flows.autoregressive.MaskedAutoregressiveFlow", "made_by": MADE_BY,
        "settings": {"model": "nflows_maf.json (same weights, same y)", "loss": "-mean(log_prob(y))",
                     "running": "batch norm with its running statistics (eval mode)",
                     "minibatch": "batch norm with the statistics of the 7 rows, variance UNBIASED (1/(m-1)), gradient through the statistics; "
                                  "running = 0.9 * running + 0.1 * batch, variance fed to it unbiased",
                     "masked_entries": "gradient of a masked weight is exactly 0"},
        "weights": {}, "y": y, "outputs": results})


def batch_norm():
    features, rows = 4, 7
    rng = np.random.default_rng(401)
    y = rounded(rng, (rows, features)) * torch.tensor([1.0, 2.0, 0.5, 4.0]) + torch.tensor([0.0, 1.0, -3.0, 10.0])
    y = torch.tensor(np.round(y.numpy(), 4))
    x = rounded(rng, (rows, features))
    bn = BatchNorm(features)
    with torch.no_grad():
        bn.unconstrained_weight.copy_(rounded(rng, features))
        bn.bias.copy_(rounded(rng, features))
        bn.running_mean.copy_(rounded(rng, features))
        bn.running_var.copy_(torch.tensor([0.7, 1.9, 0.25, 12.5]))
    weights = {k: v.clone() for k, v in bn.state_dict().items()}
    settings = {"features": features, "epsilon": bn.eps, "momentum_of_new": bn.momentum,
                "formula": "gamma = softplus(unconstrained_weight) + epsilon; x = gamma * (y - mean) / sqrt(var + epsilon) + bias; "
                           "inverse_log_det = sum(log(gamma) - 0.5 * log(var + epsilon)), the same for every row"}

    bn.eval()
    with torch.no_grad():
        inverse_x, inverse_log_det = bn(y)
        forward_y, forward_log_det = bn.inverse(x)
    save("nflows_batch_norm_running", {
        "source": f"{VERSIONS}, nflows.transforms.BatchNorm, eval mode", "made_by": MADE_BY,
        "settings": {**settings, "statistics": "running"}, "weights": weights, "y": y, "x": x,
        "outputs": {"gamma": bn.weight, "inverse_x": inverse_x, "inverse_log_det": inverse_log_det, "forward_y": forward_y,
                    "forward_log_det": forward_log_det}})

    bn.train()
    upstream_x, upstream_log_det = rounded(rng, (rows, features)), rounded(rng, rows)
    leaf = y.clone().requires_grad_(True)
    inverse_x, inverse_log_det = bn(leaf)
    (torch.sum(upstream_x * inverse_x) + torch.sum(upstream_log_det * inverse_log_det)).backward()
    save("nflows_batch_norm_minibatch", {
        "source": f"{VERSIONS}, nflows.transforms.BatchNorm, train mode, gradients by automatic differentiation", "made_by": MADE_BY,
        "settings": {**settings, "statistics": "minibatch",
                     "variance": "UNBIASED (1/(m-1)) both to normalise and for the running average",
                     "running_update": "running = 0.9 * running + 0.1 * batch",
                     "gradient_of": "sum(upstream_x * inverse_x) + sum(upstream_log_det * inverse_log_det), through the statistics"},
        "weights": weights, "y": y, "upstream_x": upstream_x, "upstream_log_det": upstream_log_det,
        "outputs": {"gamma": bn.weight, "mean": y.mean(0), "variance_unbiased": y.var(0), "variance_biased": y.var(0, unbiased=False),
                    "inverse_x": inverse_x, "inverse_log_det": inverse_log_det, "running_mean_after": bn.running_mean,
                    "running_var_after": bn.running_var, "gradient_y": leaf.grad,
                    "gradient_unconstrained_weight": bn.unconstrained_weight.grad, "gradient_bias": bn.bias.grad}})


def lu_linear():
    features = 5
    rng = np.random.default_rng(501)
    t = LULinear(features, identity_init=False)
    randomise(t, rng)
    t.eval()
    y, x = rounded(rng, (ROWS, features)), rounded(rng, (ROWS, features))
    with torch.no_grad():
        lower, upper = t._create_lower_upper()
    outputs = {"L": lower, "U": upper, "matrix": lower @ upper, "upper_diag": t.upper_diag, **both_directions(t, y, x)}
    save("nflows_lu_linear", {
        "source": f"{VERSIONS}, nflows.transforms.LULinear", "made_by": MADE_BY,
        "settings": {"features": features, "epsilon": t.eps,
                     "formula": "upper_diag = softplus(unconstrained_upper_diag) + epsilon; x = L (U y) + bias for each row; "
                                "inverse_log_det = sum(log(upper_diag))",
                     "entries": "lower_entries fill the strict lower triangle row by row, upper_entries the strict upper triangle row by row; diag(L) = 1"},
        "weights": dict(t.named_parameters()), "y": y, "x": x, "outputs": outputs})


def act_norm():
    features = 4
    rng = np.random.default_rng(502)
    data = torch.tensor(np.round(rng.normal(size=(9, features)) * [0.5, 2.0, 7.0, 1.0] + [0.0, -3.0, 20.0, 1.0], 4))
    t = ActNorm(features)
    t.train()
    with torch.no_grad():
        inverse_x, inverse_log_det = t(data)
    t.eval()
    y = torch.tensor(np.round(rng.normal(size=(ROWS, features)) * 3, 4))
    x = rounded(rng, (ROWS, features))
    save("nflows_act_norm", {
        "source": f"{VERSIONS}, nflows.transforms.ActNorm", "made_by": MADE_BY,
        "settings": {"features": features,
                     "formula": "log_scale = -log(std), std unbiased (1/(m-1)); shift = -mean(data / std); x = exp(log_scale) * y + shift; "
                                "inverse_log_det = sum(log_scale)"},
        "weights": {"log_scale": t.log_scale, "shift": t.shift}, "data": data, "y": y, "x": x,
        "outputs": {"data_inverse_x": inverse_x, "data_inverse_log_det": inverse_log_det, **both_directions(t, y, x)}})


if __name__ == "__main__":
    seed = 100
    for residual in (True, False):
        for context_features in (0, 3):
            for activation in ("relu", "tanh"):
                seed += 1
                made_case(residual, context_features, activation, seed)
    alternating, half = [-1, 1, -1, 1, -1], [0, 0, 1, 1, 1]
    coupling_case("affine_residual", True, "residual", "relu", 0, alternating, 201)
    coupling_case("affine_residual_context", True, "residual", "tanh", 3, half, 202)
    coupling_case("affine_mlp", True, "mlp", "tanh", 0, half, 203)
    coupling_case("affine_mlp_context", True, "mlp", "relu", 3, alternating, 214)
    coupling_case("additive_residual", False, "residual", "tanh", 0, alternating, 205)
    coupling_case("additive_mlp_context", False, "mlp", "relu", 2, half, 206)
    real_nvp()
    maf()
    maf_gradient()
    batch_norm()
    lu_linear()
    act_norm()
