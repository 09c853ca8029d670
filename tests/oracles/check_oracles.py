"""Recomputes the oracle files from their own weights and settings, with NumPy only (no flow library, no PyTorch).

This is both a check that the formulas written in the files are the ones that were used, and the shortest description of how
to read them. Run it after the makers: python3 check_oracles.py
"""
import glob
import json
import math
import os

import numpy as np

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "data", "oracles")
TOLERANCE = 1e-11
erf = np.vectorize(math.erf)


def softplus(v):
    return np.logaddexp(0.0, v)


def sigmoid(v):
    return np.exp(-np.logaddexp(0.0, -v))


ACT = {"relu": lambda v: np.maximum(v, 0), "tanh": np.tanh, "leaky_relu": lambda v: np.where(v > 0, v, 0.01 * v),
       "elu": lambda v: np.where(v > 0, v, np.expm1(np.minimum(v, 0))), "gelu": lambda v: v * 0.5 * (1 + erf(v / np.sqrt(2))),
       "silu": lambda v: v * sigmoid(v), "sigmoid": sigmoid, "softplus": softplus}


def load(name):
    with open(os.path.join(DIRECTORY, name)) as text:
        return json.load(text)


def arrays(tree):
    return {k: np.array(v, dtype=float) for k, v in tree.items()}


def same(got, want, what):
    worst = np.max(np.abs(np.asarray(got) - np.asarray(want)) / np.maximum(1, np.abs(np.asarray(want))))
    assert worst < TOLERANCE, (what, worst)


def linear(w, name, v, masks=None):
    m = w[name + ".weight"] if masks is None else w[name + ".weight"] * masks[name + ".mask"]
    return v @ m.T + w[name + ".bias"]


def made(w, masks, settings, y, context, prefix=""):
    act, blocks = ACT[settings["activation"]], settings["num_blocks"]
    h = linear(w, prefix + "initial_layer", y, masks)
    if context is not None:
        h = h + act(linear(w, prefix + "context_layer", context))
    if not settings["residual_blocks"]:
        h = act(h)
    for b in range(blocks):
        name = f"{prefix}blocks.{b}."
        if settings["residual_blocks"]:
            r = linear(w, name + "linear_layers.0", act(h), masks)
            if context is not None:
                r = r + linear(w, name + "context_layer", context)
            h = h + linear(w, name + "linear_layers.1", act(r), masks)
        else:
            h = act(linear(w, name + "linear", h, masks))
    out = linear(w, prefix + "final_layer", h, masks)
    return out[:, 0::2], out[:, 1::2]


def made_inverse(y, u_scale, u_shift):
    scale = softplus(u_scale) + 1e-3
    return scale * y + u_shift, np.log(scale).sum(1)


def made_forward(x, net):
    y = np.zeros_like(x)
    for _ in range(x.shape[1]):
        u_scale, u_shift = net(y)
        scale = softplus(u_scale) + 1e-3
        y = (x - u_shift) / scale
    return y, -np.log(scale).sum(1)


def residual_net(w, act, blocks, v, context, prefix=""):
    h = linear(w, prefix + "initial_layer", v if context is None else np.hstack([v, context]))
    for b in range(blocks):
        name = f"{prefix}blocks.{b}."
        r = linear(w, name + "linear_layers.1", act(linear(w, name + "linear_layers.0", act(h))))
        if context is not None:
            r = r * sigmoid(linear(w, name + "context_layer", context))
        h = h + r
    return linear(w, prefix + "final_layer", h)


def check_made(f):
    w, masks, s, o = arrays(f["weights"]), arrays(f["masks"]), f["settings"], f["outputs"]
    y, x = np.array(f["y"]), np.array(f["x"])
    context = np.array(f["context"]) if "context" in f else None
    # The masks follow from the degrees.
    previous = np.array(f["degrees"]["input.degrees"])
    order = ["initial_layer"]
    for b in range(s["num_blocks"]):
        order += [f"blocks.{b}.linear_layers.0", f"blocks.{b}.linear_layers.1"] if s["residual_blocks"] else [f"blocks.{b}.linear"]
    for name in order:
        degrees = np.array(f["degrees"][name + ".degrees"])
        assert np.array_equal(masks[name + ".mask"], degrees[:, None] >= previous)
        previous = degrees
    assert np.array_equal(masks["final_layer.mask"], np.array(f["degrees"]["final_layer.degrees"])[:, None] > previous)
    u_scale, u_shift = made(w, masks, s, y, context)
    same(u_scale, o["u_scale"], "u_scale")
    same(u_shift, o["u_shift"], "u_shift")
    got, log_det = made_inverse(y, u_scale, u_shift)
    same(got, o["inverse_x"], "inverse_x")
    same(log_det, o["inverse_log_det"], "inverse_log_det")
    got, log_det = made_forward(x, lambda v: made(w, masks, s, v, context))
    same(got, o["forward_y"], "forward_y")
    same(log_det, o["forward_log_det"], "forward_log_det")


def check_coupling(f):
    w, s, o = arrays(f["weights"]), f["settings"], f["outputs"]
    act, keep, move = ACT[s["activation"]], s["identity_features"], s["transform_features"]
    context = np.array(f["context"]) if "context" in f else None

    def net(v):
        if s["conditioner"] == "residual":
            return residual_net(w, act, s["num_blocks"], v, context)
        h = v if context is None else np.hstack([v, context])
        return linear(w, "layer2", act(linear(w, "layer1", act(linear(w, "layer0", h)))))

    def parameters(v):
        raw = net(v[:, keep])
        shift = raw[:, :len(move)]
        scale = sigmoid(raw[:, len(move):] + 2) + 1e-3 if s["scale_floor"] else np.ones_like(shift)
        return raw, scale, shift

    y, x = np.array(f["y"]), np.array(f["x"])
    raw, scale, shift = parameters(y)
    same(raw, o["raw"], "raw")
    got = y.copy()
    got[:, move] = scale * y[:, move] + shift
    same(got, o["inverse_x"], "inverse_x")
    same(np.log(scale).sum(1), o["inverse_log_det"], "inverse_log_det")
    _, scale, shift = parameters(x)
    got = x.copy()
    got[:, move] = (x[:, move] - shift) / scale
    same(got, o["forward_y"], "forward_y")
    same(-np.log(scale).sum(1), o["forward_log_det"], "forward_log_det")


def check_flow(f):
    w, s, o = arrays(f["weights"]), f["settings"], f["outputs"]
    masks = arrays(f.get("masks", {}))
    h, total = np.array(f["y"]), 0.0
    for i, layer in enumerate(s["layers"]):
        if layer["type"] == "permutation":
            h = h[:, layer["index"]]
        elif layer["type"] == "batch_norm":
            gamma = softplus(w[f"{i}.unconstrained_weight"]) + layer["epsilon"]
            same(gamma, o["gammas"][f"{i}.gamma"], "gamma")
            root = np.sqrt(w[f"{i}.running_var"] + layer["epsilon"])
            h = gamma * (h - w[f"{i}.running_mean"]) / root + w[f"{i}.bias"]
            total = total + np.log(gamma / root).sum()
        elif layer["type"] == "masked_affine_autoregressive":
            h, log_det = made_inverse(h, *made(w, masks, s, h, None, f"{i}.autoregressive_net."))
            total = total + log_det
        else:
            keep, move = layer["identity_features"], layer["transform_features"]
            raw = residual_net(w, ACT[s["activation"]], s["num_blocks"], h[:, keep], None, f"{i}.transform_net.")
            scale, new = sigmoid(raw[:, len(move):] + 2) + 1e-3, h.copy()
            new[:, move] = scale * h[:, move] + raw[:, :len(move)]
            h, total = new, total + np.log(scale).sum(1)
        same(h, o["after_layer"][i], f"layer {i}")
    same(total, o["inverse_log_det"], "inverse_log_det")
    base = -0.5 * (h ** 2).sum(1) - 0.5 * h.shape[1] * np.log(2 * np.pi)
    same(base + total, o["log_prob"], "log_prob")


def check_batch_norm_running(f):
    w, e, o = arrays(f["weights"]), f["settings"]["epsilon"], f["outputs"]
    gamma, root = softplus(w["unconstrained_weight"]) + e, np.sqrt(w["running_var"] + e)
    same(gamma * (np.array(f["y"]) - w["running_mean"]) / root + w["bias"], o["inverse_x"], "inverse_x")
    same(np.log(gamma / root).sum(), o["inverse_log_det"], "inverse_log_det")
    same((np.array(f["x"]) - w["bias"]) / gamma * root + w["running_mean"], o["forward_y"], "forward_y")


def check_batch_norm_minibatch(f):
    w, e, o, y = arrays(f["weights"]), f["settings"]["epsilon"], f["outputs"], np.array(f["y"])
    m = len(y)
    gamma, mean, variance = softplus(w["unconstrained_weight"]) + e, y.mean(0), y.var(0, ddof=1)
    root = np.sqrt(variance + e)
    same(gamma * (y - mean) / root + w["bias"], o["inverse_x"], "inverse_x")
    same(np.log(gamma / root).sum(), o["inverse_log_det"], "inverse_log_det")
    same(0.9 * w["running_var"] + 0.1 * variance, o["running_var_after"], "running_var")
    same(0.9 * w["running_mean"] + 0.1 * mean, o["running_mean_after"], "running_mean")
    g, a = np.array(f["upstream_x"]), np.sum(f["upstream_log_det"])
    c = y - mean
    gradient = gamma / root * (g - g.mean(0) - c * (g * c).sum(0) / ((m - 1) * root ** 2)) - a * c / ((m - 1) * root ** 2)
    same(gradient, o["gradient_y"], "gradient_y")
    same(((g * c / root).sum(0) + a / gamma) * sigmoid(w["unconstrained_weight"]), o["gradient_unconstrained_weight"], "gradient_u")


def check_tfp_batch_norm(f):
    w, s, y = arrays(f["weights"]), f["settings"], np.array(f["y"])
    axes, e = tuple(range(y.ndim - 1)), s["epsilon"]
    sites, m = int(np.prod(y.shape[1:-1])), y[..., 0].size
    for key, mean, variance in (("training", y.mean(axes), y.var(axes)), ("inference", w["moving_mean"], w["moving_variance"])):
        o, root = f["outputs"][key], np.sqrt(variance + e)
        same(w["gamma"] * (y - mean) / root + w["beta"], o["inverse_x"], "inverse_x")
        same(sites * np.log(w["gamma"] / root).sum(), o["inverse_log_det"], "inverse_log_det")
        g, c = np.array(f["upstream_x"]), y - mean
        if key == "training":
            gradient = w["gamma"] / root * (g - g.mean(axes) - c * (g * c).sum(axes) / (m * root ** 2))
            same(gradient, o["gradient_y_of_x"], "gradient_y_of_x")
            same(-s["upstream_log_det"] * sites * c / (m * root ** 2), o["gradient_y_of_log_det"], "gradient_y_of_log_det")
        root = np.sqrt(w["moving_variance"] + e)
        same((np.array(f["x"]) - w["beta"]) / w["gamma"] * root + w["moving_mean"], o["forward_y"], "forward_y")
        same(-sites * np.log(w["gamma"] / root).sum(), o["forward_log_det"], "forward_log_det")


def check_lu(f):
    w, d, o = arrays(f["weights"]), f["settings"]["features"], f["outputs"]
    lower, upper = np.eye(d), np.zeros((d, d))
    lower[np.tril_indices(d, -1)] = w["lower_entries"]
    upper[np.triu_indices(d, 1)] = w["upper_entries"]
    diagonal = softplus(w["unconstrained_upper_diag"]) + f["settings"]["epsilon"]
    upper[np.diag_indices(d)] = diagonal
    same(lower, o["L"], "L")
    same(upper, o["U"], "U")
    same(np.array(f["y"]) @ (lower @ upper).T + w["bias"], o["inverse_x"], "inverse_x")
    same(np.log(diagonal).sum(), o["inverse_log_det"], "inverse_log_det")
    same(np.linalg.solve(lower @ upper, (np.array(f["x"]) - w["bias"]).T).T, o["forward_y"], "forward_y")


def check_act_norm(f):
    w, o, data = arrays(f["weights"]), f["outputs"], np.array(f["data"])
    std = data.std(0, ddof=1)
    same(-np.log(std), w["log_scale"], "log_scale")
    same(-(data / std).mean(0), w["shift"], "shift")
    same(np.exp(w["log_scale"]) * np.array(f["y"]) + w["shift"], o["inverse_x"], "inverse_x")
    same(w["log_scale"].sum(), o["inverse_log_det"], "inverse_log_det")


def check_network(f):
    w, act, x = arrays(f["weights"]), ACT[f["settings"]["activation"]], np.array(f["x"])

    def output(w, x):
        if "layer0.weight" in w:
            return linear(w, "layer2", act(linear(w, "layer1", act(linear(w, "layer0", x)))))
        h = linear(w, "input", x)
        for b in range(2):
            h = h + linear(w, f"second.{b}", act(linear(w, f"first.{b}", act(h))))
        return linear(w, "output", act(h))

    same(output(w, x), f["outputs"]["output"], "output")
    # Each gradient along one random direction, by central differences.
    rng, weight = np.random.default_rng(0), np.array(f["w"])
    for name in ["x"] + sorted(w):
        direction = rng.normal(size=(x if name == "x" else w[name]).shape)
        gradient = np.array(f["outputs"]["gradient_x"] if name == "x" else f["outputs"]["gradients"][name])

        def at(t):
            if name == "x":
                return np.sum(weight * output(w, x + t * direction))
            return np.sum(weight * output({**w, name: w[name] + t * direction}, x))
        h = 1e-5
        assert abs((at(h) - at(-h)) / (2 * h) - np.sum(gradient * direction)) < 1e-6, name


def check_adam(f):
    s = f["settings"]
    for name, run in f["outputs"].items():
        p, m, v = np.array(f["weights"]["start"]), 0.0, 0.0
        decay = s["weight_decay"][name]
        for t, g in enumerate(np.array(f["gradients"]), 1):
            if name.startswith("adamw"):
                p = p * (1 - s["lr"] * decay)
            else:
                g = g + decay * p
            m, v = s["beta1"] * m + (1 - s["beta1"]) * g, s["beta2"] * v + (1 - s["beta2"]) * g * g
            p = p - s["lr"] * (m / (1 - s["beta1"] ** t)) / (np.sqrt(v) / np.sqrt(1 - s["beta2"] ** t) + s["eps"])
            same(p, run["parameters"][t - 1], f"{name} step {t}")


def check_schedules(f):
    for run in f["outputs"]["plateau"].values():
        s = run["settings"]
        lr, best, bad, cooldown = s["lr"], math.inf, 0, 0
        for loss, want in zip(f["losses"], run["lr_after"]):
            if loss < (best * (1 - s["threshold"]) if s["threshold_mode"] == "rel" else best - s["threshold"]):
                best, bad = loss, 0
            else:
                bad += 1
            if cooldown > 0:
                cooldown, bad = cooldown - 1, 0
            if bad > s["patience"]:
                new = max(lr * s["factor"], s["min_lr"])
                if lr - new > s["eps"]:
                    lr = new
                cooldown, bad = s["cooldown"], 0
            same(lr, want, "plateau")
    for run in f["outputs"]["cosine"].values():
        s = run["settings"]
        t = np.arange(len(run["lr"]))
        same(s["eta_min"] + (s["lr"] - s["eta_min"]) * (1 + np.cos(np.pi * t / s["T_max"])) / 2, run["lr"], "cosine")


def check_clip(f):
    for run in f["outputs"].values():
        norm = math.sqrt(sum(np.sum(np.array(g) ** 2) for g in f["gradients"].values()))
        same(norm, run["total_norm"], "norm")
        for name, g in f["gradients"].items():
            same(np.array(g) * min(1.0, run["max_norm"] / (norm + 1e-6)), run["gradients"][name], name)


def check_activations(f):
    for name, run in f["outputs"].items():
        same(ACT[name](np.array(f["x"])), run["value"], name)


def check_maf_gradient(f):
    model = load("nflows_maf.json")
    assert f["y"] == model["y"]
    running = f["outputs"]["running"]
    same(running["log_prob"], model["outputs"]["log_prob"], "log_prob")
    w, masks, s = arrays(model["weights"]), arrays(model["masks"]), model["settings"]

    def loss(w, y, minibatch):
        h, total = y, 0.0
        for i, layer in enumerate(s["layers"]):
            if layer["type"] == "permutation":
                h = h[:, layer["index"]]
            elif layer["type"] == "batch_norm":
                mean = h.mean(0) if minibatch else w[f"{i}.running_mean"]
                variance = h.var(0, ddof=1) if minibatch else w[f"{i}.running_var"]
                gamma, root = softplus(w[f"{i}.unconstrained_weight"]) + layer["epsilon"], np.sqrt(variance + layer["epsilon"])
                h, total = gamma * (h - mean) / root + w[f"{i}.bias"], total + np.log(gamma / root).sum()
            else:
                h, log_det = made_inverse(h, *made(w, masks, s, h, None, f"{i}.autoregressive_net."))
                total = total + log_det
        return -np.mean(total - 0.5 * (h ** 2).sum(1) - 0.5 * h.shape[1] * np.log(2 * np.pi))

    y, rng, step = np.array(f["y"]), np.random.default_rng(1), 1e-5
    for mode, run in f["outputs"].items():
        minibatch = mode == "minibatch"
        same(loss(w, y, minibatch), run["loss"], mode)
        for name, gradient in {**run["gradients"], "y": run["gradient_y"]}.items():
            gradient = np.array(gradient)
            direction = rng.normal(size=gradient.shape)

            def at(t):
                if name == "y":
                    return loss(w, y + t * direction, minibatch)
                return loss({**w, name: w[name] + t * direction}, y, minibatch)
            number = (at(step) - at(-step)) / (2 * step)
            assert abs(number - np.sum(gradient * direction)) < 1e-6 * max(1, abs(number)), (mode, name)


CHECKS = [("nflows_made_*", check_made), ("nflows_coupling_*", check_coupling), ("nflows_realnvp", check_flow), ("nflows_maf", check_flow),
          ("nflows_maf_gradient", check_maf_gradient), ("nflows_batch_norm_running", check_batch_norm_running),
          ("nflows_batch_norm_minibatch", check_batch_norm_minibatch), ("nflows_lu_linear", check_lu), ("nflows_act_norm", check_act_norm),
          ("tfp_batch_norm_*", check_tfp_batch_norm), ("torch_mlp_*", check_network), ("torch_residual_*", check_network), ("torch_adam", check_adam),
          ("torch_schedules", check_schedules), ("torch_clip_gradient_norm", check_clip), ("torch_activations", check_activations)]

if __name__ == "__main__":
    # distribution_* and elementwise_* are checked against scipy and TensorFlow Probability as they are made.
    seen = total = 0
    for pattern, check in CHECKS:
        names = sorted(glob.glob(os.path.join(DIRECTORY, pattern + ".json")))
        assert names, pattern
        for name in names:
            check(load(os.path.basename(name)))
            seen += 1
    for name in glob.glob(os.path.join(DIRECTORY, "*.json")):
        size = os.path.getsize(name)
        assert size < 60_000, name
        total += size
    print(f"{seen} files recomputed; all files together {total} bytes")
