#include <limits>
#include <pushforward/latents.hpp>

#include "src/core/evaluate.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
const Distribution<T>* latent_base(const Distribution<T>& d) {
  const auto* latents = dynamic_cast<const Latents<T>*>(&d);
  return latents ? latents->latent_base() : &d;
}

template <Scalar T>
Var<T> latent(const Distribution<T>& d, Pass<T>& pass, Var<T> y) {
  const auto* latents = dynamic_cast<const Latents<T>*>(&d);
  return latents ? latents->latent(pass, y) : y;
}

template <Scalar T>
void latent_into(const Distribution<T>& d, std::type_identity_t<MatrixView<const T>> y,
                 std::type_identity_t<MatrixView<T>> out, std::type_identity_t<MatrixView<const T>> context, Run run) {
  check_columns(d.name(), "latent", y, d.dim());
  check_context(d.name(), "latent", context, y.rows(), d.context_dim());
  const Distribution<T>* base = latent_base(d);
  if (!base) throw NotImplemented(d.name() + "::latent: its rows do not determine latent values");
  if (out.rows() != y.rows() || out.cols() != base->dim())
    throw ShapeError(d.name() + "::latent: expected an output of shape " + shape_text({y.rows(), base->dim()}) +
                     ", got " + shape_text({out.rows(), out.cols()}));
  for_each_pass<T>(Tape<T>::Mode::evaluate, y.rows(), context, nullptr, run,
                   [&](Tape<T>& tape, Pass<T>& pass, Index begin, Index count) {
                     const Var<T> rows = load(tape, y.middle_rows(begin, count), false);
                     mark_non_finite(tape, rows, pass.outside());
                     store_unmarked(tape, pass, latent(d, pass, rows), begin, count, out);
                   });
}

#define PUSHFORWARD_INSTANTIATE(T)                                     \
  template const Distribution<T>* latent_base(const Distribution<T>&); \
  template Var<T> latent(const Distribution<T>&, Pass<T>&, Var<T>);    \
  template void latent_into(const Distribution<T>&, MatrixView<const T>, MatrixView<T>, MatrixView<const T>, Run);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward
