"""Small models on little data are worse than a Gaussian, and say so; tests of warnings ask for them by name."""

import os
import pathlib
import sys
import warnings

import pytest

import pushforward as pf


@pytest.fixture(autouse=True)
def small_models():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=pf.FitWarning)
        yield


def pytest_sessionfinish(session, exitstatus):
    """PUSHFORWARD_CONVERSION=docs/conversion.md: what was measured goes into the tables of that page."""
    page = os.environ.get("PUSHFORWARD_CONVERSION")
    for name in ("conversion", "back"):
        if page and name in sys.modules:
            module, path = sys.modules[name], pathlib.Path(page)
            path.write_text(module.table(path.read_text(), module.RESULTS))
