"""Worker of the libraries on torch: zuko, nflows and normflows, each also as "<name>+compile"."""

from functools import partial

import torch
import weights
from protocol import BINS, BLOCKS, BOUND, MODELS, Cannot, serve, work_job

RAW = (BINS, BINS, BINS - 1)  # a spline's raw parameters: widths, heights, inner derivatives


class Zuko:
    """zuko.flows, and its lazy transforms where a builder lacks the spline's bound or the LU linear."""

    def notes(self, model):
        return {
            "maf": "no batch norm layer: timed without",
            "nsf_c": "coupling networks are plain, with as many products as the residual ones",
        }.get(model.kind)

    def flow(self, model):
        import zuko
        from zuko.flows import RealNVP
        from zuko.flows.autoregressive import MaskedAutoregressiveTransform
        from zuko.flows.coupling import GeneralCouplingTransform
        from zuko.lazy import UnconditionalDistribution, UnconditionalTransform

        features = model.features
        if model.kind == "maf":
            return zuko.flows.MAF(features, transforms=model.layers, hidden_features=(model.hidden,) * 2)
        if model.kind == "realnvp":
            return RealNVP(features, transforms=model.layers, hidden_features=(model.hidden,) * 2)
        spline = dict(univariate=partial(zuko.transforms.MonotonicRQSTransform, bound=BOUND), shapes=[(n,) for n in RAW])

        def mixing():
            lu = zuko.transforms.LULinearTransform
            return [UnconditionalTransform(lu, torch.eye(features))] if model.mixing else []

        layers = []
        for i in range(model.layers):
            layers += mixing()
            if model.kind == "nsf_ar":
                widths = (model.hidden,) * BLOCKS
                layers.append(MaskedAutoregressiveTransform(features, hidden_features=widths, residual=True, **spline))
            else:
                widths = (model.hidden,) * (2 * BLOCKS + 1)
                mask = torch.arange(features) % 2 == i % 2
                layers.append(GeneralCouplingTransform(features, mask=mask, hidden_features=widths, **spline))
        layers += mixing()
        base = UnconditionalDistribution(
            zuko.distributions.DiagNormal, torch.zeros(features), torch.ones(features), buffer=True
        )
        return zuko.flows.Flow(layers, base)

    def log_prob(self, flow, x):
        return flow().log_prob(x)

    def sample(self, flow, rows):
        return flow().sample((rows,))

    def spline(self, x, raw, inverse):
        from zuko.transforms import MonotonicRQSTransform

        transform = MonotonicRQSTransform(*raw, bound=BOUND)
        return (transform.inv if inverse else transform).call_and_ladj(x)


class Nflows:
    """nflows, by its own flows where they fit and by its transforms otherwise."""

    def notes(self, model):
        return None

    def flow(self, model):
        from nflows import transforms
        from nflows.distributions import StandardNormal
        from nflows.flows import Flow, MaskedAutoregressiveFlow
        from nflows.nn.nets import MLP, ResidualNet

        features, hidden = model.features, model.hidden
        if model.kind == "maf":
            flow = MaskedAutoregressiveFlow(
                features, hidden, model.layers, 1, use_residual_blocks=False, batch_norm_between_layers=True
            )
            for module in flow.modules():
                if isinstance(module, transforms.BatchNorm):
                    module.running_var.fill_(1)  # starts at 0, which would blow up an untrained flow
            return flow

        class PlainNet(MLP):
            def __init__(self, inputs, outputs):
                super().__init__((inputs,), (outputs,), (hidden, hidden))

            def forward(self, x, context=None):
                return super().forward(x)

        def residual_net(inputs, outputs):
            return ResidualNet(inputs, outputs, hidden, num_blocks=BLOCKS)

        def mixing():
            return [transforms.RandomPermutation(features), transforms.LULinear(features)] if model.mixing else []

        spline = dict(num_bins=BINS, tails="linear", tail_bound=BOUND)
        layers = []
        for i in range(model.layers):
            layers += mixing()
            mask = (torch.arange(features) % 2 != i % 2).int()
            if model.kind == "nsf_ar":
                layers.append(
                    transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                        features, hidden, num_blocks=BLOCKS, **spline
                    )
                )
            elif model.kind == "nsf_c":
                layers.append(transforms.PiecewiseRationalQuadraticCouplingTransform(mask, residual_net, **spline))
            else:
                layers.append(transforms.AffineCouplingTransform(mask, PlainNet))
        layers += mixing()
        return Flow(transforms.CompositeTransform(layers), StandardNormal([features]))

    def maps(self, flow):
        """What a file's weights go into, from the data's side."""
        for layer in flow._transform._transforms:
            yield getattr(layer, "autoregressive_net", getattr(layer, "transform_net", layer))

    def log_prob(self, flow, x):
        return flow.log_prob(x)

    def sample(self, flow, rows):
        return flow.sample(rows)

    def spline(self, x, raw, inverse):
        from nflows.transforms.splines import unconstrained_rational_quadratic_spline

        return unconstrained_rational_quadratic_spline(x, *raw, inverse=inverse, tails="linear", tail_bound=BOUND)


class Normflows:
    """normflows, by its flow layers."""

    def notes(self, model):
        return {
            "maf": "batch norm has no density direction: timed without; random permutations between layers",
            "nsf_c": "the identity half's extra unconditional spline is left out, as in the other libraries",
            "realnvp": "AffineCouplingBlock (one network for shift and scale): faster than MaskedAffineFlow",
        }.get(model.kind)

    def flow(self, model):
        import normflows as nf

        features, hidden = model.features, model.hidden
        layers = []
        if model.mixing and model.kind != "maf":
            layers.append(nf.flows.LULinearPermute(features))
        for i in range(model.layers):
            if model.kind == "nsf_ar":
                layers.append(nf.flows.AutoregressiveRationalQuadraticSpline(features, BLOCKS, hidden, num_bins=BINS))
            elif model.kind == "nsf_c":
                layer = nf.flows.CoupledRationalQuadraticSpline(
                    features, BLOCKS, hidden, num_bins=BINS, tail_bound=BOUND, reverse_mask=(model.layers - i) % 2 == 0
                )
                layer.prqct.unconditional_transform = None
                layers.append(layer)
            elif model.kind == "maf":
                affine = nf.flows.MaskedAffineAutoregressive(features, hidden, num_blocks=1, use_residual_blocks=False)
                layers += [self.density_side(affine), nf.flows.Permute(features)]
            else:
                large, small = features - features // 2, features // 2  # chunk() gives the first part one more
                kept, moved, mode = (large, small, "channel") if i % 2 == 0 else (small, large, "channel_inv")
                net = nf.nets.MLP([kept, hidden, hidden, 2 * moved])
                layers.append(nf.flows.AffineCouplingBlock(net, split_mode=mode))
            if model.mixing and model.kind != "maf":
                layers.append(nf.flows.LULinearPermute(features))
        return nf.NormalizingFlow(nf.distributions.DiagGaussian(features, trainable=False), layers)

    @staticmethod
    def density_side(layer):
        """normflows' own affine layer is fast in the sampling direction; a MAF is fast in the density's."""
        from normflows.flows import Reverse

        return Reverse(layer)

    def maps(self, flow):
        """What a file's weights go into, from the data's side."""
        for layer in reversed(flow.flows):
            if hasattr(layer, "permutation"):
                yield layer.permutation
                yield layer.linear
            elif hasattr(layer, "prqct"):
                yield layer.prqct.transform_net
            else:
                yield layer.mprqat.autoregressive_net

    def log_prob(self, flow, x):
        return flow.log_prob(x)

    def sample(self, flow, rows):
        return flow.sample(rows)[0]

    def spline(self, x, raw, inverse):
        from normflows.utils.splines import unconstrained_rational_quadratic_spline

        return unconstrained_rational_quadratic_spline(x, *raw, inverse=inverse, tails="linear", tail_bound=BOUND)


COMPILED_TILES = (1024,)  # every other tile would cost a minute of compilation
LIBRARIES = {"zuko": Zuko, "nflows": Nflows, "normflows": Normflows}


def compiled(function):
    """Static shapes: every tile has its own code, as it would in a program that cares for speed."""
    torch._dynamo.reset()
    return torch.compile(function, dynamic=False)


def evaluated(function, wrap):
    """Calls without autograd's bookkeeping; the compiler's guards do not stand inference mode."""
    mode = torch.no_grad if wrap is compiled else torch.inference_mode

    def call():
        with mode():
            function()

    return call


def training_step(library, flow, x, wrap):
    flow.train()
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-4, fused=True)
    loss_of = wrap(lambda rows: -library.log_prob(flow, rows).mean())

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_of(x).backward()
        optimizer.step()

    return step


def spline_job(library, work, wrap):
    inverse = work == "spline_inverse"
    function = wrap(lambda x, raw: library.spline(x, raw, inverse))

    def tile_call(tile):
        x, raw = torch.randn(tile), [torch.randn(tile, n) for n in RAW]
        return evaluated(lambda: function(x, raw), wrap)

    return work_job(work, None, None, tile_call)


def flow_job(library, model, request, wrap):
    work, flow = request["work"], library.flow(model).eval()
    info = {}
    if (path := request.get("weights")) and hasattr(library, "maps"):
        rows, log_prob = weights.give(path, list(library.maps(flow)))
        info["difference"] = weights.difference(lambda x: library.log_prob(flow, x), rows, log_prob)
    if "sample" in work:
        draw = wrap(lambda rows: library.sample(flow, rows))
    else:
        density = wrap(lambda x: library.log_prob(flow, x))

    def tile_call(rows):
        if "sample" in work:
            return evaluated(lambda: draw(rows), wrap)
        x = torch.randn(rows, model.features)
        return evaluated(lambda: density(x), wrap)

    def step():
        return training_step(library, flow, torch.randn(model.batch, model.features), wrap)

    tiles = COMPILED_TILES if wrap is compiled else None
    job = work_job(work, step, lambda: tile_call(1), tile_call, tiles)
    job.info |= info
    return job


def prepare(request):
    name, _, compile_mode = request["peer"].partition("+")
    library, work = LIBRARIES[name](), request["work"]
    torch.manual_seed(0)
    torch.set_num_threads(request["threads"])
    torch.set_default_dtype(getattr(torch, request["dtype"]))
    if compile_mode and work == "sample":
        raise Cannot("not compiled: the sampler unrolls into layers x features network passes")
    wrap = compiled if compile_mode else lambda function: function
    if work.startswith("spline_"):
        return spline_job(library, work, wrap)
    model = MODELS[request["model"]]
    job = flow_job(library, model, request, wrap)
    if note := library.notes(model):
        job.info["note"] = note
    return job


if __name__ == "__main__":
    torch.distributions.Distribution.set_default_validate_args(False)
    serve(prepare)
