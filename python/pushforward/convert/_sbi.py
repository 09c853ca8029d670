"""sbi's posteriors and estimators, made of flows of nflows and zuko."""

from . import _nflows, _torch, _zuko
from ._flow import Flow
from ._source import Source, blamed


def read(flow):
    source = estimator(Source(flow))
    source.it = _torch.double(source.it)
    with blamed(source), _torch.in_double():
        model = source.by_type(ESTIMATORS)

    def log_prob(rows, context):
        given = () if context is None else (_torch.tensor(context),)
        with _torch.in_double():
            return source.it.log_prob(_torch.tensor(rows)[None], *given)[0].numpy()

    return Flow(model, log_prob)


def estimator(source):
    """What a posterior has the density from; it neither cuts it off where the prior is 0 nor corrects it for that."""
    return source.by_type(POSTERIORS) if hasattr(source.it, "prior") or source.has("potential_fn") else source


def of_nflows(source):
    one_axis(source)
    return _nflows.flow(source.net)


def of_zuko(source):
    one_axis(source)
    model = _zuko.distribution(source.net)
    return _torch.embedded(source._embedding_net, model) if source.has("_embedding_net") else model


def one_axis(source):
    for shape in (source.input_shape, source.condition_shape if source.has("condition_shape") else None):
        if shape is not None:
            shape.require(len(shape) == 1, f"the shape {tuple(shape.it)}: only rows have a counterpart here")


SAMPLED = "a posterior that is sampled from, not computed"
POSTERIORS = {
    "DirectPosterior": lambda source: source.posterior_estimator,
    "MCMCPosterior": SAMPLED,
    "RejectionPosterior": SAMPLED,
    "ImportanceSamplingPosterior": SAMPLED,
    "VIPosterior": "a posterior by variational inference has no counterpart here",
    "EnsemblePosterior": "an ensemble of posteriors: convert each of them",
    "VectorFieldPosterior": "a flow in continuous time has no counterpart here",
}
ESTIMATORS = {
    "NFlowsFlow": of_nflows,
    "ZukoFlow": of_zuko,
    "ZukoUnconditionalFlow": of_zuko,
    "MixtureDensityEstimator": "a mixture whose parts depend on the context has no counterpart here",
    "ConditionalVectorFieldEstimator": "a flow in continuous time has no counterpart here",
}
