"""A density for one given context."""

import numpy


class Conditional:
    """The density of y for this context: what `flow(context)` gives, as zuko has it.

    context: (N, context_dim), or one row for all; a view of the flow, which may go on learning.
    """

    def __init__(self, flow, context):
        self.flow = flow
        self.context = context

    def log_prob(self, y, *, threads=1):
        """log p(y | context) of each row, (N,)."""
        return self.flow.log_prob(y, self.context, threads=threads)

    def log_prob_and_gradient(self, y, *, threads=1):
        """(log_prob, d / d y, d / d context)."""
        return self.flow.log_prob_and_gradient(y, self.context, threads=threads)

    def sample(self, n=(), *, seed=None, threads=1):
        """Draws for each context: shape n + (N, dim), or n + (dim,) for one context of one axis.

        n: a number, or a tuple of them as zuko takes it.
        """
        shape = (n,) if isinstance(n, (int, numpy.integer)) else tuple(n)
        draws = int(numpy.prod(shape, dtype=int))
        context = numpy.asarray(self.context)
        one = context.ndim == 1
        drawn = self.flow.sample_each(context[None] if one else context, draws, seed=seed, threads=threads)
        drawn = numpy.moveaxis(drawn, 0, 1).reshape(shape + (drawn.shape[0], drawn.shape[2]))
        return drawn[..., 0, :] if one else drawn

    def __repr__(self):
        return f"Conditional(context of shape {numpy.shape(self.context)})\n{self.flow!r}"
