"""Flows of distrax against distrax; their networks are of haiku, or plain functions."""

import distrax
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conversion import DIM, RESULTS, ROWS, check_file, data, largest, nats

from pushforward.convert import CannotConvert, _distrax, convert

BINS = 6


class Haiku:
    """A flow whose networks are modules of haiku, which has their weights outside."""

    def __init__(self, make):
        self.make, self.weights = make, None
        self.transformed = hk.without_apply_rng(hk.transform(lambda what: what(make())))

    def start(self):
        self.weights = self.transformed.init(jax.random.key(0), lambda flow: flow.log_prob(jnp.zeros((1, DIM))))

    def ask(self, what, weights=None):
        return self.transformed.apply(self.weights if weights is None else weights, what)


class Plain:
    """A flow of functions: `make` is given their weights."""

    def __init__(self, make, *sizes):
        rng = np.random.default_rng(0)
        self.make, self.sizes, self.weights = make, sizes, None
        self.first = [
            [(rng.normal(size=(a, b)) / np.sqrt(a), np.zeros(b)) for a, b in zip(sizes, sizes[1:])] for _ in range(3)
        ]

    def start(self):
        self.weights = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), self.first)

    def ask(self, what, weights=None):
        return what(self.make(self.weights if weights is None else weights))


def normal():
    return distrax.MultivariateNormalDiag(jnp.zeros(DIM), jnp.ones(DIM))


def shift_and_scale(parameters):
    shift, raw = jnp.split(parameters, 2, -1)
    return distrax.ScalarAffine(shift, log_scale=2 * jnp.tanh(raw))


def real_nvp():
    def conditioner():
        net = hk.nets.MLP([16, 16, 2 * DIM], activation=jax.nn.relu)
        return lambda x: net(x).reshape(*x.shape[:-1], DIM, 2)

    def bijector(parameters):
        return distrax.ScalarAffine(parameters[..., 0], scale=jax.nn.softplus(parameters[..., 1]) + 1e-3)

    masks = [jnp.arange(DIM) % 2 == i % 2 for i in range(3)]
    layers = [distrax.MaskedCoupling(mask, conditioner(), bijector) for mask in masks]
    return distrax.Transformed(normal(), distrax.Inverse(distrax.Chain(layers)))


def spline_flow():
    """As in distrax's own example, with a linear map behind."""

    def conditioner():
        count = 3 * BINS + 1
        return hk.Sequential([
            hk.Flatten(preserve_dims=-1),
            hk.nets.MLP([16, 16], activate_final=True, activation=jax.nn.silu),
            hk.Linear(DIM * count),
            hk.Reshape((DIM, count), preserve_dims=-1),
        ])  # fmt: skip

    def bijector(parameters):
        return distrax.RationalQuadraticSpline(parameters, range_min=-4.0, range_max=4.0)

    layers = []
    for i in range(3):
        layers.append(distrax.MaskedCoupling(jnp.arange(DIM) % 2 == i % 2, conditioner(), bijector))
    matrix = hk.get_parameter("matrix", (DIM, DIM), init=lambda *a: jnp.eye(DIM) + 0.1)
    layers.append(distrax.UnconstrainedAffine(matrix, jnp.full(DIM, 0.25)))
    base = distrax.Independent(distrax.Logistic(jnp.zeros(DIM), jnp.ones(DIM)), 1)
    return distrax.Transformed(base, distrax.Chain(layers))


def network(weights, x, activation):
    for weight, bias in weights[:-1]:
        x = activation(x @ weight + bias)
    return x @ weights[-1][0] + weights[-1][1]


def split_flow(weights):
    flip = distrax.Lambda(lambda x: jnp.flip(x, -1), lambda y: jnp.flip(y, -1), lambda x: jnp.zeros(x.shape[:-1]),
                          lambda y: jnp.zeros(y.shape[:-1]), 1, 1, True)  # fmt: skip
    layers = []
    for i, own in enumerate(weights):
        net = lambda x, own=own: network(own, x, jnp.tanh)  # noqa: E731
        layers += [distrax.SplitCoupling(2, 1, net, shift_and_scale, swap=i == 1), flip]
    scale = distrax.DiagLinear(jnp.array([0.5, 2.0, -1.5, 1.0]))
    return distrax.Transformed(normal(), distrax.Chain([*layers, scale]))


def two_maps(weights):
    """Splines that are the identity outside, and an affine map behind each."""
    count = 3 * BINS + 3

    def bijector(parameters):
        spline = distrax.RationalQuadraticSpline(parameters[..., 2:], -3.0, 3.0, boundary_slopes="identity")
        return distrax.Chain([distrax.ScalarAffine(parameters[..., 0], log_scale=parameters[..., 1]), spline])

    layers = []
    for i, own in enumerate(weights):
        net = lambda x, own=own: network(own, x, lambda h: jax.nn.leaky_relu(h, 0.2)).reshape(  # noqa: E731
            *x.shape[:-1], DIM, count
        )
        layers.append(distrax.MaskedCoupling(jnp.arange(DIM) % 2 == i % 2, net, bijector))
    return distrax.Transformed(normal(), distrax.Chain(layers))


FLOWS = {
    "RealNVP, haiku": Haiku(real_nvp),
    "NSF, haiku, linear map": Haiku(spline_flow),
    "split couplings": Plain(split_flow, 2, 16, 4),
    "splines and affine maps": Plain(two_maps, DIM, 16, 16, DIM * (3 * BINS + 3)),
}


def train(flow, steps=200):
    flow.start()
    y = jnp.asarray(data(0, 64 * steps)[0], jnp.float32)
    loss = lambda weights, rows: -flow.ask(lambda made: made.log_prob(rows), weights).mean()  # noqa: E731
    gradient = jax.jit(jax.grad(loss))
    for i in range(steps):
        step = gradient(flow.weights, y[64 * i : 64 * (i + 1)])
        size = jnp.sqrt(sum((g**2).sum() for g in jax.tree.leaves(step)))
        flow.weights = jax.tree.map(lambda w, g: w - 0.02 * g / jnp.maximum(1, size), flow.weights, step)


def theirs(flow, y):
    """In double, as the arrays say."""
    with jax.enable_x64(y.dtype == np.float64):
        double = _distrax.double if y.dtype == np.float64 else lambda made: made
        return np.asarray(flow.ask(lambda made: double(made).log_prob(jnp.asarray(y))))


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.filterwarnings("ignore")
def test_same_as_distrax(name, tmp_path):
    flow = FLOWS[name]
    train(flow)
    path = tmp_path / "flow.safetensors"
    model = flow.ask(lambda made: convert(made, path))
    check_file(path, model)

    y = 3 * data(1, ROWS)[0]
    result = {"peer": "distrax", "flow": name, "double": nats(model.log_prob(y), theirs(flow, y))}
    assert result["double"] <= 1e-10
    x = 2 * data(2, ROWS)[0]
    with jax.enable_x64(True):
        base, out = flow.ask(
            lambda made: (
                np.asarray(_distrax.double(made).bijector.inverse(jnp.asarray(y))),
                np.asarray(_distrax.double(made).bijector.forward(jnp.asarray(x))),
            )
        )
    result["to base"] = largest(model.inverse(y)[0], base, relative=True)
    result["to data"] = largest(model.forward(x)[0], out, relative=True)
    assert result["to base"] <= 1e-8 and result["to data"] <= 1e-8
    y = (y / 1.5).astype("f4")
    right = theirs(flow, y.astype(float))
    single = flow.ask(lambda made: convert(made, dtype="float32"))
    result["float32"] = nats(single.log_prob(y), right, single=True)
    result["own"] = nats(theirs(flow, y), right, single=True)
    assert result["float32"] <= max(1e-4, 2 * result["own"])
    RESULTS.append(result)


def matrix(seed):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(DIM, DIM)) + 2 * np.eye(DIM), jnp.float32)


def block(bijector):
    return distrax.Block(bijector, 1)


PARTS = {
    "triangular": lambda: distrax.TriangularLinear(matrix(0), is_lower=True),
    "upper": lambda: distrax.TriangularLinear(matrix(1), is_lower=False),
    "lower and upper": lambda: distrax.LowerUpperTriangularAffine(matrix(2), jnp.arange(4.0)),
    "low rank": lambda: distrax.DiagPlusLowRankLinear(jnp.ones(DIM) * 2, matrix(3)[:, :2], 0.1 * matrix(4)[:, :2]),
    "affine": lambda: block(distrax.ScalarAffine(jnp.arange(4.0), scale=jnp.array([1.0, -2.0, 0.5, 3.0]))),
    "shift": lambda: block(distrax.Shift(jnp.arange(4.0))),
    "sigmoid": lambda: block(distrax.Sigmoid()),
    "tanh": lambda: block(distrax.Tanh()),
    "gumbel": lambda: block(distrax.GumbelCDF()),
    "exp by a function": lambda: block(distrax.Lambda(jnp.exp, jnp.log, lambda x: x, lambda y: -jnp.log(y), 0)),
    "softplus by a function": lambda: block(distrax.Lambda(
        lambda x: 1 + 2 * jax.nn.softplus(3 * x - 1), lambda y: (jnp.log(jnp.expm1((y - 1) / 2)) + 1) / 3,
        lambda x: jnp.log(6 * jax.nn.sigmoid(3 * x - 1)), lambda y: -jnp.log(-6 * jnp.expm1((1 - y) / 2)), 0)),
    "spline": lambda: block(distrax.RationalQuadraticSpline(jnp.asarray(np.random.default_rng(5).normal(
        size=(DIM, 3 * BINS + 1)), jnp.float32), -3.0, 3.0)),
    "spline, identity": lambda: block(distrax.RationalQuadraticSpline(jnp.asarray(np.random.default_rng(6).normal(
        size=(DIM, 3 * BINS + 1)), jnp.float32), -3.0, 3.0, boundary_slopes="identity")),
}  # fmt: skip
BASES = {
    "full": lambda: distrax.MultivariateNormalFullCovariance(jnp.arange(4.0), matrix(7) @ matrix(7).T),
    "tri": lambda: distrax.MultivariateNormalTri(jnp.arange(4.0), matrix(8)),
    "upper tri": lambda: distrax.MultivariateNormalTri(jnp.arange(4.0), matrix(8), is_lower=False),
    "uniform": lambda: distrax.Independent(distrax.Uniform(jnp.zeros(DIM), 4 * jnp.ones(DIM)), 1),
    "laplace": lambda: distrax.Independent(distrax.Laplace(jnp.zeros(DIM), 1 + jnp.arange(4.0)), 1),
    "gamma": lambda: distrax.Independent(distrax.Gamma(1 + jnp.arange(4.0), jnp.ones(DIM)), 1),
    "beta": lambda: distrax.Independent(distrax.Beta(1 + jnp.arange(4.0), 2 * jnp.ones(DIM)), 1),
    "mixture": lambda: distrax.MixtureSameFamily(
        distrax.Categorical(logits=jnp.array([0.5, -0.5])),
        distrax.MultivariateNormalDiag(jnp.stack([jnp.zeros(DIM), jnp.ones(DIM)]), jnp.ones((2, DIM)) * 0.5),
    ),
}


@pytest.mark.parametrize("name", [*PARTS, *BASES])
@pytest.mark.filterwarnings("ignore")
def test_parts(name):
    flow = distrax.Transformed(normal(), PARTS[name]()) if name in PARTS else BASES[name]()
    model = convert(flow)
    y = model.sample(500, seed=1)
    with jax.enable_x64(True):
        right = np.asarray(_distrax.double(flow).log_prob(jnp.asarray(y))).reshape(len(y), -1).sum(1)
    np.testing.assert_allclose(model.log_prob(y), right, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_refused():
    def refused(network, reason, bijector=shift_and_scale, path=r"bijector\.bijector\(\)"):
        flow = distrax.Transformed(normal(), distrax.SplitCoupling(2, 1, network, bijector))
        with pytest.raises(CannotConvert, match=f"^{path}.*{reason}"):
            convert(flow)

    twice = lambda x: jnp.concatenate([x, x], -1)  # noqa: E731
    refused(lambda x: jax.nn.gelu(twice(x)), "the operation .* has no counterpart")  # by a tanh, which is no gelu
    refused(lambda x: jax.nn.relu(twice(x)) ** 3 @ jnp.eye(4), "the operation integer_pow")
    refused(lambda x: jnp.sin(twice(x)), "the operation sin")
    refused(twice, "a network that makes a Sigmoid has no", lambda p: distrax.Sigmoid())
    refused(twice, "neither exp, softplus nor sigmoid", lambda p: distrax.ScalarAffine(p[..., :2], scale=p[..., 2:]))
    odd = distrax.Lambda(lambda x: x + jnp.sin(x) / 2, lambda y: y, lambda x: x, lambda y: y, 0)
    with pytest.raises(CannotConvert, match=r"^bijector\.bijector: Lambda: .*the operation sin"):
        convert(distrax.Transformed(normal(), distrax.Block(odd, 1)))
