#pragma once

#include <pushforward/tensor.hpp>
#include <type_traits>
#include <utility>

namespace pushforward::detail {

template <class T>
std::type_identity<T> tensor_element(const Tensor<T>&);
template <class T>
std::type_identity<std::remove_const_t<T>> tensor_element(const TensorView<T>&);
template <class M>
  requires DirectEigen<const M, const typename M::Scalar>
std::type_identity<typename M::Scalar> tensor_element(const M&);

}  // namespace pushforward::detail

namespace pushforward::batch_norm {

/// float or double: what a tensor, a view or an Eigen matrix holds.
template <class X>
using ElementOf = typename decltype(detail::tensor_element(std::declval<const X&>()))::type;
/// From what a function of the ports finds out its T: a Tensor, a view, or an Eigen object with storage.
template <class X>
concept TensorLike = requires { typename ElementOf<X>; } && Scalar<ElementOf<X>>;

/// A tensor as an argument: made without a copy from a Tensor, from a view of whatever constness, from an Eigen matrix
/// (rank 2) and from an Eigen vector (rank 1); default-made: "none". It is a TensorView, and owns as little.
template <class T>
class Argument : public TensorView<T> {
 public:
  Argument() = default;
  template <class U>
    requires std::is_convertible_v<U (*)[], T (*)[]>
  Argument(const TensorView<U>& v) : TensorView<T>(v.data(), v.shape(), v.strides()) {}  // NOLINT: implicit
  Argument(const Tensor<std::remove_const_t<T>>& t)                                      // NOLINT: implicit
    requires std::is_const_v<T>
      : TensorView<T>(t.view()) {}
  Argument(Tensor<T>& t)  // NOLINT: implicit
    requires(!std::is_const_v<T>)
      : TensorView<T>(t.view()) {}
  template <class M>
    requires detail::DirectEigen<M, T>
  Argument(M&& m) : TensorView<T>(of(m)) {}  // NOLINT: implicit

 private:
  template <class M>
  static TensorView<T> of(M& m) {
    if constexpr (bool(std::remove_cvref_t<M>::IsVectorAtCompileTime)) {
      return {m.data(), {m.size()}, {m.innerStride()}};
    } else {
      const MatrixView<T> v(m);
      return {v.data(), {v.rows(), v.cols()}, {v.row_stride(), v.col_stride()}};
    }
  }
};

/// One that is read. T comes from a call's first argument alone, so that `{}` stands for "none".
template <class T>
using Input = Argument<const std::type_identity_t<T>>;
/// One that is written.
template <class T>
using Output = Argument<std::type_identity_t<T>>;

}  // namespace pushforward::batch_norm
