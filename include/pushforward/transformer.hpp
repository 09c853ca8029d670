#pragma once

#include <span>

#include <pushforward/component.hpp>
#include <pushforward/fields.hpp>
#include <pushforward/ops.hpp>
#include <pushforward/pass.hpp>

namespace pushforward {

/// A family of increasing scalar maps whose parameters a conditioner computes: the part that couplings and
/// autoregressive maps share. `params[p]` holds parameter p of each element, shaped as x.
///
/// Raw parameters are unconstrained; all zero is the identity or near it.
template <Scalar T>
class Transformer : public Component<T> {
 public:
  using Elements = MappedElements<T>;
  /// Raw parameters per element.
  Index multiplier() const { return multiplier_; }
  Elements forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>> params) const {
    const typename Pass<T>::Part part(pass, this->name());
    return do_forward(pass, x, params);
  }
  Elements inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>> params) const {
    const typename Pass<T>::Part part(pass, this->name());
    return do_inverse(pass, y, params);
  }
  /// Largest |log derivative|, or infinity.
  double log_scale_bound() const { return do_log_scale_bound(); }
  /// How many root searches stand inside one another in that direction; 0: none, it has a closed form.
  int searches(bool forward) const { return do_searches(forward); }
  /// Where x lives, and where y may lie: one interval for every element, whatever its parameters. Other values are
  /// outside.
  Interval domain() const { return do_domain(); }
  Interval codomain() const { return do_codomain(); }

 protected:
  Transformer(std::string name, Index multiplier) : Component<T>(std::move(name)), multiplier_(multiplier) {}
  /// For `do_restored`, where it follows from constants.
  void set_multiplier(Index multiplier) { multiplier_ = multiplier; }

 private:
  virtual Elements do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>> params) const = 0;
  virtual Elements do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>> params) const = 0;
  virtual double do_log_scale_bound() const = 0;
  /// For maps made of others; default: none.
  virtual int do_searches(bool) const { return 0; }
  virtual Interval do_domain() const { return real_line; }
  /// Default: the domain is mapped onto itself.
  virtual Interval do_codomain() const { return do_domain(); }

  Index multiplier_;
};

}  // namespace pushforward
