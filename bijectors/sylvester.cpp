#include <pushforward/bijectors/sylvester.hpp>

#include <cmath>
#include <limits>
#include <string>

#include <pushforward/random.hpp>

#include "bijectors/inverse_softplus.hpp"
#include "bijectors/tanh_step.hpp"
#include "src/core/number_text.hpp"
#include "src/ops/matrix.hpp"

namespace pushforward {

using namespace detail;

namespace {

constexpr double bound_of_log_s = 5;

Index checked_rank(Index rank, Index dim) {
  if (rank < 1 || rank > dim)
    throw ShapeError("Sylvester: expected a rank from 1 to the " + std::to_string(dim) + " columns, got " +
                     std::to_string(rank));
  return rank;
}

}  // namespace

template <Scalar T>
Sylvester<T>::Sylvester(Blank) : Bijector<T>("Sylvester"), step_(solved_tanh_step<T>()) {}

template <Scalar T>
Sylvester<T>::Sylvester(Index dim, Index rank, std::uint64_t seed, double floor)
    : Bijector<T>("Sylvester", dim),
      rank_(checked_rank(rank, dim)),
      floor_(floor),
      vectors_({rank, dim}),
      r_({rank, rank}),
      s_({rank, rank}),
      raw_p_({rank}, static_cast<T>(inverse_softplus(1 - floor))),
      raw_s_({rank}),
      b_({rank}),
      step_(solved_tanh_step<T>()) {
  do_restored();
  Engine engine(seed);
  engine.next_call().normal(0, 1, rank * dim, vectors_.data(), 1);
}

template <Scalar T>
struct Sylvester<T>::Parts {
  Var<T> q;     ///< (dim, rank)
  Var<T> r, s;  ///< with their diagonals
  Var<T> p, b;

  Parts(Pass<T>& pass, const Sylvester& map) : b(pass.parameter(map.b_)) {
    Tape<T>& tape = pass.tape();
    const Index dim = map.dim(), rank = map.rank_;
    const Var<T> vectors = pass.parameter(map.vectors_);
    q = shared_identity(tape, dim, rank);
    for (Index k = rank - 1; k >= 0; --k) {
      const Var<T> row = shared_columns(vectors, k * dim, dim);
      // A vector of zeros has no direction, and its norm must not divide.
      const Var<T> square_norm = matmul(row, transpose(row)) + std::numeric_limits<T>::min();
      q = q - matmul(transpose((T(2) * row) / square_norm), matmul(row, q));
    }
    const Var<T> size = exp(soft_bound(pass.parameter(map.raw_s_), bound_of_log_s));
    p = softplus(pass.parameter(map.raw_p_)) + static_cast<T>(map.floor_ - 1);
    const Var<T> identity = shared_identity(tape, rank, rank);
    const Var<T> above = shared_constant(tape, rank, rank, [](Index i, Index j) { return j > i; });
    s = pass.parameter(map.s_) * above + identity * in_each_row(rank, size);
    r = pass.parameter(map.r_) * above + identity * in_each_row(rank, p / size);
  }
};

template <Scalar T>
Mapped<T> Sylvester<T>::do_forward(Pass<T>& pass, Var<T> x) const {
  const Parts parts(pass, *this);
  const Var<T> z = linear(x, matmul(parts.s, transpose(parts.q)), parts.b);
  return {x + linear(tanh(z), matmul(parts.q, parts.r), Var<T>()),
          row_sum(log1p(activation_derivative(Activation::tanh, z) * parts.p))};
}

// Row i of v + R tanh(S v + b) = Q' y, times s_ii, with z_i = (S v + b)_i: z_i + p_i tanh(z_i) is what the later
// columns leave of it.
template <Scalar T>
Mapped<T> Sylvester<T>::do_inverse(Pass<T>& pass, Var<T> y) const {
  const Parts parts(pass, *this);
  const Var<T> d = linear(y, transpose(parts.q), Var<T>());
  auto* v = pass.tape().template scratch<Var<T>>(rank_);
  auto* risen = pass.tape().template scratch<Var<T>>(rank_);
  Column<T> log_det;
  const auto entry = [this](Var<T> m, Index i, Index j) { return shared_columns(m, i * rank_ + j, 1); };
  for (Index i = rank_ - 1; i >= 0; --i) {
    Var<T> rest = columns(d, i, 1), offset = shared_columns(parts.b, i, 1);
    for (Index j = i + 1; j < rank_; ++j) {
      rest = rest - risen[j] * entry(parts.r, i, j);
      offset = v[j] * entry(parts.s, i, j) + offset;
    }
    const Var<T> size = entry(parts.s, i, i), p = spread(pass.tape(), shared_columns(parts.p, i, 1));
    const MappedElements<T> z = step_->inverse(pass, rest * size + offset, std::span(&p, 1));
    new (&v[i]) Var<T>((z.value - offset) / size);
    new (&risen[i]) Var<T>(tanh(z.value));
    log_det = log_det + row_sum(z.log_derivative);
  }
  const Var<T> all = concatenate(std::span<const Var<T>>(risen, static_cast<std::size_t>(rank_)));
  return {y - linear(all, matmul(parts.q, parts.r), Var<T>()), log_det};
}

template <Scalar T>
void Sylvester<T>::do_fields(Fields<T>& f) {
  f.type("sylvester");
  this->dim_field(f);
  f.constant("rank", rank_, 1, this->dim());
  f.optional("floor", floor_, default_floor);
  f.parameter("vectors", vectors_, {rank_, this->dim()}, {.decay = false});
  f.parameter("r", r_, {rank_, rank_});
  f.parameter("s", s_, {rank_, rank_});
  f.parameter("raw_p", raw_p_, {rank_}, {.decay = false});
  f.parameter("raw_s", raw_s_, {rank_}, {.decay = false});
  f.parameter("b", b_, {rank_}, {.decay = false});
}

template <Scalar T>
void Sylvester<T>::do_restored() {
  if (!(floor_ >= 0 && floor_ < 1))
    throw DomainError("Sylvester: floor must lie in [0, 1), got " + number_text(floor_));
}

template class Sylvester<float>;
template class Sylvester<double>;

}  // namespace pushforward
