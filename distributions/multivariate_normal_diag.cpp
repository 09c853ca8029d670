#include <pushforward/distributions/multivariate_normal_diag.hpp>

#include "distributions/checks.hpp"
#include "distributions/gaussian.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
MultivariateNormalDiag<T>::MultivariateNormalDiag(Index dim)
    : Distribution<T>("MultivariateNormalDiag", dim), normal_(dim) {}

template <Scalar T>
MultivariateNormalDiag<T>::MultivariateNormalDiag(VectorView<const T> loc, VectorView<const T> scale_diag)
    : Distribution<T>("MultivariateNormalDiag", loc.size()), normal_(loc.size()) {
  check_sizes(this->name(), "loc", loc.size(), "scale_diag", scale_diag.size());
  check_finite(this->name(), "loc", loc);
  check_positive(this->name(), "scale_diag", scale_diag);
  normal_ = Normal<T>(loc, scale_diag);
}

template <Scalar T>
MultivariateNormalDiag<T> MultivariateNormalDiag<T>::standard(Index dim) {
  MultivariateNormalDiag result(dim);
  result.trainable_ = false;
  return result;
}

template <Scalar T>
std::optional<double> MultivariateNormalDiag<T>::do_kl_divergence(const Distribution<T>& other) const {
  return gaussian_kl<T>(*this, other);
}

template <Scalar T>
void MultivariateNormalDiag<T>::do_fields(Fields<T>& f) {
  f.type("multivariate_normal_diag");
  this->dim_field(f);
  f.constant("trainable", trainable_);
  if (f.restoring()) {
    f.expect("loc", {this->dim()});
    normal_ = Normal<T>(this->dim());
  }
  normal_.tensor_fields(f, {.decay = false, .trainable = trainable_});
}

template class MultivariateNormalDiag<float>;
template class MultivariateNormalDiag<double>;

}  // namespace pushforward
