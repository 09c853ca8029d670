"""Small models on little data are worse than a Gaussian, and say so; tests of warnings ask for them by name."""

import warnings

import pytest

import pushforward as pf


@pytest.fixture(autouse=True)
def small_models():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=pf.FitWarning)
        yield
