"""A flow as a density in torch, and a density of torch as a target: `from pushforward.torch import log_prob, target`."""

try:
    import torch
except ImportError as error:
    raise ImportError("pushforward.torch needs torch: pip install torch") from error


class _LogProb(torch.autograd.Function):
    """Gradients by the flow itself; second derivatives are refused."""

    @staticmethod
    def forward(ctx, y, context, flow, threads):
        rows = y.detach()
        given = None if context is None else context.detach()
        if not any(ctx.needs_input_grad[:2]):
            return torch.from_numpy(flow.log_prob(rows, given, threads=threads))
        value, gradient, context_gradient = flow.log_prob_and_gradient(rows, given, threads=threads)
        saved = [torch.from_numpy(gradient)]
        if context_gradient is not None:
            saved.append(torch.from_numpy(context_gradient))
        ctx.save_for_backward(*saved)
        ctx.context_shape = None if context is None else context.shape
        return torch.from_numpy(value)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, adjoint):
        gradient, *of_context = ctx.saved_tensors
        adjoint = adjoint.to(gradient.dtype)[:, None]
        context = None
        if ctx.needs_input_grad[1] and of_context:
            context = adjoint * of_context[0]
            if len(ctx.context_shape) == 1:
                context = context.sum(0)
            elif ctx.context_shape[0] == 1:  # one row for all
                context = context.sum(0, keepdim=True)
        return adjoint * gradient if ctx.needs_input_grad[0] else None, context, None, None


def log_prob(flow, y, context=None, *, threads=1):
    """log p(y | context), differentiable in y and context, but not in the flow's parameters.

    y: (N, dim), context: (N, context_dim) or one row for all: tensors on the CPU of the flow's dtype. Returns (N,)
    float64. So a flow stands in a torch model, as the prior or likelihood of a sampler: what goes in is what comes
    out of other torch functions. Under `torch.no_grad` nothing but the density is computed.
    """
    return _LogProb.apply(y, context, flow, threads)


def target(log_density):
    """A function of torch tensors, (N, dim) to (N,), as a target of `Distribution.fit_reverse_kl`.

        flow.fit_reverse_kl(target(lambda y: -0.5 * (y**2).sum(1)))

    Its rows must not depend on one another: the gradient of the sum is taken.
    """

    def value_and_gradient(rows):
        y = torch.from_numpy(rows).requires_grad_()
        with torch.enable_grad():
            value = log_density(y)
            if value.shape != y.shape[:1]:
                raise ValueError(f"target: expected the shape ({len(y)},), got {tuple(value.shape)}")
            (gradient,) = torch.autograd.grad(value.sum(), y)
        return value.detach().numpy(), gradient.numpy()

    return value_and_gradient
