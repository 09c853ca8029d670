#include <pushforward/training/prepare.hpp>

#include <string>

#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/whiten.hpp>

#include "src/core/number_text.hpp"
#include "src/training/rows.hpp"

namespace pushforward::detail {

namespace {

/// Rows of a source as a matrix.
template <Scalar T>
Matrix<T> gather(const RowSource<T>& source, Index count, bool context) {
  Matrix<T> out(count, context ? source.context.cols() : source.data.cols());
  for_each_tile<T>(count, {}, tile_rows, [&](typename Tape<T>::Memory memory, Index begin, Index n) {
    Tape<T> tape(Tape<T>::Mode::evaluate, memory, n);
    const Var<T> rows = context ? source.load_context(tape, begin) : source.load_data(tape, begin);
    store(tape, rows, MatrixView<T>(out).middle_rows(begin, n));
  });
  return out;
}

template <Scalar T>
std::vector<double> as_double(const Tensor<T>& tensor) {
  return {tensor.values().begin(), tensor.values().end()};
}

}  // namespace

template <Scalar T>
TransformedDistribution<T> prepare(Poly<Distribution<T>> flow, MatrixView<const T> data,
                                   const PrepareOptions& prepare_options, const FitOptions<T>& options) {
  const std::string where = "prepare_and_fit(" + flow->name() + ")";
  const Index dim = flow->dim();
  if (!prepare_options.supports.empty() && static_cast<Index>(prepare_options.supports.size()) != dim)
    throw ShapeError(where + ": expected supports of " + std::to_string(dim) + " columns, got " +
                     std::to_string(prepare_options.supports.size()));
  const FitRows<T> rows(where, flow->support(), flow->context_dim(), data, options);
  const RowSource<T> source = rows.train_source(rows.train().data());
  const auto count = static_cast<Index>(rows.train().size());
  std::vector<double> weights;
  if (rows.weighted())
    for (const std::int64_t row : rows.train()) weights.push_back(source.weights[row]);

  std::vector<Poly<Bijector<T>>> parts;
  Matrix<T> own;
  MatrixView<const T> values = data;
  if (count < data.rows()) values = own = gather(source, count, false);
  std::optional<ColumnSupports<T>> supports;
  if (!prepare_options.supports.empty()) {
    supports.emplace(prepare_options.supports);
    for (Index i = 0; i < count; ++i)
      for (Index c = 0; c < dim; ++c) {
        const Interval& s = supports->supports()[static_cast<std::size_t>(c)];
        const double v = static_cast<double>(values(i, c));
        if (v <= s.low || v >= s.high)
          throw DomainError(where + ": data row " + std::to_string(source.row(i)) + ", column " + std::to_string(c) +
                            ": " + detail::number_text(v) + " does not lie strictly between " +
                            detail::number_text(s.low) + " and " + detail::number_text(s.high));
      }
    values = own = supports->inverse(values).value;
  }
  Standardize<T> standardize = Standardize<T>::of(values, prepare_options.standardize, weights);
  if (prepare_options.whiten && prepare_options.standardize != Standardization::none && dim > 1)
    parts.push_back(Whiten<T>::of(standardize.inverse(values).value, weights));
  parts.push_back(std::move(standardize));
  if (supports) parts.push_back(std::move(*supports));

  if (flow->context_dim() > 0 && prepare_options.standardize_context != Standardization::none) {
    const Matrix<T> context = gather(source, count, true);
    const Standardize<T> s = Standardize<T>::of(context, prepare_options.standardize_context, weights);
    const std::vector<double> shift = as_double(s.shift()), scale = as_double(s.scale());
    flow = StandardizedContext<T>(std::move(flow), shift, scale);
  }
  return TransformedDistribution<T>(std::move(flow), Chain<T>(std::move(parts)));
}

template TransformedDistribution<float> prepare(Poly<Distribution<float>>, MatrixView<const float>,
                                                const PrepareOptions&, const FitOptions<float>&);
template TransformedDistribution<double> prepare(Poly<Distribution<double>>, MatrixView<const double>,
                                                 const PrepareOptions&, const FitOptions<double>&);

}  // namespace pushforward::detail
