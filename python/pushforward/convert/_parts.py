"""The parts of a model, as docs/model_file.md has them, and the bytes of its file."""

import json
import math
import re
import zlib
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Part:
    """A distribution, bijector, transformer or network: its type, constants, tensors and parts."""

    type: str
    constants: dict = field(default_factory=dict)
    tensors: dict = field(default_factory=dict)
    parts: dict = field(default_factory=dict)

    def description(self, tensors, path=""):
        """The JSON form; the tensors go into `tensors`, by their paths."""
        for name, value in self.tensors.items():
            tensors[path + name] = np.asarray(value, "<f8")
        return {
            "type": self.type,
            "constants": {name: _constant(name, value, tensors, path) for name, value in self.constants.items()},
            "children": [
                {"name": name, "description": part.description(tensors, f"{path}{name}.")}
                for name, part in self.parts.items()
            ],
        }


def _unusual(**constants):
    """Optional constants stand in the file only where they have another value than the usual one."""
    return {name: value for name, (value, usual) in constants.items() if value != usual}


def _number(value):
    return {math.inf: "inf", -math.inf: "-inf"}.get(value, value)


def _constant(name, value, tensors, path):
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "iub":
            key = f"constants.{path}{name}"
            tensors[key] = value.astype("<i8")
            return {"tensor": key}
        return {"numbers": [_number(float(v)) for v in value]}
    if isinstance(value, float):
        return {"number": _number(value)}
    return value


def _numbered(parts):
    return {str(i): part for i, part in enumerate(parts)}


# ------------------------------------------------------------------------------------------------------- distributions


def transformed(base, bijector):
    if base.type == "transformed_distribution":
        base, bijector = base.parts["base"], chain([base.parts["bijector"], bijector])
    return Part("transformed_distribution", parts={"base": base, "bijector": bijector})


def dim(part, before=None):
    """The number of columns of a distribution, or of a bijector's data, `before` being those of its base side."""
    constants = part.constants
    if "dim" in constants:
        return constants["dim"]
    if "base_dim" in constants:
        return constants["base_dim"] + 1
    if part.type == "mixture":
        return dim(part.parts["0"])
    if part.type == "transformed_distribution":
        return dim(part.parts["bijector"], dim(part.parts["base"]))
    if part.type == "chain":
        for child in part.parts.values():
            before = dim(child, before)
        return before
    if part.type == "invert" and "base_dim" in part.parts["bijector"].constants:
        return part.parts["bijector"].constants["base_dim"]
    return len(constants["low"]) if "low" in constants and part.type in ("uniform", "sigmoid") else before


def context_dim(part):
    """What the networks below a part take."""
    if part.type == "standardized_context":
        return part.constants["context_dim"]
    if part.constants.get("conditional") or part.type == "embedded_context":
        return part.parts["net"].constants["inputs"]
    return max([part.constants.get("context_dim", 0), *(context_dim(child) for child in part.parts.values())])


def normal(loc, scale):
    return normal_of_log(loc, np.log(scale))


def normal_of_log(loc, log_scale):
    loc, log_scale = (np.ravel(a) for a in np.broadcast_arrays(loc, log_scale))
    return Part("normal", {"dim": loc.size}, {"loc": loc, "log_scale": log_scale})


def standard_normal(dim):
    """With nothing to learn."""
    zeros = np.zeros(dim)
    return Part("multivariate_normal_diag", {"dim": dim, "trainable": False}, {"loc": zeros, "log_scale": zeros})


def location_scale(type, loc, scale, **more):
    """laplace, logistic, cauchy or student_t."""
    loc, scale = (np.ravel(a) for a in np.broadcast_arrays(loc, scale))
    more = {name: np.broadcast_to(value, loc.shape) for name, value in more.items()}
    return Part(type, {"dim": loc.size}, {"loc": loc, "log_scale": np.log(scale), **more})


def of_logs(type, **parameters):
    """gamma or beta, of parameters that are above 0."""
    tensors = {name: np.log(value) for name, value in parameters.items()}
    return Part(type, {"dim": len(next(iter(tensors.values())))}, tensors)


def normal_tril(loc, scale_tril):
    tensors = {"loc": loc, "log_diagonal": np.log(np.diag(scale_tril)), "lower": np.tril(scale_tril, -1)}
    return Part("multivariate_normal_tril", {"dim": len(loc)}, tensors)


def student_t_tril(df, loc, scale_tril):
    part = normal_tril(loc, scale_tril)
    return Part("multivariate_student_t", part.constants, {**part.tensors, "log_df": np.log(df).reshape(1)})


def uniform(low, high):
    return Part("uniform", {"low": np.asarray(low, float), "high": np.asarray(high, float)})


def mixture(logits, parts):
    return Part("mixture", {}, {"logits": logits}, _numbered(parts))


def standardized_context(shift, scale, inner):
    return Part("standardized_context", {"context_dim": len(shift)}, {"shift": shift, "scale": scale}, {"inner": inner})


def embedded_context(net, inner):
    return Part("embedded_context", parts={"inner": inner, "net": net})


# ----------------------------------------------------------------------------------------------------------- bijectors


def chain(parts):
    """From base to data, in the order given."""
    flat = []
    for part in parts:
        flat += part.parts.values() if part.type == "chain" else [part]
    return flat[0] if len(flat) == 1 else Part("chain", parts=_numbered(flat))


def invert(part):
    if part.type == "invert":
        return part.parts["bijector"]
    if part.type == "chain":
        return chain([invert(p) for p in reversed(list(part.parts.values()))])
    if part.type == "permute":
        return permute(np.argsort(part.constants["permutation"]))
    return Part("invert", parts={"bijector": part})


def identity(dim):
    return Part("identity", {"dim": dim})


def permute(permutation):
    """y_j = x_permutation[j]"""
    return Part("permute", {"permutation": np.asarray(permutation, int)})


def diagonal(shift, scale):
    """y = scale x + shift, by columns, scale of either sign."""
    shift, scale = (np.array(a, float).ravel() for a in np.broadcast_arrays(shift, scale))
    size = Part("standardize", {"dim": scale.size}, {"shift": shift, "scale": np.abs(scale)})
    if (scale > 0).all():
        return size
    signs = {"dim": scale.size, "bound": math.inf, "sign": np.sign(scale).astype(int)}
    return chain([Part("scale", signs, {"log_scale": np.zeros(scale.size)}), size])


def affine(shift, log_scale):
    """y = exp(log_scale) x + shift, by columns."""
    shift, log_scale = np.ravel(shift), np.ravel(log_scale)
    return Part("affine", {"dim": shift.size, "bound": math.inf}, {"shift": shift, "log_scale": log_scale})


def act_norm(shift, log_scale):
    """The same, after the initialisation by data."""
    part = affine(shift, log_scale)
    return Part("act_norm", {**part.constants, "epsilon": 1e-6}, {**part.tensors, "initialized": np.ones(1)})


def lu_linear(lower, upper, raw_diagonal, bias, floor=1e-3, signs=None):
    """y = L U x + bias, the diagonal of L being 1 and that of U signs (softplus(raw_diagonal) + floor)."""
    tensors = {"lower": np.tril(lower, -1), "upper": np.triu(upper, 1), "raw_diagonal": raw_diagonal, "bias": bias}
    constants = {"dim": len(bias)} | _unusual(floor=(float(floor), 1e-3))
    if signs is not None and (signs < 0).any():
        constants["signs"] = signs.astype(int)
    return Part("lu_linear", constants, tensors)


def triangular(lower, upper, bias):
    """y = L U x + bias, the diagonal of L being 1 and that of U any numbers but 0."""
    size = np.diag(upper)
    if not (np.abs(size) > 0).all():
        raise ValueError("a linear map that is singular, or not finite")
    return lu_linear(lower, upper, inverse_softplus(np.abs(size)), bias, 0.0, np.sign(size))


def linear(matrix, bias):
    """y = matrix x + bias, for any regular matrix."""
    rows, lower, upper = _plu(matrix)
    return chain([triangular(lower, upper, bias[rows]), permute(np.argsort(rows))])


def _plu(matrix):
    """matrix[rows] = lower upper, by elimination with the largest pivots."""
    upper, dim = np.array(matrix, float), len(matrix)
    rows, lower = np.arange(dim), np.zeros((dim, dim))
    for k in range(dim):
        pivot = k + np.argmax(np.abs(upper[k:, k]))
        for array in (upper, lower, rows):
            array[[k, pivot]] = array[[pivot, k]]
        if not abs(upper[k, k]) > 0:
            raise ValueError("a linear map that is singular, or not finite")
        lower[k + 1 :, k] = upper[k + 1 :, k] / upper[k, k]
        upper[k + 1 :] -= lower[k + 1 :, k, None] * upper[k]
    return rows, lower + np.eye(dim), np.triu(upper)


def batch_norm(mean, variance, epsilon, gamma_map, gamma, beta):
    """The layer of data towards base, by moving statistics. gamma_map: identity, exp, softplus or relu_floor."""
    tensor = {"identity": "gamma", "exp": "log_gamma"}.get(gamma_map, "raw_gamma")
    constants = {
        "input_shape": np.array([-1, len(mean)]),
        "axis": np.array([1]),
        "epsilon": float(epsilon),
        "momentum": 0.9,
        "center": True,
        "scale": True,
        "gamma_map": gamma_map,
    }
    tensors = {"moving_mean": mean, "moving_variance": variance, "beta": beta, tensor: gamma}
    return Part("batch_normalization", constants, tensors)


def map_of(type, dim):
    """exp, log, softplus, tanh or softsign, by columns."""
    return Part(type, {"dim": dim})


def sigmoid(low, high):
    return Part("sigmoid", {"low": np.asarray(low, float), "high": np.asarray(high, float)})


def elementwise(raw, transformer, trainable=True):
    """raw: one row for each column, with the transformer's parameters."""
    raw = np.asarray(raw)
    constants = {"dim": len(raw)} if trainable else {"dim": len(raw), "trainable": False}
    return Part("elementwise", constants, {"raw": raw.T.ravel()} if raw.size else {}, {"transformer": transformer})


def conditional_elementwise(dim, net, transformer):
    """The network takes the context alone."""
    return Part("elementwise", {"dim": dim, "conditional": True}, {}, {"transformer": transformer, "net": net})


def coupling(keep, net, transformer):
    """keep: whether a column stays and is seen by the network."""
    return Part("coupling", {"mask": np.asarray(keep).astype(int)}, {}, {"net": net, "transformer": transformer})


def masked_autoregressive(net, transformer, order=None):
    constants = {} if order is None or np.array_equal(order, np.arange(len(order))) else {"order": np.asarray(order)}
    return Part("masked_autoregressive", constants, {}, {"net": net, "transformer": transformer})


# -------------------------------------------------------------------------------------------------------- transformers


def affine_transformer(side, map="exp", offset=0.0, floor=0.0, limit=math.inf, low=-math.inf, high=math.inf):
    """Parameters shift and raw; s is the map of raw + offset. On the side of the base y = exp(s) x + shift, on that of
    the data x = exp(s) y + shift."""
    if map == "exp" and (offset, low, high) == (0.0, -math.inf, math.inf):
        part = Part("affine_transformer", {"bound": math.inf})
    else:
        numbers = {"offset": offset, "floor": floor, "limit": limit, "low": low, "high": high}
        part = Part(
            "scaled_affine_transformer", {"map": map, **{name: float(value) for name, value in numbers.items()}}
        )
    return part if side == "base" else inverted(part)


def composed(parts):
    """One after the other, each with its own parameters."""
    return Part("composed_transformer", parts=_numbered(parts))


def additive_transformer():
    """y = x + shift"""
    return Part("additive_transformer")


def inverted(transformer):
    if transformer.type == "inverted_transformer":
        return transformer.parts["transformer"]
    return Part("inverted_transformer", parts={"transformer": transformer})


def spline(bins, low, high, parameters, tails="identity", width=1e-3, height=1e-3, slope=1e-3, raw_scale=1.0, end=1.0):
    """parameters: nflows or zuko; width, height and slope: the smallest ones; end: the slope at both ends."""
    constants = {
        "bins": int(bins),
        "low": float(low),
        "high": float(high),
        "tails": tails,
        "parameters": parameters,
        "min_bin_width": float(width),
        "min_bin_height": float(height),
        "min_derivative": float(slope) if parameters == "nflows" else 1e-3,
        "raw_scale": float(raw_scale),
        "slope": float(slope) if parameters == "zuko" else 1e-3,
    } | _unusual(end_slope=(float(end), 1.0))
    return Part("rational_quadratic_transformer", constants)


def spline_by_values(widths, heights, slopes, low, tails="identity"):
    """y = splines of x, one for each row of widths of the bins in x, heights in y and slopes between them (those of the
    ends too where tails is linear), from low on."""
    raw, smallest = [], []
    for sizes in (widths, heights):
        share = sizes / sizes.sum(-1, keepdims=True)
        smallest.append(min(1e-3, share.min() / 2))
        raw.append(np.log(share - smallest[-1]))
    floor = min(1e-3, slopes.min() / 2)
    raw.append(inverse_softplus(slopes - floor))
    ends = np.unique(np.round([widths.sum(-1), heights.sum(-1)], 12))
    if len(ends) != 1:
        raise ValueError("splines that end at different places have no counterpart here")
    tau = spline(widths.shape[-1], low, low + ends[0], "nflows", tails, *smallest, floor)
    return elementwise(np.concatenate(raw, axis=1), inverted(tau))


def polynomial_spline(degree, bins, low, high, tails, width, height):
    numbers = {"low": low, "high": high, "min_bin_width": width, "min_bin_height": height}
    constants = {"degree": degree, "bins": int(bins), "tails": tails} | {k: float(v) for k, v in numbers.items()}
    return Part("polynomial_spline_transformer", constants)


def linear_spline(bins, low, high, end=1.0):
    """A linear-rational one, with pyro's smallest sizes."""
    numbers = {"low": low, "high": high, "min_bin_width": 1e-3, "min_bin_height": 1e-3, "min_derivative": 1e-3}
    numbers |= {"min_lambda": 0.025, "end_slope": end}
    return Part("linear_rational_transformer", {"bins": int(bins), **{k: float(v) for k, v in numbers.items()}})


# ------------------------------------------------------------------------------------------------------------ networks


@dataclass
class Layer:
    """h -> weight h + bias. mask: where weights may be other than 0."""

    weight: np.ndarray
    bias: np.ndarray
    mask: np.ndarray = None

    def by_parameter(self, count):
        """Outputs column by column with `count` parameters each, into parameter by parameter."""
        return self.outputs(np.arange(len(self.bias)).reshape(-1, count).T.ravel())

    def outputs(self, order):
        return Layer(self.weight[order], self.bias[order], None if self.mask is None else self.mask[order])

    def times(self, factor):
        """Each output times its factor."""
        return Layer(self.weight * np.reshape(factor, (-1, 1)), self.bias * factor, self.mask)

    def inputs(self, order):
        return Layer(self.weight[:, order], self.bias, None if self.mask is None else self.mask[:, order])

    def by_column(self, count):
        """The inverse of `by_parameter`."""
        return self.outputs(np.arange(len(self.bias)).reshape(count, -1).T.ravel())


def stacked(layers):
    """Outputs one after the other."""
    mask = None if layers[0].mask is None else np.vstack([layer.mask for layer in layers])
    return Layer(np.vstack([layer.weight for layer in layers]), np.concatenate([layer.bias for layer in layers]), mask)


def identity_layer(size):
    return Layer(np.eye(size), np.zeros(size))


def _tensors(layers):
    return {f"{name}.{of}": getattr(layer, of) for name, layer in layers.items() for of in ("weight", "bias")}


def mlp(layers, activation, context_dim=0):
    """The first layer takes [x, context]."""
    inputs, outputs = layers[0].weight.shape[1] - context_dim, len(layers[-1].bias)
    constants = {
        "inputs": inputs,
        "outputs": outputs,
        "context_dim": context_dim,
        "hidden": np.array([len(layer.bias) for layer in layers[:-1]], int),
        "activation": activation,
        "dropout": 0.0,
    }
    return Part("mlp", constants, _tensors({f"layer{i}": layer for i, layer in enumerate(layers)}))


def side_by_side(networks):
    """Lists of layers, of the same number each, as one network on the same inputs; outputs one after the other."""
    if len({len(layers) for layers in networks}) > 1:
        raise ValueError("networks of different numbers of layers")
    together = []
    for i, layers in enumerate(zip(*networks)):
        blocks = [layer.weight for layer in layers]
        weight = np.vstack(blocks) if i == 0 else _block_diagonal(blocks)
        together.append(Layer(weight, np.concatenate([layer.bias for layer in layers])))
    return together


def _block_diagonal(blocks):
    whole = np.zeros(np.sum([block.shape for block in blocks], axis=0))
    row = column = 0
    for block in blocks:
        whole[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return whole


def constant_net(inputs, values):
    return Part("constant", {"inputs": inputs, "outputs": len(values)}, {"value": values})


@dataclass
class Norm:
    """Batch normalisation of hidden units by moving statistics, with an epsilon of 1e-3."""

    mean: np.ndarray
    variance: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray


def residual_network(initial, blocks, final, activation, context_dim, gates=(), norms=()):
    """blocks: pairs of layers; gates: a layer of the context for each block; norms: pairs of Norms."""
    layers = {"initial": initial, "final": final}
    for i, pair in enumerate(blocks):
        layers.update({f"block{i}.linear{k}": layer for k, layer in enumerate(pair)})
    layers.update({f"block{i}.context": layer for i, layer in enumerate(gates)})
    constants = {
        "inputs": initial.weight.shape[1] - context_dim,
        "outputs": len(final.bias),
        "context_dim": context_dim,
        "hidden": len(initial.bias),
        "blocks": len(blocks),
        "activation": activation,
        "dropout": 0.0,
    }
    tensors = _tensors(layers)
    if norms:
        constants["batch_norm"] = True
    for i, pair in enumerate(norms):
        for k, norm in enumerate(pair):
            values = {
                "moving_mean": norm.mean,
                "moving_variance": norm.variance,
                "gamma": norm.gamma,
                "beta": norm.beta,
            }
            tensors.update({f"block{i}.norm{k}.{name}": value for name, value in values.items()})
    return Part("residual_network", constants, tensors)


def made(dim, multiplier, degrees, layers, activation, residual, context_dim=0, form="activated", pre_activation=True):
    """degrees: of the units of each hidden layer; layers: by the names of the file."""
    blocks = sum(name.endswith("linear0") or re.fullmatch(r"layer\d+", name) is not None for name in layers)
    alike = residual or all(np.array_equal(degrees[0], other) for other in degrees)
    constants = {
        "dim": dim,
        "multiplier": multiplier,
        "hidden_degrees": np.asarray(degrees[0] if alike else np.concatenate(degrees), int),
        "blocks": blocks,
        "residual": residual,
        "activation": activation,
        "dropout": 0.0,
        "context_dim": context_dim,
    } | _unusual(context_form=(form, "activated"), pre_activation=(pre_activation, True))
    if not alike:
        constants["widths"] = np.array([len(layer) for layer in degrees])
    return Part("made", constants, _tensors(layers))


def inverse_softplus(y):
    return y + np.log(-np.expm1(-y))


# ---------------------------------------------------------------------------------------------------------------- file


@dataclass
class Reference:
    """Rows and what the library that the flow comes from says about them."""

    rows: np.ndarray
    context: np.ndarray  # or None
    log_prob: np.ndarray
    tolerance: np.ndarray


def serialize(model, scalar, reference, columns, context_columns, notes):
    """The bytes of a model file."""
    tensors = {}
    description = model.description(tensors)
    if scalar == "float32":
        tensors = {k: v.astype("<f4") if v.dtype == "<f8" else v for k, v in tensors.items()}
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"the tensor {name} has values that are not finite")
    text = json.dumps(
        {
            "schema": 1,
            "scalar": scalar,
            "description": description,
            "columns": list(columns),
            "context_columns": list(context_columns),
            "data_range": [],
            "context_range": [],
            "reference": {
                "rows": reference.rows.tolist(),
                "contexts": [] if reference.context is None else reference.context.tolist(),
                "log_prob": reference.log_prob[:, None].tolist(),
                "tolerance": reference.tolerance[:, None].tolist(),
            },
        }
    )
    metadata = {**notes, "pushforward": text, "pushforward.crc32": _checksum(text, tensors)}
    header, end = {"__metadata__": metadata}, 0
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))  # larger values first: all are aligned
    for name in order:
        tensor = tensors[name]
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": _NAMES[tensor.dtype.str], "shape": tensor.shape, "data_offsets": [begin, end]}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + b"".join(tensors[name].tobytes() for name in order)


_NAMES = {"<f8": "F64", "<f4": "F32", "<i8": "I64"}
_TYPES = {name: code for code, name in _NAMES.items()}


def parse(data):
    """The model of a file's bytes that the library has checked or written, and its scalar type."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    text = json.loads(header.pop("__metadata__")["pushforward"])
    tensors = {}
    for name, entry in header.items():
        begin, end = (start + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], _TYPES[entry["dtype"]]).reshape(entry["shape"])
    return _parsed(text["description"], tensors), text["scalar"]


def _parsed(description, tensors, path=""):
    parts = {
        child["name"]: _parsed(child["description"], tensors, f"{path}{child['name']}.")
        for child in description["children"]
    }
    below = tuple(f"{path}{name}." for name in parts)
    own = {
        name[len(path) :]: tensor
        for name, tensor in tensors.items()
        if name.startswith(path) and not name.startswith(("constants.", *below))
    }
    constants = {name: _value(value, tensors) for name, value in description["constants"].items()}
    return Part(description["type"], constants, own, parts)


def _value(constant, tensors):
    """What `_constant` wrote."""
    if not isinstance(constant, dict):
        return constant
    if "tensor" in constant:
        return tensors[constant["tensor"]]
    return np.array(constant["numbers"], float) if "numbers" in constant else float(constant["number"])


def _checksum(text, tensors):
    crc = zlib.crc32(text.encode())
    for name in sorted(tensors, key=str.encode):
        tensor = tensors[name]
        extents = "".join(f"{n}," for n in tensor.shape)
        crc = zlib.crc32(f"{name}\n{_NAMES[tensor.dtype.str]}\n{extents}\n".encode(), crc)
        crc = zlib.crc32(tensor.tobytes(), crc)
    return f"{crc:08x}"
