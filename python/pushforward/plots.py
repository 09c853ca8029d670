"""Pictures of fits and models. They need matplotlib: pip install matplotlib."""

import numpy


def _pyplot():
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError("pushforward.plots needs matplotlib: pip install matplotlib") from error
    return matplotlib.pyplot


def _names(flow, columns):
    return list(columns) if columns else flow.columns or [f"y{i}" for i in range(flow.dim)]


def corner(flow, data=None, *, n=20000, context=None, columns=None, bins=50, seed=0, threads=1, figure=None):
    """Every pair of columns: draws of the flow as contours, rows of data as points; single columns on the diagonal.

    data: (N, dim), or None; n: draws; context: one row. columns: names for the axes. Contours hold 50, 80 and 95 % of
    the draws. Returns the figure.
    """
    pyplot = _pyplot()
    names = _names(flow, columns)
    drawn = flow.sample(n, seed=seed, context=context, threads=threads)
    rows = None
    if data is not None:
        from . import _tables

        rows = (
            data if isinstance(data, numpy.ndarray) else _tables.as_array(data, flow.columns, flow.dtype.name, "plot")
        )
        if rows.ndim != 2 or rows.shape[1] != flow.dim:
            raise ValueError(f"plot: data must have shape (N, {flow.dim}), got {rows.shape}")
    dim = flow.dim
    shown = drawn if rows is None else numpy.concatenate([drawn, rows])
    low, high = numpy.nanquantile(shown, [0.001, 0.999], axis=0)
    wide = numpy.where(high > low, high - low, 1) * 0.05
    low, high = low - wide, high + wide
    figure = figure or pyplot.figure(figsize=(2 + 1.6 * dim, 2 + 1.6 * dim))
    axes = figure.subplots(dim, dim, squeeze=False)
    for i in range(dim):
        for j in range(dim):
            ax = axes[i, j]
            if j > i:
                ax.set_visible(False)
                continue
            ax.set_xlim(low[j], high[j])
            if i == j:
                edges = numpy.linspace(low[i], high[i], bins + 1)
                ax.hist(drawn[:, i], edges, density=True, histtype="step", color="C0", label="model")
                if rows is not None:
                    ax.hist(rows[:, i], edges, density=True, histtype="step", color="C1", label="data")
                ax.set_yticks([])
            else:
                ax.set_ylim(low[i], high[i])
                if rows is not None:
                    some = rows[:: max(1, len(rows) // 2000)]
                    ax.plot(some[:, j], some[:, i], ",", color="C1", alpha=0.5)
                _contours(ax, drawn[:, j], drawn[:, i], (low[j], high[j]), (low[i], high[i]), bins)
            if i == dim - 1:
                ax.set_xlabel(names[j])
            else:
                ax.set_xticklabels([])
            if j == 0 and i > 0:
                ax.set_ylabel(names[i])
            elif j > 0:
                ax.set_yticklabels([])
    if rows is not None:
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper right")
    return figure


def _contours(ax, x, y, x_range, y_range, bins):
    """Lines of equal density of the draws that hold 50, 80 and 95 % of them."""
    counts, x_edges, y_edges = numpy.histogram2d(x, y, bins=bins, range=[x_range, y_range])
    for axis in (0, 1):  # a little smoother than the counts
        padded = numpy.pad(counts, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        counts = sum(w * numpy.take(padded, range(k, k + bins), axis) for k, w in enumerate((0.25, 0.5, 0.25)))
    total = counts.sum()
    if total == 0:
        return
    ranked = numpy.sort(counts.ravel())[::-1]
    held = numpy.cumsum(ranked) / total
    levels = sorted({ranked[numpy.searchsorted(held, share)] for share in (0.5, 0.8, 0.95)} - {0.0})
    if not levels or levels[0] >= counts.max():
        return
    middle = [(e[1:] + e[:-1]) / 2 for e in (x_edges, y_edges)]
    ax.contour(*middle, counts.T, levels=[v for v in levels if v < counts.max()], colors="C0", linewidths=1)


def learning_curve(report, ax=None):
    """Losses by epoch, the chosen epoch, and the Gaussian for comparison. Returns the axes."""
    ax = ax or _pyplot().figure().add_subplot()
    epochs = numpy.arange(1, len(report.train_loss) + 1)
    ax.plot(epochs, report.train_loss, color="C0", label="training")
    validated = numpy.isfinite(report.validation_loss)
    if validated.any():
        ax.plot(epochs[validated], report.validation_loss[validated], color="C1", label="validation")
    if report.best_epoch >= 0:
        ax.axvline(report.best_epoch + 1, color="0.6", linestyle=":", label="chosen")
    if numpy.isfinite(report.gaussian_baseline):
        ax.axhline(-report.gaussian_baseline, color="0.6", linestyle="--", label="Gaussian")
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss, nats per row")
    ax.legend()
    return ax


def calibration(report, figure=None):
    """Ranks of each column against the uniform distribution, and coverage against its level. Returns the figure."""
    figure = figure or _pyplot().figure(figsize=(9, 4))
    ranks, coverage = figure.subplots(1, 2)
    n = len(report.tested_rows)
    grid = numpy.arange(1, n + 1) / n
    for i, column in enumerate(report.columns):
        name = report.names[i] if report.names else f"y{i}"
        ranks.plot(numpy.sort(column.values), grid - numpy.sort(column.values), linewidth=1, label=name)
    band = 1.36 / numpy.sqrt(n)  # Kolmogorov's 95 % of one column
    ranks.axhspan(-band, band, color="0.9", zorder=0)
    ranks.set_xlabel("rank of the value among the model's draws")
    ranks.set_ylabel("share of rows below, minus rank")
    if len(report.columns) <= 10:
        ranks.legend()
    levels = [c.level for c in report.coverage]
    shares = [c.share for c in report.coverage]
    coverage.plot([0, 1], [0, 1], color="0.6", linestyle=":")
    error = [
        [max(0.0, c.level - c.low) for c in report.coverage],
        [max(0.0, c.high - c.level) for c in report.coverage],
    ]
    coverage.errorbar(levels, levels, yerr=error, fmt="none", color="0.6", label="95 % of right models")
    coverage.plot(levels, shares, "o", color="C0", label="rows")
    coverage.set_xlabel("probability of the region")
    coverage.set_ylabel("share of rows in it")
    coverage.legend()
    return figure
