// Activations and what they add to the gradient of their input.

#include "src/kernels/dispatch.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/kernels/activation.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "src/kernels/math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace pushforward::kernels {
namespace HWY_NAMESPACE {
namespace {  // names such as `fill` occur in several sources

// value(x) = a(x); backward(x, y, gy, gx) = gx + gy a'(x); derivative(x) = a'(x), second(x) = a''(x), both accurate in
// the tails, where `backward` need not be. Comparisons are arranged so that NaN stays NaN.

template <class T>
HWY_INLINE auto not_positive(Vec<T> x) {
  return hn::Le(x, hn::Zero(hn::ScalableTag<T>()));
}

/// NaN for NaN.
template <class T>
HWY_INLINE Vec<T> constant(Vec<T> x, T value) {
  const hn::ScalableTag<T> d;
  return hn::IfThenElse(hn::Eq(x, x), hn::Set(d, value), x);
}

/// s = sigmoid(x) and 1 - s without cancellation in either tail.
template <class T>
struct Logistic {
  Vec<T> s, complement;
  explicit HWY_INLINE Logistic(Vec<T> x) {
    const hn::ScalableTag<T> d;
    const Vec<T> one = hn::Set(d, T(1));
    const Vec<T> e = exp_bounded_above<T>(hn::Neg(hn::Abs(x)));
    const Vec<T> larger = hn::Div(one, hn::Add(one, e));
    const Vec<T> smaller = hn::Mul(e, larger);
    const auto left = hn::Lt(x, hn::Zero(d));
    s = hn::IfThenElse(left, smaller, larger);
    complement = hn::IfThenElse(left, larger, smaller);
  }
  HWY_INLINE Vec<T> slope() const { return hn::Mul(s, complement); }
  HWY_INLINE Vec<T> curvature() const { return hn::Mul(slope(), hn::Sub(complement, s)); }
};

template <class T>
struct Identity {
  static HWY_INLINE Vec<T> value(Vec<T> x) { return x; }
  static HWY_INLINE Vec<T> backward(Vec<T>, Vec<T>, Vec<T> gy, Vec<T> gx) { return hn::Add(gx, gy); }
  static HWY_INLINE Vec<T> derivative(Vec<T> x) { return constant<T>(x, T(1)); }
  static HWY_INLINE Vec<T> second(Vec<T> x) { return constant<T>(x, T(0)); }
};

template <class T>
struct Relu {
  static HWY_INLINE Vec<T> value(Vec<T> x) { return hn::IfThenZeroElse(not_positive<T>(x), x); }
  // The derivative at 0 is 0. Selected, not multiplied: the gradient of an inactive unit does not count even if it is
  // not finite.
  static HWY_INLINE Vec<T> backward(Vec<T> x, Vec<T>, Vec<T> gy, Vec<T> gx) {
    return hn::Add(gx, hn::IfThenZeroElse(not_positive<T>(x), gy));
  }
  static HWY_INLINE Vec<T> derivative(Vec<T> x) {
    return hn::IfThenZeroElse(not_positive<T>(x), constant<T>(x, T(1)));
  }
  static HWY_INLINE Vec<T> second(Vec<T> x) { return constant<T>(x, T(0)); }
};

template <class T>
struct LeakyRelu {
  static HWY_INLINE Vec<T> slope(Vec<T> x) {
    const hn::ScalableTag<T> d;
    return hn::IfThenElse(not_positive<T>(x), hn::Set(d, T(0.01)), hn::Set(d, T(1)));
  }
  static HWY_INLINE Vec<T> value(Vec<T> x) { return hn::Mul(x, slope(x)); }
  static HWY_INLINE Vec<T> backward(Vec<T> x, Vec<T>, Vec<T> gy, Vec<T> gx) { return hn::MulAdd(gy, slope(x), gx); }
  static HWY_INLINE Vec<T> derivative(Vec<T> x) { return hn::IfThenElse(hn::Eq(x, x), slope(x), x); }
  static HWY_INLINE Vec<T> second(Vec<T> x) { return constant<T>(x, T(0)); }
};

template <class T>
struct Elu {
  static HWY_INLINE Vec<T> value(Vec<T> x) { return hn::IfThenElse(not_positive<T>(x), expm1<T>(x), x); }
  static HWY_INLINE Vec<T> backward(Vec<T> x, Vec<T> y, Vec<T> gy, Vec<T> gx) {
    const Vec<T> one = hn::Set(hn::ScalableTag<T>(), T(1));
    return hn::MulAdd(gy, hn::IfThenElse(not_positive<T>(x), hn::Add(y, one), one), gx);
  }
  static HWY_INLINE Vec<T> derivative(Vec<T> x) { return exp_bounded_above<T>(at_most<T>(x, T(0))); }
  static HWY_INLINE Vec<T> second(Vec<T> x) {
    return hn::IfThenZeroElse(hn::Gt(x, hn::Zero(hn::ScalableTag<T>())), derivative(x));
  }
};

template <class T>
struct Gelu {
  static HWY_INLINE Vec<T> value(Vec<T> x) {
    Vec<T> gauss;
    const Vec<T> cdf = normal_cdf<T>(x, gauss);
    return hn::Mul(at_least<T>(x, std::numeric_limits<T>::lowest()), cdf);  // -inf gives -0, not -inf * 0
  }
  static HWY_INLINE Vec<T> backward(Vec<T> x, Vec<T>, Vec<T> gy, Vec<T> gx) {
    const hn::ScalableTag<T> d;
    Vec<T> gauss;
    const Vec<T> cdf = normal_cdf<T>(x, gauss);
    // Beyond 40 the density is 0 and only 0 * inf is to be avoided.
    const Vec<T> bounded = at_least<T>(at_most<T>(x, T(40)), T(-40));
    const Vec<T> density = hn::Mul(gauss, hn::Set(d, T(0.39894228040143267794)));
    return hn::MulAdd(gy, hn::MulAdd(bounded, density, cdf), gx);
  }
  static HWY_INLINE Vec<T> derivative(Vec<T> x) {
    const hn::ScalableTag<T> d;
    return backward(x, x, hn::Set(d, T(1)), hn::Zero(d));
  }
  // (2 - x^2) phi(x)
  static HWY_INLINE Vec<T> second(Vec<T> x) {
    const hn::ScalableTag<T> d;
    Vec<T> gauss;
    normal_cdf<T>(x, gauss);
    const Vec<T> bounded = at_least<T>(at_most<T>(x, T(40)), T(-40));
    const Vec<T> density = hn::Mul(gauss, hn::Set(d, T(0.39894228040143267794)));
    return hn::Mul(hn::NegMulAdd(bounded, bounded, hn::Set(d, T(2))), density);
  }
};

template <class T>
struct Silu {
  static HWY_INLINE Vec<T> value(Vec<T> x) {
    return hn::Mul(at_least<T>(x, std::numeric_limits<T>::lowest()), sigmoid<T>(x));
  }
  static HWY_INLINE Vec<T> backward(Vec<T> x, Vec<T>, Vec<T> gy, Vec<T> gx) {
    const Logistic<T> l(x);
    return hn::MulAdd(gy, hn::MulAdd(hn::Mul(bounded(x), l.s), l.complement, l.s), gx);
  }
  static HWY_INLINE Vec<T> derivative(Vec<T> x) {
    const Logistic<T> l(x);
    return hn::MulAdd(hn::Mul(bounded(x), l.s), l.complement, l.s);
  }
  // s' (2 + x (1 - 2 s))
  static HWY_INLINE Vec<T> second(Vec<T> x) {
    const Logistic<T> l(x);
    const Vec<T> two = hn::Set(hn::ScalableTag<T>(), T(2));
    return hn::Mul(l.slope(), hn::MulAdd(bounded(x), hn::Sub(l.complement, l.s), two));
  }
  // Beyond, s (1 - s) is 0.
  static HWY_INLINE Vec<T> bounded(Vec<T> x) { return at_least<T>(at_most<T>(x, T(1000)), T(-1000)); }
};

template <class T>
struct Tanh {
  static HWY_INLINE Vec<T> value(Vec<T> x) { return tanh<T>(x); }
  static HWY_INLINE Vec<T> backward(Vec<T>, Vec<T> y, Vec<T> gy, Vec<T> gx) {
    const Vec<T> one = hn::Set(hn::ScalableTag<T>(), T(1));
    return hn::MulAdd(gy, hn::Mul(hn::Sub(one, y), hn::Add(one, y)), gx);
  }
  // tanh(x) = 2 sigmoid(2 x) - 1
  static HWY_INLINE Vec<T> derivative(Vec<T> x) {
    return hn::Mul(hn::Set(hn::ScalableTag<T>(), T(4)), Logistic<T>(hn::Add(x, x)).slope());
  }
  static HWY_INLINE Vec<T> second(Vec<T> x) {
    return hn::Mul(hn::Set(hn::ScalableTag<T>(), T(8)), Logistic<T>(hn::Add(x, x)).curvature());
  }
};

template <class T>
struct Sigmoid {
  static HWY_INLINE Vec<T> value(Vec<T> x) { return sigmoid<T>(x); }
  static HWY_INLINE Vec<T> backward(Vec<T>, Vec<T> y, Vec<T> gy, Vec<T> gx) {
    return hn::MulAdd(gy, hn::Mul(y, hn::Sub(hn::Set(hn::ScalableTag<T>(), T(1)), y)), gx);
  }
  static HWY_INLINE Vec<T> derivative(Vec<T> x) { return Logistic<T>(x).slope(); }
  static HWY_INLINE Vec<T> second(Vec<T> x) { return Logistic<T>(x).curvature(); }
};

template <class T>
struct Softplus {
  static HWY_INLINE Vec<T> value(Vec<T> x) { return softplus<T>(x); }
  static HWY_INLINE Vec<T> backward(Vec<T> x, Vec<T>, Vec<T> gy, Vec<T> gx) {
    return hn::MulAdd(gy, sigmoid<T>(x), gx);
  }
  static HWY_INLINE Vec<T> derivative(Vec<T> x) { return sigmoid<T>(x); }
  static HWY_INLINE Vec<T> second(Vec<T> x) { return Logistic<T>(x).slope(); }
};

template <class T, template <class> class A>
struct Value {
  HWY_INLINE Vec<T> operator()(Vec<T> x) { return A<T>::value(x); }
};
template <class T, template <class> class A>
struct Backward {
  HWY_INLINE Vec<T> operator()(Vec<T> x, Vec<T> y, Vec<T> gy, Vec<T> gx) { return A<T>::backward(x, y, gy, gx); }
};

template <class T>
void activation(Activation a, const T* x, T* y, Index n) {
  switch (a) {
    case Activation::identity:
      return map(Value<T, Identity>(), y, n, x);
    case Activation::relu:
      return map(Value<T, Relu>(), y, n, x);
    case Activation::leaky_relu:
      return map(Value<T, LeakyRelu>(), y, n, x);
    case Activation::elu:
      return map(Value<T, Elu>(), y, n, x);
    case Activation::gelu:
      return map(Value<T, Gelu>(), y, n, x);
    case Activation::silu:
      return map(Value<T, Silu>(), y, n, x);
    case Activation::tanh:
      return map(Value<T, Tanh>(), y, n, x);
    case Activation::sigmoid:
      return map(Value<T, Sigmoid>(), y, n, x);
    case Activation::softplus:
      return map(Value<T, Softplus>(), y, n, x);
  }
}

template <class T>
void activation_backward(Activation a, const T* x, const T* y, const T* gy, T* gx, Index n) {
  const T* old = gx;
  switch (a) {
    case Activation::identity:
      return map(Backward<T, Identity>(), gx, n, x, y, gy, old);
    case Activation::relu:
      return map(Backward<T, Relu>(), gx, n, x, y, gy, old);
    case Activation::leaky_relu:
      return map(Backward<T, LeakyRelu>(), gx, n, x, y, gy, old);
    case Activation::elu:
      return map(Backward<T, Elu>(), gx, n, x, y, gy, old);
    case Activation::gelu:
      return map(Backward<T, Gelu>(), gx, n, x, y, gy, old);
    case Activation::silu:
      return map(Backward<T, Silu>(), gx, n, x, y, gy, old);
    case Activation::tanh:
      return map(Backward<T, Tanh>(), gx, n, x, y, gy, old);
    case Activation::sigmoid:
      return map(Backward<T, Sigmoid>(), gx, n, x, y, gy, old);
    case Activation::softplus:
      return map(Backward<T, Softplus>(), gx, n, x, y, gy, old);
  }
}

template <class T, template <class> class A>
struct Derivative {
  HWY_INLINE Vec<T> operator()(Vec<T> x) { return A<T>::derivative(x); }
};
template <class T, template <class> class A>
struct SecondBackward {
  HWY_INLINE Vec<T> operator()(Vec<T> x, Vec<T> gd, Vec<T> gx) { return hn::MulAdd(gd, A<T>::second(x), gx); }
};

template <class T>
void activation_derivative(Activation a, const T* x, T* d, Index n) {
  switch (a) {
    case Activation::identity:
      return map(Derivative<T, Identity>(), d, n, x);
    case Activation::relu:
      return map(Derivative<T, Relu>(), d, n, x);
    case Activation::leaky_relu:
      return map(Derivative<T, LeakyRelu>(), d, n, x);
    case Activation::elu:
      return map(Derivative<T, Elu>(), d, n, x);
    case Activation::gelu:
      return map(Derivative<T, Gelu>(), d, n, x);
    case Activation::silu:
      return map(Derivative<T, Silu>(), d, n, x);
    case Activation::tanh:
      return map(Derivative<T, Tanh>(), d, n, x);
    case Activation::sigmoid:
      return map(Derivative<T, Sigmoid>(), d, n, x);
    case Activation::softplus:
      return map(Derivative<T, Softplus>(), d, n, x);
  }
}

template <class T>
void activation_second_backward(Activation a, const T* x, const T* gd, T* gx, Index n) {
  const T* old = gx;
  switch (a) {
    case Activation::identity:
      return map(SecondBackward<T, Identity>(), gx, n, x, gd, old);
    case Activation::relu:
      return map(SecondBackward<T, Relu>(), gx, n, x, gd, old);
    case Activation::leaky_relu:
      return map(SecondBackward<T, LeakyRelu>(), gx, n, x, gd, old);
    case Activation::elu:
      return map(SecondBackward<T, Elu>(), gx, n, x, gd, old);
    case Activation::gelu:
      return map(SecondBackward<T, Gelu>(), gx, n, x, gd, old);
    case Activation::silu:
      return map(SecondBackward<T, Silu>(), gx, n, x, gd, old);
    case Activation::tanh:
      return map(SecondBackward<T, Tanh>(), gx, n, x, gd, old);
    case Activation::sigmoid:
      return map(SecondBackward<T, Sigmoid>(), gx, n, x, gd, old);
    case Activation::softplus:
      return map(SecondBackward<T, Softplus>(), gx, n, x, gd, old);
  }
}

template <class T, template <class> class A>
struct InPlace {
  HWY_INLINE Vec<T> operator()(Vec<T> y, Vec<T> g) {
    return A<T>::backward(y, y, g, hn::Zero(hn::ScalableTag<T>()));  // y has the sign of x
  }
};

template <class T>
void activation_backward_in_place(Activation a, const T* y, T* g, Index n) {
  const T* gy = g;
  switch (a) {
    case Activation::relu:
      return map(InPlace<T, Relu>(), g, n, y, gy);
    case Activation::leaky_relu:
      return map(InPlace<T, LeakyRelu>(), g, n, y, gy);
    case Activation::elu:
      return map(InPlace<T, Elu>(), g, n, y, gy);
    case Activation::tanh:
      return map(InPlace<T, Tanh>(), g, n, y, gy);
    case Activation::sigmoid:
      return map(InPlace<T, Sigmoid>(), g, n, y, gy);
    case Activation::identity:
    case Activation::gelu:
    case Activation::silu:
    case Activation::softplus:
      return;
  }
}

template <class T>
void fill(Table<T>& table) {
  table.activation = &activation<T>;
  table.activation_backward = &activation_backward<T>;
  table.activation_derivative = &activation_derivative<T>;
  table.activation_second_backward = &activation_second_backward<T>;
  table.activation_backward_in_place = &activation_backward_in_place<T>;
}

}  // namespace

void fill_activations_f32(Table<float>& table) { fill(table); }
void fill_activations_f64(Table<double>& table) { fill(table); }

}  // namespace HWY_NAMESPACE
}  // namespace pushforward::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pushforward::kernels {
PUSHFORWARD_EXPORT_FILL(fill_activations)
}  // namespace pushforward::kernels
#endif
