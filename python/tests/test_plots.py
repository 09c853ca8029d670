"""Pictures hold what they are of."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import pushforward as pf
from pushforward import plots

rng = np.random.default_rng(6)
Y = rng.normal(size=(500, 3)) * [1.0, 2.0, 3.0]


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_corner(tmp_path):
    flow = pf.Normal(loc=[0.0, 0.0, 0.0], scale=[1.0, 2.0, 3.0])
    flow.columns = ["a", "b", "c"]
    figure = flow.plot(Y, n=5000)
    visible = [ax for ax in figure.axes if ax.get_visible()]
    assert len(visible) == 6
    assert {ax.get_xlabel() for ax in visible} - {""} == {"a", "b", "c"}
    histogram = visible[0].patches[0].get_xy()
    # A histogram that integrates to one, of the column's width.
    assert np.sum(np.diff(histogram[:, 0]) * histogram[1:, 1]) == pytest.approx(1, abs=0.05)
    assert np.ptp(histogram[:, 0]) == pytest.approx(2 * 3.09, rel=0.2)
    figure.savefig(tmp_path / "corner.png")
    assert len(pf.Normal(2).plot(n=1000).axes) == 4
    with pytest.raises(ValueError, match=r"\(N, 3\)"):
        flow.plot(Y[:, :2])


def test_learning_curve():
    _, report = pf.prepare_and_fit(pf.maf(3, layers=1, hidden=8), Y + Y[:, :1] ** 2, epochs=5)
    ax = report.plot()
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_array_equal(lines["training"], report.train_loss)
    np.testing.assert_array_equal(lines["validation"], report.validation_loss)


def test_calibration():
    report = pf.Normal(3, scale=[1.0, 2.0, 3.0]).calibration_report(Y, seed=1)
    ranks, coverage = report.plot().axes
    assert len(ranks.lines) == 3
    drawn = next(line for line in coverage.lines if line.get_label() == "rows")
    np.testing.assert_allclose(drawn.get_ydata(), [c.share for c in report.coverage])


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        plots.learning_curve(None)
