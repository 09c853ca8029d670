"""Flows of zuko against zuko."""

import pytest
import torch
import zuko
from conversion import CONTEXT, DIM, Case, check
from zuko.lazy import Flow, UnconditionalDistribution, UnconditionalTransform
from zuko.transforms import AdditiveTransform, LULinearTransform, PermutationTransform, RotationTransform

SMALL = {"transforms": 2, "hidden_features": (16, 16)}


def base():
    return UnconditionalDistribution(zuko.distributions.DiagNormal, torch.zeros(DIM), torch.ones(DIM), buffer=True)


def parts():
    """Transforms that are no networks, and the inverse of one that is."""
    spline = zuko.flows.ElementWiseTransform(
        DIM, univariate=zuko.transforms.MonotonicRQSTransform, shapes=[(6,), (6,), (5,)]
    )
    return Flow(
        [
            UnconditionalTransform(RotationTransform, A=torch.randn(DIM, DIM)),
            UnconditionalTransform(LULinearTransform, LU=torch.eye(DIM) - 0.3 * torch.tril(torch.ones(DIM, DIM), 1)),
            spline,
            UnconditionalTransform(PermutationTransform, order=torch.tensor([2, 0, 3, 1]), buffer=True),
            zuko.flows.NICE(DIM, univariate=AdditiveTransform, shapes=[()], **SMALL).transform.inv,
        ],
        base(),
    )


def graph():
    """Columns that depend on some of the others."""
    edges = torch.eye(DIM).bool()
    edges[1, 3] = edges[2, 3] = edges[0, 2] = edges[0, 1] = True
    part = zuko.flows.MaskedAutoregressiveTransform(DIM, adjacency=edges, hidden_features=(16, 16))
    return Flow([part, zuko.flows.MAF(DIM, transforms=1).transform.transforms[0]], base())


FLOWS = {
    "NSF": lambda: zuko.flows.NSF(DIM, **SMALL),
    "NSF, context": lambda: zuko.flows.NSF(DIM, CONTEXT, **SMALL),
    "NSF, random order, 16 bins, ELU": lambda: zuko.flows.NSF(
        DIM, transforms=3, randperm=True, hidden_features=(24, 24, 24), bins=16, activation=torch.nn.ELU
    ),
    "NSF, hidden layers of 24 and 12": lambda: zuko.flows.NSF(DIM, transforms=2, hidden_features=(24, 12)),
    "NSF, residual blocks, context": lambda: zuko.flows.NSF(DIM, CONTEXT, residual=True, **SMALL),
    "NSF, coupling (2 passes)": lambda: zuko.flows.NSF(DIM, passes=2, **SMALL),
    "NSF, coupling (2 passes), context": lambda: zuko.flows.NSF(DIM, CONTEXT, passes=2, **SMALL),
    "NSF, 3 passes, context": lambda: zuko.flows.NSF(DIM, CONTEXT, passes=3, activation=torch.nn.Tanh, **SMALL),
    "NSF of one column, context": lambda: zuko.flows.NSF(1, CONTEXT, **SMALL),
    "MAF": lambda: zuko.flows.MAF(DIM, **SMALL),
    "MAF, context": lambda: zuko.flows.MAF(DIM, CONTEXT, **SMALL),
    "MAF, hidden layers of 24 and 12, context, SiLU": lambda: zuko.flows.MAF(
        DIM, CONTEXT, hidden_features=(24, 12), activation=torch.nn.SiLU
    ),
    "MAF of a graph": graph,
    "MAF without hidden layers, context": lambda: zuko.flows.MAF(DIM, CONTEXT, hidden_features=(), transforms=3),
    "RealNVP": lambda: zuko.flows.NICE(DIM, transforms=4, hidden_features=(16, 16)),
    "RealNVP, context": lambda: zuko.flows.NICE(DIM, CONTEXT, randmask=True, transforms=4, hidden_features=(16, 16)),
    "NICE, additive": lambda: zuko.flows.NICE(DIM, univariate=AdditiveTransform, shapes=[()], **SMALL),
    "NICE, additive, context": lambda: zuko.flows.NICE(
        DIM, CONTEXT, univariate=AdditiveTransform, shapes=[()], **SMALL
    ),
    "rotation, LU, spline of each column, permutation, inverse": parts,
    "mixture of Gaussians": lambda: zuko.mixtures.GMM(DIM, components=3),
    "mixture of Gaussians, diagonal": lambda: zuko.mixtures.GMM(DIM, components=3, covariance_type="diagonal"),
    "mixture of Gaussians, spherical, tied": lambda: zuko.mixtures.GMM(
        DIM, components=3, covariance_type="spherical", tied=True
    ),
}


def log_prob(flow, y, context):
    return flow(context).log_prob(y)


def to_base(flow, y, context):
    return flow(context).transform(y)


def to_data(flow, x, context):
    return flow(context).transform.inv(x)


@pytest.mark.parametrize("name", FLOWS)
def test_same_as_zuko(name, tmp_path):
    torch.manual_seed(1)
    flow = FLOWS[name]()
    mixture = "mixture" in name
    maps = (None, None) if mixture else (to_base, to_data)
    check(Case(name, flow, log_prob, *maps, "context" in name, columns=1 if "one column" in name else DIM), tmp_path)
