"""Models as flows of normflows."""

import math

import pytest
import test_convert_normflows
import torch
from back import check_ours, check_round_trip, plain
from conversion import Case

from pushforward.convert import CannotConvert, to_normflows

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.lu is deprecated.*:UserWarning")
COMPUTED = {"linear maps"}  # triangular factors
OURS = {
    "nsf()": plain("nsf"),
    "nsf(spline_unchanged=False)": plain("nsf", spline_unchanged=False),
    "nsf(act_norm=True)": plain("nsf", act_norm=True),
    "nsf_ar()": plain("nsf_ar"),
    "real_nvp(scale_bound=inf, tail=inf)": plain("real_nvp", scale_bound=math.inf, tail=math.inf),
}


@pytest.mark.parametrize("name", test_convert_normflows.FLOWS)
def test_normflows_and_back(name):
    torch.manual_seed(1)
    flow = test_convert_normflows.FLOWS[name]()
    case = Case(name, flow, test_convert_normflows.log_prob, None, None, "context" in name)
    check_round_trip(case, to_normflows, name not in COMPUTED)


@pytest.mark.parametrize("context", [False, True], ids=["", "context"])
@pytest.mark.parametrize("name", OURS)
def test_ours_in_normflows(name, context):
    reasons = {"nsf_ar()": "context_form='gated'", "real_nvp(scale_bound=inf, tail=inf)": "take no context there"}
    if context and name in reasons:
        with pytest.raises(CannotConvert, match=reasons[name]):
            to_normflows(OURS[name](4, 2))
        return
    check_ours(name, OURS[name], to_normflows, test_convert_normflows.log_prob, context)


REFUSED = {
    "norm": (plain("nsf", batch_norm=True), "bijector.5", "normflows normalises by the rows at hand"),
    "scale": (plain("real_nvp", tail=math.inf), "bijector.1.transformer", "scale_bound=inf and tail=inf give exp(raw)"),
    "blocks": (
        plain("nsf_ar", residual=False),
        "bijector.5.net",
        "blocks are residual there: build it with residual=True",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, path, reason = REFUSED[name]
    with pytest.raises(CannotConvert) as caught:
        to_normflows(make(4, 0))
    assert caught.value.path == path and reason in caught.value.reason
