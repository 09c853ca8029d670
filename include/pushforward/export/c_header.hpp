#pragma once

#include <string>

#include <pushforward/distribution.hpp>
#include <pushforward/io/model.hpp>

namespace pushforward {

/// A model as C source, and what is missing of it: the reasons, empty where nothing is.
struct CHeader {
  std::string text;
  std::string no_log_prob;
  std::string no_sample;
};

/// One self-contained header in C99, which is C++17 too: constants are static arrays, nothing is allocated, <math.h> is
/// all that it needs. With `name` "flow" it defines, each static inline,
///
///     flow_dim, flow_context_dim, flow_noise_dim                                        numbers of columns
///     double flow_log_prob(const double *y, const double *context)
///     void flow_sample(const double *u, const double *context, double *y)
///     void flow_from_noise(const double *noise, const double *context, double *y)
///
/// of which the parameter `context`, `flow_context_dim` values, is left out where the model takes none. `flow_log_prob`
/// is the log density of the row y in nats: -INFINITY outside of the support, NAN where y or the context holds NaN.
/// `flow_sample` makes a draw of the `flow_noise_dim` uniform numbers u, independent and in the open interval (0, 1);
/// `flow_from_noise` makes it of the base's own draws (normal ones, mostly), which `flow_sample` takes from u by
/// quantiles, increasing in u, so that sets of low discrepancy serve too. NAN where the context is not finite.
/// A float model has float in place of double, but for the result of `flow_log_prob` and for u.
///
/// It is the library's own evaluation of one row, operation by operation (`Trace`), and agrees with it to 1e-12
/// relative in double and 1e-6 in float, where the model itself does not lose more; so what batches alone have, such
/// as the statistics of a training step, is not in it. Values between the operations lie in arrays of fixed size on the
/// stack, reused.
///
/// @param info  names of the columns and notes for the comment at the top.
/// @param name  an identifier of C, the prefix of all names.
/// @throws DomainError     if `name` is none.
/// @throws NotImplemented  if neither the density nor draws consist of operations, naming the part: roots that are
///                         searched, draws by rejection, densities that are estimated, rounded columns.
template <Scalar T>
CHeader c_header(const Distribution<T>& model, const ModelInfo& info = {}, const std::string& name = "flow");

}  // namespace pushforward
