"""Networks, transformers and bijectors of model files, with NumPy alone; numpy_log_prob.py evaluates files with them.

A `node` is one component of a file: type, constants, parts, and tensors in double.
"""

import math
from types import SimpleNamespace

import numpy as np

lgamma = np.vectorize(math.lgamma, otypes=[float])


# ------------------------------------------------------------------------------------------------------- functions


def softplus(x):
    return np.logaddexp(0, x)


def sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def soft_bound(x, bound):
    return x if np.isinf(bound) else bound * np.tanh(x / bound)


def log_scale(raw, bound):
    return np.clip(soft_bound(raw, bound), -708, 708)


def erf(x):
    return np.vectorize(math.erf, otypes=[float])(x)


ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * 0.5 * (1 + erf(x / math.sqrt(2))),
    "silu": lambda x: x * sigmoid(x),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
}


def log_gamma_ratio(x, halves):
    """log Gamma(x + halves / 2) - log Gamma(x)"""
    return lgamma(x + halves / 2) - lgamma(x)


# -------------------------------------------------------------------------------------------------------- networks


def dense(node, name, x):
    return x @ node.tensor(name + ".weight").T + node.tensor(name + ".bias")


def with_context(node, x, context):
    return np.concatenate([x, context], axis=1) if node["context_dim"] > 0 else x


def network(node, x, context):
    return {"mlp": mlp, "residual_network": residual_network, "made": made, "constant": constant}[node.type](node, x, context)


def constant(node, x, context):
    return np.broadcast_to(node.tensor("value"), (len(x), node.tensor("value").size))


def hidden_norm(node, name, h):
    if not node.constants.get("batch_norm", False):
        return h
    deviation = np.sqrt(node.tensor(name + ".moving_variance") + 1e-3)
    return (h - node.tensor(name + ".moving_mean")) / deviation * node.tensor(name + ".gamma") + node.tensor(name + ".beta")


def mlp(node, x, context):
    a = ACTIVATIONS[node["activation"]]
    h = with_context(node, x, context)
    layers = len(node["hidden"])
    for i in range(layers):
        h = a(hidden_norm(node, f"norm{i}", dense(node, f"layer{i}", h)))
    return dense(node, f"layer{layers}", h)


def residual_network(node, x, context):
    a = ACTIVATIONS[node["activation"]]
    h = dense(node, "initial", with_context(node, x, context))
    for i in range(node["blocks"]):
        t = dense(node, f"block{i}.linear0", a(hidden_norm(node, f"block{i}.norm0", h)))
        t = dense(node, f"block{i}.linear1", a(hidden_norm(node, f"block{i}.norm1", t)))
        if node["context_dim"] > 0:
            t = t * sigmoid(dense(node, f"block{i}.context", context))
        h = h + t
    return dense(node, "final", h)


def made(node, x, context):
    a = ACTIVATIONS[node["activation"]]
    dim, degrees = node["dim"], node["hidden_degrees"]
    inputs = np.arange(1, dim + 1)
    outputs = np.tile(inputs, node["multiplier"])

    def masked(name, h, to, of, strict=False):
        weight = node.tensor(name + ".weight")
        mask = (to[:, None] > of[None, :]) if strict else (to[:, None] >= of[None, :])
        if np.any(weight[~mask] != 0):
            raise SystemExit(f"{node.path}{name}.weight: a value behind the mask is not 0")
        return h @ (weight * mask).T + node.tensor(name + ".bias")

    conditional = node["context_dim"] > 0
    h = masked("initial", x, degrees, inputs)
    if conditional:
        h = h + a(dense(node, "context", context))
    if not node["residual"]:
        h = a(h)
    for i in range(node["blocks"]):
        if node["residual"]:
            t = masked(f"block{i}.linear0", a(h), degrees, degrees)
            if conditional:
                t = t + dense(node, f"block{i}.context", context)
            h = h + masked(f"block{i}.linear1", a(t), degrees, degrees)
        else:
            h = a(masked(f"layer{i}", h, degrees, degrees))
    return masked("final", h, outputs, degrees, strict=True)


def with_tail(x, s, tail):
    """exp(s) x, whose slope goes to about 1 between |x| = tail and tail + 1 where it is smaller; and that slope."""
    e = np.maximum(np.abs(x) - tail, 0)
    rise = np.where(e < 1, e * e / 2, e - 0.5)
    lift = np.where(s < 0, (1 - np.exp(s)) * (1 - np.exp(4 * s)), 0)
    return np.sign(x) * (np.exp(s) * np.abs(x) + lift * rise), np.exp(s) + lift * np.minimum(e, 1)


def without_tail(y, s, tail):
    """Its inverse, by bisection."""
    low, high = np.zeros_like(y), np.abs(y) * np.exp(-s) + 1
    for _ in range(200):
        middle = (low + high) / 2
        below = with_tail(middle, s, tail)[0] < np.abs(y)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.sign(y) * (low + high) / 2


def bounded_input(node, x):
    return None if x is None else soft_bound(x, node.constants.get("input_bound", np.inf))


def transformer(node, v, params, forward):
    """v mapped elementwise, and the log derivative; params[p] has the shape of v."""
    if node.type == "additive_transformer":
        shift = soft_bound(params[0], node.constants.get("bound", np.inf))
        return (v + shift if forward else v - shift), np.zeros_like(v)
    if node.type == "affine_transformer":
        s = log_scale(params[1], node["bound"])
        tail = node.constants.get("tail", np.inf)
        if forward:
            value, slope = with_tail(v, s, tail)
            return value + params[0], np.log(slope)
        value = without_tail(v - params[0], s, tail)
        return value, -np.log(with_tail(value, s, tail)[1])
    if node.type == "modulus_transformer":
        p, size, sign = np.exp(node["bound"] * sigmoid(params[0] - 2)), np.abs(v), np.sign(v)
        if forward:
            return sign * ((1 + size) ** p - 1) / p, (p - 1) * np.log1p(size)
        return sign * ((1 + p * size) ** (1 / p) - 1), (1 / p - 1) * np.log1p(p * size)
    if node.type == "rational_quadratic_transformer":
        return spline(node, v, np.stack(params, axis=-1), forward)
    if node.type == "inverted_transformer":
        return transformer(node.part("transformer"), v, params, not forward)
    if node.type == "numerical_inverse":  # of maps that have a closed form here
        return transformer(node.part("transformer"), v, params, forward)
    if node.type == "composed_transformer":
        pieces, start, total = [], 0, np.zeros_like(v)
        for _, part in node.parts:
            pieces.append((part, params[start : start + multiplier(part)]))
            start += multiplier(part)
        for part, own in pieces if forward else reversed(pieces):
            v, log_derivative = transformer(part, v, own, forward)
            total = total + log_derivative
        return v, total
    # A fixed map: outside, the derivative of the inverse is 0.
    found = elementwise(SimpleNamespace(type=node.type.removesuffix("_transformer")), v.reshape(len(v), -1), forward)
    if found is None:
        raise SystemExit(f"unknown transformer {node.type}")
    value, log_derivative, outside = found
    log_derivative = np.where(outside[:, None], -np.inf, log_derivative)
    return value.reshape(v.shape), log_derivative.reshape(v.shape)


def multiplier(node):
    """Raw parameters for an element."""
    if node.type == "rational_quadratic_transformer":
        return 3 * int(node["bins"]) + {"identity": -1, "circular": 0, "bounded": 1}[node["tails"]]
    own = {"additive_transformer": 1, "affine_transformer": 2, "modulus_transformer": 1}.get(node.type)
    return own or sum(multiplier(p) for _, p in node.parts)


def spline(node, v, raw, solve):
    """Rational-quadratic splines with raw parameters along the last axis; solve: their inverse."""
    bins, low, high, tails = int(node["bins"]), node["low"], node["high"], node["tails"]
    widths, heights, slopes = raw[..., :bins], raw[..., bins : 2 * bins], raw[..., 2 * bins :]
    if node["parameters"] == "zuko":
        size = -math.log(node["slope"])
        soft = lambda r, c: r / (1 + np.abs(c * r / size))
        shares = [np.exp(soft(r, 2)) for r in (widths, heights)]
        floors = [0, 0]
        slope = np.exp(soft(slopes, 1))
    else:
        shares = [np.exp(node["raw_scale"] * (r - r.max(axis=-1, keepdims=True))) for r in (widths, heights)]
        floors = [node["min_bin_width"], node["min_bin_height"]]
        slope = np.minimum(node["min_derivative"] + softplus(slopes), node.constants.get("max_derivative", np.inf))
    ones = np.ones(v.shape + (1,))
    slope = {
        "identity": lambda: np.concatenate([ones, slope, ones], axis=-1),
        "circular": lambda: np.concatenate([slope, slope[..., :1]], axis=-1),
        "bounded": lambda: slope,
    }[tails]()
    knots = []
    for share, floor in zip(shares, floors):
        part = floor + (1 - bins * floor) * share / share.sum(axis=-1, keepdims=True)
        knots.append(low + (high - low) * np.concatenate([0 * ones, np.cumsum(part, axis=-1)], axis=-1))
    inside = (v >= low) & (v <= high)
    at = np.where(inside, v, (low + high) / 2)
    k = np.clip((knots[1 if solve else 0] <= at[..., None]).sum(axis=-1) - 1, 0, bins - 1)
    take = lambda a, i: np.take_along_axis(a, i[..., None], axis=-1)[..., 0]
    x, y, d0, d1 = take(knots[0], k), take(knots[1], k), take(slope, k), take(slope, k + 1)
    w, h = take(knots[0], k + 1) - x, take(knots[1], k + 1) - y
    s = h / w
    if solve:
        u = at - y
        b = h * d0 - u * (d0 + d1 - 2 * s)
        a = h * (s - d0) + u * (d0 + d1 - 2 * s)
        t = 2 * s * u / (b + np.sqrt(b * b + 4 * a * s * u))
        value = x + t * w
    else:
        t = (at - x) / w
        value = y + h * (s * t * t + d0 * t * (1 - t)) / (s + (d0 + d1 - 2 * s) * t * (1 - t))
    log_slope = np.log(d1 * t * t + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2) + 2 * np.log(
        s / (s + (d0 + d1 - 2 * s) * t * (1 - t))
    )
    log_slope = -log_slope if solve else log_slope
    return np.where(inside, value, v), np.where(inside, log_slope, 0.0)


# ------------------------------------------------------------------------------------------------------- bijectors

# Each returns (value, log_det, outside): `outside` marks rows that the direction is not defined for, whose value goes
# on as any point inside.


def restrict(v, low, high):
    inside = np.where(np.isinf(low), np.where(np.isinf(high), 0, high - 1), np.where(np.isinf(high), low + 1, 0))
    both = np.isfinite(low) & np.isfinite(high)
    inside = np.where(both, (np.where(both, low, 0) + np.where(both, high, 0)) / 2, inside)
    bad = ~((v > low) & (v < high))
    return np.where(bad, inside, v), bad.any(axis=1)


def elementwise(node, v, forward, context=None):
    dim = v.shape[1]
    nowhere = np.zeros(len(v), bool)
    t = node.type
    if t in ("affine", "act_norm", "scale"):
        s = log_scale(node.tensor("log_scale"), node["bound"])
        sign = node["sign"] if t == "scale" else np.ones(dim)
        shift = np.zeros(dim) if t == "scale" else node.tensor("shift")
        if forward:
            return v * sign * np.exp(s) + shift, s + np.zeros_like(v), nowhere
        return (v - shift) * sign * np.exp(-s), -s + np.zeros_like(v), nowhere
    if t == "shift":
        return (v + node.tensor("shift") if forward else v - node.tensor("shift")), np.zeros_like(v), nowhere
    if t == "standardize":
        scale, shift = node.tensor("scale"), node.tensor("shift")
        if forward:
            return v * scale + shift, np.log(scale) + np.zeros_like(v), nowhere
        return (v - shift) / scale, -np.log(scale) + np.zeros_like(v), nowhere
    if t == "identity":
        return v, np.zeros_like(v), nowhere
    if t in ("exp", "log"):
        if forward == (t == "exp"):
            return np.exp(v), v, nowhere
        v, outside = restrict(v, 0.0, np.inf)
        return np.log(v), -np.log(v), outside
    if t == "softplus":
        if forward:
            return softplus(v), -softplus(-v), nowhere
        v, outside = restrict(v, 0.0, np.inf)
        slope = np.log(-np.expm1(-v))
        return v + slope, -slope, outside
    if t == "tanh":
        if forward:
            return np.tanh(v), 2 * (math.log(2) - np.abs(v) - np.log1p(np.exp(-2 * np.abs(v)))), nowhere
        v, outside = restrict(v, -1.0, 1.0)
        return np.arctanh(v), -(np.log1p(v) + np.log1p(-v)), outside
    if t == "sigmoid":
        low, high = node["low"], node["high"]
        if forward:
            return low + (high - low) * sigmoid(v), np.log(high - low) - softplus(v) - softplus(-v), nowhere
        v, outside = restrict(v, low, high)
        above, below = np.log(v - low), np.log(high - v)
        return above - below, np.log(high - low) - above - below, outside
    if t == "softsign":
        if forward:
            return v / (1 + np.abs(v)), -2 * np.log1p(np.abs(v)), nowhere
        v, outside = restrict(v, -1.0, 1.0)
        return v / (1 - np.abs(v)), -2 * np.log1p(-np.abs(v)), outside
    if t == "elementwise":
        if node.constants.get("conditional", False):
            raw = network(node.part("net"), bounded_input(node, context), None)
        else:
            raw = node.tensor("raw")[None, :]
        params = [np.broadcast_to(raw[:, c : c + dim], v.shape) for c in range(0, raw.shape[1], dim)]
        return *transformer(node.part("transformer"), v, params, forward), nowhere
    if t == "rational_quadratic_spline":
        part = node.part("spline")
        raw = np.broadcast_to(node.tensor("raw").reshape(-1, dim).T, (len(v), dim, node.tensor("raw").size // dim))
        outside = nowhere
        if part["tails"] == "bounded":
            v, outside = restrict(v, np.full(dim, part["low"]), np.full(dim, part["high"]))
        return *spline(part, v, raw, forward), outside
    if t == "column_supports":
        low = np.where(node["bounded_below"] != 0, node["low"], -np.inf)
        high = np.where(node["bounded_above"] != 0, node["high"], np.inf)
        value, log_derivative = v.copy(), np.zeros_like(v)
        outside = nowhere
        if not forward:
            v, outside = restrict(v, low, high)
            value = v.copy()
        for c in range(dim):
            x = v[:, c]
            below, above = np.isfinite(low[c]), np.isfinite(high[c])
            if below and above:
                width = high[c] - low[c]
                if forward:
                    value[:, c] = low[c] + width * sigmoid(x)
                    log_derivative[:, c] = np.log(width) - softplus(x) - softplus(-x)
                else:
                    up, down = np.log(x - low[c]), np.log(high[c] - x)
                    value[:, c], log_derivative[:, c] = up - down, np.log(width) - up - down
            elif below or above:
                sign, bound = (1, low[c]) if below else (-1, high[c])
                if forward:
                    value[:, c] = bound + sign * softplus(sign * x)
                    log_derivative[:, c] = -softplus(-sign * x)
                else:
                    z = sign * (x - bound)
                    slope = np.log(-np.expm1(-z))
                    value[:, c], log_derivative[:, c] = sign * (z + slope), -slope
        return value, log_derivative, outside
    return None


def bijector(node, v, context, forward):
    nowhere = np.zeros(len(v), bool)
    t = node.type
    if t == "chain":
        log_det, outside = np.zeros(len(v)), nowhere
        for _, part in node.parts if forward else reversed(node.parts):
            v, own, own_outside = bijector(part, v, context, forward)
            log_det, outside = log_det + own, outside | own_outside
        return v, log_det, outside
    if t == "invert":
        return bijector(node.part("bijector"), v, context, not forward)
    if t == "permute":
        permutation = node["permutation"]
        return v[:, permutation if forward else np.argsort(permutation)], np.zeros(len(v)), nowhere
    if t == "ascending":
        if forward:
            steps = np.concatenate([v[:, :1], np.exp(v[:, 1:])], axis=1)
            return np.cumsum(steps, axis=1), v[:, 1:].sum(axis=1), nowhere
        steps, outside = restrict(np.diff(v, axis=1), 0.0, np.inf)
        return np.concatenate([v[:, :1], np.log(steps)], axis=1), -np.log(steps).sum(axis=1), outside
    if t in ("stick_breaking", "softmax_centered"):
        n = int(node["base_dim"])
        offset = np.log(n - np.arange(n))
        if forward and t == "stick_breaking":
            share = sigmoid(v - offset)
            left = np.concatenate([np.ones((len(v), 1)), np.cumprod(1 - share, axis=1)], axis=1)
            y = left * np.concatenate([share, np.ones((len(v), 1))], axis=1)
        elif forward:
            logits = np.concatenate([v, np.zeros((len(v), 1))], axis=1)
            y = np.exp(logits - np.logaddexp.reduce(logits, axis=1)[:, None])
        if forward:
            return y, np.log(y).sum(axis=1), nowhere
        y, outside = restrict(v, 0.0, 1 + 1e-6)
        outside = outside | (np.abs(y.sum(axis=1) - 1) > 1e-6)
        if t == "stick_breaking":
            rest = np.cumsum(y[:, :0:-1], axis=1)[:, ::-1]
            x = np.log(y[:, :n]) - np.log(rest) + offset
        else:
            x = np.log(y[:, :n]) - np.log(y[:, n:])
        return x, -np.log(y).sum(axis=1), outside
    if t == "unit_vector":
        n = int(node["base_dim"])
        if forward:
            s = (v**2).sum(axis=1, keepdims=True)
            return np.concatenate([2 * v, s - 1], axis=1) / (s + 1), n * (math.log(2) - np.log1p(s[:, 0])), nowhere
        outside = np.abs((v**2).sum(axis=1) - 1) > 1e-6
        d = ((v[:, :n] ** 2).sum(axis=1) + (1 - v[:, n]) ** 2) / 2
        outside, d = outside | (d == 0), np.where(d == 0, 1, d)
        return v[:, :n] / d[:, None], -n * np.log(d), outside
    if t == "batch_normalization":
        mean = node.tensor("moving_mean").ravel()
        positions = v.shape[1] // len(mean)  # the channels are the last axes of the event
        if not node["scale"]:
            gamma = np.ones(len(mean))
        elif node["gamma_map"] == "exp":
            gamma = np.exp(node.tensor("log_gamma").ravel())
        elif node["gamma_map"] == "identity":
            gamma = node.tensor("gamma").ravel()
        else:
            raw = node.tensor("raw_gamma").ravel()
            gamma = softplus(raw) + node["epsilon"] if node["gamma_map"] == "softplus" else np.maximum(raw, 0) + 1e-6
        beta = node.tensor("beta").ravel() if node["center"] else np.zeros(len(mean))
        deviation = np.sqrt(node.tensor("moving_variance").ravel() + node["epsilon"])
        mean, gamma, beta, deviation = (np.tile(a, positions) for a in (mean, gamma, beta, deviation))
        log_det = np.full(len(v), np.sum(np.log(gamma / deviation)))
        if forward:
            return (v - beta) * deviation / gamma + mean, -log_det, nowhere
        return (v - mean) * gamma / deviation + beta, log_det, nowhere
    if t == "whiten":
        matrix = np.tril(node.tensor("lower"), -1) + np.diag(node.tensor("diagonal"))
        log_det = np.full(len(v), np.sum(np.log(node.tensor("diagonal"))))
        if forward:
            return v @ matrix.T, log_det, nowhere
        return np.linalg.solve(matrix, v.T).T, -log_det, nowhere
    if t == "lu_linear":
        diagonal = softplus(node.tensor("raw_diagonal")) + 1e-3
        lower = np.tril(node.tensor("lower"), -1) + np.eye(v.shape[1])
        upper = np.triu(node.tensor("upper"), 1) + np.diag(diagonal)
        matrix, bias = lower @ upper, node.tensor("bias")
        log_det = np.full(len(v), np.sum(np.log(diagonal)))
        if forward:
            return v @ matrix.T + bias, log_det, nowhere
        return np.linalg.solve(upper, np.linalg.solve(lower, (v - bias).T)).T, -log_det, nowhere
    if t == "coupling":
        keep, change = np.flatnonzero(node["mask"]), np.flatnonzero(node["mask"] == 0)
        raw = network(node.part("net"), bounded_input(node, v[:, keep]), bounded_input(node, context))
        params = np.split(raw, raw.shape[1] // len(change), axis=1)
        out, tau = v.copy(), node.part("transformer")
        out[:, change], log_derivative = transformer(tau, v[:, change], params, forward)
        outside = nowhere
        if tau.constants.get("tails", "identity") != "identity":
            outside = ((v[:, change] < tau["low"]) | (v[:, change] > tau["high"])).any(axis=1)
        return out, log_derivative.sum(axis=1), outside
    if t == "masked_autoregressive":
        net, tau, dim = node.part("net"), node.part("transformer"), v.shape[1]
        order = np.asarray(node.constants.get("order", np.arange(dim)))
        ordered = v[:, order]
        if not forward:
            seen = bounded_input(node, ordered)
            params = np.split(made(net, seen, bounded_input(node, context)), net["multiplier"], axis=1)
            x, log_derivative = transformer(tau, ordered, params, False)
        else:
            x, log_derivative = np.zeros_like(ordered), np.zeros_like(ordered)
            for d in range(dim):
                raw = made(net, bounded_input(node, x), bounded_input(node, context))
                params = [p[:, d] for p in np.split(raw, net["multiplier"], axis=1)]
                x[:, d], log_derivative[:, d] = transformer(tau, ordered[:, d], params, True)
        out = np.empty_like(x)
        out[:, order] = x
        return out, log_derivative.sum(axis=1), nowhere
    found = elementwise(node, v, forward, context)
    if found is None:
        raise SystemExit(f"unknown bijector {t}")
    return found[0], found[1].sum(axis=1), found[2]
