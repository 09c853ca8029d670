"""Estimators and posteriors of sbi against sbi."""

import math

import numpy as np
import pytest
import torch
from conversion import CONTEXT, DIM, Case, check, data
from sbi.inference import NPE
from sbi.neural_nets import posterior_nn
from sbi.neural_nets.net_builders import (
    build_maf,
    build_maf_rqs,
    build_nsf,
    build_zuko_maf,
    build_zuko_nice,
    build_zuko_nsf,
)
from sbi.neural_nets.embedding_nets import FCEmbedding
from sbi.utils import BoxUniform

from pushforward.convert import CannotConvert, convert

SMALL = {"hidden_features": 16, "num_transforms": 3}


def rows(columns=DIM):
    """As nobody scales them: z-scores do."""
    theta, x = data(3, 500, True, columns)
    return (torch.from_numpy(a.astype("f4")) for a in (20 + 3 * theta, 100 * x - 7))


def build(function, columns=DIM, **options):
    theta, x = rows(columns)
    return function(theta, x, **SMALL, **options)


FLOWS = {
    "maf": lambda: build(build_maf),
    "maf_rqs": lambda: build(build_maf_rqs),
    "nsf": lambda: build(build_nsf),
    "nsf of one column": lambda: build(build_nsf, 1),
    "maf, not z-scored": lambda: build(build_maf, z_score_x=None, z_score_y=None),
    "zuko_maf": lambda: build(build_zuko_maf),
    "zuko_nsf": lambda: build(build_zuko_nsf),
    "zuko_nice": lambda: build(build_zuko_nice),
    "maf, embedding net": lambda: build(build_maf, embedding_net=FCEmbedding(CONTEXT, 3, 2, 8)),
    "zuko_nsf, embedding net": lambda: build(build_zuko_nsf, embedding_net=torch.nn.Linear(CONTEXT, 3)),
    "zuko_nsf, structured z-scores": lambda: build(build_zuko_nsf, z_score_x="structured", z_score_y="structured"),
}


def log_prob(flow, y, context):
    return flow.log_prob(y[None], context)[0]


def exact(flow):
    """sbi rounds the constant of the normal density."""
    if hasattr(flow.net, "_distribution"):
        base = flow.net._distribution
        base._log_z = torch.tensor(0.5 * base._shape[0] * math.log(2 * math.pi), dtype=torch.float64)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_same_as_sbi(name, tmp_path):
    torch.manual_seed(1)
    shift = (0.0, 1.0) if "not z-scored" in name else (20.0, 3.0)
    scale = (0.0, 1.0) if "not z-scored" in name else (-7.0, 100.0)
    columns = 1 if "one column" in name else DIM
    check(
        Case(name, FLOWS[name](), log_prob, None, None, True, columns=columns, exact=exact, units=(shift, scale)),
        tmp_path,
    )


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_posterior(tmp_path):
    """The whole way of sbi; within the prior, as it gives its density without its correction for what leaks out."""
    torch.manual_seed(0)
    prior = BoxUniform(-2 * torch.ones(2), 2 * torch.ones(2))
    theta = prior.sample((500,))
    x = theta + 0.3 * torch.randn(500, 2)
    npe = NPE(
        prior, density_estimator=posterior_nn("maf", hidden_features=16, num_transforms=2), show_progress_bars=False
    )
    npe.append_simulations(theta, x).train(max_num_epochs=5)
    posterior = npe.build_posterior()
    model = convert(posterior, tmp_path / "posterior")
    some = np.linspace(-1.5, 1.5, 40).reshape(20, 2)
    seen = torch.tensor([[0.3, -0.4]])
    theirs = posterior.log_prob(torch.from_numpy(some.astype("f4")), seen, norm_posterior=False).numpy()
    ours = model.log_prob(some.astype("f4").astype(float), np.repeat(seen.numpy().astype(float), 20, 0))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    with pytest.raises(CannotConvert, match="sampled from"):
        convert(npe.build_posterior(sample_with="mcmc"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_embedding_net():
    theta, x = rows()
    net = torch.nn.Sequential(torch.nn.Unflatten(1, (1, CONTEXT)), torch.nn.Conv1d(1, 3, 1), torch.nn.Flatten())
    with pytest.raises(CannotConvert, match="Unflatten in an embedding net has no counterpart here: give the flow its outputs"):
        convert(build_zuko_nsf(theta, x, embedding_net=net, **SMALL))
