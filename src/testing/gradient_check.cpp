#include <limits>
#include <pushforward/testing/gradient_check.hpp>

#include "src/testing/common.hpp"
#include "src/ops/common.hpp"

namespace pushforward::testing {

using namespace detail;

std::string report(std::span<const Failure> failures) {
  std::string lines;
  for (const Failure& failure : failures) lines += failure.check + ": " + failure.detail + "\n";
  return lines;
}

template <Scalar T>
void perturb(Component<T>& component, std::uint64_t seed, double scale) {
  Index slot_number = 0;
  for (const Slot<T>& slot : list_state(component)) {
    const Matrix<double> z = normals(slot.tensor->size(), 1, Engine(seed).stream(std::to_string(slot_number++)).seed());
    for (Index i = 0; i < slot.tensor->size(); ++i) {
      T& v = (*slot.tensor)[i];
      if (slot.kind == StateKind::parameter)
        v += static_cast<T>(scale * z(i, 0));
      else
        v = static_cast<T>(std::exp(scale * std::tanh(z(i, 0))));
    }
  }
}

namespace {

// In +-[0.5, 1.5], from the seed and the place alone.
double projection_weight(std::uint64_t seed, Index row, Index col) {
  std::uint64_t v = seed * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(row) * 0xbf58476d1ce4e5b9u +
                    static_cast<std::uint64_t>(col) * 0x94d049bb133111ebu + 0x2545f4914f6cdd1du;
  v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
  v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
  v ^= v >> 31;
  const double u = static_cast<double>(v >> 11) * 0x1p-53;
  return u < 0.5 ? -0.5 - 2 * u : 2 * u - 0.5;
}

template <Scalar T>
Column<T> weights_column(Tape<T>& tape, std::uint64_t seed) {
  const Column<T> w = tape.column(false);
  for (Index i = 0; i < tape.padded_rows(); ++i) tape.value(w)[i] = projection_weight(seed, tape.begin() + i, 0);
  return w;
}

}  // namespace

template <Scalar T>
Column<T> random_projection(Pass<T>& pass, Var<T> y, std::uint64_t seed) {
  Tape<T>& tape = pass.tape();
  const Var<T> w = pushforward::detail::like(y, false);
  if (y.is_shared()) {
    const Index size = pushforward::detail::shared_size(y);
    std::fill_n(w.node()->value, pushforward::detail::whole_blocks(size), T(0));
    for (Index i = 0; i < size; ++i) w.node()->value[i] = static_cast<T>(projection_weight(seed, 0, i));
  } else {
    for (Index c = 0; c < y.cols(); ++c)
      for (Index i = 0; i < tape.padded_rows(); ++i)
        tape.value(w, c)[i] = static_cast<T>(projection_weight(seed, tape.begin() + i, c));
  }
  return row_sum(y * w);
}

template <Scalar T>
Column<T> random_projection(Pass<T>& pass, Column<T> y, std::uint64_t seed) {
  return y.is_zero() ? y : multiply(y, weights_column(pass.tape(), seed + 17));
}

// -------------------------------------------------------------------------------------------------- differences

namespace {

class Differences {
 public:
  Differences(const RowFunction& f, MatrixView<const double> x, MatrixView<const double> context,
              std::span<const NamedTensor> parameters, const GradientCheck& options)
      : f_(f), parameters_(parameters), options_(options), noise_(Engine(options.seed).next_call()) {
    x_.resize(x.rows(), x.cols());
    for (Index c = 0; c < x.cols(); ++c)
      for (Index i = 0; i < x.rows(); ++i) x_(i, c) = x(i, c);
    context_.resize(context.cols() > 0 ? x.rows() : 0, context.cols());
    for (Index c = 0; c < context.cols(); ++c)
      for (Index i = 0; i < context_.rows(); ++i) context_(i, c) = context(context.rows() == 1 ? 0 : i, c);
  }

  std::vector<Failure> run(std::vector<double>* largest) {
    const Index n = x_.rows();
    record();
    report_.run("value", [&] {
      const std::vector<double> evaluated = values();
      for (Index i = 0; i < n; ++i)
        report_.near(at(recorded_, i), at(evaluated, i), 1e-12 * (1 + std::abs(at(evaluated, i))),
                     "recording changes the value of row ", i);
    });
    report_.run("gradient of the input", [&] { by_rows(x_, x_gradient_, options_.domain); });
    report_.run("gradient of the context", [&] { by_rows(context_, context_gradient_, {}); });
    if (largest) largest->clear();
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      report_.run("gradient of " + parameters_[p].name, [&] { by_entries(p); });
      double top = 0;
      for (const double g : parameter_gradients_[p]) top = std::max(top, std::abs(g));
      if (largest) largest->push_back(top);
    }
    return report_.take();
  }

 private:
  static double at(const std::vector<double>& v, Index i) { return v[static_cast<std::size_t>(i)]; }

  Column<double> evaluate(Tape<double>& tape, bool wanted, Var<double>* in, Var<double>* context) {
    typename Pass<double>::Settings settings;
    settings.statistics = options_.statistics;
    settings.noise = &noise_;
    if (context_.cols() > 0) settings.context = load<double>(tape, context_, wanted);
    Pass<double> pass(tape, settings);
    const Var<double> x = load<double>(tape, x_, wanted);
    if (in) *in = x;
    if (context) *context = settings.context;
    return random_projection(pass, f_(pass, x), options_.seed);
  }

  std::vector<double> values() {
    Tape<double> tape(Tape<double>::Mode::evaluate, {memory_.batch, memory_.local}, x_.rows());
    const Column<double> c = evaluate(tape, false, nullptr, nullptr);
    std::vector<double> result(static_cast<std::size_t>(x_.rows()), 0.0);
    if (!c.is_zero()) std::copy_n(c.values(), x_.rows(), result.data());
    return result;
  }

  void record() {
    std::vector<const Tensor<double>*> tensors;
    for (const NamedTensor& p : parameters_) tensors.push_back(p.tensor);
    Gradients<double> gradients{std::span<const Tensor<double>* const>(tensors)};
    Tape<double> tape(Tape<double>::Mode::record, {memory_.batch, memory_.local}, x_.rows());
    tape.set_gradients(&gradients);
    Var<double> in, context;
    const Column<double> c = evaluate(tape, true, &in, &context);
    recorded_.assign(static_cast<std::size_t>(x_.rows()), 0.0);
    if (!c.is_zero()) std::copy_n(c.values(), x_.rows(), recorded_.data());
    const std::vector<double> ones(recorded_.size(), 1.0);
    tape.backward(c, ones.data());
    const auto read = [&](Var<double> v, Matrix<double>& g) {
      g.setZero(x_.rows(), v ? v.cols() : 0);
      if (v && Tape<double>::has_gradient(v))
        for (Index k = 0; k < v.cols(); ++k)
          for (Index i = 0; i < x_.rows(); ++i) g(i, k) = tape.gradient(v, k)[i];
    };
    read(in, x_gradient_);
    read(context, context_gradient_);
    for (const NamedTensor& p : parameters_)
      parameter_gradients_.emplace_back(gradients.find(p.tensor), gradients.find(p.tensor) + p.tensor->size());
  }

  static constexpr double eps = std::numeric_limits<double>::epsilon();

  /// At a kink one step may fail where another one does not; a wrong gradient fails with both.
  template <class Quotient, class Where>
  void compare(double gradient, const Quotient& quotient, const Where& where) {
    double numeric = 0, tolerance = 0;
    for (const double factor : {1.0, 0.125}) {
      numeric = quotient(factor, &tolerance);
      tolerance += options_.tolerance * std::max(std::abs(numeric), std::abs(gradient));
      if (std::abs(gradient - numeric) <= tolerance) return;
    }
    report_.fail(where(), ": expected ", numeric, " by differences, got ", gradient, ", tolerance ", tolerance);
  }

  double step(double v, const std::vector<Interval>& domain, Index c) const {
    double size = std::max(1.0, std::abs(v));
    if (!domain.empty()) {
      const Interval& range = domain[static_cast<std::size_t>(c)];
      size = std::min({size, v - range.low, range.high - v});
    }
    return std::cbrt(eps) * size;
  }

  // Rows that do not see each other are moved all at once.
  void by_rows(Matrix<double>& m, const Matrix<double>& gradient, const std::vector<Interval>& domain) {
    const Index n = m.rows();
    for (Index c = 0; c < m.cols(); ++c) {
      const Eigen::VectorXd kept = m.col(c);
      if (options_.rows_couple) {
        for (Index i = 0; i < n; ++i)
          compare(
              gradient(i, c),
              [&](double factor, double* noise) {
                const double h = factor * step(kept[i], domain, c);
                m(i, c) = kept[i] + h;
                const std::vector<double> above = values();
                m(i, c) = kept[i] - h;
                const std::vector<double> below = values();
                m(i, c) = kept[i];
                return total(above, below, h, noise);
              },
              [&] { return text("row ", i, ", column ", c); });
        continue;
      }
      std::vector<double> above[2], below[2];
      Eigen::VectorXd h[2];
      for (int k = 0; k < 2; ++k) {
        h[k].resize(n);
        for (Index i = 0; i < n; ++i) h[k][i] = (k == 0 ? 1.0 : 0.125) * step(kept[i], domain, c);
        m.col(c) = kept + h[k];
        above[k] = values();
        m.col(c) = kept - h[k];
        below[k] = values();
        m.col(c) = kept;
      }
      for (Index i = 0; i < n; ++i)
        compare(
            gradient(i, c),
            [&](double factor, double* noise) {
              const int k = factor == 1.0 ? 0 : 1;
              const double a = at(above[k], i), b = at(below[k], i);
              *noise = 16 * eps * (4 + std::abs(a)) / h[k][i];
              return (a - b) / ((kept[i] + h[k][i]) - (kept[i] - h[k][i]));
            },
            [&] { return text("row ", i, ", column ", c); });
    }
  }

  double total(const std::vector<double>& above, const std::vector<double>& below, double h, double* noise) const {
    double sum = 0, size = 0;
    for (std::size_t i = 0; i < above.size(); ++i) {
      sum += above[i] - below[i];
      size += 4 + std::abs(above[i]);
    }
    *noise = 16 * eps * size / h;
    return sum / (2 * h);
  }

  void by_entries(std::size_t p) {
    Tensor<double>& tensor = *parameters_[p].tensor;
    const Index n = tensor.size(), stride = std::max<Index>(1, n / std::max<Index>(options_.entries, 1));
    for (Index begin = 0; begin < n; begin += stride) {
      // One entry of each range of `stride`, not always the same one.
      const Index e =
          std::min(n - 1, begin + static_cast<Index>((options_.seed * 31 + static_cast<std::uint64_t>(begin) * 7) %
                                                     static_cast<std::uint64_t>(stride)));
      const double kept = tensor[e];
      compare(
          parameter_gradients_[p][static_cast<std::size_t>(e)],
          [&](double factor, double* noise) {
            const double h = factor * step(kept, {}, 0);
            tensor[e] = kept + h;
            const std::vector<double> above = values();
            tensor[e] = kept - h;
            const std::vector<double> below = values();
            tensor[e] = kept;
            return total(above, below, h, noise);
          },
          [&] { return text("entry ", e); });
    }
  }

  const RowFunction& f_;
  std::span<const NamedTensor> parameters_;
  const GradientCheck& options_;
  RandomCall noise_;
  Workspace memory_;
  Matrix<double> x_, context_, x_gradient_, context_gradient_;
  std::vector<std::vector<double>> parameter_gradients_;
  std::vector<double> recorded_;
  Report report_;
};

}  // namespace

std::vector<Failure> check_gradient(const RowFunction& f, MatrixView<const double> x, MatrixView<const double> context,
                                    std::span<const NamedTensor> parameters, const GradientCheck& options,
                                    std::vector<double>* largest) {
  return Differences(f, x, context, parameters, options).run(largest);
}

template void perturb(Component<float>&, std::uint64_t, double);
template void perturb(Component<double>&, std::uint64_t, double);
template Column<float> random_projection(Pass<float>&, Var<float>, std::uint64_t);
template Column<double> random_projection(Pass<double>&, Var<double>, std::uint64_t);
template Column<float> random_projection(Pass<float>&, Column<float>, std::uint64_t);
template Column<double> random_projection(Pass<double>&, Column<double>, std::uint64_t);

}  // namespace pushforward::testing
