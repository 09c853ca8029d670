#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <pushforward/batch_norm/layer.hpp>
#include <pushforward/error.hpp>
#include <pushforward/ops.hpp>
#include <pushforward/random.hpp>

#include "src/core/constrain.hpp"
#include "src/core/number_text.hpp"
#include "src/core/shape_text.hpp"
#include "src/ops/batch_norm.hpp"

namespace pushforward {

namespace {

constexpr double gamma_floor = 1e-6;  // of GammaMap::relu_floor

constexpr std::pair<GammaMap, const char*> gamma_maps[] = {{GammaMap::identity, "identity"},
                                                           {GammaMap::exp, "exp"},
                                                           {GammaMap::softplus, "softplus"},
                                                           {GammaMap::relu_floor, "relu_floor"}};
constexpr std::pair<Constraint::Kind, const char*> constraints[] = {
    {Constraint::Kind::none, "none"},
    {Constraint::Kind::non_negative, "non_negative"},
    {Constraint::Kind::max_norm, "max_norm"},
    {Constraint::Kind::relu_plus_floor, "relu_plus_floor"},
    {Constraint::Kind::function, "function"}};
constexpr std::pair<NotTrainable, const char*> not_trainable_names[] = {
    {NotTrainable::v1, "v1"}, {NotTrainable::v1_eager, "v1_eager"}, {NotTrainable::v2, "v2"}};

template <class E, std::size_t N>
std::string name_of(const std::pair<E, const char*> (&names)[N], E value) {
  for (const auto& [known, name] : names)
    if (known == value) return name;
  throw DomainError("BatchNormLayer: unknown option value");
}
template <class E, std::size_t N>
E value_of(const std::pair<E, const char*> (&names)[N], const std::string& name) {
  for (const auto& [value, known] : names)
    if (name == known) return value;
  throw IoError("batch normalisation: unknown option '" + name + "'");
}

template <class Function>
const Function& present(const Function& function, const std::string& what, const std::string& name) {
  if (!function)
    throw NotImplemented("BatchNormLayer: the " + what + " '" + name +
                         "' is a function, which no file holds; make the model by code and take the loaded values "
                         "over with copy_state");
  return function;
}

template <class Function>
Function given(const char* what, Function function) {
  if (!function) throw DomainError(fmt::format("{}: expected a function, got an empty one", what));
  return function;
}

/// Through double, as the function sees them.
template <Scalar T, class F>
void change_values(Tensor<T>& w, F function) {
  std::vector<double> values(w.values().begin(), w.values().end());
  function(w.shape(), values);
  std::transform(values.begin(), values.end(), w.data(), [](double v) { return static_cast<T>(v); });
}

template <Scalar T>
void apply(const Constraint& constraint, Tensor<T>& w) {
  if (constraint.kind == Constraint::Kind::none) return;
  if (constraint.kind == Constraint::Kind::function)
    return change_values(w, present(constraint.function, "constraint", constraint.name));
  if (constraint.kind == Constraint::Kind::max_norm) {
    constexpr double tiny = 1e-7;  // Keras adds it to the norm
    const Index each = w.size() == 0 ? 0 : w.size() / w.extent(0);
    for (Index j = 0; j < each; ++j) {
      double square = 0;
      for (Index i = j; i < w.size(); i += each) square += static_cast<double>(w[i]) * static_cast<double>(w[i]);
      const double norm = std::sqrt(square), factor = std::min(norm, constraint.value) / (tiny + norm);
      for (Index i = j; i < w.size(); i += each) w[i] = static_cast<T>(static_cast<double>(w[i]) * factor);
    }
    return;
  }
  const T floor = constraint.kind == Constraint::Kind::relu_plus_floor ? static_cast<T>(constraint.value) : T(0);
  for (T& v : w.values()) v = std::max(v, T(0)) + floor;
}

/// The penalty of a function of one's own; adds to the gradient.
double own_penalty(const Regularizer& r, std::span<const double> values, std::span<double> gradient) {
  if (!r.has_function()) return 0;
  std::vector<double> own(values.size(), 0.0);
  const double value = present(r.function, "regularizer", r.name)(values, own);
  std::transform(own.begin(), own.end(), gradient.begin(), gradient.begin(), std::plus<>());
  return value;
}

template <Scalar T>
std::function<Column<T>(Var<T>)> penalty(const Regularizer& r) {
  if (!r) return {};
  return [r](Var<T> w) {
    const Column<T> sum = row_sum(static_cast<T>(r.l1) * abs(w) + static_cast<T>(r.l2) * square(w));
    if (!r.has_function()) return sum;
    // The tangent at w: its value there is the function's, and so is its gradient.
    const Index size = w.node()->rows * w.cols();
    const std::vector<double> values(w.node()->value, w.node()->value + size);
    std::vector<double> gradient(values.size(), 0.0);
    const double value = own_penalty(r, values, gradient);
    Tape<T>& tape = w.tape();
    const Var<T> at = tape.shared(w.node()->rows, w.cols(), false),
                 slope = tape.shared(w.node()->rows, w.cols(), false);
    const Index padded = (size + 15) / 16 * 16;
    std::fill_n(at.node()->value, padded, T(0));
    std::fill_n(slope.node()->value, padded, T(0));
    for (Index i = 0; i < size; ++i) {
      at.node()->value[i] = w.node()->value[i];
      slope.node()->value[i] = static_cast<T>(gradient[static_cast<std::size_t>(i)]);
    }
    return sum + (row_sum((w - at) * slope) + constant_column(tape, value));
  };
}

double average(double momentum, double old, double value) { return old - (old - value) * (1 - momentum); }

}  // namespace

Initializer Initializer::custom(ValuesFunction fill) {
  return {Kind::function, 0, 0, 0, given("Initializer::custom", std::move(fill))};
}
Regularizer Regularizer::custom(std::string name, Function function) {
  Function own = given("Regularizer::custom", std::move(function));
  return {0, 0, std::move(name), std::move(own)};
}
Constraint Constraint::custom(std::string name, ValuesFunction project) {
  ValuesFunction own = given("Constraint::custom", std::move(project));
  return {Kind::function, 0, std::move(name), std::move(own)};
}

BatchNormLayerOptions batch_norm_convention(std::string_view system, double value, BatchNormLayerOptions base) {
  struct Convention {
    std::string_view name;
    bool on_new, bessel, bessel_in_moving_variance;
    Fusion fusion;
  };
  constexpr Convention known[] = {
      {"keras", false, false, false, Fusion::unfused},    {"tensorflow", false, false, false, Fusion::unfused},
      {"keras_fused", false, false, true, Fusion::fused}, {"aesara", true, false, true, Fusion::unfused},
      {"torch", true, false, true, Fusion::unfused},      {"nflows", true, true, true, Fusion::unfused},
      {"pyro", true, true, true, Fusion::unfused}};
  if (!(value >= 0 && value <= 1))
    throw DomainError("batch_norm_convention: expected a number in [0, 1], got " + detail::number_text(value));
  std::string names;
  for (const Convention& c : known) {
    if (c.name == system) {
      base.momentum = c.on_new ? 1 - value : value;
      base.bessel = c.bessel;
      base.bessel_in_moving_variance = c.bessel_in_moving_variance;
      base.fusion = c.fusion;
      return base;
    }
    names.append(names.empty() ? "" : ", ").append(c.name);
  }
  throw DomainError("batch_norm_convention: unknown system '" + std::string(system) + "', known are " + names);
}

// --------------------------------------------------------------------------------------------------------- building

template <Scalar T>
BatchNormLayer<T>::BatchNormLayer(Options options) : Component<T>("BatchNormLayer"), options_(std::move(options)) {
  const auto refuse = [](const std::string& text) { throw DomainError("BatchNormLayer: " + text); };
  if (!(options_.momentum >= 0 && options_.momentum <= 1))
    refuse("momentum must lie in [0, 1], got " + detail::number_text(options_.momentum));
  if (!(options_.epsilon >= 0) || !std::isfinite(options_.epsilon))
    refuse(fmt::format("epsilon must be finite and not negative, got {}", detail::unsigned_nan(options_.epsilon)));
  if (options_.axis.empty()) refuse("expected at least one axis to keep, got none");
  if (options_.virtual_batch_size && *options_.virtual_batch_size < 1)
    refuse("virtual_batch_size must be a positive integer that divides the true batch size of the input tensor, got " +
           std::to_string(*options_.virtual_batch_size));
  if (options_.virtual_batch_size && options_.adjustment)
    refuse("When using virtual_batch_size, adjustment cannot be specified");
  if (options_.fusion != Fusion::unfused) {
    if (options_.renorm) refuse("Passing both `fused=True` and `renorm=True` is not supported");
    if (options_.virtual_batch_size)
      refuse("Passing `fused=True` is not supported when `virtual_batch_size` is specified.");
    if (options_.adjustment) refuse("Passing `fused=True` is not supported when `adjustment` is specified.");
  }
  if (options_.renorm) {
    const Renorm& r = *options_.renorm;
    if (!(r.momentum >= 0 && r.momentum <= 1))
      refuse("renorm_momentum must lie in [0, 1], got " + detail::number_text(r.momentum));
    if ((r.rmin && !(*r.rmin >= 0)) || (r.rmax && !(*r.rmax > 0)) || (r.dmax && !(*r.dmax >= 0)))
      refuse("renorm clipping needs rmin >= 0, rmax > 0 and dmax >= 0");
    if (r.rmin && !std::isfinite(*r.rmin))
      refuse(fmt::format("renorm clipping needs a finite rmin, got {}; without a bound leave it out", *r.rmin));
    if (r.rmin && r.rmax && *r.rmin > *r.rmax)
      refuse(fmt::format("renorm clipping needs rmin <= rmax, got {} and {}", *r.rmin, *r.rmax));
    if (r.open_rmax != 0 || r.open_dmax != 0) {
      if (!r.rmax || !r.dmax || !std::isfinite(*r.rmax) || !std::isfinite(*r.dmax))
        refuse("a schedule of the renorm clipping needs a finite rmax and dmax to open to");
      if (*r.rmax < 1)
        refuse(fmt::format("a schedule of the renorm clipping opens from 1 to an rmax above it, got {}", *r.rmax));
      if (r.open_from < 0 || r.open_rmax < r.open_from || r.open_dmax < r.open_from)
        refuse("a schedule of the renorm clipping opens at 0 <= open_from <= open_rmax, open_dmax");
    }
  }
}

template <Scalar T>
BatchNormLayer<T>::BatchNormLayer(std::vector<Index> input_shape, Options options)
    : BatchNormLayer(std::move(options)) {
  build(std::move(input_shape));
}

template <Scalar T>
void BatchNormLayer<T>::build(std::vector<Index> input_shape) {
  if (is_built()) throw DomainError("BatchNormLayer::build: the layer is built already");
  const Index rank = static_cast<Index>(input_shape.size());
  if (rank == 0) throw ShapeError("BatchNormLayer::build: Input has undefined rank.");
  const std::vector<Index> kept = batch_norm::resolve_axes(options_.axis, rank);
  if (options_.virtual_batch_size && kept.front() == 0)
    throw DomainError(
        "BatchNormLayer::build: When using virtual_batch_size, the batch dimension must be 0 and thus axis cannot "
        "include 0");
  for (const Index axis : kept)
    if (input_shape[static_cast<std::size_t>(axis)] < 1)
      throw ShapeError("BatchNormLayer::build: Input has undefined `axis` dimension. Received input with shape " +
                       detail::shape_text(input_shape) + ". Axis value: " + std::to_string(axis));
  std::vector<Index> shape;
  if (kept.size() == 1) {
    shape = {input_shape[static_cast<std::size_t>(kept[0])]};
  } else {
    shape.assign(input_shape.size(), 1);
    for (const Index axis : kept) shape[static_cast<std::size_t>(axis)] = input_shape[static_cast<std::size_t>(axis)];
  }
  if (options_.virtual_batch_size && kept.size() > 1) shape.insert(shape.begin() + 1, 1);

  const auto make = [&](const Initializer& start, std::string_view stream) {
    Tensor<T> t(shape);
    std::vector<double> values(static_cast<std::size_t>(t.size()), start.a);
    const RandomCall draws = Engine(start.seed).stream(stream).next_call();
    if (start.kind == Initializer::Kind::normal) {
      draws.normal(0, t.size(), 1, values.data(), t.size());
      for (double& v : values) v = start.a + start.b * v;
    } else if (start.kind == Initializer::Kind::uniform) {
      draws.uniform(0, t.size(), 1, values.data(), t.size());
      for (double& v : values) v = start.a + (start.b - start.a) * v;
    }
    std::transform(values.begin(), values.end(), t.data(), [](double v) { return static_cast<T>(v); });
    if (start.kind == Initializer::Kind::function) {
      if (!start.function) throw DomainError("BatchNormLayer::build: the initializer has no function");
      change_values(t, start.function);
    }
    return t;
  };
  Tensor<T> gamma = make(options_.gamma_initializer, "gamma");
  for (T& g : gamma.values()) {
    const double value = static_cast<double>(g);
    if (options_.gamma_map == GammaMap::identity) continue;
    const double excess = options_.gamma_map == GammaMap::softplus ? value - options_.epsilon : value - gamma_floor;
    if (!(value > 0) || (options_.gamma_map != GammaMap::exp && !(excess > 0)))
      throw DomainError("BatchNormLayer::build: gamma must start positive under this map, got " +
                        detail::number_text(value));
    g = static_cast<T>(options_.gamma_map == GammaMap::exp        ? std::log(value)
                       : options_.gamma_map == GammaMap::softplus ? std::log(std::expm1(excess))
                                                                  : excess);
  }
  if (options_.scale) gamma_ = std::move(gamma);
  if (options_.center) beta_ = make(options_.beta_initializer, "beta");
  moving_mean_ = make(options_.moving_mean_initializer, "moving_mean");
  moving_variance_ = make(options_.moving_variance_initializer, "moving_variance");
  if (options_.renorm) {
    if (options_.renorm->generation == Renorm::Generation::later) {
      renorm_mean_ = moving_mean_;
      renorm_stddev_ = moving_variance_;
      for (T& v : renorm_stddev_.values()) v = std::sqrt(v);
      moving_stddev_ = renorm_stddev_;
    } else {
      renorm_mean_ = Tensor<T>(shape);
      renorm_stddev_ = Tensor<T>(shape);
      renorm_mean_weight_ = Tensor<T>({1});
      renorm_stddev_weight_ = Tensor<T>({1});
    }
    if (options_.renorm->open_rmax || options_.renorm->open_dmax) renorm_step_ = Tensor<T>({1});
  }

  // On a tape axis 0 is the rows, and a row is flattened with the last axis fastest.
  if (kept.front() != 0) {
    Index columns = 1;
    for (std::size_t i = 1; i < input_shape.size(); ++i) columns *= input_shape[i];
    const Index channels = batch_norm::count_along(input_shape, kept);
    if (columns > 0 && columns != channels) {
      channel_of_column_.resize(static_cast<std::size_t>(columns));
      for (Index c = 0; c < columns; ++c) {
        Index rest = c, channel = 0, step = 1;
        for (Index axis = rank - 1; axis > 0; --axis) {
          const Index extent = input_shape[static_cast<std::size_t>(axis)], at = rest % extent;
          rest /= extent;
          if (!std::binary_search(kept.begin(), kept.end(), axis)) continue;
          channel += at * step;
          step *= extent;
        }
        channel_of_column_[static_cast<std::size_t>(c)] = channel;
      }
    }
  }
  channels_ = batch_norm::count_along(input_shape, kept);
  kept_ = kept;
  input_shape_ = std::move(input_shape);
}

template <Scalar T>
double BatchNormLayer<T>::epsilon() const {
  // cuDNN's smallest.
  return options_.fusion == Fusion::fused ? std::max(options_.epsilon, 1.001e-5) : options_.epsilon;
}

template <Scalar T>
double BatchNormLayer<T>::positive(double value, std::size_t channel, const char* of) const {
  if (value <= 0)
    throw DomainError(
        fmt::format("BatchNormLayer: {} + epsilon must be positive, got {} in channel {}; with epsilon = "
                    "{} a channel must not be constant",
                    of, detail::unsigned_nan(value), channel, epsilon()));
  return value;
}
template <Scalar T>
double BatchNormLayer<T>::inference_variance(Index channel) const {
  return positive(static_cast<double>(moving_variance_[channel]) + epsilon(), static_cast<std::size_t>(channel),
                  "the moving variance");
}

template <Scalar T>
const char* BatchNormLayer<T>::gamma_name() const {
  switch (options_.gamma_map) {
    case GammaMap::identity:
      return "gamma";
    case GammaMap::exp:
      return "log_gamma";
    case GammaMap::softplus:
    case GammaMap::relu_floor:
      break;
  }
  return "raw_gamma";
}
template <Scalar T>
double BatchNormLayer<T>::gamma_of(double stored) const {
  switch (options_.gamma_map) {
    case GammaMap::identity:
      break;
    case GammaMap::exp:
      return std::exp(stored);
    case GammaMap::softplus:
      return std::max(stored, 0.0) + std::log1p(std::exp(-std::abs(stored))) + options_.epsilon;
    case GammaMap::relu_floor:
      return std::max(stored, 0.0) + gamma_floor;
  }
  return stored;
}
template <Scalar T>
double BatchNormLayer<T>::gamma_slope(double stored) const {
  switch (options_.gamma_map) {
    case GammaMap::identity:
      break;
    case GammaMap::exp:
      return std::exp(stored);
    case GammaMap::softplus:
      return 1 / (1 + std::exp(-stored));
    case GammaMap::relu_floor:
      return stored > 0 ? 1 : 0;
  }
  return 1;
}

template <Scalar T>
std::vector<double> BatchNormLayer<T>::gamma() const {
  std::vector<double> values(static_cast<std::size_t>(channels_), 1.0);
  for (Index c = 0; options_.scale && c < channels_; ++c)
    values[static_cast<std::size_t>(c)] = gamma_of(static_cast<double>(gamma_[c]));
  return values;
}
template <Scalar T>
std::vector<double> BatchNormLayer<T>::beta() const {
  std::vector<double> values(static_cast<std::size_t>(channels_), 0.0);
  for (Index c = 0; options_.center && c < channels_; ++c)
    values[static_cast<std::size_t>(c)] = static_cast<double>(beta_[c]);
  return values;
}

template <Scalar T>
auto BatchNormLayer<T>::variables() const -> std::vector<std::pair<const char*, Variable>> {
  std::vector<std::pair<const char*, Variable>> all;
  if (!is_built()) return all;
  if (options_.scale) all.emplace_back(gamma_name(), &BatchNormLayer::gamma_);
  if (options_.center) all.emplace_back("beta", &BatchNormLayer::beta_);
  all.emplace_back("moving_mean", &BatchNormLayer::moving_mean_);
  all.emplace_back("moving_variance", &BatchNormLayer::moving_variance_);
  if (!options_.renorm) return all;
  const bool later = options_.renorm->generation == Renorm::Generation::later;
  if (later) all.emplace_back("moving_stddev", &BatchNormLayer::moving_stddev_);
  all.emplace_back("renorm_mean", &BatchNormLayer::renorm_mean_);
  if (!later) all.emplace_back("renorm_mean_weight", &BatchNormLayer::renorm_mean_weight_);
  all.emplace_back("renorm_stddev", &BatchNormLayer::renorm_stddev_);
  if (!later) all.emplace_back("renorm_stddev_weight", &BatchNormLayer::renorm_stddev_weight_);
  if (renorm_step_.size() > 0) all.emplace_back("renorm_step", &BatchNormLayer::renorm_step_);
  return all;
}

template <Scalar T>
const char* BatchNormLayer<T>::variable_name(Variable variable) const {
  for (const auto& [name, member] : variables())
    if (member == variable) return name;
  return "a variable";
}

template <Scalar T>
const Tensor<T>& BatchNormLayer<T>::variable(std::string_view name) const {
  std::string known;
  for (const auto& [own, member] : variables()) {
    if (name == own) return this->*member;
    known.append(known.empty() ? "" : ", ").append(own);
  }
  throw DomainError("BatchNormLayer: no variable '" + std::string(name) + "', there are: " + known);
}
template <Scalar T>
Tensor<T>& BatchNormLayer<T>::variable(std::string_view name) {
  return const_cast<Tensor<T>&>(std::as_const(*this).variable(name));
}

// ---------------------------------------------------------------------------------------------------------- tensors

template <Scalar T>
void BatchNormLayer<T>::check_built(const char* call) const {
  if (!is_built())
    throw DomainError(std::string("BatchNormLayer::") + call + ": the layer is not built; call build(input_shape)");
}

template <Scalar T>
void BatchNormLayer<T>::check_input(const char* call, std::span<const Index> shape) const {
  check_built(call);
  bool fits = shape.size() == input_shape_.size();
  for (const Index axis : kept_)
    fits = fits && shape[static_cast<std::size_t>(axis)] == input_shape_[static_cast<std::size_t>(axis)];
  if (!fits)
    throw ShapeError(std::string("BatchNormLayer::") + call + ": the layer is built for inputs like " +
                     detail::shape_text(input_shape_) + ", got " + detail::shape_text(shape));
}

template <Scalar T>
bool BatchNormLayer<T>::acts_as_inference() const {
  return !options_.trainable && options_.not_trainable == NotTrainable::v2;
}

/// The tensor with the groups of virtual batches as an axis of their own, which is kept: [group][channel].
template <Scalar T>
TensorView<const T> BatchNormLayer<T>::grouped(const TensorView<const T>& x, std::vector<Index>& kept) const {
  kept = kept_;
  if (!options_.virtual_batch_size) return x;
  const Index size = *options_.virtual_batch_size;
  const bool strided = options_.virtual_batches == VirtualBatches::strided;
  std::vector<Index> shape = x.shape(), strides = x.strides();
  const Index groups = shape[0] / size;
  shape[0] = strided ? size : groups;
  shape.insert(shape.begin() + 1, strided ? groups : size);
  strides.insert(strides.begin(), strides[0] * (strided ? groups : size));
  for (Index& axis : kept) ++axis;
  kept.insert(kept.begin(), strided ? 1 : 0);
  return {x.data(), std::move(shape), std::move(strides)};
}

namespace {
template <Scalar T>
TensorView<T> writable(const TensorView<const T>& x) {
  return {const_cast<T*>(x.data()), x.shape(), x.strides()};  // made from a writable view by the caller
}
}  // namespace

template <Scalar T>
auto BatchNormLayer<T>::frozen() const -> Frozen {
  Frozen f;
  for (Index c = 0; c < channels_; ++c) {
    f.mean.push_back(static_cast<double>(moving_mean_[c]));
    f.deviation.push_back(std::sqrt(inference_variance(c)));
  }
  return f;
}

template <Scalar T>
void BatchNormLayer<T>::inference_into(const TensorView<const T>& x, const TensorView<T>& out) const {
  check_input("inference", x.shape());
  const Frozen f = frozen();
  std::vector<double> scale = gamma();
  for (std::size_t c = 0; c < scale.size(); ++c) scale[c] /= f.deviation[c];
  batch_norm::map_channels<T>(x, kept_, f.mean, scale, beta(), out);
}
template <Scalar T>
Tensor<T> BatchNormLayer<T>::operator()(const TensorView<const T>& x) const {
  Tensor<T> out(x.shape());
  inference_into(x, out.view());
  return out;
}

template <Scalar T>
auto BatchNormLayer<T>::corrections(std::span<const double> mean, std::span<const double> variance) const
    -> Corrections {
  Corrections k;
  if (!options_.renorm) return k;
  const Renorm& options = *options_.renorm;
  std::optional<double> rmin = options.rmin, rmax = options.rmax, dmax = options.dmax;
  if (renorm_step_.size() > 0) {
    const double step = static_cast<double>(renorm_step_[0]);
    const auto opened = [&](Index end) {
      const double from = static_cast<double>(options.open_from), to = static_cast<double>(end);
      return to > from ? std::clamp((step - from) / (to - from), 0.0, 1.0) : step >= to ? 1.0 : 0.0;
    };
    rmax = 1 + (*options.rmax - 1) * opened(options.open_rmax);
    rmin = 1 / *rmax;
    dmax = *options.dmax * opened(options.open_dmax);
  }
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const double stddev = std::sqrt(variance[c] + epsilon());
    double reference_mean = static_cast<double>(renorm_mean_[static_cast<Index>(c)]);
    double reference = static_cast<double>(renorm_stddev_[static_cast<Index>(c)]);
    if (options.generation == Renorm::Generation::later) {
      reference = std::max(reference, std::sqrt(epsilon()));
    } else {
      reference_mean += (1 - static_cast<double>(renorm_mean_weight_[0])) * mean[c];
      reference += (1 - static_cast<double>(renorm_stddev_weight_[0])) * stddev;
    }
    double r = stddev / reference, d = (mean[c] - reference_mean) / reference;
    if (rmin) r = std::max(r, *rmin);
    if (rmax) r = std::min(r, *rmax);
    if (dmax) d = std::clamp(d, -*dmax, *dmax);
    k.r.push_back(r);
    k.d.push_back(d);
  }
  return k;
}

template <Scalar T>
template <class Emit>
void BatchNormLayer<T>::updates(const double* mean, const double* variance, double count, double* memory,
                                Emit emit) const {
  const bool renorm_alone = !options_.trainable && options_.not_trainable == NotTrainable::v1_eager && options_.renorm;
  if (count == 0 || (!options_.trainable && !renorm_alone)) return;
  const auto average_into = [&](double* next, Variable variable, double momentum, auto value) {
    const Tensor<T>& old = this->*variable;
    const std::size_t size = static_cast<std::size_t>(old.size());
    for (std::size_t c = 0; c < size; ++c)
      next[c] = average(momentum, static_cast<double>(old[static_cast<Index>(c)]), value(c));
    emit(variable, std::span<const double>(next, size));
  };
  double *const first = memory, *const second = memory + channels_, *const next = memory + 2 * channels_;
  const bool bessel = options_.bessel_in_moving_variance || options_.fusion != Fusion::unfused;
  const double factor = detail::bessel(bessel, count);
  const auto stddev = [&](std::size_t c) { return std::sqrt(variance[c] + epsilon()); };
  const auto mean_of = [&](std::size_t c) { return mean[c]; };
  if (!options_.renorm) {
    average_into(next, &BatchNormLayer::moving_mean_, options_.momentum, mean_of);
    average_into(next, &BatchNormLayer::moving_variance_, options_.momentum,
                 [&](std::size_t c) { return variance[c] * factor; });
    return;
  }
  const double momentum = options_.renorm->momentum;
  average_into(first, &BatchNormLayer::renorm_mean_, momentum, mean_of);
  average_into(second, &BatchNormLayer::renorm_stddev_, momentum, stddev);
  if (options_.renorm->generation == Renorm::Generation::later) {
    if (renorm_alone) return;
    average_into(next, &BatchNormLayer::moving_mean_, options_.momentum, mean_of);
    average_into(next, &BatchNormLayer::moving_stddev_, options_.momentum, stddev);
    for (Index c = 0; c < channels_; ++c) next[c] = std::max(next[c] * next[c] - epsilon(), 0.0);
    emit(&BatchNormLayer::moving_variance_, std::span<const double>(next, static_cast<std::size_t>(channels_)));
  } else {
    const auto one = [](std::size_t) { return 1.0; };
    average_into(next, &BatchNormLayer::renorm_mean_weight_, momentum, one);
    const double mean_weight = next[0];
    average_into(next, &BatchNormLayer::renorm_stddev_weight_, momentum, one);
    const double stddev_weight = next[0];
    if (renorm_alone) return;
    average_into(next, &BatchNormLayer::moving_mean_, options_.momentum,
                 [&](std::size_t c) { return first[c] / mean_weight; });
    average_into(next, &BatchNormLayer::moving_variance_, options_.momentum, [&](std::size_t c) {
      const double s = second[c] / stddev_weight;
      return s * s - epsilon();
    });
  }
  if (renorm_step_.size() > 0) {
    next[0] = static_cast<double>(renorm_step_[0]) + 1;
    emit(&BatchNormLayer::renorm_step_, std::span<const double>(next, 1));
  }
}

namespace {

/// Mean over the groups of what each has, per channel.
void over_groups(std::span<const double> values, std::span<double> result) {
  const std::size_t channels = result.size(), groups = channels == 0 ? 0 : values.size() / channels;
  std::fill(result.begin(), result.end(), 0.0);
  for (std::size_t i = 0; i < values.size(); ++i) result[i % channels] += values[i] / static_cast<double>(groups);
}
std::vector<double> over_groups(const std::vector<double>& values, std::size_t channels) {
  std::vector<double> result(channels);
  over_groups(values, result);
  return result;
}

}  // namespace

template <Scalar T>
auto BatchNormLayer<T>::train(const TensorView<const T>& x) const -> Step {
  check_input("train", x.shape());
  if (const Index size = options_.virtual_batch_size.value_or(1); x.shape()[0] % size != 0)
    throw ShapeError(
        "BatchNormLayer::train: virtual_batch_size must be a positive integer that divides the true batch size of the "
        "input tensor, got " +
        std::to_string(size) + " for " + std::to_string(x.shape()[0]) + " rows");
  Step step;
  step.output = Tensor<T>(x.shape());
  if (acts_as_inference()) {
    step.inference = true;
    inference_into(x, step.output.view());
    return step;
  }
  const std::size_t channels = static_cast<std::size_t>(channels_);
  std::vector<Index> kept;
  const TensorView<const T> in = grouped(x, kept);
  step.moments = batch_norm::moments<T>(in, kept);
  const std::vector<double> mean = over_groups(step.moments.mean, channels),
                            variance = over_groups(step.moments.variance, channels);
  const Corrections renorm = corrections(mean, variance);
  step.r = renorm.r;
  step.d = renorm.d;
  if (options_.adjustment) {
    std::tie(step.scale, step.shift) = options_.adjustment(x.shape());
    if (step.scale.size() != channels || step.shift.size() != channels)
      throw ShapeError("BatchNormLayer::train: the adjustment gave " + std::to_string(step.scale.size()) + " and " +
                       std::to_string(step.shift.size()) + " values for " + std::to_string(channels_) + " channels");
  }
  step.mean = mean;
  step.variance = variance;
  step.count = x.size() > 0 ? static_cast<double>(x.size() / channels_) : 0.0;
  if (x.size() == 0) return step;
  std::vector<double> scale = gamma(), shift = beta();
  for (std::size_t c = 0; c < channels; ++c) {
    const double s = step.scale.empty() ? 1 : step.scale[c], o = step.shift.empty() ? 0 : step.shift[c];
    shift[c] += ((step.d.empty() ? 0 : step.d[c]) * s + o) * scale[c];
    scale[c] *= (step.r.empty() ? 1 : step.r[c]) * s;
  }
  std::vector<double> all_scale(step.moments.mean.size()), all_shift(all_scale.size());
  const double factor = detail::bessel(options_.bessel, static_cast<double>(step.moments.count));
  for (std::size_t i = 0; i < all_scale.size(); ++i) {
    all_scale[i] = scale[i % channels] / std::sqrt(positive(step.moments.variance[i] * factor + epsilon(), i % channels,
                                                            "the variance of the batch"));
    all_shift[i] = shift[i % channels];
  }
  std::vector<Index> same;
  const TensorView<T> out = step.output.view();
  batch_norm::map_channels<T>(in, kept, step.moments.mean, all_scale, all_shift, writable(grouped(out, same)));
  return step;
}

template <Scalar T>
batch_norm::Gradients BatchNormLayer<T>::backward(const TensorView<const T>& x, const Step& step,
                                                  const TensorView<const T>& dy, const TensorView<T>& dx) const {
  check_input("backward", x.shape());
  if (step.inference) return inference_backward(x, dy, dx);
  const std::size_t channels = static_cast<std::size_t>(channels_);
  std::vector<Index> kept, same;
  const TensorView<const T> in = grouped(x, kept);
  const double factor = detail::bessel(options_.bessel, static_cast<double>(step.moments.count));
  const std::vector<double> g = gamma();
  std::vector<double> variance = step.moments.variance, scale(variance.size());
  // out = (normalised outer + inner) gamma + beta
  std::vector<double> outer(channels, 1.0), inner(channels, 0.0);
  for (std::size_t c = 0; c < channels; ++c) {
    const double s = step.scale.empty() ? 1 : step.scale[c], o = step.shift.empty() ? 0 : step.shift[c];
    outer[c] = (step.r.empty() ? 1 : step.r[c]) * s;
    inner[c] = (step.d.empty() ? 0 : step.d[c]) * s + o;
  }
  for (std::size_t i = 0; i < scale.size(); ++i) {
    variance[i] *= factor;
    scale[i] = g[i % channels] * outer[i % channels];
  }
  const batch_norm::Affine by{.mean = step.moments.mean,
                              .variance = variance,
                              .gamma = scale,
                              .beta = {},
                              .epsilon = epsilon(),
                              .correction = factor > 1 ? 1.0 : 0.0};
  batch_norm::Adjoints<T> adjoints;
  adjoints.out = grouped(dy, same);
  const batch_norm::Gradients all =
      batch_norm::training_backward<T>(in, kept, by, adjoints, dx.data() ? writable(grouped(dx, same)) : dx);
  batch_norm::Gradients own{std::vector<double>(options_.scale ? channels : 0, 0.0),
                            std::vector<double>(options_.center ? channels : 0, 0.0),
                            {},
                            {}};
  for (std::size_t i = 0; i < scale.size(); ++i) {
    const std::size_t c = i % channels;
    if (options_.scale)
      own.gamma[c] += (all.gamma[i] * outer[c] + all.beta[i] * inner[c]) *
                      gamma_slope(static_cast<double>(gamma_[static_cast<Index>(c)]));
    if (options_.center) own.beta[c] += all.beta[i];
  }
  return own;
}

template <Scalar T>
batch_norm::Gradients BatchNormLayer<T>::inference_backward(const TensorView<const T>& x, const TensorView<const T>& dy,
                                                            const TensorView<T>& dx) const {
  check_input("inference_backward", x.shape());
  const Frozen f = frozen();
  std::vector<double> variance;
  for (const double s : f.deviation) variance.push_back(s * s - epsilon());
  const std::vector<double> g = gamma();
  batch_norm::Adjoints<T> adjoints;
  adjoints.out = dy;
  batch_norm::Gradients all =
      batch_norm::inference_backward<T>(x, kept_, {f.mean, variance, g, {}, epsilon()}, adjoints, dx);
  for (std::size_t c = 0; options_.scale && c < all.gamma.size(); ++c)
    all.gamma[c] *= gamma_slope(static_cast<double>(gamma_[static_cast<Index>(c)]));
  if (!options_.scale) all.gamma.clear();
  if (!options_.center) all.beta.clear();
  return all;
}

template <Scalar T>
void BatchNormLayer<T>::commit(const Step& step) {
  if (step.inference) return;
  check_built("commit");
  if (static_cast<Index>(step.mean.size()) != channels_ || step.variance.size() != step.mean.size())
    throw ShapeError("BatchNormLayer::commit: the step belongs to a layer of another size");
  // All or nothing: what is not finite would stay in the averages for good.
  std::vector<std::pair<Variable, std::vector<T>>> all;
  std::vector<double> memory(3 * step.mean.size());
  updates(step.mean.data(), step.variance.data(), step.count, memory.data(),
          [&](Variable variable, std::span<const double> values) {
            std::vector<T>& own = all.emplace_back(variable, std::vector<T>(values.size())).second;
            std::transform(values.begin(), values.end(), own.begin(), [](double v) { return static_cast<T>(v); });
          });
  for (const auto& [variable, values] : all)
    for (std::size_t c = 0; c < values.size(); ++c)
      if (!std::isfinite(values[c]))
        throw DomainError(
            fmt::format("BatchNormLayer::commit: {} would become {} in channel {}, where the batch's mean "
                        "is {} and its variance {}; nothing has changed, and this step is to be dropped",
                        variable_name(variable), detail::unsigned_nan(values[c]), c,
                        detail::unsigned_nan(step.mean[std::min(c, step.mean.size() - 1)]),
                        detail::unsigned_nan(step.variance[std::min(c, step.mean.size() - 1)])));
  for (const auto& [variable, values] : all) std::copy(values.begin(), values.end(), (this->*variable).data());
}

template <Scalar T>
double BatchNormLayer<T>::regularization_loss() const {
  double loss = 0;
  const auto add = [&](const Regularizer& r, const Tensor<T>& w) {
    for (const T v : w.values())
      loss += r.l1 * std::abs(static_cast<double>(v)) + r.l2 * static_cast<double>(v) * static_cast<double>(v);
    const std::vector<double> values(w.values().begin(), w.values().end());
    std::vector<double> gradient(values.size(), 0.0);
    loss += own_penalty(r, values, gradient);
  };
  add(options_.gamma_regularizer, gamma_);
  add(options_.beta_regularizer, beta_);
  return loss;
}
template <Scalar T>
batch_norm::Gradients BatchNormLayer<T>::regularization_gradients() const {
  const auto gradient = [](const Regularizer& r, const Tensor<T>& w) {
    std::vector<double> g;
    for (const T v : w.values()) g.push_back(r.l1 * ((v > 0) - (v < 0)) + 2 * r.l2 * static_cast<double>(v));
    own_penalty(r, std::vector<double>(w.values().begin(), w.values().end()), g);
    return g;
  };
  return {gradient(options_.gamma_regularizer, gamma_), gradient(options_.beta_regularizer, beta_), {}, {}};
}
template <Scalar T>
void BatchNormLayer<T>::apply_constraints() {
  const auto projected = [](const char* name, const Constraint& constraint, Tensor<T> w) {
    detail::constrain(w, [&](Tensor<T>& values) { apply(constraint, values); },
                      [&] {
                        return fmt::format("BatchNormLayer::apply_constraints: the constraint {}of {}",
                                           constraint.name.empty() ? "" : "'" + constraint.name + "' ", name);
                      });
    return w;
  };
  Tensor<T> gamma = projected(gamma_name(), options_.gamma_constraint, gamma_);
  Tensor<T> beta = projected("beta", options_.beta_constraint, beta_);
  std::copy(gamma.values().begin(), gamma.values().end(), gamma_.data());
  std::copy(beta.values().begin(), beta.values().end(), beta_.data());
}

// --------------------------------------------------------------------------------------------------------- on a tape

namespace {

template <Scalar T, class F>
Var<T> constant_row(Pass<T>& pass, Index cols, F value) {
  const Var<T> v = pass.tape().shared(1, cols, false);
  std::fill_n(v.node()->value, (cols + 15) / 16 * 16, T(0));
  for (Index c = 0; c < cols; ++c) v.node()->value[c] = static_cast<T>(value(c));
  return v;
}

/// A variable of any shape as one row.
template <Scalar T>
Var<T> as_row(Pass<T>& pass, const Tensor<T>& variable) {
  const Var<T> v = pass.parameter(variable);
  return variable.rank() == 1 ? v : shared_columns(v, 0, variable.size());
}

/// One value per column from one per channel.
template <Scalar T>
Var<T> per_column(Var<T> row, const std::vector<Index>& channel) {
  if (!row || channel.empty()) return row;
  auto* index = row.tape().template scratch<std::int64_t>(static_cast<Index>(channel.size()));
  std::copy(channel.begin(), channel.end(), index);
  return gather_columns(row, std::span<const std::int64_t>(index, channel.size()));
}

}  // namespace

template <Scalar T>
std::pair<Var<T>, Var<T>> BatchNormLayer<T>::gamma_on(Pass<T>& pass) const {
  if (!options_.scale) return {};
  const Var<T> stored = as_row(pass, gamma_);
  switch (options_.gamma_map) {
    case GammaMap::identity:
      return {stored, log(abs(stored))};
    case GammaMap::exp:
      return {exp(stored), stored};
    case GammaMap::softplus:
    case GammaMap::relu_floor:
      break;
  }
  const Var<T> gamma = options_.gamma_map == GammaMap::softplus
                           ? softplus(stored) + static_cast<T>(options_.epsilon)
                           : activation(Activation::relu, stored) + static_cast<T>(gamma_floor);
  return {gamma, log(gamma)};
}

template <Scalar T>
auto BatchNormLayer<T>::frozen_rows(Pass<T>& pass, Index cols, const BatchStatistics::Moments* captured) const
    -> FrozenRows {
  const auto mean = [&](std::size_t k) {
    return captured ? captured->mean[k] : static_cast<double>(moving_mean_[static_cast<Index>(k)]);
  };
  const auto deviation = [&](std::size_t k) {
    return std::sqrt(captured ? positive(captured->variance[k] + epsilon(), k, "the captured variance")
                              : inference_variance(static_cast<Index>(k)));
  };
  const auto row = [&](auto value) {
    return constant_row(pass, cols, [&](Index c) {
      return value(
          static_cast<std::size_t>(channel_of_column_.empty() ? c : channel_of_column_[static_cast<std::size_t>(c)]));
    });
  };
  FrozenRows rows;
  rows.mean = row(mean);
  // Moving statistics are values of T; captured ones have more digits.
  if (captured) rows.rest = row([&](std::size_t k) { return mean(k) - static_cast<double>(static_cast<T>(mean(k))); });
  rows.deviation = row(deviation);
  for (std::size_t k = 0; k < static_cast<std::size_t>(channels_); ++k) rows.log_deviation += std::log(deviation(k));
  rows.log_deviation *= static_cast<double>(cols / channels_);  // every channel has as many columns
  return rows;
}

template <Scalar T>
auto BatchNormLayer<T>::normalize(Pass<T>& pass, Var<T> x) const -> Normalized {
  check_built("normalize");
  if (kept_.front() == 0)
    throw NotImplemented("BatchNormLayer::normalize: axis 0 is the rows of a pass and cannot be kept");
  const auto [gamma, log_gamma] = gamma_on(pass);
  const Var<T> beta = options_.center ? as_row(pass, beta_) : Var<T>();
  const Column<T> gamma_log_det = log_gamma ? row_sum(per_column(log_gamma, channel_of_column_)) : Column<T>();
  const BatchStatistics::Moments* captured = pass.captured() ? pass.captured()->find(&moving_mean_) : nullptr;
  const bool population = pass.statistics() == Statistics::population;
  const bool minibatch = pass.statistics() == Statistics::minibatch && !acts_as_inference();
  const auto with_gamma = [&](Column<T> log_det) { return log_gamma ? log_det + gamma_log_det : log_det; };

  if (captured || !(population || minibatch)) {
    const FrozenRows f = frozen_rows(pass, x.cols(), captured);
    const Var<T> centred = f.rest ? (x - f.mean) - f.rest : x - f.mean;
    const Var<T> g = per_column(gamma, channel_of_column_), b = per_column(beta, channel_of_column_);
    const Var<T> value = g ? centred * (g / f.deviation) : centred / f.deviation;
    return {b ? value + b : value, with_gamma(constant_column(pass.tape(), -f.log_deviation))};
  }

  if (minibatch && options_.adjustment)
    throw NotImplemented("BatchNormLayer::normalize: a layer with an adjustment works on tensors alone");
  if (minibatch && options_.virtual_batch_size && options_.virtual_batches == VirtualBatches::strided)
    throw NotImplemented(
        "BatchNormLayer::normalize: strided virtual batches work on tensors alone; on a tape use contiguous ones");
  BatchGroups<T> groups{.channel = channel_of_column_, .channels = channels_};
  groups.weights = pass.row_weights();
  if (minibatch) groups.ghost_rows = options_.virtual_batch_size.value_or(0);
  if (minibatch && groups.ghost_rows == 0) groups.processes = pass.processes();
  const BatchMoments moments = batch_moments(x, groups);
  const std::size_t channels = static_cast<std::size_t>(channels_),
                    size = channels * static_cast<std::size_t>(moments.ghosts);
  const auto memory = [&](std::size_t count) {
    return std::span<double>(pass.tape().template scratch<double>(static_cast<Index>(count)), count);
  };
  for (std::size_t i = 0; epsilon() == 0 && x.tape().rows() > 0 && i < size; ++i)
    positive(moments.variance[i], i % channels, "the variance of the batch");
  const std::span<double> mean = memory(channels), variance = memory(channels);
  over_groups({moments.mean, size}, mean);
  over_groups({moments.variance, size}, variance);
  const double count = std::accumulate(moments.count, moments.count + size, 0.0) / static_cast<double>(channels);
  if (population) {
    pass.capture(moving_mean_, mean, variance);
    const NormalizedBatch<T> batch = batch_normalize(x, groups, moments, gamma, beta, epsilon());
    return {batch.value, with_gamma(batch.log_det)};
  }
  const Corrections renorm = corrections(mean, variance);
  BatchCorrection correction;
  // What was captured undoes this map: x = gamma (y - m) / s + beta with the m and s that r and d amount to.
  const std::span<double> effective_mean = memory(channels), effective_variance = memory(channels);
  std::copy(mean.begin(), mean.end(), effective_mean.begin());
  std::copy(variance.begin(), variance.end(), effective_variance.begin());
  const double factor = detail::bessel(options_.bessel, count);
  for (double& v : effective_variance) v *= factor;
  if (options_.renorm) {
    double* r = pass.tape().template scratch<double>(static_cast<Index>(size));
    double* d = pass.tape().template scratch<double>(static_cast<Index>(size));
    for (std::size_t i = 0; i < size; ++i) {
      r[i] = renorm.r[i % channels];
      d[i] = renorm.d[i % channels];
    }
    correction = {r, d};
    for (std::size_t c = 0; c < channels; ++c) {
      const double s = std::sqrt(effective_variance[c] + epsilon()) / renorm.r[c];
      effective_mean[c] -= renorm.d[c] * s;
      effective_variance[c] = s * s - epsilon();
    }
  }
  pass.capture(moving_mean_, effective_mean, effective_variance);
  updates(mean.data(), variance.data(), count, memory(3 * channels).data(),
          [&](Variable variable, std::span<const double> value) { pass.propose(this->*variable, value); });
  const NormalizedBatch<T> batch =
      batch_normalize(x, groups, moments, gamma, beta, epsilon(), correction, options_.bessel);
  return {batch.value, with_gamma(batch.log_det)};
}

template <Scalar T>
Var<T> BatchNormLayer<T>::normalize_tangent(Pass<T>& pass, Var<T> v) const {
  check_built("normalize_tangent");
  const BatchStatistics::Moments* captured = pass.captured() ? pass.captured()->find(&moving_mean_) : nullptr;
  if (!captured && (pass.statistics() == Statistics::population ||
                    (pass.statistics() == Statistics::minibatch && !acts_as_inference())))
    throw NotImplemented(
        "BatchNormLayer::normalize_tangent: with statistics of the batch each row depends on the others, and the "
        "derivative along one row's direction is not the whole one; use running or captured statistics");
  const FrozenRows f = frozen_rows(pass, v.cols(), captured);
  const Var<T> g = per_column(gamma_on(pass).first, channel_of_column_);
  return g ? v * (g / f.deviation) : v / f.deviation;
}

template <Scalar T>
auto BatchNormLayer<T>::denormalize(Pass<T>& pass, Var<T> x) const -> Normalized {
  check_built("denormalize");
  if (kept_.front() == 0)
    throw NotImplemented("BatchNormLayer::denormalize: axis 0 is the rows of a pass and cannot be kept");
  const auto [gamma, log_gamma] = gamma_on(pass);
  const BatchStatistics::Moments* captured = pass.captured() ? pass.captured()->find(&moving_mean_) : nullptr;
  const FrozenRows f = frozen_rows(pass, x.cols(), captured);
  const Var<T> g = per_column(gamma, channel_of_column_);
  const Var<T> centred = options_.center ? x - per_column(as_row(pass, beta_), channel_of_column_) : x;
  const Var<T> deviation = centred * (g ? f.deviation / g : f.deviation);
  const Column<T> log_det = constant_column(pass.tape(), f.log_deviation);
  return {(f.rest ? deviation + f.rest : deviation) + f.mean,
          log_gamma ? log_det - row_sum(per_column(log_gamma, channel_of_column_)) : log_det};
}

template <Scalar T>
void BatchNormLayer<T>::set_population(VectorView<const double> mean, VectorView<const double> variance) {
  check_built("set_population");
  if (mean.size() != channels_ || variance.size() != channels_)
    throw ShapeError("BatchNormLayer::set_population: expected " + std::to_string(channels_) +
                     " means and variances, got " + std::to_string(mean.size()) + " and " +
                     std::to_string(variance.size()));
  for (Index c = 0; c < channels_; ++c)
    if (!std::isfinite(mean[c]) || !std::isfinite(variance[c]) || variance[c] < 0)
      throw DomainError("BatchNormLayer::set_population: expected a finite mean and a finite variance >= 0, got " +
                        detail::number_text(mean[c]) + " and " + detail::number_text(variance[c]) + " in column " +
                        std::to_string(c));
  for (Index c = 0; c < channels_; ++c) {
    moving_mean_[c] = static_cast<T>(mean[c]);
    moving_variance_[c] = static_cast<T>(variance[c]);
  }
}

// -------------------------------------------------------------------------------------------------- state and files

template <Scalar T>
void BatchNormLayer<T>::do_fields(Fields<T>& f) {
  f.type("batch_norm_layer");
  Description own;
  if (f.describing()) describe_into(own);
  f.constants(own);
  if (!is_built()) return;
  const auto attributes = [&](const Constraint& constraint, const Regularizer& regularizer) {
    Attributes<T> a{.decay = false, .trainable = options_.trainable};
    if (constraint.kind != Constraint::Kind::none) a.constraint = [constraint](Tensor<T>& w) { apply(constraint, w); };
    a.regularizer = penalty<T>(regularizer);
    return a;
  };
  for (const auto& [name, member] : variables()) {
    Tensor<T>& tensor = this->*member;
    if (member == &BatchNormLayer::gamma_)
      f.parameter(name, tensor, tensor.shape(), attributes(options_.gamma_constraint, options_.gamma_regularizer));
    else if (member == &BatchNormLayer::beta_)
      f.parameter(name, tensor, tensor.shape(), attributes(options_.beta_constraint, options_.beta_regularizer));
    else
      f.state(name, tensor, tensor.shape());
  }
}

template <Scalar T>
void BatchNormLayer<T>::describe_into(Description& d) const {
  check_built("describe");
  if (options_.adjustment)
    throw NotImplemented("BatchNormLayer::describe: the adjustment is a function, which no file can hold");
  const auto integers = [](const std::vector<Index>& v) { return std::vector<std::int64_t>(v.begin(), v.end()); };
  // An unknown number of rows is -1, whatever the layer was built with: rows are not part of a model.
  std::vector<std::int64_t> shape = integers(input_shape_);
  if (kept_.front() != 0) shape[0] = -1;
  d.constants["input_shape"] = shape;
  d.constants["axis"] = integers(kept_);
  d.constants["momentum"] = options_.momentum;
  d.constants["epsilon"] = options_.epsilon;
  d.constants["center"] = options_.center;
  d.constants["scale"] = options_.scale;
  d.constants["gamma_map"] = name_of(gamma_maps, options_.gamma_map);
  // What is as usual is left out.
  const BatchNormLayerOptions usual;
  // Of a function only the name is kept: see Regularizer.
  const auto named = [](const std::string& name) { return name.empty() ? std::string("without a name") : name; };
  const auto regularizer = [&](const std::string& name, const Regularizer& r) {
    if (r) d.constants[name] = std::vector<double>{r.l1, r.l2};
    if (r.has_function()) d.constants[name + "_name"] = named(r.name);
  };
  const auto constraint = [&](const std::string& name, const Constraint& c) {
    if (c.kind == Constraint::Kind::none) return;
    d.constants[name] = name_of(constraints, c.kind);
    d.constants[name + "_value"] = c.value;
    if (c.kind == Constraint::Kind::function) d.constants[name + "_name"] = named(c.name);
  };
  regularizer("gamma_regularizer", options_.gamma_regularizer);
  regularizer("beta_regularizer", options_.beta_regularizer);
  constraint("gamma_constraint", options_.gamma_constraint);
  constraint("beta_constraint", options_.beta_constraint);
  if (options_.fusion != Fusion::unfused)
    d.constants["fused"] = std::string(options_.fusion == Fusion::fused ? "with floor" : "without floor");
  if (!options_.trainable) d.constants["trainable"] = name_of(not_trainable_names, options_.not_trainable);
  if (options_.bessel) d.constants["bessel"] = true;
  if (options_.bessel_in_moving_variance) d.constants["bessel_in_moving_variance"] = true;
  if (options_.virtual_batch_size) {
    d.constants["virtual_batch_size"] = *options_.virtual_batch_size;
    d.constants["virtual_batches_contiguous"] = options_.virtual_batches == VirtualBatches::contiguous;
  }
  if (options_.renorm) {
    const Renorm& r = *options_.renorm;
    d.constants["renorm"] = std::string(r.generation == Renorm::Generation::later ? "later" : "first");
    d.constants["renorm_momentum"] = r.momentum;
    if (r.rmin) d.constants["renorm_rmin"] = *r.rmin;
    if (r.rmax) d.constants["renorm_rmax"] = *r.rmax;
    if (r.dmax) d.constants["renorm_dmax"] = *r.dmax;
    if (r.open_rmax || r.open_dmax) {
      d.constants["renorm_open_from"] = r.open_from;
      d.constants["renorm_open_rmax"] = r.open_rmax;
      d.constants["renorm_open_dmax"] = r.open_dmax;
    }
  }
}

namespace {

BatchNormLayerOptions options_from(const Description& d) {
  BatchNormLayerOptions o;
  const std::vector<std::int64_t>& axis = d.integers("axis");
  o.axis.assign(axis.begin(), axis.end());
  o.momentum = d.number("momentum");
  o.epsilon = d.number("epsilon");
  o.center = d.flag("center");
  o.scale = d.flag("scale");
  o.gamma_map = value_of(gamma_maps, d.text("gamma_map"));
  const auto regularizer = [&](const std::string& name) {
    if (!d.has(name)) return Regularizer{};
    const std::vector<double>& l = d.numbers(name);
    if (l.size() != 2) throw IoError("batch normalisation: '" + name + "' is not a list of two numbers");
    return Regularizer{l[0], l[1], d.has(name + "_name") ? d.text(name + "_name") : "", {}};
  };
  const auto constraint = [&](const std::string& name) {
    if (!d.has(name)) return Constraint{};
    return Constraint{value_of(constraints, d.text(name)),
                      d.number(name + "_value"),
                      d.has(name + "_name") ? d.text(name + "_name") : "",
                      {}};
  };
  o.gamma_regularizer = regularizer("gamma_regularizer");
  o.beta_regularizer = regularizer("beta_regularizer");
  o.gamma_constraint = constraint("gamma_constraint");
  o.beta_constraint = constraint("beta_constraint");
  const auto flag = [&](const char* name) { return d.has(name) && d.flag(name); };
  if (d.has("fused")) o.fusion = d.text("fused") == "with floor" ? Fusion::fused : Fusion::fused_without_floor;
  if (d.has("trainable")) {
    o.trainable = false;
    o.not_trainable = value_of(not_trainable_names, d.text("trainable"));
  }
  o.bessel = flag("bessel");
  o.bessel_in_moving_variance = flag("bessel_in_moving_variance");
  if (d.has("virtual_batch_size")) {
    o.virtual_batch_size = d.integer("virtual_batch_size", 1, Index(1) << 40);
    o.virtual_batches = flag("virtual_batches_contiguous") ? VirtualBatches::contiguous : VirtualBatches::strided;
  }
  if (d.has("renorm")) {
    Renorm r;
    r.generation = d.text("renorm") == "later" ? Renorm::Generation::later : Renorm::Generation::first;
    r.momentum = d.number("renorm_momentum");
    if (d.has("renorm_rmin")) r.rmin = d.number("renorm_rmin");
    if (d.has("renorm_rmax")) r.rmax = d.number("renorm_rmax");
    if (d.has("renorm_dmax")) r.dmax = d.number("renorm_dmax");
    if (d.has("renorm_open_from")) {
      r.open_from = d.integer("renorm_open_from", 0, Index(1) << 40);
      r.open_rmax = d.integer("renorm_open_rmax", 0, Index(1) << 40);
      r.open_dmax = d.integer("renorm_open_dmax", 0, Index(1) << 40);
    }
    o.renorm = r;
  }
  return o;
}

std::vector<Index> shape_from(const Description& d) {
  const std::vector<std::int64_t>& shape = d.integers("input_shape");
  double size = 1;
  for (const std::int64_t extent : shape) {
    if (extent < -1 || extent > (1 << 20))
      throw IoError("batch normalisation: an extent of the input shape is out of range");
    size *= static_cast<double>(std::max<std::int64_t>(extent, 1));
  }
  if (shape.empty() || shape.size() > 32 || size > (1 << 24))
    throw IoError("batch normalisation: the input shape has no axis, too many axes, or too many values");
  return {shape.begin(), shape.end()};
}

}  // namespace

template <Scalar T>
Index BatchNormLayer<T>::channels_of(const Description& d) {
  const std::vector<Index> shape = shape_from(d);
  Index channels = 1;
  for (const std::int64_t axis : d.integers("axis")) {
    if (axis < 0 || axis >= static_cast<std::int64_t>(shape.size()))
      throw IoError("batch normalisation: 'axis' names an axis that the input shape does not have");
    channels *= std::max<Index>(shape[static_cast<std::size_t>(axis)], 1);
  }
  return channels;
}

template <Scalar T>
BatchNormLayer<T>::BatchNormLayer(const Description& d) : BatchNormLayer(shape_from(d), options_from(d)) {}

template class BatchNormLayer<float>;
template class BatchNormLayer<double>;

}  // namespace pushforward
