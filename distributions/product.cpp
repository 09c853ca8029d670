#include <pushforward/distributions/product.hpp>

#include <pushforward/error.hpp>

#include "src/core/checks.hpp"
#include "src/core/parts.hpp"

namespace pushforward {

using namespace detail;

namespace {

template <Scalar T>
Index columns_of(const std::vector<Poly<Distribution<T>>>& parts) {
  if (parts.empty()) throw ShapeError("Product: expected at least one part, got none");
  Index sum = 0;
  for (const Poly<Distribution<T>>& part : parts) sum += part->dim();
  return sum;
}

}  // namespace

template <Scalar T>
Product<T>::Product(std::vector<Poly<Distribution<T>>> parts)
    : Distribution<T>(name_of_parts("Product", parts), columns_of(parts), common_context_dim("Product", "part", parts)),
      parts_(std::move(parts)) {}

template <Scalar T>
void Product<T>::do_fields(Fields<T>& f) {
  f.type("product");
  f.parts(parts_);
}

template <Scalar T>
void Product<T>::do_restored() {
  this->set_name(name_of_parts("Product", parts_));
  this->set_shape({columns_of(parts_)}, common_context_dim("Product", "part", parts_));
}

template <Scalar T>
const Distribution<T>& Product<T>::part(Index i) const {
  return *parts_[checked_position(this->name(), "part", i, parts_.size())];
}

template <Scalar T>
template <class F>
void Product<T>::each(F f) const {
  Index begin = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    f(*parts_[i], i, begin);
    begin += parts_[i]->dim();
  }
}

template <Scalar T>
Column<T> Product<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  Column<T> sum;
  each([&](const Distribution<T>& part, std::size_t, Index begin) {
    sum = sum + part.log_prob(pass, columns(y, begin, part.dim()));
  });
  return sum;
}

template <Scalar T>
Var<T> Product<T>::do_sample(Pass<T>& pass) const {
  auto* values = pass.tape().template scratch<Var<T>>(size());
  each([&](const Distribution<T>& part, std::size_t i, Index) { values[i] = part.sample(pass); });
  return concatenate(std::span<const Var<T>>(values, parts_.size()));
}

template <Scalar T>
Drawn<T> Product<T>::do_sample_and_log_prob(Pass<T>& pass) const {
  auto* values = pass.tape().template scratch<Var<T>>(size());
  Column<T> sum;
  each([&](const Distribution<T>& part, std::size_t i, Index) {
    const Drawn<T> drawn = part.sample_and_log_prob(pass);
    values[i] = drawn.value;
    sum = sum + drawn.log_prob;
  });
  return {concatenate(std::span<const Var<T>>(values, parts_.size())), sum};
}

template <Scalar T>
bool Product<T>::do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const {
  bool any = false;
  each([&](const Distribution<T>& part, std::size_t, Index begin) {
    any = part.propose_start(pass, columns(y, begin, part.dim()), weights) || any;
  });
  return any;
}

// -------------------------------------------------------------------------------------------------------- prefixes

template <Scalar T>
std::vector<std::int64_t> Product<T>::do_triangular_order() const {
  return order_of_parts(parts_);
}

namespace {

/// Of columns that a prefix has, those of one part: where they stand in the prefix, and in the part.
struct Given {
  std::vector<std::int64_t> at, own;

  Given(std::span<const std::int64_t> columns, Index begin, Index count) {
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (columns[i] >= begin && columns[i] < begin + count) {
        at.push_back(static_cast<std::int64_t>(i));
        own.push_back(columns[i] - begin);
      }
  }
};

}  // namespace

template <Scalar T>
Column<T> Product<T>::do_marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const {
  Column<T> sum;
  each([&](const Distribution<T>& part, std::size_t, Index begin) {
    const Given given(columns, begin, part.dim());
    if (!given.at.empty()) sum = sum + part.marginal_log_prob(pass, gather_columns<T>(y, given.at), given.own);
  });
  return sum;
}

template <Scalar T>
Var<T> Product<T>::do_sample_given(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const {
  auto* values = pass.tape().template scratch<Var<T>>(size());
  each([&](const Distribution<T>& part, std::size_t i, Index begin) {
    const Given given(columns, begin, part.dim());
    values[i] =
        given.at.empty() ? part.sample(pass) : part.sample_given(pass, gather_columns<T>(y, given.at), given.own);
  });
  return concatenate(std::span<const Var<T>>(values, parts_.size()));
}

// ------------------------------------------------------------------------------------------------------ properties

template <Scalar T>
bool Product<T>::do_is_reparameterized() const {
  return all_parts(parts_, [](const Distribution<T>& p) { return p.is_reparameterized(); });
}

template <Scalar T>
Estimate Product<T>::do_estimates() const {
  return estimate_of_parts(this->name(), parts_);
}

template <Scalar T>
Space Product<T>::do_support() const {
  Space space;
  for (const Poly<Distribution<T>>& part : parts_) space = space * part->support();
  return space;
}

namespace {

VectorView<double> segment(VectorView<double> v, Index begin, Index count) {
  return {v.data() + begin * v.stride(), count, v.stride()};
}

}  // namespace

template <Scalar T>
void Product<T>::do_mean(VectorView<double> mean) const {
  each(
      [&](const Distribution<T>& part, std::size_t, Index begin) { part.mean_into(segment(mean, begin, part.dim())); });
}
template <Scalar T>
void Product<T>::do_variance(VectorView<double> variance) const {
  each([&](const Distribution<T>& part, std::size_t, Index begin) {
    part.variance_into(segment(variance, begin, part.dim()));
  });
}
template <Scalar T>
void Product<T>::do_mode(VectorView<double> mode) const {
  each(
      [&](const Distribution<T>& part, std::size_t, Index begin) { part.mode_into(segment(mode, begin, part.dim())); });
}

template <Scalar T>
void Product<T>::do_covariance(MatrixView<double> covariance) const {
  for (Index i = 0; i < covariance.rows(); ++i)
    for (Index j = 0; j < covariance.cols(); ++j) covariance(i, j) = 0;
  each([&](const Distribution<T>& part, std::size_t, Index begin) {
    part.covariance_into(covariance.middle_rows(begin, part.dim()).middle_cols(begin, part.dim()));
  });
}

template <Scalar T>
double Product<T>::do_entropy() const {
  double sum = 0;
  for (const Poly<Distribution<T>>& part : parts_) sum += part->entropy();
  return sum;
}

template <Scalar T>
std::optional<double> Product<T>::do_kl_divergence(const Distribution<T>& other) const {
  const auto* q = dynamic_cast<const Product*>(&other);
  if (q == nullptr || q->size() != size()) return std::nullopt;
  double sum = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i]->dim() != q->parts_[i]->dim()) return std::nullopt;
    const std::optional<double> own = parts_[i]->exact_kl_divergence(*q->parts_[i]);
    if (!own) return std::nullopt;
    sum += *own;
  }
  return sum;
}

template <Scalar T>
void Product<T>::do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const {
  each([&](const Distribution<T>& part, std::size_t, Index begin) {
    part.tail_into(tail, y.middle_cols(begin, part.dim()), out.middle_cols(begin, part.dim()));
  });
}

template <Scalar T>
void Product<T>::do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const {
  each([&](const Distribution<T>& part, std::size_t, Index begin) {
    part.quantile_into(p.middle_cols(begin, part.dim()), out.middle_cols(begin, part.dim()), complement);
  });
}

template class Product<float>;
template class Product<double>;

}  // namespace pushforward
