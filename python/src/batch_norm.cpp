// The batch normalisation layer, and its forms in tf.nn, tf.layers and Aesara, for tensors of any rank.
#include <nanobind/stl/pair.h>

#include <pushforward/batch_norm/layer.hpp>
#include <pushforward/ports/aesara.hpp>
#include <pushforward/ports/tf_layers.hpp>
#include <pushforward/ports/tf_nn.hpp>

#include "objects.hpp"
#include "options.hpp"

namespace binding {

namespace {

namespace bn = pf::batch_norm;

/// A tensor of the caller's, read where it lies.
template <pf::Scalar T>
class Borrow {
 public:
  /// None: none.
  Borrow(const char* call, const char* name, nb::handle source)
      : array_(source.is_none() ? Borrowed() : Borrowed(call, name, source, sizeof(T) == 4, any_rank)) {
    const Py_buffer& b = array_.buffer();
    if (!b.obj) return;
    std::vector<pf::Index> shape(b.shape, b.shape + b.ndim), strides;
    for (int i = 0; i < b.ndim; ++i) strides.push_back(b.strides[i] / static_cast<pf::Index>(sizeof(T)));
    view_ = {static_cast<const T*>(b.buf), std::move(shape), std::move(strides)};
  }
  operator const pf::TensorView<const T>&() const { return view_; }  // NOLINT: implicit by design
  operator bn::Input<T>() const { return bn::Input<T>(view_); }      // NOLINT: implicit by design
  const std::vector<pf::Index>& shape() const { return view_.shape(); }

 private:
  Borrowed array_;
  pf::TensorView<const T> view_;
};

template <class T>
Array array_of(const pf::Tensor<T>& tensor) {
  Result<T> flat({tensor.size()});
  std::copy_n(tensor.data(), tensor.size(), flat.data());
  return nb::borrow<Array>(flat.array().attr("reshape")(nb::tuple(nb::cast(tensor.shape()))));
}
template <class T>
nb::object array_of(const std::optional<pf::Tensor<T>>& tensor) {
  return tensor ? nb::object(array_of(*tensor)) : nb::none();
}

/// f(type_identity<T>) for the scalar type of the first array.
template <class F>
auto by_type(nb::handle x, F f) {
  return dtype_of(x).is_single() ? f(std::type_identity<float>()) : f(std::type_identity<double>());
}

using Axes = std::vector<pf::Index>;

// ------------------------------------------------------------------------------------------------------- the layer

constexpr Named<pf::GammaMap> gamma_maps[] = {{"identity", pf::GammaMap::identity},
                                              {"exp", pf::GammaMap::exp},
                                              {"softplus", pf::GammaMap::softplus},
                                              {"relu_floor", pf::GammaMap::relu_floor}};
constexpr Named<pf::Fusion> fusions[] = {{"unfused", pf::Fusion::unfused},
                                         {"fused", pf::Fusion::fused},
                                         {"fused_without_floor", pf::Fusion::fused_without_floor}};
constexpr Named<pf::NotTrainable> not_trainables[] = {
    {"v1", pf::NotTrainable::v1}, {"v1_eager", pf::NotTrainable::v1_eager}, {"v2", pf::NotTrainable::v2}};
constexpr Named<pf::VirtualBatches> virtual_batches[] = {{"strided", pf::VirtualBatches::strided},
                                                         {"contiguous", pf::VirtualBatches::contiguous}};
constexpr Named<pf::Constraint::Kind> constraints[] = {{"none", pf::Constraint::Kind::none},
                                                       {"non_negative", pf::Constraint::Kind::non_negative},
                                                       {"max_norm", pf::Constraint::Kind::max_norm},
                                                       {"relu_plus_floor", pf::Constraint::Kind::relu_plus_floor}};

const char layer_arguments[] =
    "axis: int | collections.abc.Sequence[int] = -1, momentum: float = 0.99, epsilon: float = 0.001, center: bool = "
    "True, "
    "scale: bool = True, beta_initializer: float = 0, gamma_initializer: float = 1, moving_mean_initializer: float = "
    "0, "
    "moving_variance_initializer: float = 1, beta_regularizer: tuple[float, float] | None = None, gamma_regularizer: "
    "tuple[float, float] | None = None, beta_constraint: str | tuple[str, float] = 'none', gamma_constraint: str | "
    "tuple[str, float] = 'none', renorm: Renorm | None = None, fusion: str = 'unfused', trainable: bool = True, "
    "not_trainable: str = 'v1', virtual_batch_size: int | None = None, virtual_batches: str = 'strided', gamma_map: "
    "str = "
    "'identity', bessel: bool = False, bessel_in_moving_variance: bool = False, name: str = 'batch_normalization'";

const char layer_documentation[] = R"(

axis: the kept axes. momentum: of the old value. Regularizers are (l1, l2); constraints "non_negative", ("max_norm",
value) or ("relu_plus_floor", value). gamma_map: "identity", "exp", "softplus" or "relu_floor". fusion: "unfused",
"fused", "fused_without_floor". not_trainable: "v1", "v1_eager" or "v2", what trainable=False means in a training call.
virtual_batches: "strided" or "contiguous". bessel: in the variance that training normalises by, and
in the moving one.)";

pf::Constraint constraint_of(nb::handle given) {
  pf::Constraint c;
  if (nb::isinstance<nb::str>(given)) {
    c.kind = choose("a constraint", nb::cast<std::string>(given), constraints);
  } else {
    const auto [name, value] = nb::cast<std::pair<std::string, double>>(given);
    c.kind = choose("a constraint", name, constraints);
    c.value = value;
  }
  return c;
}

/// Those that are named in `kwargs` in the options' place.
pf::BatchNormLayerOptions layer_options(const char* call, pf::BatchNormLayerOptions o, const nb::kwargs& kwargs) {
  for (const auto& [key, value] : kwargs) {
    const std::string name = nb::cast<std::string>(key);
    const auto initializer = [&] { return pf::Initializer::constant(nb::cast<double>(value)); };
    const auto regularizer = [&] {
      pf::Regularizer r;
      if (!value.is_none()) std::tie(r.l1, r.l2) = nb::cast<std::pair<double, double>>(value);
      return r;
    };
    try {
      if (name == "axis")
        o.axis = PyLong_Check(value.ptr()) ? Axes{nb::cast<pf::Index>(value)} : nb::cast<Axes>(value);
      else if (name == "momentum")
        o.momentum = nb::cast<double>(value);
      else if (name == "epsilon")
        o.epsilon = nb::cast<double>(value);
      else if (name == "center")
        o.center = nb::cast<bool>(value);
      else if (name == "scale")
        o.scale = nb::cast<bool>(value);
      else if (name == "beta_initializer")
        o.beta_initializer = initializer();
      else if (name == "gamma_initializer")
        o.gamma_initializer = initializer();
      else if (name == "moving_mean_initializer")
        o.moving_mean_initializer = initializer();
      else if (name == "moving_variance_initializer")
        o.moving_variance_initializer = initializer();
      else if (name == "beta_regularizer")
        o.beta_regularizer = regularizer();
      else if (name == "gamma_regularizer")
        o.gamma_regularizer = regularizer();
      else if (name == "beta_constraint")
        o.beta_constraint = constraint_of(value);
      else if (name == "gamma_constraint")
        o.gamma_constraint = constraint_of(value);
      else if (name == "renorm")
        o.renorm = nb::cast<std::optional<pf::Renorm>>(value);
      else if (name == "fusion")
        o.fusion = choose("fusion", nb::cast<std::string>(value), fusions);
      else if (name == "trainable")
        o.trainable = nb::cast<bool>(value);
      else if (name == "not_trainable")
        o.not_trainable = choose("not_trainable", nb::cast<std::string>(value), not_trainables);
      else if (name == "virtual_batch_size")
        o.virtual_batch_size = nb::cast<std::optional<pf::Index>>(value);
      else if (name == "virtual_batches")
        o.virtual_batches = choose("virtual_batches", nb::cast<std::string>(value), virtual_batches);
      else if (name == "gamma_map")
        o.gamma_map = choose("gamma_map", nb::cast<std::string>(value), gamma_maps);
      else if (name == "bessel")
        o.bessel = nb::cast<bool>(value);
      else if (name == "bessel_in_moving_variance")
        o.bessel_in_moving_variance = nb::cast<bool>(value);
      else if (name == "name")
        o.name = nb::cast<std::string>(value);
      else
        type_error(std::string(call) + "() got an unexpected keyword argument '" + name + "'; there are " +
                   layer_arguments);
    } catch (const nb::cast_error&) {
      type_error(std::string(call) + ": " + name + ": did not expect a " +
                 nb::cast<std::string>(value.type().attr("__name__")));
    }
  }
  return o;
}

/// Takes "dtype" out.
Dtype pop_dtype(nb::kwargs& kwargs) {
  if (!kwargs.contains("dtype")) return {};
  const Dtype dtype(kwargs["dtype"]);
  PyDict_DelItemString(kwargs.ptr(), "dtype");
  return dtype;
}

struct Layer {
  std::variant<pf::BatchNormLayer<double>, pf::BatchNormLayer<float>> layer;

  static Layer of(Dtype dtype, const pf::BatchNormLayerOptions& o) {
    if (dtype.is_single()) return {pf::BatchNormLayer<float>(o)};
    return {pf::BatchNormLayer<double>(o)};
  }
};

/// What a training call gave, and the call's input type.
struct Step {
  std::variant<pf::BatchNormLayer<double>::Step, pf::BatchNormLayer<float>::Step> step;
};

template <pf::Scalar T>
const typename pf::BatchNormLayer<T>::Step& step_of(const Step& step) {
  const auto* s = std::get_if<typename pf::BatchNormLayer<T>::Step>(&step.step);
  if (!s) type_error("BatchNormLayer: the step is one of a layer of the other dtype");
  return *s;
}

template <pf::Scalar T>
pf::TensorView<T> writable(Result<T>& memory, const std::vector<pf::Index>& shape) {
  return {memory.data(), shape};
}

pf::Index size_of(const std::vector<pf::Index>& shape) {
  pf::Index n = 1;
  for (pf::Index extent : shape) n *= extent;
  return n;
}

nb::object gradient_of(const std::vector<double>& values) {
  return values.empty() ? nb::none() : nb::object(binding::array_of(values));
}

void bind_layer(nb::module_& m) {
  nb::class_<Step>(m, "BatchNormStep", "What a training call of a BatchNormLayer gave.")
      .def_prop_ro(
          "output",
          [](const Step& s) { return std::visit([](const auto& step) { return array_of(step.output); }, s.step); })
      .def_prop_ro(
          "mean",
          [](const Step& s) {
            return std::visit([](const auto& step) { return binding::array_of(step.mean); }, s.step);
          },
          "Of the batch, for each channel; the average over virtual batches.")
      .def_prop_ro("variance",
                   [](const Step& s) {
                     return std::visit([](const auto& step) { return binding::array_of(step.variance); }, s.step);
                   })
      .def_prop_ro(
          "r", [](const Step& s) { return std::visit([](const auto& step) { return gradient_of(step.r); }, s.step); },
          "Renormalisation's, for each channel; None without.")
      .def_prop_ro(
          "d", [](const Step& s) { return std::visit([](const auto& step) { return gradient_of(step.d); }, s.step); });

  static const std::string signature =
      std::string("def __init__(self, *, ") + layer_arguments + ", dtype: numpy.typing.DTypeLike = None) -> None";
  static const std::string convention = std::string("def of_convention(system: str, value: float, *, ") +
                                        layer_arguments + ", dtype: numpy.typing.DTypeLike = None) -> BatchNormLayer";
  nb::class_<Layer> c(m, "BatchNormLayer", docs::BatchNormLayer);
  c.def(
      "__init__",
      [](Layer* self, nb::kwargs kwargs) {
        const Dtype dtype = pop_dtype(kwargs);
        new (self) Layer(Layer::of(dtype, layer_options("BatchNormLayer", {}, kwargs)));
      },
      nb::sig(signature.c_str()), (std::string("Not built yet.") + layer_documentation).c_str());
  c.def_static(
      "of_convention",
      [](const std::string& system, double value, nb::kwargs kwargs) {
        const Dtype dtype = pop_dtype(kwargs);
        return Layer::of(dtype, pf::batch_norm_convention(system, value, layer_options("of_convention", {}, kwargs)));
      },
      "system"_a, "value"_a, "kwargs"_a, nb::sig(convention.c_str()), docs::batch_norm_convention);
  const auto visit = [](auto f) { return [f](const Layer& l) { return std::visit(f, l.layer); }; };
  c.def(
      "build",
      [](Layer& l, const std::vector<pf::Index>& shape) {
        std::visit([&](auto& layer) { layer.build(shape); }, l.layer);
      },
      "input_shape"_a, "Makes the variables; unknown extents are -1, those along the kept axes must be known.");
  c.def_prop_ro("is_built", visit([](const auto& l) { return l.is_built(); }));
  c.def_prop_ro("channels", visit([](const auto& l) { return l.channels(); }));
  c.def_prop_ro("kept_axes", visit([](const auto& l) { return l.kept_axes(); }));
  c.def_prop_ro("epsilon", visit([](const auto& l) { return l.epsilon(); }), "With the floor of the fused kernel.");
  c.def_prop_ro("gamma", visit([](const auto& l) { return binding::array_of(l.gamma()); }), "1 without scale.");
  c.def_prop_ro("beta", visit([](const auto& l) { return binding::array_of(l.beta()); }), "0 without center.");
  c.def_prop_ro("moving_mean", visit([](const auto& l) { return array_of(l.moving_mean()); }));
  c.def_prop_ro("moving_variance", visit([](const auto& l) { return array_of(l.moving_variance()); }));
  c.def_prop_ro("dtype", [](const Layer& l) {
    return nb::module_::import_("numpy").attr("dtype")(Dtype::of(l.layer.index() == 1).name());
  });
  c.def(
      "variable",
      [](const Layer& l, const std::string& name) {
        return std::visit([&](const auto& layer) { return array_of(layer.variable(name)); }, l.layer);
      },
      "name"_a,
      "A copy of any variable: \"gamma\" (or its stored form), \"beta\", \"moving_mean\", \"renorm_mean\", ...");
  c.def(
      "set_variable",
      [](Layer& l, const std::string& name, const Data& values) {
        std::visit(
            [&]<pf::Scalar T>(pf::BatchNormLayer<T>& layer) {
              pf::Tensor<T>& variable = layer.variable(name);
              const Values given(name, values);
              const std::vector<T> numbers = given.as<T>(variable.size());
              if (static_cast<pf::Index>(numbers.size()) != variable.size())
                throw nb::value_error((name + ": expected " + std::to_string(variable.size()) + " values, got " +
                                       std::to_string(numbers.size()))
                                          .c_str());
              std::copy(numbers.begin(), numbers.end(), variable.data());
            },
            l.layer);
      },
      "name"_a, "values"_a);
  c.def(
      "set_population",
      [](Layer& l, const Data& mean, const Data& variance) {
        const Values a("mean", mean), b("variance", variance);
        std::visit(
            [&](auto& layer) { layer.set_population(a.as<double>(layer.channels()), b.as<double>(layer.channels())); },
            l.layer);
      },
      "mean"_a, "variance"_a, "Replaces the moving statistics by those of a population.");
  c.def(
      "__call__",
      [](const Layer& l, const Data& x) {
        return std::visit(
            [&]<pf::Scalar T>(const pf::BatchNormLayer<T>& layer) {
              const Borrow<T> in("BatchNormLayer", "x", x);
              Result<T> out({size_of(in.shape())});
              {
                const nb::gil_scoped_release others;
                layer.inference_into(in, writable(out, in.shape()));
              }
              return nb::borrow<Array>(out.array().attr("reshape")(nb::tuple(nb::cast(in.shape()))));
            },
            l.layer);
      },
      "x"_a, "Inference, of x's shape.");
  c.def(
      "train",
      [](const Layer& l, const Data& x) {
        return std::visit(
            [&]<pf::Scalar T>(const pf::BatchNormLayer<T>& layer) {
              const Borrow<T> in("BatchNormLayer.train", "x", x);
              const nb::gil_scoped_release others;
              return Step{layer.train(in)};
            },
            l.layer);
      },
      "x"_a, "By the statistics of the batch. Nothing in the layer changes: see `commit`.");
  c.def(
      "backward",
      [](const Layer& l, const Data& x, const Step& step, const Data& dy) {
        return std::visit(
            [&]<pf::Scalar T>(const pf::BatchNormLayer<T>& layer) {
              const Borrow<T> in("BatchNormLayer.backward", "x", x), adjoint("BatchNormLayer.backward", "dy", dy);
              Result<T> dx({size_of(in.shape())});
              const bn::Gradients g = layer.backward(in, step_of<T>(step), adjoint, writable(dx, in.shape()));
              return nb::make_tuple(dx.array().attr("reshape")(nb::tuple(nb::cast(in.shape()))), gradient_of(g.gamma),
                                    gradient_of(g.beta));
            },
            l.layer);
      },
      "x"_a, "step"_a, "dy"_a,
      nb::sig("def backward(self, x: numpy.typing.ArrayLike, step: BatchNormStep, dy: numpy.typing.ArrayLike) -> "
              "tuple[numpy.ndarray, numpy.ndarray | None, numpy.ndarray | None]"),
      "(dx, dgamma, dbeta) of a loss with adjoint dy of the step's output; gamma as it is stored, None where it is "
      "not.");
  c.def(
      "commit",
      [](Layer& l, const Step& step) {
        std::visit([&]<pf::Scalar T>(pf::BatchNormLayer<T>& layer) { layer.commit(step_of<T>(step)); }, l.layer);
      },
      "step"_a, "Averages the step's statistics into the moving ones.");
  c.def("regularization_loss", visit([](const auto& l) { return l.regularization_loss(); }));
  c.def("apply_constraints", [](Layer& l) { std::visit([](auto& layer) { layer.apply_constraints(); }, l.layer); });
  c.def("copy", [](const Layer& l) { return Layer(l); });
}

// ---------------------------------------------------------------------------------------------------------- tf.nn

void bind_tf_nn(nb::module_ m) {
  m.attr("__doc__") = "tf.nn's batch normalisation and moments, with their gradients. Arrays of one dtype.";
  m.def(
      "batch_normalization",
      [](const Data& x, const Data& mean, const Data& variance, const Data& offset, const Data& scale, double epsilon) {
        return by_type(x, [&]<pf::Scalar T>(std::type_identity<T>) {
          const char* const call = "batch_normalization";
          return array_of(bn::tf_nn::batch_normalization<T>(
              Borrow<T>(call, "x", x), Borrow<T>(call, "mean", mean), Borrow<T>(call, "variance", variance),
              Borrow<T>(call, "offset", offset), Borrow<T>(call, "scale", scale), epsilon));
        });
      },
      "x"_a, "mean"_a, "variance"_a, "offset"_a.none(), "scale"_a.none(), "variance_epsilon"_a,
      "scale (x - mean) / sqrt(variance + variance_epsilon) + offset, parameters broadcast against x; None for none.");
  m.def(
      "batch_normalization_backward",
      [](const Data& x, const Data& mean, const Data& variance, const Data& offset, const Data& scale, double epsilon,
         const Data& dy) {
        return by_type(x, [&]<pf::Scalar T>(std::type_identity<T>) -> nb::tuple {
          const char* const call = "batch_normalization_backward";
          const auto g = bn::tf_nn::batch_normalization_backward<T>(
              Borrow<T>(call, "x", x), Borrow<T>(call, "mean", mean), Borrow<T>(call, "variance", variance),
              Borrow<T>(call, "offset", offset), Borrow<T>(call, "scale", scale), epsilon, Borrow<T>(call, "dy", dy));
          const auto of = [](const pf::Tensor<T>& t, nb::handle given) {
            return given.is_none() ? nb::none() : nb::object(array_of(t));
          };
          return nb::make_tuple(array_of(g.x), array_of(g.mean), array_of(g.variance), of(g.offset, offset),
                                of(g.scale, scale));
        });
      },
      "x"_a, "mean"_a, "variance"_a, "offset"_a.none(), "scale"_a.none(), "variance_epsilon"_a, "dy"_a,
      "The gradients in x, mean, variance, offset and scale.");
  m.def(
      "moments",
      [](const Data& x, const Axes& axes, bool keepdims) {
        return by_type(x, [&]<pf::Scalar T>(std::type_identity<T>) {
          const auto r = bn::tf_nn::moments<T>(Borrow<T>("moments", "x", x), axes, keepdims);
          return nb::make_tuple(array_of(r.mean), array_of(r.variance));
        });
      },
      "x"_a, "axes"_a, "keepdims"_a = false, "(mean, variance) over the axes, biased.");
  m.def(
      "moments_backward",
      [](const Data& x, const Axes& axes, const Data& dmean, const Data& dvariance) {
        return by_type(x, [&]<pf::Scalar T>(std::type_identity<T>) {
          return array_of(bn::tf_nn::moments_backward<T>(Borrow<T>("moments_backward", "x", x), axes,
                                                         Borrow<T>("moments_backward", "dmean", dmean),
                                                         Borrow<T>("moments_backward", "dvariance", dvariance)));
        });
      },
      "x"_a, "axes"_a, "dmean"_a.none(), "dvariance"_a.none(), "The gradient in x.");
  m.def(
      "weighted_moments",
      [](const Data& x, const Axes& axes, const Data& weights, bool keepdims) {
        return by_type(x, [&]<pf::Scalar T>(std::type_identity<T>) {
          const auto r =
              bn::tf_nn::weighted_moments<T>(Borrow<T>("weighted_moments", "x", x), axes,
                                             Borrow<T>("weighted_moments", "frequency_weights", weights), keepdims);
          return nb::make_tuple(array_of(r.mean), array_of(r.variance));
        });
      },
      "x"_a, "axes"_a, "frequency_weights"_a, "keepdims"_a = false, "(mean, variance), weights broadcast against x.");
  m.def(
      "sufficient_statistics",
      [](const Data& x, const Axes& axes, const OptionalData& shift, bool keepdims) {
        return by_type(x, [&]<pf::Scalar T>(std::type_identity<T>) {
          const char* const call = "sufficient_statistics";
          const auto s = bn::tf_nn::sufficient_statistics<T>(Borrow<T>(call, "x", x), axes,
                                                             Borrow<T>(call, "shift", shift), keepdims);
          return nb::make_tuple(s.count, array_of(s.sum), array_of(s.sum_of_squares), array_of(s.shift));
        });
      },
      "x"_a, "axes"_a, "shift"_a = nb::none(), "keepdims"_a = false,
      "(count, sum of x - shift, sum of (x - shift)^2, shift or None), float64: sums of parts of the data are added.");
  m.def(
      "normalize_moments",
      [](double count, const Data& sum, const Data& sum_of_squares, const OptionalData& shift) {
        const char* const call = "normalize_moments";
        const auto copy = [call](const char* name, nb::handle source) {
          const Borrow<double> rows(call, name, nb::module_::import_("numpy").attr("asarray")(source, "order"_a = "C"));
          pf::Tensor<double> t(rows.shape());
          std::copy_n(static_cast<const pf::TensorView<const double>&>(rows).data(), t.size(), t.data());
          return t;
        };
        bn::tf_nn::SufficientStatistics s{count, copy("sum", sum), copy("sum_of_squares", sum_of_squares), {}};
        if (!shift.is_none()) s.shift = copy("shift", shift);
        const auto r = bn::tf_nn::normalize_moments<double>(s);
        return nb::make_tuple(array_of(r.mean), array_of(r.variance));
      },
      "counts"_a, "mean_ss"_a, "variance_ss"_a, "shift"_a = nb::none(),
      "(mean, variance) of what sufficient_statistics gives: mean_ss / counts + shift, variance_ss / counts less the "
      "square of mean_ss / counts.");
}

// --------------------------------------------------------------------------------------------------------- Aesara

bn::aesara::Axes aesara_axes(nb::handle axes) {
  if (nb::isinstance<nb::str>(axes)) return bn::aesara::Axes(std::string_view(nb::cast<std::string>(axes)));
  if (PyLong_Check(axes.ptr())) return bn::aesara::Axes(Axes{nb::cast<pf::Index>(axes)});
  return bn::aesara::Axes(nb::cast<Axes>(axes));
}

void bind_aesara(nb::module_ m) {
  m.attr("__doc__") =
      "Aesara's batch normalisation, with its gradients. Arrays of one dtype; axes: \"per-activation\", "
      "\"spatial\" or a list.";
  m.def(
      "batch_normalization_train",
      [](const Data& x, const Data& gamma, const Data& beta, const nb::object& axes, double epsilon, double factor,
         const OptionalData& running_mean, const OptionalData& running_var) {
        return by_type(x, [&]<pf::Scalar T>(std::type_identity<T>) -> nb::tuple {
          const char* const call = "batch_normalization_train";
          const Borrow<T> mean(call, "running_mean", running_mean), var(call, "running_var", running_var);
          bn::aesara::TrainOptions<T> o;
          o.axes = aesara_axes(axes);
          o.epsilon = epsilon;
          o.running_average_factor = factor;
          o.running_mean = mean;
          o.running_var = var;
          const auto r = bn::aesara::batch_normalization_train<T>(
              Borrow<T>(call, "x", x), Borrow<T>(call, "gamma", gamma), Borrow<T>(call, "beta", beta), o);
          if (!r.running_mean) return nb::make_tuple(array_of(r.out), array_of(r.mean), array_of(r.invstd));
          return nb::make_tuple(array_of(r.out), array_of(r.mean), array_of(r.invstd), array_of(*r.running_mean),
                                array_of(*r.running_var));
        });
      },
      "x"_a, "gamma"_a, "beta"_a, "axes"_a = "per-activation", "epsilon"_a = 1e-4, "running_average_factor"_a = 0.1,
      "running_mean"_a = nb::none(), "running_var"_a = nb::none(),
      "(out, mean, invstd), and the new running_mean and running_var where the old ones are given.");
  m.def(
      "batch_normalization_train_backward",
      [](const Data& x, const Data& gamma, const Data& mean, const Data& invstd, const OptionalData& dout,
         const OptionalData& dmean, const OptionalData& dinvstd, const nb::object& axes) {
        return by_type(x, [&]<pf::Scalar T>(std::type_identity<T>) {
          const char* const call = "batch_normalization_train_backward";
          const Borrow<T> a(call, "dout", dout), b(call, "dmean", dmean), c(call, "dinvstd", dinvstd);
          const auto g = bn::aesara::batch_normalization_train_backward<T>(
              Borrow<T>(call, "x", x), Borrow<T>(call, "gamma", gamma), Borrow<T>(call, "mean", mean),
              Borrow<T>(call, "invstd", invstd), bn::aesara::TrainAdjoints<T>{a, b, c}, aesara_axes(axes));
          return nb::make_tuple(array_of(g.x), array_of(g.gamma), array_of(g.beta));
        });
      },
      "x"_a, "gamma"_a, "mean"_a, "invstd"_a, "dout"_a = nb::none(), "dmean"_a = nb::none(), "dinvstd"_a = nb::none(),
      "axes"_a = "per-activation", "The gradients in x, gamma and beta, through the statistics too.");
  m.def(
      "batch_normalization_test",
      [](const Data& x, const Data& gamma, const Data& beta, const Data& mean, const Data& var, const nb::object& axes,
         double epsilon) {
        return by_type(x, [&]<pf::Scalar T>(std::type_identity<T>) {
          const char* const call = "batch_normalization_test";
          return array_of(bn::aesara::batch_normalization_test<T>(
              Borrow<T>(call, "x", x), Borrow<T>(call, "gamma", gamma), Borrow<T>(call, "beta", beta),
              Borrow<T>(call, "mean", mean), Borrow<T>(call, "var", var), aesara_axes(axes), epsilon));
        });
      },
      "x"_a, "gamma"_a, "beta"_a, "mean"_a, "var"_a, "axes"_a = "per-activation", "epsilon"_a = 1e-4,
      "gamma (x - mean) / sqrt(var + epsilon) + beta.");
  m.def(
      "batch_normalization_test_backward",
      [](const Data& x, const Data& gamma, const Data& beta, const Data& mean, const Data& var, const Data& dy,
         const nb::object& axes, double epsilon) {
        return by_type(x, [&]<pf::Scalar T>(std::type_identity<T>) {
          const char* const call = "batch_normalization_test_backward";
          const auto g = bn::aesara::batch_normalization_test_backward<T>(
              Borrow<T>(call, "x", x), Borrow<T>(call, "gamma", gamma), Borrow<T>(call, "beta", beta),
              Borrow<T>(call, "mean", mean), Borrow<T>(call, "var", var), Borrow<T>(call, "dy", dy), aesara_axes(axes),
              epsilon);
          return nb::make_tuple(array_of(g.x), array_of(g.gamma), array_of(g.beta), array_of(g.mean), array_of(g.var));
        });
      },
      "x"_a, "gamma"_a, "beta"_a, "mean"_a, "var"_a, "dy"_a, "axes"_a = "per-activation", "epsilon"_a = 1e-4,
      "The gradients in x, gamma, beta, mean and var.");
  m.def(
      "batch_normalization",
      [](const Data& x, const Data& gamma, const Data& beta, const Data& mean, const Data& std,
         const std::string& mode) {
        return by_type(x, [&]<pf::Scalar T>(std::type_identity<T>) {
          const char* const call = "batch_normalization";
          return array_of(bn::aesara::batch_normalization<T>(
                              Borrow<T>(call, "x", x), Borrow<T>(call, "gamma", gamma), Borrow<T>(call, "beta", beta),
                              Borrow<T>(call, "mean", mean), Borrow<T>(call, "std", std), bn::aesara::mode_of(mode))
                              .out);
        });
      },
      "x"_a, "gamma"_a, "beta"_a, "mean"_a, "std"_a, "mode"_a = "low_mem",
      "gamma (x - mean) / std + beta, parameters broadcast against x as in NumPy.");
}

// ------------------------------------------------------------------------------------------------------- tf.layers

constexpr Named<bn::tf_layers::Reuse> reuses[] = {
    {"no", bn::tf_layers::Reuse::no}, {"yes", bn::tf_layers::Reuse::yes}, {"either", bn::tf_layers::Reuse::either}};

struct Store {
  std::variant<bn::tf_layers::VariableStore<double>, bn::tf_layers::VariableStore<float>> store;
};

void bind_tf_layers(nb::module_ m) {
  m.attr("__doc__") = "tf.layers.batch_normalization of TensorFlow 1, with its variables in a store of the caller's.";
  nb::class_<Store> c(m, "VariableStore", "The variables by name, and the updates that wait for run_updates.");
  const auto visit = [](auto f) { return [f](const Store& s) { return std::visit(f, s.store); }; };
  c.def(
      "__init__",
      [](Store* self, const DtypeLike& dtype) {
        new (self) Store();
        if (Dtype(dtype).is_single()) self->store = bn::tf_layers::VariableStore<float>();
      },
      nb::kw_only(), "dtype"_a = nb::none());
  c.def_prop_ro("global_variables", visit([](const auto& s) { return s.global_variables(); }));
  c.def_prop_ro("trainable_variables", visit([](const auto& s) { return s.trainable_variables(); }));
  c.def(
      "layer",
      [](const Store& s, const std::string& name) {
        return std::visit([&](const auto& store) { return Layer{store.layer(name)}; }, s.store);
      },
      "name"_a, "A copy of the layer of that name.");
  c.def_prop_ro("pending_updates", visit([](const auto& s) { return s.pending_updates(); }));
  c.def(
      "run_updates", [](Store& s) { std::visit([](auto& store) { store.run_updates(); }, s.store); },
      "What UPDATE_OPS would do: averages the statistics of the training calls into the moving ones.");
  c.def("discard_updates", [](Store& s) { std::visit([](auto& store) { store.discard_updates(); }, s.store); });
  c.def("regularization_loss", visit([](const auto& s) { return s.regularization_loss(); }));
  static const std::string signature =
      std::string(
          "def batch_normalization(inputs: numpy.typing.ArrayLike, store: VariableStore, *, training: bool = "
          "False, reuse: str = 'no', ") +
      layer_arguments + ") -> numpy.ndarray";
  m.def(
      "batch_normalization",
      [](const Data& inputs, Store& store, bool training, const std::string& reuse, const nb::kwargs& kwargs) {
        const pf::BatchNormLayerOptions o = layer_options("batch_normalization", {}, kwargs);
        return std::visit(
            [&]<pf::Scalar T>(bn::tf_layers::VariableStore<T>& s) {
              const Borrow<T> in("batch_normalization", "inputs", inputs);
              return array_of(
                  bn::tf_layers::batch_normalization<T>(in, s, o, training, choose("reuse", reuse, reuses)).output);
            },
            store.store);
      },
      "inputs"_a, "store"_a, nb::kw_only(), "training"_a = false, "reuse"_a = "no", "kwargs"_a,
      nb::sig(signature.c_str()), layer_documentation);
}

}  // namespace

void bind_batch_norm(nb::module_& m) {
  bind_layer(m);
  bind_tf_nn(m.def_submodule("tf_nn"));
  bind_tf_layers(m.def_submodule("tf_layers"));
  bind_aesara(m.def_submodule("aesara"));
}

}  // namespace binding
