#include <pushforward/distributions/location_scale.hpp>

#include "distributions/parameters.hpp"
#include "distributions/start.hpp"
#include "src/numerics/constants.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
LocationScale<T>::LocationScale(std::string name, Index dim)
    : Distribution<T>(std::move(name), dim), loc_({dim}), log_scale_({dim}) {}

template <Scalar T>
LocationScale<T>::LocationScale(std::string name, VectorView<const T> loc, VectorView<const T> scale)
    : Distribution<T>(std::move(name), loc.size()) {
  check_sizes(this->name(), "loc", loc.size(), "scale", scale.size());
  loc_ = finite_tensor(this->name(), "loc", loc);
  log_scale_ = log_tensor(this->name(), "scale", scale);
}

template <Scalar T>
double LocationScale<T>::scale_at(Index column) const {
  return exp_at(log_scale_, column);
}

template <Scalar T>
bool LocationScale<T>::is_standard(Pass<T>& pass) const {
  return !pass.parameter(loc_).wants_gradient() && !pass.parameter(log_scale_).wants_gradient() && is_zero(loc_) &&
         is_zero(log_scale_);
}

template <Scalar T>
Column<T> LocationScale<T>::do_log_prob(Pass<T>& pass, Var<T> y) const {
  // The same bits with less work.
  if (is_standard(pass)) return do_standard_log_prob(pass, y);
  const Var<T> log_scale = pass.parameter(log_scale_);
  const Var<T> z = (y - pass.parameter(loc_)) * exp(-log_scale);
  return do_standard_log_prob(pass, z) - row_sum(log_scale);
}

template <Scalar T>
bool LocationScale<T>::do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const {
  Tape<T>& tape = pass.tape();
  tape.barrier();
  if (tape.rank() == 0) {
    const StartMoments m = start_moments(y, weights);
    std::vector<double> log_scale;
    for (Index c = 0; c < this->dim(); ++c) {
      constexpr double normal_quartile = 0.67448975019608174;
      log_scale.push_back(
          std::log(m.deviation[static_cast<std::size_t>(c)] * normal_quartile / do_standard_quantile(0.75, c)));
    }
    pass.propose(loc_, m.mean);
    pass.propose(log_scale_, log_scale);
  }
  tape.barrier();
  return true;
}

template <Scalar T>
Column<T> LocationScale<T>::do_marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const {
  const Var<T> log_scale = gather_columns(pass.parameter(log_scale_), columns);
  const Var<T> z = (y - gather_columns(pass.parameter(loc_), columns)) * exp(-log_scale);
  return do_standard_log_prob(pass, z) - row_sum(log_scale);
}

template <Scalar T>
Var<T> LocationScale<T>::do_sample(Pass<T>& pass) const {
  const Var<T> z = do_standard_sample(pass);
  if (is_standard(pass)) return z;
  return z * exp(pass.parameter(log_scale_)) + pass.parameter(loc_);
}

template <Scalar T>
void LocationScale<T>::do_mean(VectorView<double> mean) const {
  for (Index c = 0; c < this->dim(); ++c) mean[c] = loc_at(c);
}
template <Scalar T>
void LocationScale<T>::do_mode(VectorView<double> mode) const {
  LocationScale<T>::do_mean(mode);
}
template <Scalar T>
void LocationScale<T>::do_variance(VectorView<double> variance) const {
  for (Index c = 0; c < this->dim(); ++c) variance[c] = scale_at(c) * scale_at(c) * do_standard_variance(c);
}
template <Scalar T>
double LocationScale<T>::do_entropy() const {
  double sum = 0;
  for (Index c = 0; c < this->dim(); ++c) sum += do_standard_entropy(c) + at(log_scale_, c);
  return sum;
}

template <Scalar T>
void LocationScale<T>::do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const {
  by_columns(y, out, [&](Index column) {
    const double loc = loc_at(column), scale = scale_at(column);
    return [=, this](double y) -> double {
      const double z = (y - loc) / scale;
      switch (tail) {
        case Tail::cdf:
          return do_standard_cdf(z, column);
        case Tail::survival:
          return do_standard_cdf(-z, column);
        case Tail::log_cdf:
          return do_standard_log_cdf(z, column);
        case Tail::log_survival:
          return do_standard_log_cdf(-z, column);
      }
      return std::numeric_limits<double>::quiet_NaN();
    };
  });
}

template <Scalar T>
void LocationScale<T>::do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const {
  by_columns(p, out, [&](Index column) {
    const double loc = loc_at(column), scale = scale_at(column);
    return [=, this](double p) -> double {
      const double z = p == 0 ? -infinity : p == 1 ? infinity : do_standard_quantile(p, column);
      return loc + scale * (complement ? -z : z);
    };
  });
}

template <Scalar T>
void LocationScale<T>::family_fields(Fields<T>& f, std::string_view type) {
  f.type(type);
  this->dim_field(f);
  tensor_fields(f, {.decay = false});
}

template <Scalar T>
void LocationScale<T>::tensor_fields(Fields<T>& f, const Attributes<T>& attributes) {
  f.parameter("loc", loc_, {this->dim()}, attributes);
  f.parameter("log_scale", log_scale_, {this->dim()}, attributes);
}

template class LocationScale<float>;
template class LocationScale<double>;

}  // namespace pushforward
