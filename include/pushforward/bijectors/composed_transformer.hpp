#pragma once

#include <vector>

#include <pushforward/transformer.hpp>

namespace pushforward {

/// Scalar maps one after the other, the first one first in `forward`. The raw parameters are those of the first, then
/// those of the second, and so on; log derivatives add.
///
/// @par Parameters  those of the parts, under "0", "1", ...
/// @throws ShapeError   if there is no part.
/// @throws DomainError  naming both, if a part does not start from the interval that the one before it leads to.
template <Scalar T>
class ComposedTransformer final : public Transformer<T> {
 public:
  explicit ComposedTransformer(std::vector<Poly<Transformer<T>>> parts);
  explicit ComposedTransformer(Blank) : Transformer<T>("ComposedTransformer", 0) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>> params) const override;
  Elements do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>> params) const override;
  double do_log_scale_bound() const override;
  int do_searches(bool forward) const override;
  Interval do_domain() const override { return parts_.front()->domain(); }
  Interval do_codomain() const override { return parts_.back()->codomain(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override;

  std::vector<Poly<Transformer<T>>> parts_;
};

/// A scalar map with its two directions swapped.
///
/// @par Parameters  those of the map, under "transformer".
template <Scalar T>
class InvertedTransformer final : public Transformer<T> {
 public:
  explicit InvertedTransformer(Poly<Transformer<T>> transformer)
      : Transformer<T>("InvertedTransformer", transformer->multiplier()), transformer_(std::move(transformer)) {}
  explicit InvertedTransformer(Blank) : Transformer<T>("InvertedTransformer", 0) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  Elements do_forward(Pass<T>& pass, Var<T> x, std::span<const Var<T>> params) const override {
    return transformer_->inverse(pass, x, params);
  }
  Elements do_inverse(Pass<T>& pass, Var<T> y, std::span<const Var<T>> params) const override {
    return transformer_->forward(pass, y, params);
  }
  double do_log_scale_bound() const override { return transformer_->log_scale_bound(); }
  int do_searches(bool forward) const override { return transformer_->searches(!forward); }
  Interval do_domain() const override { return transformer_->codomain(); }
  Interval do_codomain() const override { return transformer_->domain(); }
  void do_fields(Fields<T>& f) override;
  void do_restored() override { this->set_multiplier(transformer_->multiplier()); }

  Poly<Transformer<T>> transformer_;
};

extern template class ComposedTransformer<float>;
extern template class ComposedTransformer<double>;
extern template class InvertedTransformer<float>;
extern template class InvertedTransformer<double>;

}  // namespace pushforward
