#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <pushforward/ports/aesara.hpp>
#include <utility>

#include "src/batch_norm/parameters.hpp"
#include "src/core/number_text.hpp"

namespace pushforward::batch_norm::aesara {

namespace {

using Values = std::vector<double>;

std::string where(const char* call) { return std::string("batch_norm::aesara::") + call + ": "; }

/// f(channel) for each channel.
template <class F>
Values per_channel(std::size_t channels, F f) {
  Values v(channels);
  for (std::size_t c = 0; c < channels; ++c) v[c] = f(c);
  return v;
}

/// Axes and the parameters' layout of one call.
template <Scalar T>
struct Layout {
  Layout(const char* call, const Input<T>& x, const Axes& axes, const Input<T>& gamma)
      : call(call), x_shape(x.shape()) {
    const std::vector<Index> averaged = axes.resolve(x.rank());
    kept = other_axes(averaged, x.rank());
    shape = shape_of_average(x.shape(), averaged, gamma.rank() == x.rank());
    channels = static_cast<std::size_t>(count_along(x.shape(), kept));
    count = static_cast<double>(count_along(x.shape(), averaged));
  }
  Index rank() const { return static_cast<Index>(shape.size()); }

  void check_ranks(const Input<T>& gamma, const Input<T>& beta) const {
    if (gamma.rank() != rank() || beta.rank() != rank())
      throw ShapeError(where(call) + fmt::format("gamma and beta dimensionality must match the number of "
                                                 "non-normalized axes, or have the same number of dimensions as the "
                                                 "inputs; got {} and {} instead of {}",
                                                 gamma.rank(), beta.rank(), rank()));
  }
  /// Either layout lists the channels in order.
  Values read(const char* name, const Input<T>& p) const {
    check_given(where(call) + name, p);
    if (p.shape() != shape)
      throw ShapeError(where(call) + name + ": expected shape " + detail::shape_text(shape) + ", got " +
                       detail::shape_text(p.shape()));
    return values<T>(p);
  }
  /// Zeros where there is none.
  Values adjoint(const char* name, const Input<T>& p) const { return p.data() ? read(name, p) : Values(channels, 0.0); }
  TensorView<const T> data(const char* name, const Input<T>& g) const {
    if (g.shape() != x_shape)
      throw ShapeError(where(call) + name + ": expected shape " + detail::shape_text(x_shape) + ", got " +
                       detail::shape_text(g.shape()));
    return g;
  }
  TensorView<const T> adjoint_data(const char* name, const Input<T>& g) const {
    static const T zero = 0;
    if (!g.data()) return {&zero, x_shape, std::vector<Index>(x_shape.size(), 0)};
    return data(name, g);
  }
  Tensor<T> write(std::span<const double> v) const { return tensor<T>(shape, v); }

  const char* call;
  std::vector<Index> x_shape, kept, shape;
  std::size_t channels;
  double count;  ///< values per average
};

template <Scalar T>
void check_epsilon(const char* call, double epsilon) {
  const double rounded = static_cast<double>(static_cast<T>(epsilon));
  if (!(rounded >= 1e-5))
    throw DomainError(where(call) +
                      fmt::format("epsilon must be at least 1e-5, got {}", detail::unsigned_nan(rounded)));
}

void check_invstd(const char* call, const Values& invstd) {
  for (const double s : invstd)
    if (s <= 0) throw DomainError(where(call) + fmt::format("invstd must be positive, got {}", s));
}

}  // namespace

Axes::Axes(std::string_view name) : Axes(name == "spatial" ? Kind::spatial : Kind::per_activation, {}) {
  if (name != "spatial" && name != "per-activation")
    throw DomainError(
        fmt::format("batch_norm::aesara::Axes: invalid axes: {}; there are per-activation and spatial", name));
}

std::vector<Index> Axes::resolve(Index rank) const {
  std::vector<Index> axes = list_;
  if (kind_ == Kind::per_activation) axes = {0};
  if (kind_ == Kind::spatial) axes = rank < 2 ? std::vector<Index>{0} : other_axes(std::vector<Index>{1}, rank);
  if (axes.empty()) throw DomainError("batch_norm::aesara::Axes: there should be at least one normalization axis");
  const auto [least, most] = std::minmax_element(axes.begin(), axes.end());
  if (*least < 0 || *most >= rank)
    throw DomainError(fmt::format("batch_norm::aesara::Axes: axes should be less than ndim (<{}), but {} given", rank,
                                  detail::shape_text(axes)));
  return resolve_axes(axes, rank);
}

// ------------------------------------------------------------------------------------------------------- training

template <Scalar T>
Trained<T> batch_normalization_train(const Input<T>& x, const Input<T>& gamma, const Input<T>& beta,
                                     const TrainOptions<std::type_identity_t<T>>& options) {
  const char* call = "batch_normalization_train";
  const Layout<T> layout(call, x, options.axes, gamma);
  layout.check_ranks(gamma, beta);
  const bool running = options.running_mean.data();
  if (running != (options.running_var.data() != nullptr))
    throw DomainError(where(call) + "running_mean and running_var must either both be given or both be None");
  for (const auto& [name, p] :
       {std::pair{"running_mean", &options.running_mean}, {"running_var", &options.running_var}})
    if (running && p->rank() != layout.rank())
      throw ShapeError(where(call) + fmt::format("{} must be of the same dimensionality as gamma and beta; got {} "
                                                 "instead of {}",
                                                 name, p->rank(), layout.rank()));
  check_epsilon<T>(call, options.epsilon);
  const double f = options.running_average_factor, m = layout.count;
  if (!(f >= 0 && f <= 1))
    throw DomainError(where(call) + fmt::format("running_average_factor {} is not in [0, 1]", f));
  if (running && m < 2)
    throw DomainError(where(call) + fmt::format("running_var: m / (m - 1) has no value for averages over m = {} "
                                                "values; leave out running_mean and running_var",
                                                m));

  const Values scale = layout.read("gamma", gamma), shift = layout.read("beta", beta);
  Trained<T> result;
  result.out = Tensor<T>(x.shape());
  const batch_norm::Moments moments =
      training_forward<T>(x, layout.kept, scale, shift, options.epsilon, result.out.view());
  result.mean = layout.write(moments.mean);
  result.invstd = layout.write(per_channel(
      layout.channels, [&](std::size_t c) { return 1 / std::sqrt(moments.variance[c] + options.epsilon); }));
  if (!running) return result;
  const Values mean = layout.read("running_mean", options.running_mean),
               var = layout.read("running_var", options.running_var);
  result.running_mean = layout.write(
      per_channel(layout.channels, [&](std::size_t c) { return mean[c] * (1 - f) + moments.mean[c] * f; }));
  result.running_var = layout.write(per_channel(
      layout.channels, [&](std::size_t c) { return var[c] * (1 - f) + m / (m - 1) * moments.variance[c] * f; }));
  return result;
}

template <Scalar T>
TrainGradients<T> batch_normalization_train_backward(const Input<T>& x, const Input<T>& gamma, const Input<T>& mean,
                                                     const Input<T>& invstd,
                                                     const TrainAdjoints<std::type_identity_t<T>>& adjoints,
                                                     const Axes& axes) {
  const Layout<T> layout("batch_normalization_train_backward", x, axes, gamma);
  const Values scale = layout.read("gamma", gamma), centre = layout.read("mean", mean),
               s = layout.read("invstd", invstd), dmean = layout.adjoint("the adjoint of mean", adjoints.mean),
               dinvstd = layout.adjoint("the adjoint of invstd", adjoints.invstd);
  check_invstd(layout.call, s);
  // The variance with epsilon in it.
  const Values variance = per_channel(layout.channels, [&](std::size_t c) { return 1 / (s[c] * s[c]); });
  TrainGradients<T> result;
  result.x = Tensor<T>(x.shape());
  const batch_norm::Gradients g = training_backward<T>(
      x, layout.kept, {centre, variance, scale, {}},
      {layout.adjoint_data("the adjoint of out", adjoints.out), 0, dmean, {}, dinvstd}, result.x.view());
  result.gamma = layout.write(g.gamma);
  result.beta = layout.write(g.beta);
  return result;
}

template <Scalar T>
TrainGradients<T> batch_normalization_train_grad(const Input<T>& x, const Input<T>& dy, const Input<T>& gamma,
                                                 const Input<T>& mean, const Input<T>& invstd, const Axes& axes) {
  const Layout<T> layout("batch_normalization_train_grad", x, axes, gamma);
  const Values scale = layout.read("gamma", gamma), centre = layout.read("mean", mean),
               s = layout.read("invstd", invstd);
  const TensorView<const T> g = layout.data("dy", dy);
  const double m = layout.count;
  const ChannelProducts sums = channel_products<T>(g, x, layout.kept, centre);
  // `mean` need not be the mean: dx = a (dy - mean(dy)) + b (x - mean(x)).
  const Values mean_x = moments<T>(x, layout.kept).mean;
  const auto each = [&](auto f) { return per_channel(layout.channels, f); };
  const Values mean_g = each([&](std::size_t c) { return sums.g[c] / m; }),
               a = each([&](std::size_t c) { return scale[c] * s[c]; }),
               b = each([&](std::size_t c) { return -scale[c] * s[c] * s[c] * s[c] * sums.gd[c] / m; });
  TrainGradients<T> result;
  result.x = Tensor<T>(x.shape());
  map_adjoint<T>(g, x, layout.kept, {mean_x, mean_g, a, b, Values(layout.channels, 0.0)}, result.x.view());
  result.gamma = layout.write(each([&](std::size_t c) { return s[c] * sums.gd[c]; }));
  result.beta = layout.write(sums.g);
  return result;
}

template <Scalar T>
TrainGradGradients<T> batch_normalization_train_grad_backward(
    const Input<T>& x, const Input<T>& dy, const Input<T>& gamma, const Input<T>& mean, const Input<T>& invstd,
    const TrainGradAdjoints<std::type_identity_t<T>>& adjoints, const Axes& axes) {
  const Layout<T> layout("batch_normalization_train_grad_backward", x, axes, gamma);
  const Values scale = layout.read("gamma", gamma), centre = layout.read("mean", mean),
               s = layout.read("invstd", invstd), ddgamma = layout.adjoint("the adjoint of gamma", adjoints.gamma),
               ddbeta = layout.adjoint("the adjoint of beta", adjoints.beta), zero(layout.channels, 0.0);
  const TensorView<const T> g = layout.data("dy", dy), ddx = layout.adjoint_data("the adjoint of x", adjoints.x);
  const double m = layout.count;
  const auto each = [&](auto f) { return per_channel(layout.channels, f); };
  // Sums of products in which one factor is centred, so that the other's centre does not matter.
  const ChannelProducts dy_d = channel_products<T>(g, x, layout.kept, centre);
  const Values mean_dy = each([&](std::size_t c) { return dy_d.g[c] / m; });
  const ChannelProducts ddx_d = channel_products<T>(ddx, x, layout.kept, moments<T>(x, layout.kept).mean);
  const Values ddx_dy = channel_products<T>(ddx, g, layout.kept, mean_dy).gd;
  const Values mean_ddx = each([&](std::size_t c) { return ddx_d.g[c] / m; });

  const Values cube = each([&](std::size_t c) { return s[c] * s[c] * s[c]; }),
               p = each([&](std::size_t c) { return dy_d.gd[c] / m; }),     // P
      q = each([&](std::size_t c) { return scale[c] * ddx_d.gd[c] / m; }),  // Q
      ddx_to_dy = each([&](std::size_t c) { return scale[c] * s[c]; }),
               ddx_to_x = each([&](std::size_t c) { return -cube[c] * p[c] * scale[c]; }),
               cross = each([&](std::size_t c) { return ddgamma[c] * s[c] - cube[c] * q[c]; });  // x to dy, dy to x

  TrainGradGradients<T> result;
  result.x = Tensor<T>(x.shape());
  result.dy = Tensor<T>(x.shape());
  map_adjoint<T>(ddx, g, layout.kept, {zero, mean_ddx, ddx_to_x, cross, zero}, result.x.view());
  map_adjoint<T>(ddx, x, layout.kept, {centre, mean_ddx, ddx_to_dy, cross, ddbeta}, result.dy.view());
  result.gamma = layout.write(each([&](std::size_t c) { return s[c] * ddx_dy[c] - cube[c] * p[c] * ddx_d.gd[c]; }));
  result.mean = layout.write(each([&](std::size_t c) { return -cross[c] * dy_d.g[c]; }));
  result.invstd = layout.write(each([&](std::size_t c) {
    return scale[c] * ddx_dy[c] - 3 * s[c] * s[c] * m * p[c] * q[c] + ddgamma[c] * dy_d.gd[c];
  }));
  return result;
}

// ------------------------------------------------------------------------------------------------------ test time

namespace {

/// The parameters of a test call, read and checked.
template <Scalar T>
struct TestParameters {
  TestParameters(const char* call, const Input<T>& x, const Input<T>& gamma, const Input<T>& beta, const Input<T>& mean,
                 const Input<T>& var, const Axes& axes, double epsilon)
      : layout(call, x, axes, gamma), epsilon(epsilon) {
    layout.check_ranks(gamma, beta);
    if (mean.rank() != layout.rank() || var.rank() != layout.rank())
      throw ShapeError(where(call) + fmt::format("mean and var must be of the same dimensionality as gamma and beta; "
                                                 "got {} and {} instead of {}",
                                                 mean.rank(), var.rank(), layout.rank()));
    check_epsilon<T>(call, epsilon);
    this->gamma = layout.read("gamma", gamma);
    this->beta = layout.read("beta", beta);
    this->mean = layout.read("mean", mean);
    this->var = layout.read("var", var);
  }
  Affine affine() const { return {mean, var, gamma, beta, epsilon}; }

  Layout<T> layout;
  double epsilon;
  Values gamma, beta, mean, var;
};

}  // namespace

template <Scalar T>
Tensor<T> batch_normalization_test(const Input<T>& x, const Input<T>& gamma, const Input<T>& beta, const Input<T>& mean,
                                   const Input<T>& var, const Axes& axes, double epsilon) {
  const TestParameters<T> p("batch_normalization_test", x, gamma, beta, mean, var, axes, epsilon);
  Tensor<T> out(x.shape());
  normalize<T>(x, p.layout.kept, p.affine(), out.view());
  return out;
}

template <Scalar T>
TestGradients<T> batch_normalization_test_backward(const Input<T>& x, const Input<T>& gamma, const Input<T>& beta,
                                                   const Input<T>& mean, const Input<T>& var, const Input<T>& dy,
                                                   const Axes& axes, double epsilon) {
  const TestParameters<T> p("batch_normalization_test_backward", x, gamma, beta, mean, var, axes, epsilon);
  TestGradients<T> result;
  result.x = Tensor<T>(x.shape());
  const batch_norm::Gradients g =
      inference_backward<T>(x, p.layout.kept, p.affine(), {p.layout.data("dy", dy)}, result.x.view());
  result.gamma = p.layout.write(g.gamma);
  result.beta = p.layout.write(g.beta);
  result.mean = p.layout.write(g.mean);
  result.var = p.layout.write(g.variance);
  return result;
}

// ----------------------------------------------------------------------------------------- the older, element-wise

Mode mode_of(std::string_view name) {
  if (name == "low_mem") return Mode::low_mem;
  if (name == "high_mem") return Mode::high_mem;
  throw DomainError(fmt::format("batch_norm::aesara: mode must be either \"low_mem\", \"high_mem\", got \"{}\"", name));
}

namespace {

/// Parameters of the element-wise map; channels are all positions that any of them tells apart.
template <Scalar T>
struct Elementwise {
  Elementwise(const char* call, const Input<T>& x, const Input<T>& gamma, const Input<T>& beta, const Input<T>& mean,
              const Input<T>& std)
      : kept(varying_axes<T>(x.rank(), {&gamma, &beta, &mean, &std})) {
    const auto read = [&](const char* name, const Input<T>& p) {
      return values(broadcast<T>(where(call) + name, p, x.shape()), kept);
    };
    this->gamma = read("gamma", gamma);
    this->beta = read("beta", beta);
    this->mean = read("mean", mean);
    const Values deviation = read("std", std);
    if (std::find(deviation.begin(), deviation.end(), 0.0) != deviation.end())
      throw DomainError(where(call) + "std must not be 0");
    inverse = per_channel(deviation.size(), [&](std::size_t c) { return 1 / deviation[c]; });
    slope = per_channel(deviation.size(), [&](std::size_t c) { return this->gamma[c] / deviation[c]; });
    zero.assign(deviation.size(), 0.0);
  }
  std::vector<Index> kept;
  Values gamma, beta, mean, inverse, slope, zero;  // 1 / std, gamma / std
};

}  // namespace

template <Scalar T>
Normalized<T> batch_normalization(const Input<T>& x, const Input<T>& gamma, const Input<T>& beta, const Input<T>& mean,
                                  const Input<T>& std, Mode mode) {
  const Elementwise<T> p("batch_normalization", x, gamma, beta, mean, std);
  Normalized<T> result{Tensor<T>(x.shape()), {}};
  if (mode == Mode::low_mem) {
    map_channels<T>(x, p.kept, p.mean, p.slope, p.beta, result.out.view());
  } else {
    Tensor<T> standardized(x.shape());
    map_channels<T>(x, p.kept, p.mean, p.inverse, p.zero, standardized.view());
    map_channels<T>(std::as_const(standardized).view(), p.kept, p.zero, p.gamma, p.beta, result.out.view());
    result.standardized = std::move(standardized);
  }
  return result;
}

template <Scalar T>
NormalizedGradients<T> batch_normalization_backward(const Input<T>& x, const Input<T>& gamma, const Input<T>& beta,
                                                    const Input<T>& mean, const Input<T>& std,
                                                    const Normalized<std::type_identity_t<T>>& forward,
                                                    const Input<T>& dy) {
  const Elementwise<T> p("batch_normalization_backward", x, gamma, beta, mean, std);
  // sums of dy and of dy (x - mean) / std
  ChannelProducts sums = forward.standardized ? channel_products<T>(dy, forward.standardized->view(), p.kept, p.zero)
                                              : channel_products<T>(dy, x, p.kept, p.mean);
  if (!forward.standardized)
    for (std::size_t c = 0; c < sums.gd.size(); ++c) sums.gd[c] *= p.inverse[c];
  const auto sum_of = [&](const Input<T>& parameter, auto f) {
    return sum_to<T>(parameter, per_channel(p.zero.size(), f), x.shape(), p.kept);
  };
  NormalizedGradients<T> result;
  result.x = Tensor<T>(x.shape());
  map_channels<T>(dy, p.kept, p.zero, p.slope, p.zero, result.x.view());
  result.gamma = sum_of(gamma, [&](std::size_t c) { return sums.gd[c]; });
  result.beta = sum_of(beta, [&](std::size_t c) { return sums.g[c]; });
  result.mean = sum_of(mean, [&](std::size_t c) { return -p.slope[c] * sums.g[c]; });
  result.std = sum_of(std, [&](std::size_t c) { return -p.slope[c] * sums.gd[c]; });
  return result;
}

#define PUSHFORWARD_INSTANTIATE(T)                                                                                   \
  template Trained<T> batch_normalization_train<T>(const Input<T>&, const Input<T>&, const Input<T>&,                \
                                                   const TrainOptions<T>&);                                          \
  template TrainGradients<T> batch_normalization_train_backward<T>(                                                  \
      const Input<T>&, const Input<T>&, const Input<T>&, const Input<T>&, const TrainAdjoints<T>&, const Axes&);     \
  template TrainGradients<T> batch_normalization_train_grad<T>(const Input<T>&, const Input<T>&, const Input<T>&,    \
                                                               const Input<T>&, const Input<T>&, const Axes&);       \
  template TrainGradGradients<T> batch_normalization_train_grad_backward<T>(                                         \
      const Input<T>&, const Input<T>&, const Input<T>&, const Input<T>&, const Input<T>&,                           \
      const TrainGradAdjoints<T>&, const Axes&);                                                                     \
  template Tensor<T> batch_normalization_test<T>(const Input<T>&, const Input<T>&, const Input<T>&, const Input<T>&, \
                                                 const Input<T>&, const Axes&, double);                              \
  template TestGradients<T> batch_normalization_test_backward<T>(const Input<T>&, const Input<T>&, const Input<T>&,  \
                                                                 const Input<T>&, const Input<T>&, const Input<T>&,  \
                                                                 const Axes&, double);                               \
  template Normalized<T> batch_normalization<T>(const Input<T>&, const Input<T>&, const Input<T>&, const Input<T>&,  \
                                                const Input<T>&, Mode);                                              \
  template NormalizedGradients<T> batch_normalization_backward<T>(const Input<T>&, const Input<T>&, const Input<T>&, \
                                                                  const Input<T>&, const Input<T>&,                  \
                                                                  const Normalized<T>&, const Input<T>&);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward::batch_norm::aesara
