"""Flows of normflows against normflows."""

import normflows as nf
import pytest
import torch
from conversion import CONTEXT, DIM, Case, check


def base():
    return nf.distributions.DiagGaussian(DIM)


def repeated(make, count=2):
    """Layers, with a linear map after each."""
    return [part for i in range(count) for part in (make(i), nf.flows.LULinearPermute(DIM))]


def autoregressive(**options):
    return repeated(lambda i: nf.flows.AutoregressiveRationalQuadraticSpline(DIM, 2, 16, **options))


def coupled(**options):
    return repeated(lambda i: nf.flows.CoupledRationalQuadraticSpline(DIM, 2, 16, reverse_mask=i % 2 == 1, **options))


def encoder():
    return nf.nets.MLP([CONTEXT, 8, 2 * DIM])


def real_nvp(mask_of=lambda i: i % 2, **nets):
    """The library's example."""
    flows = []
    for i in range(4):
        mask = torch.tensor([(j + mask_of(i)) % 2 for j in range(DIM)]).float()
        flows += [
            nf.flows.MaskedAffineFlow(mask, **{name: net() for name, net in nets.items()}),
            nf.flows.ActNorm(DIM),
        ]
    for part in flows[1::2]:
        part.data_dep_init_done = torch.tensor(1.0)
    return nf.NormalizingFlow(base(), flows)


def net():
    return nf.nets.MLP([DIM, 16, 16, DIM], init_zeros=True)


def blocks(scale_map, split="channel", **options):
    flows = []
    for _ in range(3):
        halves = (DIM // 2, DIM if options.get("scale", True) else DIM // 2)
        param_map = nf.nets.MLP([halves[0], 16, 16, halves[1]], init_zeros=True)
        flows += [
            nf.flows.AffineCouplingBlock(param_map, scale_map=scale_map, split_mode=split, **options),
            nf.flows.Permute(DIM, mode="shuffle" if scale_map == "exp" else "swap"),
        ]
    return nf.NormalizingFlow(base(), flows)


FLOWS = {
    "NSF, autoregressive": lambda: nf.NormalizingFlow(base(), autoregressive()),
    "NSF, autoregressive, permuted masks": lambda: nf.NormalizingFlow(base(), autoregressive(permute_mask=True)),
    "NSF, autoregressive, context": lambda: nf.ConditionalNormalizingFlow(
        base(), autoregressive(num_context_channels=CONTEXT)
    ),
    "NSF, coupling": lambda: nf.NormalizingFlow(base(), coupled()),
    "NSF, coupling, context, base from the context": lambda: nf.ConditionalNormalizingFlow(
        nf.distributions.base.ConditionalDiagGaussian(DIM, encoder()), coupled(num_context_channels=CONTEXT)
    ),
    "RealNVP": lambda: real_nvp(t=net, s=net),
    "NICE": lambda: real_nvp(t=net),
    "RealNVP in blocks, exp": lambda: blocks("exp"),
    "RealNVP in blocks, sigmoid, checkerboard": lambda: blocks("sigmoid", "checkerboard"),
    "RealNVP in blocks, sigmoid_inv": lambda: blocks("sigmoid_inv", "channel_inv"),
    "NICE in blocks": lambda: blocks("exp", scale=False),
    "MAF, whose network sees the base": lambda: nf.NormalizingFlow(
        base(), repeated(lambda i: nf.flows.MaskedAffineAutoregressive(DIM, 16))
    ),
    "linear maps": lambda: nf.NormalizingFlow(
        nf.distributions.GaussianMixture(3, DIM),
        [
            nf.flows.InvertibleAffine(DIM),
            nf.flows.AffineConstFlow((DIM,)),
            nf.flows.InvertibleAffine(DIM, use_lu=False),
        ],
    ),
}


def given(context):
    return () if context is None else (context,)


def log_prob(flow, y, context):
    return flow.log_prob(y, *given(context))


def to_base(flow, y, context):
    return flow.inverse(y, *given(context))


def to_data(flow, x, context):
    return flow.forward(x, *given(context))


@pytest.mark.filterwarnings("ignore:.*torch.lu is deprecated.*:UserWarning")
@pytest.mark.parametrize("name", FLOWS)
def test_same_as_normflows(name, tmp_path):
    torch.manual_seed(1)
    maps = (None, None) if "base from the context" in name else (to_base, to_data)
    check(Case(name, FLOWS[name](), log_prob, *maps, "context" in name), tmp_path)
