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
    """PUSHFORWARD_CONVERSION=docs/conversion.md: what was measured goes into the table of that page."""
    page = os.environ.get("PUSHFORWARD_CONVERSION")
    if page and "conversion" in sys.modules:
        conversion, page = sys.modules["conversion"], pathlib.Path(page)
        page.write_text(conversion.table(page.read_text(), conversion.RESULTS))
