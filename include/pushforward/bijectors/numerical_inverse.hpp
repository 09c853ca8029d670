#pragma once

#include <pushforward/transformer.hpp>

namespace pushforward {

/// The direction of a scalar map that has no closed form.
enum class Solved { forward, inverse };

/// A scalar map with one closed direction g, increasing on its interval, and the other one solved for: x with g(x; h) =
/// y.
///
/// The root is bracketed from the start by the whole interval, up to the largest numbers of T where that has no end and
/// to the numbers next to an end that it has. Newton's steps find it, three at most and as long as each halves what is
/// missing; then the bracket is halved, in a coordinate in which all magnitudes, and all distances from an end, are
/// near, so that nothing can lead the search astray for long. Each element searches by itself and stays where it has
/// arrived: its bits do not depend on its neighbours. A last Newton step is recorded, so gradients are those of the
/// implicit function, dx/dy = 1 / g', dx/dh = -g_h / g', in argument and every parameter. Of an odd g on an interval
/// symmetric about 0 the inverse is odd, to the bit. Where g overflows on the way, to NaN or out of the interval of one
/// of its parts, the root lies further in.
///
/// @par Parameters  those of the map, under "transformer".
/// @par Numerics    within a few roundings of x where g' is neither tiny nor huge. A y that g does not reach at a
///                  number of T marks its row as outside: it is no value of the map in T.
/// @par Cost        mostly 7 to 12 evaluations of g for all elements of a column, as many as its last one needs; 300 at
///                  most; in the memory of one. Of a NumericalInverse, which has both directions already, that one's
///                  own.
/// @throws DomainError  if g is solved for by searches that stand inside one another already: each multiplies the cost.
/// @par Errors      what is outside shows as for every map: DomainError naming the row, or -inf in log_prob.
template <Scalar T>
class NumericalInverse final : public Transformer<T> {
 public:
  /// `solved`: the direction of `transformer` that is not asked, since it has no closed form.
  explicit NumericalInverse(Poly<Transformer<T>> transformer, Solved solved = Solved::forward)
      : Transformer<T>("NumericalInverse", transformer->multiplier()),
        transformer_(std::move(transformer)),
        solved_(solved) {
    check();
  }
  explicit NumericalInverse(Blank) : Transformer<T>("NumericalInverse", 0) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;
  Elements closed(Pass<T>& pass, Var<T> in, Params params) const {
    return solved_ == Solved::forward ? transformer_->inverse(pass, in, params) : transformer_->forward(pass, in, params);
  }
  Elements solve(Pass<T>& pass, Var<T> y, Params params) const;
  /// One inside another has both directions.
  bool lacks(Solved direction) const {
    return solved_ == direction && dynamic_cast<const NumericalInverse*>(&*transformer_) == nullptr;
  }
  Elements do_forward(Pass<T>& pass, Var<T> x, Params params) const override {
    return lacks(Solved::forward) ? solve(pass, x, params) : transformer_->forward(pass, x, params);
  }
  Elements do_inverse(Pass<T>& pass, Var<T> y, Params params) const override {
    return lacks(Solved::inverse) ? solve(pass, y, params) : transformer_->inverse(pass, y, params);
  }
  int do_searches(bool forward) const override {
    return lacks(forward ? Solved::forward : Solved::inverse) ? 1 + transformer_->searches(!forward)
                                                              : transformer_->searches(forward);
  }
  double do_log_scale_bound() const override { return transformer_->log_scale_bound(); }
  Interval do_domain() const override { return transformer_->domain(); }
  Interval do_codomain() const override { return transformer_->codomain(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override {
    this->set_multiplier(transformer_->multiplier());
    check();
  }
  void check() const;

  Poly<Transformer<T>> transformer_;
  Solved solved_ = Solved::forward;
};

extern template class NumericalInverse<float>;
extern template class NumericalInverse<double>;

}  // namespace pushforward
