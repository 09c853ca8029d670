"""Worker of the libraries on jax: flowjax and distrax, everything jitted."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from protocol import BINS, BLOCKS, BOUND, MODELS, Cannot, serve, work_job

FLOAT = {"float32": jnp.float32, "float64": jnp.float64}


class Flowjax:
    """flowjax.flows; its networks are plain, so residual ones become plain ones with as many products."""

    RAW = 3 * BINS + 1

    def notes(self, model):
        if model.kind == "maf":
            return "no batch norm layer: timed without; random permutations between layers"
        if model.kind == "realnvp":
            return "random permutations between layers instead of alternating masks"
        mixing = "LU linear" if model.mixing else "alternating masks"
        return f"random permutations instead of {mixing}; plain networks with as many products as the residual ones"

    def transformer(self):
        from flowjax.bijections import RationalQuadraticSpline

        return RationalQuadraticSpline(knots=BINS - 1, interval=BOUND)  # flowjax counts inner knots

    def build(self, model, dtype):
        """The flow's parameters and a function that makes the flow of them."""
        import equinox as eqx
        import paramax
        from flowjax.distributions import Normal
        from flowjax.flows import coupling_flow, masked_autoregressive_flow

        builder = masked_autoregressive_flow if model.kind in ("nsf_ar", "maf") else coupling_flow
        spline = model.kind.startswith("nsf")
        flow = builder(
            jax.random.key(0),
            base_dist=Normal(jnp.zeros(model.features, dtype)),
            transformer=self.transformer() if spline else None,
            flow_layers=model.layers,
            nn_width=model.hidden,
            nn_depth=2 * BLOCKS + 1 if spline else 2,
        )
        parameters, static = eqx.partition(
            flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
        )
        return parameters, lambda parameters: eqx.combine(parameters, static)

    def log_prob(self, flow, x):
        return flow.log_prob(x)

    def sample(self, flow, key, rows):
        return flow.sample(key, (rows,))

    def spline(self, x, raw, inverse):
        import equinox as eqx
        import paramax
        from flowjax.utils import get_ravelled_pytree_constructor

        construct, _ = get_ravelled_pytree_constructor(
            self.transformer(),
            filter_spec=eqx.is_inexact_array,
            is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable),
        )

        def one(x, raw):
            spline = paramax.unwrap(construct(raw))
            return spline.inverse_and_log_det(x) if inverse else spline.transform_and_log_det(x)

        return jax.vmap(one)(x, raw)


class Distrax:
    """distrax has bijectors but no networks and no masked autoregressive flow: couplings only, networks in jax."""

    RAW = 3 * BINS + 1

    def notes(self, model):
        return "SplitCoupling (splines of the moved half only): faster than MaskedCoupling"

    def build(self, model, dtype):
        import distrax

        if model.kind in ("nsf_ar", "maf"):
            raise Cannot("no masked autoregressive bijector or network")
        features, half = model.features, model.features // 2
        spline = model.kind == "nsf_c"
        per_value = self.RAW if spline else 2
        keys = iter(jax.random.split(jax.random.key(0), 100))

        def dense(inputs, outputs, scale=1.0):
            weight = jax.random.normal(next(keys), (inputs, outputs), dtype) * scale / inputs**0.5
            return weight, jnp.zeros(outputs, dtype)

        def network(inputs, outputs):
            inner = 2 * BLOCKS if spline else 1
            return [
                dense(inputs, model.hidden),
                *[dense(model.hidden, model.hidden) for _ in range(inner)],
                dense(model.hidden, outputs, 0.1),
            ]

        def residual(layers, x):
            (first, *blocks, last) = layers
            h = x @ first[0] + first[1]
            for (w0, b0), (w1, b1) in zip(blocks[::2], blocks[1::2]):
                h = h + jax.nn.relu(jax.nn.relu(h) @ w0 + b0) @ w1 + b1
            return h @ last[0] + last[1]

        def plain(layers, x):
            *hidden, last = layers
            for weight, bias in hidden:
                x = jax.nn.relu(x @ weight + bias)
            return x @ last[0] + last[1]

        def conditioner(layers, x):
            raw = (residual if spline else plain)(layers, x)
            return raw.reshape(*raw.shape[:-1], -1, per_value)

        def inner(raw):
            if spline:
                return distrax.RationalQuadraticSpline(raw, -BOUND, BOUND, boundary_slopes="identity")
            return distrax.ScalarAffine(shift=raw[..., 0], log_scale=raw[..., 1])

        parameters = []
        for i in range(model.layers):
            kept = half if i % 2 == 0 else features - half
            mixing = (jnp.eye(features, dtype=dtype), jnp.zeros(features, dtype)) if model.mixing else None
            parameters.append((network(kept, (features - kept) * per_value), mixing))

        def flow(parameters):
            layers = []
            for i, (layers_of_net, mixing) in enumerate(parameters):
                layers.append(
                    distrax.SplitCoupling(half, 1, partial(conditioner, layers_of_net), inner, swap=i % 2 == 1)
                )
                if mixing:
                    layers.append(distrax.LowerUpperTriangularAffine(*mixing))
            base = distrax.MultivariateNormalDiag(jnp.zeros(features, dtype), jnp.ones(features, dtype))
            # inverted as in a density model: data to noise is the bijectors' own direction
            return distrax.Transformed(base, distrax.Inverse(distrax.Chain(layers)))

        return parameters, flow

    def log_prob(self, flow, x):
        return flow.log_prob(x)

    def sample(self, flow, key, rows):
        return flow.sample(seed=key, sample_shape=(rows,))

    def spline(self, x, raw, inverse):
        import distrax

        spline = distrax.RationalQuadraticSpline(raw, -BOUND, BOUND, boundary_slopes="identity")
        return spline.inverse_and_log_det(x) if inverse else spline.forward_and_log_det(x)


LIBRARIES = {"flowjax": Flowjax, "distrax": Distrax}


def blocking(function, *arguments):
    """Calls that end when the result is there, because jax returns before."""
    return lambda: jax.block_until_ready(function(*arguments))


def training_step(library, parameters, flow, x):
    optimizer = optax.adam(1e-4)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(parameters, state, x):
        loss, gradients = jax.value_and_grad(lambda p: -library.log_prob(flow(p), x).mean())(parameters)
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state, loss

    state = [parameters, optimizer.init(parameters)]

    def step():
        state[0], state[1], loss = update(*state, x)
        jax.block_until_ready((state, loss))

    return step


def spline_job(library, work, dtype):
    function = jax.jit(partial(library.spline, inverse=work == "spline_inverse"))

    def tile_call(tile):
        x = jax.random.normal(jax.random.key(1), (tile,), dtype)
        return blocking(function, x, jax.random.normal(jax.random.key(2), (tile, library.RAW), dtype))

    return work_job(work, None, None, tile_call)


def flow_job(library, model, work, dtype):
    parameters, flow = library.build(model, dtype)
    rows_of = partial(jax.random.normal, jax.random.key(1), dtype=dtype)

    def tile_call(rows):
        if "sample" in work:
            return blocking(jax.jit(lambda key: library.sample(flow(parameters), key, rows)), jax.random.key(2))
        density = jax.jit(lambda x: library.log_prob(flow(parameters), x))
        return blocking(density, rows_of((rows, model.features)))

    def step():
        return training_step(library, parameters, flow, rows_of((model.batch, model.features)))

    return work_job(work, step, lambda: tile_call(1), tile_call)


def prepare(request):
    library, work = LIBRARIES[request["peer"]](), request["work"]
    jax.config.update("jax_enable_x64", request["dtype"] == "float64")
    dtype = FLOAT[request["dtype"]]
    if work.startswith("spline_"):
        return spline_job(library, work, dtype)
    model = MODELS[request["model"]]
    job = flow_job(library, model, work, dtype)
    job.info["note"] = library.notes(model)
    return job


if __name__ == "__main__":
    serve(prepare)
