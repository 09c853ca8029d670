"""Networks of FrEIA against FrEIA."""

import FrEIA.framework as Ff
import FrEIA.modules as Fm
import pytest
import torch
from conversion import CONTEXT, DIM, Case, check

from pushforward.convert import CannotConvert, convert


def subnet(inputs, outputs):
    return torch.nn.Sequential(torch.nn.Linear(inputs, 16), torch.nn.ReLU(), torch.nn.Linear(16, outputs))


def network(block, context=False, between=None, **options):
    inn = Ff.SequenceINN(DIM)
    condition = {"cond": 0, "cond_shape": (CONTEXT,)} if context else {}
    for i in range(3):
        inn.append(block, subnet_constructor=subnet, **condition, **options)
        if between is not None:
            inn.append(between, **({"seed": i} if between is Fm.PermuteRandom else {}))
    return inn


def linear():
    inn = network(Fm.AffineCouplingOneSided, split_len=1)
    inn.append(Fm.FixedLinearTransform, M=torch.eye(DIM) + 0.3 * torch.tril(torch.ones(DIM, DIM)), b=torch.ones(DIM))
    return inn


FLOWS = {
    "GLOW": lambda: network(Fm.GLOWCouplingBlock, between=Fm.PermuteRandom),
    "GLOW, TANH, context": lambda: network(
        Fm.GLOWCouplingBlock, True, Fm.PermuteRandom, clamp=1.5, clamp_activation="TANH"
    ),
    "RNVP, SIGMOID, context": lambda: network(Fm.RNVPCouplingBlock, True, clamp_activation="SIGMOID", split_len=1),
    "RNVP, ActNorm": lambda: network(Fm.RNVPCouplingBlock, between=Fm.ActNorm),
    "NICE, context": lambda: network(Fm.NICECouplingBlock, True, Fm.PermuteRandom),
    "one-sided couplings, linear": linear,
    "AllInOne": lambda: network(Fm.AllInOneBlock, permute_soft=True),
    "AllInOne, Householder, reversed, context": lambda: network(
        Fm.AllInOneBlock, True, learned_householder_permutation=2, reverse_permutation=True, global_affine_type="EXP"
    ),
    "scale and shift from the context": lambda: network(Fm.ConditionalAffineTransform, True),
}


def given(context):
    return [] if context is None else [context]


def log_prob(flow, y, context):
    z, log_det = flow(y, c=given(context))
    normal = torch.distributions.Normal(torch.zeros(DIM, dtype=y.dtype), torch.ones(DIM, dtype=y.dtype))
    return normal.log_prob(z).sum(1) + log_det


def to_base(flow, y, context):
    return flow(y, c=given(context))[0]


def to_data(flow, x, context):
    return flow(x, c=given(context), rev=True)[0]


def exact(flow):
    """Constants that are rounded to single precision once for all, in double."""
    for part in flow.modules():
        if isinstance(part, Fm.FixedLinearTransform):
            part.logDetM.data = torch.linalg.slogdet(part.M.data)[1]
            part.M_inv.data = torch.linalg.inv(part.M.data)
        if isinstance(part, Fm.AllInOneBlock):
            rotation = part.w_0 if part.householder else part.w_perm
            left, _, right = torch.linalg.svd(rotation.data)
            rotation.data = left @ right
            if not part.householder:
                part.w_perm_inv.data = rotation.data.T.contiguous()


@pytest.mark.parametrize("name", FLOWS)
def test_same_as_freia(name, tmp_path):
    torch.manual_seed(1)
    check(Case(name, FLOWS[name](), log_prob, to_base, to_data, "context" in name, exact=exact), tmp_path)


def test_refused():
    with pytest.raises(CannotConvert, match=r"module_list\[2\]: GINCouplingBlock: scales whose mean is taken off"):
        convert(network(Fm.GINCouplingBlock))
    with pytest.raises(CannotConvert, match="ActNorm that has seen no data yet"):
        convert(network(Fm.GLOWCouplingBlock, between=Fm.ActNorm))
