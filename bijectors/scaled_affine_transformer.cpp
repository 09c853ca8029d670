#include <pushforward/bijectors/scaled_affine_transformer.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "bijectors/log_scale.hpp"
#include "src/core/number_text.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr Choice<ScaleMap> map_choices[] = {{ScaleMap::exp, "exp"},          {ScaleMap::softplus, "softplus"},
                                            {ScaleMap::sigmoid, "sigmoid"},  {ScaleMap::soft_clip, "soft_clip"},
                                            {ScaleMap::tanh, "tanh"},        {ScaleMap::atan, "atan"}};

bool has_floor(ScaleMap map) { return map == ScaleMap::softplus || map == ScaleMap::sigmoid; }
bool has_limit(ScaleMap map) { return map != ScaleMap::exp && !has_floor(map); }

void check(const ScaledAffineOptions& o, double widest) {
  const auto refuse = [](const std::string& expected, double got) {
    throw DomainError("ScaledAffineTransformer: expected " + expected + ", got " + number_text(got));
  };
  if (!std::isfinite(o.offset)) refuse("a finite offset", o.offset);
  if (!(o.floor >= 0 && std::isfinite(o.floor))) refuse("a finite floor of at least 0", o.floor);
  if (!has_floor(o.map) && o.floor != 0) refuse("no floor, which softplus and sigmoid alone have", o.floor);
  if (!(o.limit > 0)) refuse("limit above 0", o.limit);
  if (!has_limit(o.map) && std::isfinite(o.limit)) refuse("no limit, which soft_clip, tanh and atan alone have", o.limit);
  if (!(o.low < o.high)) refuse("low below high, which is " + number_text(o.high), o.low);
  if (o.low >= widest) refuse("low below " + number_text(widest) + " in this precision", o.low);
  if (o.high <= -widest) refuse("high above " + number_text(-widest) + " in this precision", o.high);
}

}  // namespace

template <Scalar T>
ScaledAffineTransformer<T>::ScaledAffineTransformer(ScaledAffineOptions options)
    : Transformer<T>("ScaledAffineTransformer", 2), options_(options) {
  do_restored();
}

template <Scalar T>
Var<T> ScaledAffineTransformer<T>::log_scale(Var<T> raw) const {
  const ScaledAffineOptions& o = options_;
  const Var<T> r = o.offset == 0 ? raw : raw + static_cast<T>(o.offset);
  const T floor = static_cast<T>(o.floor);
  const bool bounded = std::isfinite(o.limit);
  const auto map = [&]() -> Var<T> {
    switch (o.map) {
      case ScaleMap::exp:
        return r;
      case ScaleMap::softplus:
        return log(softplus(r) + floor);
      case ScaleMap::sigmoid:
        return o.floor == 0 ? -softplus(-r) : log(sigmoid(r) + floor);
      case ScaleMap::soft_clip:
        return bounded ? r / (abs(r) / static_cast<T>(o.limit) + T(1)) : r;
      case ScaleMap::tanh:
        return soft_bound(r, o.limit);
      case ScaleMap::atan: {
        const auto width = static_cast<T>(o.limit * 2 / std::numbers::pi);
        return bounded ? atan(r / width) * width : r;
      }
    }
    throw DomainError("ScaledAffineTransformer: no such map");
  };
  constexpr double widest = widest_log_scale<T>;
  return clip(map(), static_cast<T>(std::max(o.low, -widest)), static_cast<T>(std::min(o.high, widest)));
}

template <Scalar T>
auto ScaledAffineTransformer<T>::do_forward(Pass<T>&, Var<T> x, std::span<const Var<T>> params) const -> Elements {
  const Var<T> s = log_scale(params[1]);
  return {x * exp(s) + params[0], s};
}

template <Scalar T>
auto ScaledAffineTransformer<T>::do_inverse(Pass<T>&, Var<T> y, std::span<const Var<T>> params) const -> Elements {
  const Var<T> s = -log_scale(params[1]);
  return {(y - params[0]) * exp(s), s};
}

template <Scalar T>
double ScaledAffineTransformer<T>::do_log_scale_bound() const {
  const ScaledAffineOptions& o = options_;
  double low = -o.limit, high = o.limit;
  if (has_floor(o.map)) {
    low = std::log(o.floor);
    high = o.map == ScaleMap::sigmoid ? std::log1p(o.floor) : o.limit;
  }
  return largest_log_scale<T>(std::max(std::abs(std::max(low, o.low)), std::abs(std::min(high, o.high))));
}

template <Scalar T>
void ScaledAffineTransformer<T>::do_fields(Fields<T>& f) {
  f.type("scaled_affine_transformer");
  f.constant("map", options_.map, map_choices);
  f.constant("offset", options_.offset);
  f.constant("floor", options_.floor);
  f.constant("limit", options_.limit);
  f.constant("low", options_.low);
  f.constant("high", options_.high);
}

template <Scalar T>
void ScaledAffineTransformer<T>::do_restored() {
  check(options_, widest_log_scale<T>);
}

template class ScaledAffineTransformer<float>;
template class ScaledAffineTransformer<double>;

}  // namespace pushforward
