#include <pushforward/training/prepare.hpp>

#include <optional>
#include <string>

#include <fmt/format.h>

#include <pushforward/bijectors/bijector_to.hpp>
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

/// @throws DomainError  for a row that is no point of the support, or one of its boundary.
template <Scalar T>
void check_rows(const std::string& where, const Space& support, MatrixView<const T> rows, const RowSource<T>& source) {
  const auto refuse = [&](Index i, Index first, Index columns, std::string problem) {
    Notice notice{.where = where + ": ", .set = "data", .row = source.row(i), .problem = std::move(problem)};
    for (Index c = first; c < first + columns; ++c) notice.columns.push_back(c);
    throw DomainError(std::move(notice));
  };
  std::vector<double> row(static_cast<std::size_t>(rows.cols()));
  for (Index i = 0; i < rows.rows(); ++i) {
    for (Index c = 0; c < rows.cols(); ++c) row[static_cast<std::size_t>(c)] = static_cast<double>(rows(i, c));
    Index first = 0;
    for (const Space::Block& block : support.blocks()) {
      for (Index c = 0; block.is_open() && c < block.columns; ++c) {
        const double v = row[static_cast<std::size_t>(first + c)];
        if (const Interval& s = block.bounds[static_cast<std::size_t>(c)]; v <= s.low || v >= s.high)
          refuse(i, first + c, 1,
                 fmt::format(": {} does not lie strictly between {} and {}", number_text(v), number_text(s.low),
                             number_text(s.high)));
      }
      first += block.columns;
    }
    if (const std::optional<Space::Misfit> found = support.find_misfit(row, "the support", surface_tolerance<T>))
      refuse(i, found->first, found->columns, found->problem);
  }
}

}  // namespace

template <Scalar T>
TransformedDistribution<T> prepare(Poly<Distribution<T>> flow, MatrixView<const T> data,
                                   const PrepareOptions& prepare_options, const FitOptions<T>& options) {
  const std::string where = "prepare_and_fit(" + flow->name() + ")";
  const Index dim = flow->dim();
  const bool bounded = prepare_options.support.columns() > 0 && prepare_options.support != Space::real(dim);
  const Space support = bounded ? prepare_options.support : flow->support();
  if (support.dimensions() != dim)
    throw ShapeError(fmt::format("{}: expected a support of {} dimensions, got {}, {}", where, dim, support.dimensions(),
                                 support.to_text()));
  const FitRows<T> rows(where, support, flow->context_dim(), data, options);
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
  const bool maps = whitens || bounded;
  Matrix<T> own;
  MatrixView<const T> values = data;
  if (maps && count < data.rows()) values = own = gather(source, count);
  Poly<Bijector<T>> map;
  if (bounded) {
    check_rows(where, support, values, source);
    map = bijector_to(support, values);
    values = own = map->inverse(values).value;
    for (Index i = 0; i < count; ++i)
      if (!own.row(i).allFinite())
        throw DomainError(fmt::format("{}: data row {} lies on the boundary of the support {}", where, source.row(i),
                                      support.to_text()));
  }
  Standardize<T> standardize =
      Standardize<T>::of(values, prepare_options.standardize, maps ? weights_of_train() : weights_of_all());
  if (whitens) parts.push_back(Whiten<T>::of(standardize.inverse(values).value, weights_of_train()));
  parts.push_back(std::move(standardize));
  if (bounded) parts.push_back(std::move(map));

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
