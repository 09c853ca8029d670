"""Flows of glasflow against glasflow."""

import pytest
import torch
from conversion import CONTEXT, DIM, Case, check
from glasflow.flows import CouplingNSF, RealNVP
from glasflow.flows.autoregressive import (
    MaskedAffineAutoregressiveFlow,
    MaskedPiecewiseRationalQuadraticAutoregressiveFlow,
)

SMALL = {"n_transforms": 3, "n_neurons": 16}
FLOWS = {
    "CouplingNSF": lambda: CouplingNSF(DIM, linear_transform="lu", **SMALL),
    "CouplingNSF, context": lambda: CouplingNSF(
        DIM, n_conditional_inputs=CONTEXT, linear_transform="permutation", batch_norm_within_blocks=True, **SMALL
    ),
    "RealNVP": lambda: RealNVP(DIM, **SMALL),
    "RealNVP, batch norm between, context": lambda: RealNVP(
        DIM, n_conditional_inputs=CONTEXT, linear_transform="lu", batch_norm_between_transforms=True, **SMALL
    ),
    "RealNVP, scales of log2": lambda: RealNVP(DIM, scale_activation="log2", linear_transform="lu", **SMALL),
    "RealNVP, scales of nflows": lambda: RealNVP(DIM, scale_activation="nflows", linear_transform="lu", **SMALL),
    "RealNVP, volume preserving": lambda: RealNVP(DIM, volume_preserving=True, **SMALL),
    "MAF": lambda: MaskedAffineAutoregressiveFlow(DIM, **SMALL),
    "MAF, scales of log2, context": lambda: MaskedAffineAutoregressiveFlow(
        DIM, n_conditional_inputs=CONTEXT, scale_activation="log2", **SMALL
    ),
    "NSF, autoregressive, context": lambda: MaskedPiecewiseRationalQuadraticAutoregressiveFlow(
        DIM, n_conditional_inputs=CONTEXT, tails="linear", tail_bound=4.0, num_bins=6, **SMALL
    ),
}


def log_prob(flow, y, context):
    return flow.log_prob(y, context)


def to_base(flow, y, context):
    return flow.forward(y, context)[0]


def to_data(flow, x, context):
    return flow.inverse(x, context)[0]


@pytest.mark.parametrize("name", FLOWS)
def test_same_as_glasflow(name, tmp_path):
    torch.manual_seed(1)
    check(Case(name, FLOWS[name](), log_prob, to_base, to_data, "context" in name), tmp_path)
