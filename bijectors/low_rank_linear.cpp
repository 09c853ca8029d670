#include <pushforward/bijectors/low_rank_linear.hpp>

#include <cmath>
#include <string>

#include <pushforward/random.hpp>

#include "bijectors/inverse_softplus.hpp"
#include "src/ops/matrix.hpp"

namespace pushforward {

using namespace detail;

namespace {

Index checked_rank(Index rank, Index dim) {
  if (rank < 1 || rank > dim)
    throw ShapeError("LowRankLinear: expected a rank from 1 to the " + std::to_string(dim) + " columns, got " +
                     std::to_string(rank));
  return rank;
}

}  // namespace

template <Scalar T>
LowRankLinear<T>::LowRankLinear(Index dim, Index rank, std::uint64_t seed)
    : Bijector<T>("LowRankLinear", dim),
      rank_(checked_rank(rank, dim)),
      raw_diagonal_({dim}, static_cast<T>(inverse_softplus(1 - diagonal_floor))),
      u_({rank, dim}),
      v_({rank, dim}),
      bias_({dim}) {
  Engine engine(seed);
  engine.next_call().normal(0, 1, rank * dim, v_.data(), 1);
  for (T& value : v_.values()) value /= static_cast<T>(std::sqrt(static_cast<double>(dim)));
}

template <Scalar T>
struct LowRankLinear<T>::Parts {
  Var<T> d, v, u, bias;  ///< u: k U
  Var<T> middle;         ///< I + k M

  Parts(Pass<T>& pass, const LowRankLinear& map)
      : d(softplus(pass.parameter(map.raw_diagonal_)) + static_cast<T>(diagonal_floor)),
        v(pass.parameter(map.v_)),
        bias(pass.parameter(map.bias_)) {
    const Index rank = map.rank_;
    const Var<T> raw = pass.parameter(map.u_);
    const Var<T> m = matmul(v, transpose(raw / in_each_row(rank, d))), entries = shared_columns(m, 0, rank * rank);
    const Var<T> k = T(1) / T(0.95) * sqrt(matmul(entries, transpose(entries)) + T(1));
    u = transpose(raw / k);
    middle = shared_identity(pass.tape(), rank, rank) + m / k;
  }
  Column<T> log_det() const { return row_sum(log(d)) + row_sum(log_abs_det(middle)); }
};

template <Scalar T>
Mapped<T> LowRankLinear<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Parts p(pass, *this);
  return {x * p.d + linear(linear(x, p.v, Var<T>()), p.u, p.bias), p.log_det()};
}

template <Scalar T>
Mapped<T> LowRankLinear<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Parts p(pass, *this);
  const Var<T> z = (y - p.bias) / p.d;
  const Var<T> across = linear(linear(z, p.v, Var<T>()), inverse(p.middle), Var<T>());
  return {z - linear(across, p.u, Var<T>()) / p.d, -p.log_det()};
}

template <Scalar T>
void LowRankLinear<T>::do_fields(Fields<T>& f) {
  f.type("low_rank_linear");
  this->dim_field(f);
  f.constant("rank", rank_, 1, this->dim());
  f.parameter("raw_diagonal", raw_diagonal_, {this->dim()}, {.decay = false});
  f.parameter("u", u_, {rank_, this->dim()});
  f.parameter("v", v_, {rank_, this->dim()});
  f.parameter("bias", bias_, {this->dim()}, {.decay = false});
}

template class LowRankLinear<float>;
template class LowRankLinear<double>;

}  // namespace pushforward
