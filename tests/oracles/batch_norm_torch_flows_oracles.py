"""Batch-norm flow layers on PyTorch: nflows.transforms.BatchNorm, pyro.distributions.transforms.BatchNorm, normflows.flows.BatchNorm. float64.

Makes the files of the libraries that are installed. Checked against NumPy formulas. All three normalise with the unbiased variance.
"""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.metadata
import warnings

import numpy as np
import torch

import batch_norm_common as common
from batch_norm_common import close, grid, refusal

warnings.simplefilter("ignore")
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def unbiased(x, dy, weight, bias, epsilon):
    """Over axis 0, with the variance divided by m - 1; also the gradient of sum_i a_i * log_det_i in x, for a total of 1."""
    m = x.shape[0]
    mean, variance = x.mean(0), x.var(0, ddof=1)
    deviation = np.sqrt(variance + epsilon)
    centred = x - mean
    dx = weight / deviation * (dy - dy.mean(0) - centred * (dy * centred).sum(0) / ((m - 1) * (variance + epsilon)))
    return {"x": centred / deviation * weight + bias, "dx": dx, "mean": mean, "variance": variance, "unit": centred / deviation,
            "log_det_dx": -centred / ((m - 1) * (variance + epsilon))}


def softplus(u):
    return np.log1p(np.exp(u))


def inputs(shape, seed):
    rng = np.random.default_rng([61, seed, *shape])
    n = shape[-1]
    return rng, common.data(rng, shape, [len(shape) - 1]), common.upstream(rng, shape), grid(rng.normal(size=shape)), grid(rng.normal(size=shape[0])), common.parameters(rng, n)


def gradients(total, leaves):
    return [np.zeros(leaf.shape) if g is None else g.numpy() for g, leaf in zip(torch.autograd.grad(total, leaves, allow_unused=True, retain_graph=True), leaves)]


def nflows_file():
    from nflows.transforms.normalization import BatchNorm
    cases = []

    def add(mode, shape, options, seed):
        rng, y, dy, base, a, p = inputs(shape, seed)
        n, training = shape[1], mode == "training"
        u = p["gamma"] - 0.25
        state = {"unconstrained_weight": u, "bias": p["beta"], "running_mean": p["moving_mean"], "running_var": p["moving_variance"]}
        epsilon, momentum = options.get("eps", 1e-5), options.get("momentum", 0.1)

        def fresh():
            layer = BatchNorm(n, **options).double()
            with torch.no_grad():
                for key, value in state.items():
                    getattr(layer, key).copy_(torch.tensor(value))
            return layer.train(training)

        layer, leaf = fresh(), torch.tensor(y, requires_grad=True)
        x, log_det = layer(leaf)
        leaves = [leaf, layer.unconstrained_weight, layer.bias]
        out = {"x": x.detach().numpy(), "log_det": log_det.detach().numpy()}
        out.update(zip(("dx", "dunconstrained_weight", "dbias"), gradients((torch.tensor(dy) * x).sum(), leaves)))
        out.update(zip(("log_det_dx", "log_det_dunconstrained_weight"), gradients((torch.tensor(a) * log_det).sum(), leaves[:2])))
        out.update({k: getattr(layer, k).numpy().copy() for k in ("running_mean", "running_var")})
        weight = softplus(u) + epsilon
        sigmoid = 1 / (1 + np.exp(-u))
        if training:
            want = unbiased(y, dy, weight, p["beta"], epsilon)
            mean, variance = want["mean"], want["variance"]
            running = {"running_mean": (1 - momentum) * p["moving_mean"] + momentum * mean, "running_var": (1 - momentum) * p["moving_variance"] + momentum * variance}
        else:
            mean, variance = p["moving_mean"], p["moving_variance"]
            unit = (y - mean) / np.sqrt(variance + epsilon)
            want = {"x": unit * weight + p["beta"], "dx": dy * weight / np.sqrt(variance + epsilon), "unit": unit, "log_det_dx": np.zeros(shape)}
            running = {"running_mean": mean, "running_var": variance}
            inverse, inverse_log_det = fresh().inverse(torch.tensor(base))
            out.update(inverse_y=inverse.detach().numpy(), inverse_log_det=inverse_log_det.detach().numpy())
            close(out["inverse_y"], (base - p["beta"]) / weight * np.sqrt(variance + epsilon) + mean, 1e-12)
            close(out["inverse_log_det"], np.full(shape[0], -np.sum(np.log(weight) - 0.5 * np.log(variance + epsilon))), 1e-12)
        check = {"x": want["x"], "log_det": np.full(shape[0], np.sum(np.log(weight) - 0.5 * np.log(variance + epsilon))), "dx": want["dx"], "dbias": dy.sum(0),
                 "dunconstrained_weight": (dy * want["unit"]).sum(0) * sigmoid, "log_det_dx": a.sum() * want["log_det_dx"],
                 "log_det_dunconstrained_weight": a.sum() * sigmoid / weight, **running}
        for key, value in check.items():
            close(out[key], value, 1e-11, key)
        case = {"feature": "momentum_epsilon" if options else "defaults", "mode": mode, "shape": shape, "options": options, "state": state, "x": [y], "dy": [dy],
                "upstream_log_det": a, "outputs": out}
        if not training:
            case["base_x"] = base.reshape(-1)
        cases.append(case)

    for mode in ("training", "inference"):
        for shape in [(6, 4), (5, 3), (9, 2), (7, 1)]:
            add(mode, shape, {}, 1)
        for shape, options in [((6, 3), {"momentum": 0.5}), ((5, 4), {"eps": 0.0625}), ((8, 2), {"eps": 1e-3, "momentum": 1.0})]:
            add(mode, shape, options, 2)
    cases.append(refusal("rank", (2, 3, 4), {}, lambda: BatchNorm(4)(torch.zeros(2, 3, 4))))
    cases.append(refusal("inverse_in_training", (4, 3), {}, lambda: BatchNorm(3).inverse(torch.zeros(4, 3))))
    cases.append(refusal("features", (4, 3), {"features": 0}, lambda: BatchNorm(0)))
    cases.append(refusal("features", (4, 3), {"features": 1.5}, lambda: BatchNorm(1.5)))
    common.save("batch_norm_nflows", f"nflows {importlib.metadata.version('nflows')}, torch {torch.__version__}, nflows.transforms.BatchNorm", "tests/oracles/batch_norm_torch_flows_oracles.py", {
        "defaults": {"eps": 1e-5, "momentum": 0.1, "running_mean": 0.0, "running_var": 0.0},
        "x": "the data side, given to nflows' forward; outputs.x the noise side, log_det one number a row (all equal)",
        "formula": "x = weight * (y - mean) / sqrt(var + eps) + bias, weight = softplus(unconstrained_weight) + eps; log_det = sum(log weight - 0.5 * log(var + eps)); in training var is the unbiased "
                   "batch variance; running = (1 - momentum) * running + momentum * batch (unbiased too)",
        "gradients": "dx, dunconstrained_weight, dbias: of sum(dy * x); log_det_*: of sum(upstream_log_det * log_det)",
        "inverse": "inverse_y, inverse_log_det: nflows' inverse at base_x (inference only)"}, cases)


def pyro_file():
    from pyro.distributions.transforms import BatchNorm
    cases = []

    def add(mode, shape, options, seed, negative=False):
        rng, y, dy, base, _, p = inputs(shape, seed)
        n, training = shape[1], mode == "training"
        gamma = p["gamma"] * (np.where(np.arange(n) % 2 == 1, -1.0, 1.0) if negative else 1.0)
        a = grid(rng.normal(size=shape))
        state = {"gamma": gamma, "beta": p["beta"], "moving_mean": p["moving_mean"], "moving_variance": p["moving_variance"]}
        epsilon, momentum = options.get("epsilon", 1e-5), options.get("momentum", 0.1)

        def fresh():
            layer = BatchNorm(n, **options).double()
            with torch.no_grad():
                for key, value in state.items():
                    getattr(layer, key).copy_(torch.tensor(value))
            return layer.train(training)

        layer, leaf = fresh(), torch.tensor(y, requires_grad=True)
        x = layer._inverse(leaf)
        out = {"x": x.detach().numpy()}
        out.update(zip(("dx", "dgamma", "dbeta"), gradients((torch.tensor(dy) * x).sum(), [leaf, layer.gamma, layer.beta])))
        out.update({k: getattr(layer, k).numpy().copy() for k in ("moving_mean", "moving_variance")})
        layer, leaf = fresh(), torch.tensor(y, requires_grad=True)
        log_det = layer.log_abs_det_jacobian(torch.tensor(base), leaf)
        out["log_abs_det_jacobian"] = log_det.detach().numpy()
        out["log_abs_det_jacobian_shape"] = list(log_det.shape)
        out.update(zip(("log_det_dx", "log_det_dgamma"), gradients((torch.tensor(a) * log_det).sum(), [leaf, layer.gamma])))
        assert np.array_equal(layer.moving_mean.numpy(), p["moving_mean"])
        out["forward_y"] = fresh()._call(torch.tensor(base)).detach().numpy()
        weight, slope = np.maximum(gamma, 0) + 1e-6, (gamma > 0) * 1.0
        if training:
            want = unbiased(y, dy, weight, p["beta"], epsilon)
            mean, variance = want["mean"], want["variance"]
            moving = {"moving_mean": (1 - momentum) * p["moving_mean"] + momentum * mean, "moving_variance": (1 - momentum) * p["moving_variance"] + momentum * variance}
        else:
            mean, variance = p["moving_mean"], p["moving_variance"]
            unit = (y - mean) / np.sqrt(variance + epsilon)
            want = {"x": unit * weight + p["beta"], "dx": dy * weight / np.sqrt(variance + epsilon), "unit": unit, "log_det_dx": np.zeros(shape)}
            moving = {"moving_mean": mean, "moving_variance": variance}
        check = {"x": want["x"], "dx": want["dx"], "dgamma": (dy * want["unit"]).sum(0) * slope, "dbeta": dy.sum(0), "log_abs_det_jacobian": -np.log(weight) + 0.5 * np.log(variance + epsilon),
                 "log_det_dx": -a.sum(0) * want["log_det_dx"], "log_det_dgamma": -a.sum(0) * slope / weight,
                 "forward_y": (base - p["beta"]) / weight * np.sqrt(p["moving_variance"] + epsilon) + p["moving_mean"], **moving}
        for key, value in check.items():
            close(out[key], value, 1e-11, key)
        cases.append({"feature": "negative_gamma" if negative else "momentum_epsilon" if options else "defaults", "mode": mode, "shape": shape, "options": options, "state": state,
                      "x": [y], "dy": [dy], "base_x": base.reshape(-1), "upstream_log_det": a.reshape(-1), "outputs": out})

    for mode in ("training", "inference"):
        for shape in [(6, 4), (5, 3), (9, 2), (7, 1)]:
            add(mode, shape, {}, 3)
        for shape, options in [((6, 3), {"momentum": 0.5}), ((5, 4), {"epsilon": 0.0625}), ((8, 2), {"epsilon": 1e-3, "momentum": 1.0})]:
            add(mode, shape, options, 4)
        for shape in [(6, 4), (5, 3), (8, 2)]:
            add(mode, shape, {}, 5, negative=True)

    cases.append(refusal("rank_in_training", (2, 3, 4), {}, lambda: BatchNorm(4).train()._inverse(torch.zeros(2, 3, 4))))
    common.save("batch_norm_pyro", f"pyro-ppl {importlib.metadata.version('pyro-ppl')}, torch {torch.__version__}, pyro.distributions.transforms.BatchNorm", "tests/oracles/batch_norm_torch_flows_oracles.py", {
        "defaults": {"epsilon": 1e-5, "momentum": 0.1, "gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0},
        "x": "the data side, given to pyro's inverse (outputs.x the noise side); base_x the noise side, given to the call (outputs.forward_y)",
        "formula": "x = (y - mean) * weight / sqrt(var + epsilon) + beta, weight = relu(gamma) + 1e-6; in training var is the unbiased batch variance; moving = (1 - momentum) * moving + momentum * batch "
                   "(unbiased too); the call always uses the moving statistics",
        "log_abs_det_jacobian": "of noise to data, elementwise, not summed: -log(weight) + 0.5 * log(var + epsilon), of shape (1, n) in training and (n) at inference; does not update",
        "gradients": "dx, dgamma, dbeta: of sum(dy * x); log_det_*: of sum(upstream_log_det * log_abs_det_jacobian), upstream_log_det of the shape of x"}, cases)


def normflows_file():
    from normflows.flows.normalization import BatchNorm
    cases = []

    def add(shape, options, seed):
        rng, y, dy, _, a, _ = inputs(shape, seed)
        layer, leaf = BatchNorm(**options), torch.tensor(y, requires_grad=True)
        x, log_det = layer(leaf)
        out = {"x": x.detach().numpy(), "log_det": log_det.detach().numpy(), "dx": gradients((torch.tensor(dy) * x).sum(), [leaf])[0],
               "log_det_dx": gradients((torch.tensor(a) * log_det).sum(), [leaf])[0]}
        epsilon = options.get("eps", 1e-10)
        want = unbiased(y, dy, 1.0, 0.0, epsilon)
        close(out["x"], want["x"], 1e-11)
        close(out["dx"], want["dx"], 1e-11)
        close(out["log_det"], np.full(shape[0], -0.5 * np.sum(np.log(want["variance"] + epsilon))), 1e-11)
        close(out["log_det_dx"], a.sum() * want["log_det_dx"], 1e-11)
        cases.append({"feature": "epsilon" if options else "defaults", "mode": "training", "shape": shape, "options": options, "x": [y], "dy": [dy], "upstream_log_det": a, "outputs": out})

    for shape in [(6, 4), (5, 3, 2), (4, 2, 2, 3), (3, 2, 2, 2, 2)]:
        add(shape, {}, 6)
    for shape, epsilon in [((6, 3), 0.0625), ((5, 2, 2), 1e-3), ((7, 2), 1e-5)]:
        add(shape, {"eps": epsilon}, 7)
    cases.append(refusal("inverse", (4, 3), {}, lambda: BatchNorm().inverse(torch.zeros(4, 3))))
    common.save("batch_norm_normflows", f"normflows {importlib.metadata.version('normflows')}, torch {torch.__version__}, normflows.flows.normalization.BatchNorm",
                "tests/oracles/batch_norm_torch_flows_oracles.py", {
        "defaults": {"eps": 1e-10}, "x": "the input of normflows' forward (its noise-to-data direction); outputs.x the output, log_det one number a row (all equal)",
        "formula": "x = (x - mean) / sqrt(var + eps), mean and unbiased var over the rows only, for each other entry by itself; always the batch, no parameters, no running statistics; "
                   "log_det = -0.5 * sum(log(var + eps))",
        "gradients": "dx: of sum(dy * x); log_det_dx: of sum(upstream_log_det * log_det); both through the statistics"}, cases)


if __name__ == "__main__":
    for make in (nflows_file, pyro_file, normflows_file):
        try:
            make()
        except ModuleNotFoundError as error:
            print(f"{make.__name__}: {error}")
