#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <pushforward/distribution.hpp>
#include <pushforward/io/model.hpp>

namespace pushforward {

/// The log density as an ONNX model: the bytes of a file, of plain operators of opset 17, for any number of rows.
///
/// Inputs "y" (rows, dim) and, where the model takes one, "context" (rows, context_dim); output "log_prob" (rows) in
/// nats, -inf outside of the support and NaN where NaN goes in. All in the scalar type of the model. As a header in C
/// (`c_header`) it is the library's own evaluation, operation by operation, and differs from it by the rounding of
/// the runtime's operators: 1e-5 relative in float, where the model itself does not lose more.
/// @throws NotImplemented  if the density does not consist of operations, naming the part, or has one that ONNX lacks.
template <Scalar T>
std::string onnx_log_prob(const Distribution<T>& model, const ModelInfo& info = {});

/// A draw, output "y" (rows, dim), of input "noise" (rows, width), the draws of the base, and "context" as above. The
/// metadata entry "pushforward.noise" says of what kind they are: "normal 3" or "uniform 1, normal 2".
/// @throws NotImplemented  as above.
template <Scalar T>
std::string onnx_sample(const Distribution<T>& model, const ModelInfo& info = {});

}  // namespace pushforward
