// Writes models as C and as ONNX with rows and what the library makes of them: export_cases FOLDER. export_test.sh
// compiles and runs the one, onnx_check.py the other. Prints "NAME: REASON" of what is left out.

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <pushforward/error.hpp>
#include <pushforward/export/c_header.hpp>
#include <pushforward/export/onnx.hpp>
#include <pushforward/flows/builders.hpp>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "src/export/program.hpp"
#include "tests/catalogue.hpp"
#include "tests/shake.hpp"

namespace {

using namespace pushforward;

constexpr Index rows = 16;

std::string number(double v) {
  if (std::isnan(v)) return "NAN";
  if (std::isinf(v)) return v < 0 ? "-INFINITY" : "INFINITY";
  return fmt::format("{:.17g}", v);
}

template <Scalar T>
std::string array(const char* name, const std::vector<T>& values) {
  std::string text = fmt::format("const {} {}[] = {{", sizeof(T) == 4 ? "float" : "double", name);
  for (const T v : values)
    text += (std::isfinite(v) ? fmt::format("({})", sizeof(T) == 4 ? "float" : "double") : "") +
            number(static_cast<double>(v)) + ", ";
  return text + "0}; ";
}

template <class Row>
auto listed(const Row& row) {
  std::vector<typename Row::Scalar> values(static_cast<std::size_t>(row.size()));
  for (Index i = 0; i < row.size(); ++i) values[static_cast<std::size_t>(i)] = row[i];
  return values;
}

/// Draws of the model, the same far out, and rows at edges.
template <Scalar T>
Matrix<T> rows_of(const Distribution<T>& model, MatrixView<const T> context) {
  Engine engine(7);
  Matrix<T> y = context.cols() > 0 ? model.sample_each(context, engine) : model.sample(rows, engine);
  y.row(10) *= T(3);
  y.row(11) *= T(-30);
  y.row(12) *= T(1e4);
  y.row(13).setZero();
  y(14, model.dim() - 1) = std::numeric_limits<T>::quiet_NaN();
  y(15, 0) = -std::numeric_limits<T>::infinity();
  return y;
}

template <Scalar T>
class Cases {
 public:
  Cases(const std::filesystem::path& folder, std::string type) : folder_(folder), type_(std::move(type)) {}

  void add(const std::string& name, const Distribution<T>& model) {
    const std::string prefix = "m" + std::to_string(count_++);
    CHeader header;
    try {
      header = c_header(model, {}, prefix);
    } catch (const NotImplemented& e) {
      std::cout << name << ": " << e.what() << '\n';
      return;
    }
    for (const std::string& reason : {header.no_log_prob, header.no_sample})
      if (!reason.empty()) std::cout << name << ": " << reason << '\n';
    std::ofstream(folder_ / (type_ + "_" + prefix + ".h")) << header.text;
    main_ += fmt::format("#include \"{}_{}.h\"\n", type_, prefix);
    if constexpr (sizeof(T) == 4) {
      // What the model itself loses in float its header may lose too: the double one, tested on its own, tells.
      const Poly<Distribution<double>> exact = cast<double>(model);
      std::ofstream(folder_ / (prefix + "_exact.h")) << c_header(*exact, {}, prefix + "_exact").text;
      main_ += fmt::format("#include \"{}_exact.h\"\n", prefix);
    }
    Matrix<T> context(rows, model.context_dim());
    Engine(3).next_call().normal(0, rows, context.cols(), context.data(), rows);
    const std::string file = type_ + "_" + prefix;
    std::string record = fmt::format("{{\"name\": \"{}, {}\", \"file\": \"{}\"", name, type_, file);
    if (header.no_log_prob.empty()) {
      const Matrix<T> y = rows_of<T>(model, context);
      if (context.cols() > 0) context(9, 0) = std::numeric_limits<T>::quiet_NaN();
      const Eigen::VectorXd expected = model.log_prob(y, context);
      if (write_onnx(name, file + ".onnx", [&] { return onnx_log_prob(model); }))
        record += fmt::format(", \"y\": {}, \"context\": {}, \"log_prob\": {}", json(y), json(context), json(expected));
      const bool conditional = context.cols() > 0;
      const std::string call = prefix + (conditional ? "_log_prob(y, context)" : "_log_prob(y)");
      const std::string exact = sizeof(T) == 8 ? call
                                               : prefix + (conditional ? "_exact_log_prob(exact_y, exact_context)"
                                                                       : "_exact_log_prob(exact_y)");
      for (Index i = 0; i < rows; ++i)
        tests_ += fmt::format("  {{ {}near_to(\"{}, row {}\", {}, {}, {}); }}\n",
                              arrays("y", listed(y.row(i)), context, i), name, i, call, number(expected[i]), exact);
      tests_ += fmt::format("  finish(\"{}, log_prob\");\n", name);
      if (context.cols() > 0) context(9, 0) = T(0.5);
    }
    if (header.no_sample.empty()) {
      Matrix<T> noise, draws;
      add_draws(name, prefix, model, context, noise, draws);
      if (write_onnx(name, file + "_sample.onnx", [&] { return onnx_sample(model); }))
        record += fmt::format(", \"noise\": {}, \"draws\": {}, \"given\": {}", json(noise), json(draws), json(context));
    }
    records_ += (records_.empty() ? "" : ",\n") + record + "}";
  }
  void write() const {
    std::ofstream(folder_ / (type_ + ".json")) << "[" << records_ << "]\n";
    std::ofstream out(folder_ / (type_ + ".c"));
    out << "#include <math.h>\n#include <stdio.h>\n"
        << main_ << R"(
static int failures, checks;
static double worst, error, lost;
/* Relative to 1 or more. `exact` differs from what is wanted by what the model itself loses in float. */
static void near_to(const char *what, double got, double want, double exact) {
  const double scale = fabs(want) > 1 ? fabs(want) : 1;
  ++checks;
  if (got == want || (got != got && want != want)) return;
  if (fabs(exact - want) / scale > lost) lost = fabs(exact - want) / scale;
  if (fabs(got - want) / scale > error) error = fabs(got - want) / scale;
  if (fabs(got - want) <= scale) return;
  ++failures;
  printf("%s: got %.17g, want %.17g\n", what, got, want);
}
/* The rows of a model, or its draws. */
static void finish(const char *what) {
  if (error > worst) worst = error;
  if (!(error <= )" << (sizeof(T) == 4 ? "1e-6 + 2 * lost" : "1e-12") << R"()) {
    ++failures;
    printf("%s: error %.2g, the model loses %.2g\n", what, error, lost);
  }
  error = lost = 0;
}

int main(void) {
)" << tests_ << R"(  printf("%d checks, %d failures, largest error %.2g\n", checks, failures, worst);
  return failures != 0;
}
)";
  }

 private:
  void add_draws(const std::string& name, const std::string& prefix, const Distribution<T>& model,
                 const Matrix<T>& context, Matrix<T>& noise, Matrix<T>& draws) {
    draws.resize(rows, model.dim());
    for (Index i = 0; i < rows; ++i) {
      Engine engine(static_cast<std::uint64_t>(i));
      const std::vector<double> own = detail::trace_sample(model, Engine(engine).next_call()).draws;
      noise.conservativeResize(rows, static_cast<Index>(own.size()));
      for (Index c = 0; c < noise.cols(); ++c) noise(i, c) = static_cast<T>(own[static_cast<std::size_t>(c)]);
      const Matrix<T> given = context.row(i);
      draws.row(i) = model.sample(1, engine, context.cols() > 0 ? MatrixView<const T>(given) : MatrixView<const T>());
      const bool conditional = context.cols() > 0;
      tests_ += fmt::format("  {{ {} y[{}]; {}{}_from_noise(noise{}, y);\n", sizeof(T) == 4 ? "float" : "double",
                            model.dim(), arrays("noise", listed(noise.row(i)), context, i), prefix,
                            conditional ? ", context" : "");
      if (sizeof(T) == 4)
        tests_ += fmt::format("    {{ double exact_y[{}]; {}_exact_from_noise(exact_noise{}, exact_y);\n", model.dim(),
                              prefix, conditional ? ", exact_context" : "");
      for (Index c = 0; c < model.dim(); ++c)
        tests_ += fmt::format("    near_to(\"{0}, draw {1}\", y[{2}], {3}, {4}y[{2}]);\n", name, i, c,
                              number(static_cast<double>(draws(i, c))), sizeof(T) == 4 ? "exact_" : "");
      tests_ += sizeof(T) == 4 ? "  } }\n" : "  }\n";
    }
    tests_ += fmt::format("  finish(\"{}, draws\");\n", name);
  }
  template <class Make>
  bool write_onnx(const std::string& name, const std::string& file, Make make) {
    try {
      std::ofstream(folder_ / file, std::ios::binary) << make();
      return true;
    } catch (const NotImplemented& e) {
      std::cout << name << ": " << e.what() << '\n';
      return false;
    }
  }
  template <class Values>
  static std::string json(const Values& values) {
    std::string text = "[";
    for (Index i = 0; i < values.rows(); ++i) {
      text += i == 0 ? "[" : ", [";
      for (Index c = 0; c < values.cols(); ++c) {
        const double v = static_cast<double>(values(i, c));
        text += (c == 0 ? "" : ", ") + (std::isnan(v)   ? std::string("NaN")
                                        : std::isinf(v) ? std::string(v < 0 ? "-Infinity" : "Infinity")
                                                        : number(v));
      }
      text += "]";
    }
    return text + "]";
  }
  /// The row and its context as variables, in double too for float.
  static std::string arrays(const std::string& name, const std::vector<T>& row, const Matrix<T>& context, Index i) {
    std::string text = array(name.c_str(), row);
    if (context.cols() > 0) text += array("context", listed(context.row(i)));
    if (sizeof(T) == 4) {
      text += array(("exact_" + name).c_str(), std::vector<double>(row.begin(), row.end()));
      if (context.cols() > 0) {
        const std::vector<T> own = listed(context.row(i));
        text += array("exact_context", std::vector<double>(own.begin(), own.end()));
      }
    }
    return text;
  }

  std::filesystem::path folder_;
  std::string type_, main_, tests_, records_;
  int count_ = 0;
};

template <Scalar T>
void write_cases(const std::filesystem::path& folder, const std::string& type) {
  Cases<T> cases(folder, type);
  for (const auto& entry : catalogue::distributions<T>()) cases.add(entry.name, *entry.object);
  for (const auto& entry : catalogue::bijectors<T>()) {
    // From real numbers, or whatever box it is that a side of the map is; an inverse where only its codomain is one.
    const Poly<Bijector<T>>& map = entry.object;
    const bool inverted = !map->domain().is_box();
    const Space side = inverted ? map->codomain() : map->domain();
    if (!side.is_box()) {
      std::cout << entry.name << ": no box on either side\n";
      continue;
    }
    const TransformedDistribution<T> base(Normal<T>(inverted ? map->dim() : map->base_dim()),
                                          ColumnSupports<T>(side.bounds()));
    if (inverted) cases.add(entry.name + ", inverted", TransformedDistribution<T>(base, Invert<T>(map)));
    else cases.add(entry.name, TransformedDistribution<T>(base, map));
  }
  const auto flow = [&](const FlowPreset& preset, const std::string& name, const FlowOptions& options) {
    TransformedDistribution<T> model = preset.build<T>(4, options);
    flow_tests::shake<T>(model, 0.2);
    cases.add(std::string(preset.name) + ", " + name, model);
  };
  for (const FlowPreset& preset : flow_presets()) {
    for (const Base base : {Base::normal, Base::logistic, Base::student_t})
      flow(preset, fmt::format("base {}", static_cast<int>(base)), {.layers = 2, .hidden = 12, .base = base});
    flow(preset, "context", {.layers = 2, .hidden = 12, .context_dim = 2});
    flow(preset, "batch norm", {.layers = 2, .hidden = 9, .batch_norm = true});
    flow(preset, "act norm", {.layers = 2, .hidden = 9, .act_norm = true});
  }
  for (const Activation a : {Activation::relu, Activation::leaky_relu, Activation::elu, Activation::gelu,
                             Activation::silu, Activation::tanh, Activation::sigmoid, Activation::softplus})
    flow(flow_preset("maf"), fmt::format("activation {}", activation_name(a)),
         {.layers = 2, .hidden = 9, .activation = a, .mixing = Mixing::lu_linear});
  cases.write();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  write_cases<double>(argv[1], "double");
  write_cases<float>(argv[1], "float");
}
