#pragma once

#include <pushforward/distribution.hpp>

namespace pushforward {

/// What symmetric families with a location and a scale for each column have in common: y = loc + scale z, where the
/// columns of z are independent draws of the standard member, symmetric about 0.
///
/// log_prob(y) = sum_d [log p(z_d) - log_scale_d] with z = (y - loc) / scale
///
/// @par Parameters  loc, log_scale: (dim), unconstrained, initially 0. scale = exp(log_scale): a scale given to a
///                  constructor comes back within two units in the last place.
template <Scalar T>
class LocationScale : public Distribution<T>, private Prefixes<T> {
 public:
  const Tensor<T>& loc() const { return loc_; }
  const Tensor<T>& log_scale() const { return log_scale_; }
  /// Names loc and log_scale, for who owns one of these.
  void tensor_fields(Fields<T>& f, const Attributes<T>& attributes);

 protected:
  LocationScale(std::string name, Index dim);
  /// @throws ShapeError, DomainError  as the constructors of the families say.
  LocationScale(std::string name, VectorView<const T> loc, VectorView<const T> scale);

  /// do_fields of a family without more fields.
  void family_fields(Fields<T>& f, std::string_view type);
  void do_mean(VectorView<double> mean) const override;
  void do_variance(VectorView<double> variance) const override;
  void do_mode(VectorView<double> mode) const override;

  double loc_at(Index column) const { return static_cast<double>(loc_[column]); }
  double scale_at(Index column) const;

 private:
  using Tail = typename Distribution<T>::Tail;
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override;
  /// The mean, and the scale whose quartiles are those of a normal with the rows' deviation: every family has
  /// quartiles.
  bool do_propose_start(Pass<T>& pass, Var<T> y, const double* weights) const override;
  const Prefixes<T>* do_prefixes() const override { return this; }
  Column<T> do_marginal_log_prob(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override;
  Var<T> do_sample_given(Pass<T>& pass, Var<T> y, std::span<const std::int64_t> columns) const override {
    return replace_columns(this->sample(pass), y, columns);
  }
  Var<T> do_sample(Pass<T>& pass) const override;
  double do_entropy() const override;
  void do_tails(Tail tail, MatrixView<const T> y, MatrixView<double> out) const override;
  void do_quantiles(bool complement, MatrixView<const double> p, MatrixView<double> out) const override;

  // The standard member (loc 0, scale 1).
  virtual Column<T> do_standard_log_prob(Pass<T>& pass, Var<T> z) const = 0;
  virtual Var<T> do_standard_sample(Pass<T>& pass) const = 0;
  virtual double do_standard_variance(Index column) const = 0;
  virtual double do_standard_entropy(Index column) const = 0;
  /// z may be infinite.
  virtual double do_standard_cdf(double z, Index column) const = 0;
  virtual double do_standard_log_cdf(double z, Index column) const = 0;
  /// 0 < p < 1.
  virtual double do_standard_quantile(double p, Index column) const = 0;

  bool is_standard(Pass<T>& pass) const;

  Tensor<T> loc_;
  Tensor<T> log_scale_;
};

extern template class LocationScale<float>;
extern template class LocationScale<double>;

}  // namespace pushforward
