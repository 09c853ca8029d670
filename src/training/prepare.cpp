#include <pushforward/training/prepare.hpp>

#include <string>

#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/whiten.hpp>

#include "src/core/number_text.hpp"
#include "src/training/rows.hpp"

namespace pushforward::detail {

namespace {

/// The rows that train as a matrix.
template <Scalar T>
Matrix<T> gather(const RowSource<T>& source, Index count) {
  Matrix<T> out(count, source.data.cols());
  for_each_tile<T>(count, {}, tile_rows, [&](typename Tape<T>::Memory memory, Index begin, Index n) {
    Tape<T> tape(Tape<T>::Mode::evaluate, memory, n);
    store(tape, source.load_data(tape, begin), MatrixView<T>(out).middle_rows(begin, n));
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
  // Of the rows that train, in their order; none: all count alike.
  const auto weights_of_train = [&] {
    std::vector<double> weights;
    if (rows.weighted())
      for (const std::int64_t row : rows.train()) weights.push_back(source.weights[row]);
    return weights;
  };
  // Of all rows of the data, 0 for those that validate: a mean needs no copy of the others.
  const auto weights_of_all = [&] {
    if (count == data.rows()) return weights_of_train();
    std::vector<double> weights(static_cast<std::size_t>(data.rows()));
    for (const std::int64_t row : rows.train())
      weights[static_cast<std::size_t>(row)] = rows.weighted() ? source.weights[row] : 1.0;
    return weights;
  };

  std::vector<Poly<Bijector<T>>> parts;
  const bool whitens = prepare_options.whiten && prepare_options.standardize != Standardization::none && dim > 1;
  // Maps make new rows, of those that train.
  const bool maps = whitens || !prepare_options.supports.empty();
  Matrix<T> own;
  MatrixView<const T> values = data;
  if (maps && count < data.rows()) values = own = gather(source, count);
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
  Standardize<T> standardize =
      Standardize<T>::of(values, prepare_options.standardize, maps ? weights_of_train() : weights_of_all());
  if (whitens) parts.push_back(Whiten<T>::of(standardize.inverse(values).value, weights_of_train()));
  parts.push_back(std::move(standardize));
  if (supports) parts.push_back(std::move(*supports));

  if (flow->context_dim() > 0 && prepare_options.standardize_context != Standardization::none) {
    // One row for all weighs nothing.
    const Standardize<T> s = Standardize<T>::of(options.context, prepare_options.standardize_context,
                                                options.context.rows() == 1 ? std::vector<double>() : weights_of_all());
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
