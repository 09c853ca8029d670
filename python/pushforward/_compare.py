"""Which of several models describes rows better, and how sure that is."""

import dataclasses
import typing

import numpy

from ._reports import MeanLogLikelihood


class ModelScore(typing.NamedTuple):
    """What a model said of the rows."""

    name: str
    score: MeanLogLikelihood  #: nats per row, of those with a density
    density_zero: int  #: rows that it gives the density 0
    best_in: int  #: rows in which it alone is best
    first_minus_this: MeanLogLikelihood  #: paired: of the same rows, whose own ups and downs fall out
    zero_apart: int  #: rows of density 0 by one of both alone, which the difference leaves out


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What `compare` gives."""

    rows: int
    incomplete_rows: int  #: that miss a value, and are left out
    models: list  #: of ModelScore

    def __repr__(self):
        width = max(5, *(len(m.name) for m in self.models))
        missing = f" ({self.incomplete_rows} more miss a value)" if self.incomplete_rows else ""
        lines = [f"rows   {self.rows}{missing}", ""]
        lines.append(f"  {'model':<{width}}  {'mean log-likelihood':>22}  {'best in':>9}  the first is better by")
        for i, m in enumerate(self.models):
            mean = f"{m.score.mean:.4f} +- {m.score.standard_error:.4f}"
            if m.density_zero:
                mean = f"-inf ({m.density_zero} of density 0)"
            apart = f"{m.first_minus_this.mean:.4f} +- {m.first_minus_this.standard_error:.4f}" if i else ""
            share = 100 * m.best_in / self.rows if self.rows else 0.0
            lines.append(f"  {m.name:<{width}}  {mean:>22}  {share:>7.1f} %  {apart}".rstrip())
        return "\n".join(lines)


def _mean(values):
    """Mean and its standard error, which needs two values."""
    n = len(values)
    mean = float(numpy.mean(values)) if n else numpy.nan
    return MeanLogLikelihood(mean, float(numpy.std(values, ddof=1) / numpy.sqrt(n)) if n > 1 else numpy.nan)


def compare(models, data, *, context=None, threads=1):
    """Scores rows by several models: which is better, row by row, and how sure.

    models: {name: model} or a list, two or more, of which the others are compared with the first; data: (N, dim), or a
    table, of which each model takes its columns by name. Returns a Comparison.

    Raises ValueError for fewer than two models, for densities of different columns, and where one gives masses and
    another densities.
    """
    named = dict(models) if hasattr(models, "items") else {str(i): m for i, m in enumerate(models)}
    if len(named) < 2:
        raise ValueError(f"compare: expected two models or more, got {len(named)}")
    first_name, first = next(iter(named.items()))
    for name, model in named.items():
        if model.dim != first.dim or (
            model.columns and first.columns and sorted(model.columns) != sorted(first.columns)
        ):
            raise ValueError(
                f"compare: {first_name} is a density of {first.columns or first.dim} and {name} one of "
                f"{model.columns or model.dim}: such densities cannot be compared"
            )
        if model.counted_columns != first.counted_columns:
            raise ValueError(
                f"compare: {first_name} gives masses in {first.counted_columns} columns and {name} in "
                f"{model.counted_columns}: a mass and a density cannot be compared"
            )
    values = numpy.array(
        [m.log_prob(data, context if m.context_dim else None, threads=threads) for m in named.values()]
    )
    whole = ~numpy.isnan(values).any(axis=0)
    values = values[:, whole]
    top = values.max(axis=0) if values.size else values
    ties = (values == top).sum(axis=0)
    zero = numpy.isinf(values)
    scores = []
    for name, own, none in zip(named, values, zero):
        both = ~(zero[0] | none)
        scores.append(
            ModelScore(
                name,
                _mean(own[~none]),
                int(none.sum()),
                int(((own == top) & (ties == 1)).sum()),
                _mean((values[0] - own)[both]) if both.any() else MeanLogLikelihood(numpy.nan, numpy.nan),
                int((zero[0] != none).sum()),
            )
        )
    return Comparison(int(whole.sum()), int((~whole).sum()), scores)
