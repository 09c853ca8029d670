#include <Eigen/LU>
#include <limits>
#include <optional>
#include <pushforward/error.hpp>
#include <pushforward/testing/bijector_contract.hpp>

#include "src/testing/common.hpp"

namespace pushforward::testing {

using namespace detail;

namespace {

template <Scalar T>
class BijectorCheck {
 public:
  BijectorCheck(const Poly<Bijector<T>>& bijector, const BijectorContract& contract)
      : poly_(bijector), b_(*poly_), contract_(contract), context_dim_(b_.context_dim()) {}

  std::vector<Failure> run() {
    const std::vector<Tensor<T>> before = snapshot<T>(b_);
    report_.run("properties", [&] { properties(); });
    report_.run("missing directions", [&] { missing_directions(); });
    points();
    report_.run("named tensors", [&] { named_tensors(); });
    report_.run("round trip", [&] { round_trips(); });
    report_.run("images", [&] { images(); });
    report_.run("log_det calls", [&] { log_det_calls(); });
    report_.run("declared constants", [&] { declared_constants(); });
    if constexpr (std::same_as<T, double>) {
      report_.run("Jacobian", [&] { jacobians(); });
      report_.run("gradients", [&] { gradients(); });
    } else {
      report_.run("float against double", [&] { precisions(); });
    }
    report_.run("rows alone and in another order", [&] { rows_alone(); });
    report_.run("no rows", [&] { no_rows(); });
    report_.run("wrong sizes", [&] { wrong_sizes(); });
    report_.run("rows that are not finite", [&] { not_finite(); });
    report_.run("outside of the domain", [&] { outside(); });
    report_.run("edges of the domain", [&] { edges(); });
    report_.run("layouts", [&] { layouts(); });
    report_.run("threads", [&] { threads(); });
    report_.run("copies", [&] { copies(); });
    report_.run("rebuilt", [&] { rebuilt(); });
    if (context_dim_ > 0) report_.run("context", [&] { context_matters(); });
    report_.run("minibatch statistics", [&] { minibatch(); });
    report_.run("bound of the log scale", [&] { scale_bound(); });
    report_.run("const calls", [&] { report_.that(unchanged<T>(b_, before), "a const call changed a listed tensor"); });
    return report_.take();
  }

 private:
  static constexpr double inf = std::numeric_limits<double>::infinity();
  static double eps() { return static_cast<double>(std::numeric_limits<T>::epsilon()); }

  bool has(bool forward) const { return forward ? b_.has_forward() : b_.has_inverse(); }
  static const char* direction(bool forward) { return forward ? "forward" : "inverse"; }
  const Chart& source(bool forward) const { return forward ? domain_ : codomain_; }
  const Chart& target(bool forward) const { return source(!forward); }
  /// Columns of what goes in, and of what comes out.
  Index in_columns(bool forward) const { return forward ? b_.base_dim() : b_.dim(); }
  Index out_columns(bool forward) const { return in_columns(!forward); }
  const std::vector<Index>& in_shape(bool forward) const { return forward ? b_.base_event_shape() : b_.event_shape(); }
  const Matrix<T>& input(bool forward) const { return forward ? x_ : y_; }
  static MappedRows<T> map(const Bijector<T>& b, bool forward, const Matrix<T>& in, const Matrix<T>& context,
                           Run run = {}) {
    return forward ? b.forward(in, context, run) : b.inverse(in, context, run);
  }
  MappedRows<T> map(bool forward, const Matrix<T>& in, const Matrix<T>& context, Run run = {}) const {
    return map(b_, forward, in, context, run);
  }
  MappedRows<T> map(bool forward) const { return map(forward, input(forward), context_); }
  Matrix<T> context_rows(Index rows) const {
    return context_dim_ > 0 ? Matrix<T>(context_.topRows(rows)) : Matrix<T>();
  }
  void same(const MappedRows<T>& a, const MappedRows<T>& b, const std::string& where) {
    Index row = first_difference(a.value, b.value);
    report_.that(row < 0, where, ": other bits in the values, row ", row);
    row = first_difference(a.log_det, b.log_det);
    report_.that(row < 0, where, ": other bits in log_det, row ", row);
  }
  template <class Check>
  void both(Check check) {
    for (const bool forward : {true, false})
      if (has(forward)) check(forward);
  }

  void points() {
    domain_ = Chart(b_.domain());
    codomain_ = Chart(b_.codomain());
    const Index n = std::max<Index>(contract_.rows, 17);
    x_ = draw_points<T>(domain_, n, contract_.seed);
    y_ = draw_points<T>(codomain_, n, contract_.seed + 1);
    context_ = convert<T>(normals(context_dim_ > 0 ? n : 0, context_dim_, contract_.seed + 2));
  }

  void properties() {
    check_listing<T>(report_, b_, contract_.tensors);
    for (const bool forward : {true, false}) {
      Index size = 1;
      const Index columns = in_columns(forward);
      for (const Index extent : in_shape(forward)) size *= extent;
      report_.that(size == columns && columns >= 1, forward ? "base_event_shape" : "event_shape",
                   " does not multiply to ", columns, " columns");
      const Space space = forward ? b_.domain() : b_.codomain();
      const char* what = forward ? "domain" : "codomain";
      report_.that(space.columns() == columns, what, " has ", space.columns(), " columns, not ", columns);
      for (const Space::Block& block : space.blocks())
        for (const Interval& i : block.bounds)
          report_.that(block.kind != Space::Kind::box || i.low < i.high, what, " is empty");
    }
    const Space domain = b_.domain(), codomain = b_.codomain();
    report_.that(domain.dimensions() == codomain.dimensions() || !domain.is_known() || !codomain.is_known(),
                 "domain ", domain.to_text(), " and codomain ", codomain.to_text(),
                 " have different numbers of dimensions");
    report_.that(!b_.is_constant_jacobian() || b_.is_constant_log_det(),
                 "a constant Jacobian has a constant log_det, but is_constant_log_det() is false");
    report_.that(b_.log_scale_bound() >= 0, "log_scale_bound() is ", b_.log_scale_bound());
    report_.that(has(true) || has(false), "neither direction exists");
    const int least = b_.forward_min_event_ndims(), rank = static_cast<int>(b_.event_shape().size());
    report_.that((b_.is_elementwise() ? least == 0 : least >= 1 && least <= rank) &&
                     b_.inverse_min_event_ndims() == least,
                 "min_event_ndims does not fit is_elementwise");
    if (b_.is_elementwise())
      report_.that(static_cast<Index>(b_.is_increasing().size()) == b_.dim(), "is_increasing has the wrong size");
    else
      report_.template throws<NotImplemented>([&] { (void)b_.is_increasing(); }, "is_increasing", {"elementwise"});
  }

  void named_tensors() {
    both([&](bool forward) {
      const Matrix<T> in = input(forward).topRows(17), context = context_rows(17);
      for (const auto mode : {Tape<T>::Mode::evaluate, Tape<T>::Mode::record})
        for (const Statistics statistics : {Statistics::running, Statistics::minibatch})
          check_asked<T>(report_, b_, in, context, mode, statistics, direction(forward), [&](Pass<T>& pass, Var<T> v) {
            (void)(forward ? b_.forward(pass, v) : b_.inverse(pass, v));
          });
    });
  }

  void missing_directions() {
    const Matrix<T> context = Matrix<T>::Zero(context_dim_ > 0 ? 3 : 0, context_dim_);
    for (const bool forward : {true, false})
      if (!has(forward))
        report_.template throws<NotImplemented>(
            [&] { (void)map(forward, Matrix<T>::Constant(3, in_columns(forward), T(0.5)), context); },
            direction(forward), {b_.name()});
  }

  void round_trips() {
    if (!has(true) || !has(false)) return;
    const double tolerance = contract_.round_trip_tolerance * std::sqrt(eps());
    for (const bool forward : {true, false})
      for (const Index n : {Index(1), Index(17), x_.rows()}) {
        const Matrix<T> in = input(forward).topRows(n), context = context_rows(n);
        const MappedRows<T> there = map(forward, in, context), back = map(!forward, there.value, context);
        for (Index i = 0; i < n; ++i) {
          for (Index c = 0; c < in.cols(); ++c)
            report_.near(static_cast<double>(back.value(i, c)), static_cast<double>(in(i, c)),
                         tolerance * (1 + std::abs(static_cast<double>(in(i, c)))), direction(forward),
                         " and back, N = ", n, ", row ", i, ", column ", c);
          report_.near(there.log_det[i] + back.log_det[i], 0, tolerance * (1 + std::abs(there.log_det[i])),
                       direction(forward), " and back, sum of the log_dets, N = ", n, ", row ", i);
        }
      }
  }

  void log_det_calls() {
    if (context_dim_ > 0) return;
    const Index n = std::min<Index>(12, x_.rows());
    both([&](bool forward) {
      const Matrix<T> in = input(forward).topRows(n);
      const Eigen::VectorXd expected = map(forward, in, {}).log_det;
      const int rank = static_cast<int>(in_shape(forward).size());
      const auto call = [&](const auto& values, int ndims) {
        return forward ? b_.forward_log_det_jacobian(values, ndims) : b_.inverse_log_det_jacobian(values, ndims);
      };
      report_.that(first_difference(expected, call(in, rank)) < 0, direction(forward),
                   "_log_det_jacobian of a matrix differs");
      const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows = in;
      std::vector<Index> shape{3, n / 3};
      shape.insert(shape.end(), in_shape(forward).begin(), in_shape(forward).end());
      const TensorView<const T> tensor(rows.data(), shape);
      report_.that(first_difference(expected, call(tensor, rank)) < 0, direction(forward),
                   "_log_det_jacobian of a tensor differs");
      const Eigen::VectorXd summed = call(tensor, rank + 1);
      for (Index k = 0; k < 3; ++k)
        report_.near(summed[k], expected.segment(k * (n / 3), n / 3).sum(), 1e-12 * (1 + std::abs(summed[k])),
                     direction(forward), "_log_det_jacobian over one more axis, event ", k);
      const int least = b_.forward_min_event_ndims();
      if (least > 0)
        report_.template throws<ShapeError>([&] { (void)call(tensor, least - 1); }, "fewer event_ndims than the least",
                                            {b_.name()});
      for (int ndims = least; ndims < rank; ++ndims) {
        const Eigen::VectorXd parts = call(tensor, ndims);
        const Index each = parts.size() / n;
        for (Index i = 0; i < n; ++i)
          report_.near(parts.segment(i * each, each).sum(), expected[i],
                       16 * eps() * (1 + parts.segment(i * each, each).cwiseAbs().sum()), direction(forward),
                       "_log_det_jacobian with event_ndims ", ndims, " does not sum to log_det, row ", i);
      }
    });
  }

  void declared_constants() {
    both([&](bool forward) {
      const Eigen::VectorXd log_det = map(forward).log_det;
      const bool zero = (log_det.array() == 0.0).all();
      if (b_.is_constant_log_det())
        for (Index i = 1; i < log_det.size(); ++i)
          report_.near(log_det[i], log_det[0], 64 * eps() * (1 + std::abs(log_det[0])), direction(forward),
                       ", is_constant_log_det but it differs between rows 0 and ", i);
      else
        report_.that(!zero, direction(forward), ": log_det is 0 in all rows, but is_constant_log_det() is false");
      if (!zero)
        report_.that((log_det.array().abs() > 0.1).count() >= std::min<Index>(4, log_det.size()), direction(forward),
                     ": |log_det| > 0.1 almost nowhere: the object is too near the identity to be tested");
    });
  }

  // ---- derivatives

  // What comes out lies where it is said to lie.
  void images() {
    both([&](bool forward) {
      const Matrix<T> out = map(forward).value;
      for (Index i = 0; i < out.rows(); ++i)
        if (!contains(target(forward).space(), out, i))
          report_.fail(direction(forward), ", row ", i, ": (", out.row(i), ") does not lie in ",
                       target(forward).space().to_text());
    });
  }

  // Rows where |log_det| > 0.1, or the first ones where it is 0 everywhere.
  std::vector<Index> telling_rows(bool forward, Index count) const {
    const Eigen::VectorXd log_det = map(forward).log_det;
    std::vector<Index> rows;
    for (Index i = 0; i < log_det.size() && static_cast<Index>(rows.size()) < count; ++i)
      if (std::abs(log_det[i]) > 0.1) rows.push_back(i);
    for (Index i = 0; i < log_det.size() && static_cast<Index>(rows.size()) < std::min<Index>(count, 4); ++i)
      rows.push_back(i);
    return rows;
  }

  void jacobians() {
    both([&](bool forward) {
      const std::vector<Index> rows = telling_rows(forward, 12);
      const Matrix<T> in = reordered(input(forward), rows);
      const Matrix<T> context = context_dim_ > 0 ? reordered(context_, rows) : Matrix<T>();
      const MappedRows<T> at = map(forward, in, context);
      const Index n = in.rows();
      // In coordinates along both spaces: those in which they have their measures.
      std::vector<std::vector<Chart::Direction>> directions;
      std::vector<Eigen::MatrixXd> from, to, jacobian;
      for (Index i = 0; i < n; ++i) {
        directions.push_back(source(forward).directions(row_of(in, i)));
        from.push_back(source(forward).projection(row_of(in, i)));
        to.push_back(target(forward).projection(row_of(at.value, i)));
        jacobian.emplace_back(to.back().rows(), from.back().rows());
      }
      const Index dimensions = from[0].rows();
      if (to[0].rows() != dimensions) {
        report_.fail(direction(forward), " leads from ", dimensions, " dimensions to ", to[0].rows());
        return;
      }
      const std::vector<bool> increasing = b_.is_elementwise() ? b_.is_increasing() : std::vector<bool>();
      for (Index c = 0; c < dimensions; ++c) {
        Matrix<T> above = in, below = in;
        for (Index i = 0; i < n; ++i) {
          const Chart::Direction& d = directions[static_cast<std::size_t>(i)][static_cast<std::size_t>(c)];
          const Eigen::VectorXd step = std::cbrt(eps()) * d.reach * d.along;
          above.row(i) = (row_of(in, i) + step).template cast<T>();
          below.row(i) = (row_of(in, i) - step).template cast<T>();
        }
        const Matrix<T> up = map(forward, above, context).value, down = map(forward, below, context).value;
        for (Index i = 0; i < n; ++i) {
          const std::size_t k = static_cast<std::size_t>(i);
          const double width = from[k].row(c).dot(row_of(above, i) - row_of(below, i));
          jacobian[k].col(c) = to[k] * (row_of(up, i) - row_of(down, i)) / width;
        }
        for (Index i = 0; i < n; ++i)
          for (Index r = 0; r < up.cols(); ++r) {
            if (b_.is_elementwise() && r != c)
              report_.that(same_bits(up(i, r), down(i, r)), direction(forward), ", elementwise, but column ", r,
                           " depends on column ", c);
            if (b_.is_elementwise() && r == c)
              report_.that((up(i, r) > down(i, r)) == increasing[static_cast<std::size_t>(c)], direction(forward),
                           ", column ", c, " does not do what is_increasing() says");
          }
      }
      for (Index i = 0; i < n; ++i) {
        const Eigen::MatrixXd& j = jacobian[static_cast<std::size_t>(i)];
        const double expected = j.partialPivLu().matrixLU().diagonal().array().abs().log().sum();
        report_.near(at.log_det[i], expected, 1e-6 * (1 + std::abs(expected)), direction(forward),
                     ", log_det against log|det| of the numerical Jacobian, row ", i);
        if (b_.is_constant_jacobian())
          report_.near((j - jacobian[0]).cwiseAbs().maxCoeff(), 0, 1e-6 * (1 + j.cwiseAbs().maxCoeff()),
                       direction(forward), ", is_constant_jacobian but it differs between rows 0 and ", i);
      }
    });
  }

  template <Scalar S>
  static Column<S> projected(const Bijector<S>& b, bool forward, Pass<S>& pass, Var<S> in, std::uint64_t seed) {
    const Mapped<S> mapped = forward ? b.forward(pass, in) : b.inverse(pass, in);
    return random_projection(pass, mapped.value, seed) + random_projection(pass, mapped.log_det, seed);
  }

  void gradients() {
    if constexpr (std::same_as<T, double>) {
      Poly<Bijector<double>> copy = poly_;
      const std::vector<NamedTensor> tensors = parameters<double>(*copy);
      std::vector<double> used(tensors.size(), 0.0);
      both([&](bool forward) {
        const std::vector<Index> rows = telling_rows(forward, 17);
        GradientCheck options;
        options.seed = contract_.seed;
        std::vector<double> largest;
        std::vector<Failure> failures =
            check_gradient_on(source(forward), [&](Pass<double>& pass,
                               Var<double> in) { return projected<double>(*copy, forward, pass, in, contract_.seed); },
                           reordered(input(forward), rows), context_dim_ > 0 ? reordered(context_, rows) : Matrix<T>(),
                           tensors, options, &largest);
        for (Failure& f : failures) f.check += std::string(", ") + direction(forward);
        report_.add(failures);
        for (std::size_t p = 0; p < used.size(); ++p) used[p] = std::max(used[p], largest[p]);
      });
      for (std::size_t p = 0; p < used.size(); ++p)
        report_.that(used[p] > 0 || tensors[p].tensor->size() == 0, "parameter '", tensors[p].name,
                     "' is listed but has no influence");
    }
  }

  void precisions() {
    if constexpr (std::same_as<T, float>) {
      const Poly<Bijector<double>> wide = cast<double>(b_, contract_.registry);
      both([&](bool forward) {
        const std::vector<Index> rows = telling_rows(forward, 17);
        const Matrix<float> in = reordered(input(forward), rows);
        const Matrix<float> context = context_dim_ > 0 ? reordered(context_, rows) : Matrix<float>();
        compare_precisions(
            report_, [&](Pass<float>& p, Var<float> v) { return projected<float>(b_, forward, p, v, contract_.seed); },
            [&](Pass<double>& p, Var<double> v) { return projected<double>(*wide, forward, p, v, contract_.seed); }, b_,
            *wide, in, context, direction(forward));
        const MappedRows<float> narrow = map(forward);
        const Matrix<double> in64 = convert<double>(input(forward)), context64 = convert<double>(context_);
        const MappedRows<double> exact = forward ? wide->forward(in64, context64) : wide->inverse(in64, context64);
        for (Index i = 0; i < in64.rows(); ++i) {
          for (Index c = 0; c < exact.value.cols(); ++c)
            report_.near(static_cast<double>(narrow.value(i, c)), exact.value(i, c),
                         1e-3 * (1 + std::abs(exact.value(i, c))), direction(forward),
                         ", value in float and double, row ", i, ", column ", c);
          report_.near(narrow.log_det[i], exact.log_det[i], 1e-3 * (1 + std::abs(exact.log_det[i])), direction(forward),
                       ", log_det in float and double, row ", i);
        }
      });
    }
  }

  // ---- rows, sizes, layouts, threads

  void rows_alone() {
    both([&](bool forward) {
      const MappedRows<T> all = map(forward);
      const std::vector<Index> order = shuffled(x_.rows());
      const MappedRows<T> permuted =
          map(forward, reordered(input(forward), order), context_dim_ > 0 ? reordered(context_, order) : Matrix<T>());
      same(permuted, {reordered(all.value, order), reordered(all.log_det, order)},
           std::string(direction(forward)) + ", rows in another order");
      for (const Index i : {Index(0), Index(1), Index(16), x_.rows() / 2, x_.rows() - 1}) {
        const MappedRows<T> one = map(forward, input(forward).middleRows(i, 1),
                                      context_dim_ > 0 ? Matrix<T>(context_.middleRows(i, 1)) : Matrix<T>());
        same(one, {all.value.middleRows(i, 1), all.log_det.segment(i, 1)},
             text(direction(forward), ", row ", i, " alone"));
      }
    });
  }

  void no_rows() {
    both([&](bool forward) {
      const MappedRows<T> none = map(forward, Matrix<T>(0, in_columns(forward)), Matrix<T>(0, context_dim_));
      report_.that(none.value.rows() == 0 && none.value.cols() == out_columns(forward) && none.log_det.size() == 0,
                   direction(forward), " of no rows has the wrong shape");
    });
  }

  void wrong_sizes() {
    both([&](bool forward) {
      const auto shape = [](Index rows, Index cols) { return text("(", rows, ", ", cols, ")"); };
      const Index columns = in_columns(forward), results = out_columns(forward);
      for (const Index wrong : {columns + 1, columns - 1})
        report_.template throws<ShapeError>(
            [&] {
              (void)map(forward, Matrix<T>::Constant(5, wrong, T(0.5)),
                        context_dim_ > 0 ? context_rows(5) : Matrix<T>());
            },
            text(direction(forward), " of ", wrong, " columns"),
            {b_.name(), text("(N, ", columns, ")"), shape(5, wrong)});
      const Matrix<T> in = input(forward).topRows(5);
      report_.template throws<ShapeError>([&] { (void)map(forward, in, Matrix<T>::Zero(5, context_dim_ + 1)); },
                                          text(direction(forward), " with a context of ", context_dim_ + 1, " columns"),
                                          {b_.name(), shape(5, context_dim_ + 1)});
      if (context_dim_ > 0) {
        report_.template throws<ShapeError>([&] { (void)map(forward, in, Matrix<T>()); },
                                            text(direction(forward), " without context"),
                                            {b_.name(), shape(5, context_dim_)});
        report_.template throws<ShapeError>([&] { (void)map(forward, in, Matrix<T>::Zero(4, context_dim_)); },
                                            text(direction(forward), " with 4 rows of context"),
                                            {b_.name(), shape(5, context_dim_), shape(4, context_dim_)});
      }
      Matrix<T> out(5, results), small(4, results);
      Eigen::VectorXd log_det(5), short_log_det(4);
      const auto into = [&](Matrix<T>& values, Eigen::VectorXd& logs) {
        forward ? b_.forward_into(in, values, logs, context_rows(5))
                : b_.inverse_into(in, values, logs, context_rows(5));
      };
      report_.template throws<ShapeError>([&] { into(small, log_det); }, "an output that is too small",
                                          {b_.name(), shape(5, results), shape(4, results)});
      report_.template throws<ShapeError>([&] { into(out, short_log_det); }, "a log_det that is too short",
                                          {b_.name(), "5", "4"});
    });
  }

  void not_finite() {
    const Index n = 40, bad = 21;
    both([&](bool forward) {
      const Matrix<T> in = input(forward).topRows(std::min(n, x_.rows()));
      if (in.rows() < n) return;
      const Matrix<T> context = context_rows(n);
      const MappedRows<T> good = map(forward, in, context);
      const auto check_nan = [&](const MappedRows<T>& with, const std::string& where) {
        for (Index c = 0; c < with.value.cols(); ++c)
          report_.that(std::isnan(with.value(bad, c)), where, ": column ", c, " of the row is ", with.value(bad, c));
        report_.that(std::isnan(with.log_det[bad]), where, ": log_det of the row is ", with.log_det[bad]);
        MappedRows<T> others = with;
        others.value.row(bad) = good.value.row(bad);
        others.log_det[bad] = good.log_det[bad];
        same(others, good, where + ", the other rows");
      };
      for (Index c = 0; c < in.cols(); ++c) {
        Matrix<T> broken = in;
        broken(bad, c) = std::numeric_limits<T>::quiet_NaN();
        check_nan(map(forward, broken, context), text(direction(forward), ", NaN in column ", c));
      }
      for (Index c = 0; c < context_dim_; ++c) {
        Matrix<T> broken = context;
        broken(bad, c) = std::numeric_limits<T>::quiet_NaN();
        check_nan(map(forward, in, broken), text(direction(forward), ", NaN in column ", c, " of the context"));
      }
      for (const T value : {std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity()}) {
        Matrix<T> broken = in;
        broken(bad, broken.cols() - 1) = value;
        broken(bad + 5, 0) = value;
        report_.template throws<DomainError>([&] { (void)map(forward, broken, context); },
                                             text(direction(forward), " of ", value),
                                             {b_.name(), text("row ", bad, " ")});
      }
    });
  }

  // Points on and beyond a bound.
  void outside() {
    both([&](bool forward) {
      // Kinds that bounds alone do not make.
      for (const Eigen::VectorXd& row : source(forward).outside(row_of(input(forward), 7))) {
        Matrix<T> in = input(forward).topRows(20);
        in.row(7) = in.row(11) = row.transpose().template cast<T>();
        report_.template throws<DomainError>([&] { (void)map(forward, in, context_rows(20)); },
                                             text(direction(forward), " of (", in.row(7), ")"), {b_.name(), "row 7 "});
      }
      if (!source(forward).space().is_box() && source(forward).space().is_known()) return;
      const std::vector<Interval> range = source(forward).space().bounds();
      for (Index c = 0; c < in_columns(forward); ++c)
        for (const bool low : {true, false}) {
          const double bound = low ? range[static_cast<std::size_t>(c)].low : range[static_cast<std::size_t>(c)].high;
          if (std::isinf(bound)) continue;
          for (const double distance : {0.0, 0.5, 1e6}) {
            Matrix<T> in = input(forward).topRows(20);
            in(7, c) = in(11, c) = static_cast<T>(low ? bound - distance : bound + distance);
            report_.template throws<DomainError>([&] { (void)map(forward, in, context_rows(20)); },
                                                 text(direction(forward), " of ", in(7, c), " in column ", c),
                                                 {b_.name(), "row 7 "});
          }
        }
    });
  }

  // Far out and next to the bounds of each coordinate.
  void edges() {
    both([&](bool forward) {
      const Chart& from = source(forward);
      const bool columns = from.space().is_box() || !from.space().is_known();
      const Space to = target(forward).space();
      for (Index c = 0; c < from.dimensions(); ++c) {
        const Interval r = from.intervals()[static_cast<std::size_t>(c)];
        if (from.is_whole(c)) continue;
        const T low = static_cast<T>(r.low), high = static_cast<T>(r.high), top = std::numeric_limits<T>::max();
        std::vector<T> near, far;
        if (std::isinf(r.low)) {
          near.push_back(static_cast<T>(-contract_.large));
          far.push_back(T(-1e4));
        } else {
          if (columns) near.push_back(std::nextafter(low, top));
          near.push_back(low + T(1e-6) * std::max(T(1), std::abs(low)));
        }
        if (std::isinf(r.high)) {
          near.push_back(static_cast<T>(contract_.large));
          far.push_back(T(1e4));
        } else {
          if (columns) near.push_back(std::nextafter(high, -top));
          near.push_back(high - T(1e-6) * std::max(T(1), std::abs(high)));
        }
        if (r.low < 0 && r.high > 0) {
          near.push_back(T(0));
          near.push_back(T(-0.0));
          near.push_back(std::numeric_limits<T>::denorm_min());
        }
        const auto check = [&](const std::vector<T>& values, bool finite) {
          Matrix<T> in = input(forward).topRows(static_cast<Index>(values.size()));
          for (std::size_t k = 0; k < values.size(); ++k) {
            const auto row = static_cast<Index>(k);
            move_to(from, in, row, c, values[k]);
            // A matrix whose smallest pivot is lost in rounding to T is no point of the space.
            if (!columns && !contains(from.space(), in, row)) in.row(row) = input(forward).row(row);
          }
          const MappedRows<T> out = map(forward, in, context_rows(in.rows()));
          for (Index i = 0; i < in.rows(); ++i) {
            report_.that(finite ? std::isfinite(out.log_det[i]) : !std::isnan(out.log_det[i]), direction(forward),
                         " at ", values[static_cast<std::size_t>(i)], " in coordinate ", c, ": log_det is ",
                         out.log_det[i]);
            for (Index k = 0; k < out.value.cols(); ++k) {
              const T v = out.value(i, k);
              report_.that(finite ? std::isfinite(v) : !std::isnan(v), direction(forward), " at ",
                           values[static_cast<std::size_t>(i)], " in coordinate ", c, ": column ", k, " is ", v);
              const Interval inside = to[k];
              if (std::isfinite(v) && to.is_box())
                report_.that(static_cast<double>(v) > inside.low && static_cast<double>(v) < inside.high,
                             direction(forward), " at ", values[static_cast<std::size_t>(i)], " in coordinate ", c,
                             ": column ", k, " is ", v, ", not inside (", inside.low, ", ", inside.high, ")");
            }
            if (finite && !to.is_box())
              report_.that(contains(to, out.value, i), direction(forward), " at ", values[static_cast<std::size_t>(i)],
                           " in coordinate ", c, ": (", out.value.row(i), ") does not lie in ", to.to_text());
          }
          // What comes out of the edges of a surface's coordinates is inside, so that it can go back.
          if (finite && !to.is_box() && to.is_known() && has(!forward))
            (void)map(!forward, out.value, context_rows(in.rows()));
        };
        if (static_cast<Index>(near.size()) <= x_.rows()) check(near, true);
        // Overflow on the way may be called infinite or outside, but never passes as NaN.
        try {
          if (!far.empty()) check(far, false);
        } catch (const DomainError&) {
        }
      }
    });
  }

  static void move_to(const Chart& chart, Matrix<T>& rows, Index i, Index coordinate, T value) {
    if (chart.space().is_box() || !chart.space().is_known()) {
      rows(i, coordinate) = value;
      return;
    }
    Eigen::VectorXd row = row_of(rows, i), u(chart.dimensions());
    chart.coordinates(row.data(), u.data());
    u[coordinate] = static_cast<double>(value);
    chart.row(u.data(), row.data());
    rows.row(i) = row.transpose().template cast<T>();
  }

  void layouts() {
    both([&](bool forward) {
      const MappedRows<T> expected = map(forward);
      const Index n = x_.rows();
      // Inputs and outputs by rows, inside larger matrices; what is not ours must stay as it was.
      using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
      const T garbage = T(-12345.5);
      const Index columns = in_columns(forward), results = out_columns(forward);
      RowMajor in = RowMajor::Constant(n + 2, columns + 2, garbage);
      RowMajor out = RowMajor::Constant(n + 2, results + 2, garbage);
      in.block(1, 1, n, columns) = input(forward);
      const RowMajor context = context_;
      Eigen::VectorXd log_det = Eigen::VectorXd::Constant(n + 2, -12345.5);
      auto in_block = in.block(1, 1, n, columns);
      auto out_block = out.block(1, 1, n, results);
      auto log_det_segment = log_det.segment(1, n);
      if (forward)
        b_.forward_into(in_block, out_block, log_det_segment, context);
      else
        b_.inverse_into(in_block, out_block, log_det_segment, context);
      same({out.block(1, 1, n, results), log_det.segment(1, n)}, expected,
           std::string(direction(forward)) + "_into, by rows");
      out.block(1, 1, n, results).setConstant(garbage);
      report_.that((out.array() == garbage).all() && log_det[0] == -12345.5 && log_det[n + 1] == -12345.5,
                   direction(forward), "_into wrote outside of its output");
      if (context_dim_ > 0) {
        const Matrix<T> one = context_.topRows(1), repeated = one.replicate(n, 1);
        same(map(forward, input(forward), one), map(forward, input(forward), repeated),
             std::string(direction(forward)) + ", one context row for all");
      }
    });
  }

  void threads() {
    const Index n = 3 * pushforward::detail::tile_rows + 5;
    const Matrix<T> context = convert<T>(normals(context_dim_ > 0 ? n : 0, context_dim_, contract_.seed + 4));
    both([&](bool forward) {
      const Matrix<T> in = draw_points<T>(source(forward), n, contract_.seed + 3);
      const MappedRows<T> expected = map(forward, in, context);
      for (const int count : {1, 2, 3, 8}) {
        Execution execution({.threads = count});
        same(map(forward, in, context, execution), expected, text(direction(forward), " on ", count, " threads"));
      }
      Workspace workspace;
      for (int repeat = 0; repeat < 2; ++repeat)
        same(map(forward, in, context, workspace), expected, text(direction(forward), " in a workspace"));
      std::vector<std::optional<MappedRows<T>>> results(4);
      concurrently(4, [&](int t) { results[static_cast<std::size_t>(t)] = map(forward, in, context); });
      for (const auto& result : results)
        same(*result, expected, text(direction(forward), ", four calls at the same time"));
    });
  }

  // ---- objects

  void same_object(const Bijector<T>& other, const std::string& where) {
    both([&](bool forward) {
      same(map(other, forward, input(forward), context_), map(forward), where + ", " + direction(forward));
    });
  }

  void copies() {
    Poly<Bijector<T>> copy = poly_;
    same_object(*copy, "copy");
    const bool has_tensors = !list_state<T>(std::as_const(*copy)).empty();
    const std::vector<Tensor<T>> before = snapshot<T>(b_);
    std::vector<MappedRows<T>> expected;
    both([&](bool forward) { expected.push_back(map(forward)); });
    for (const Slot<T>& slot : list_state<T>(*copy))
      for (T& v : slot.tensor->values()) v = v * T(1.25) + T(0.25);
    report_.that(unchanged<T>(b_, before), "changing a copy changes the original");
    std::size_t k = 0;
    both([&](bool forward) {
      same(map(forward), expected[k], text("the original after its copy was changed, ", direction(forward)));
      const MappedRows<T> changed = map(*copy, forward, input(forward), context_);
      if (has_tensors)
        report_.that(first_difference(changed.value, expected[k].value) >= 0 ||
                         first_difference(changed.log_det, expected[k].log_det) >= 0,
                     "changing the tensors of a copy does not change its ", direction(forward));
      ++k;
    });
    copy = poly_;
    same_object(*copy, "assigned copy");
    const Poly<Bijector<T>> moved = std::move(copy);
    same_object(*moved, "moved copy");
  }

  void rebuilt() {
    const Description description = b_.describe();
    Poly<Bijector<T>> again = contract_.registry.bijector<T>(description);
    copy_state<T, T>(b_, *again);
    same_object(*again, "rebuilt from describe() and state");
    report_.that(again->describe() == description, "describe() of the rebuilt object differs");
    report_.that(again->name() == b_.name(), "the rebuilt object is called ", again->name(), ", not ", b_.name());
    report_.that(again->event_shape() == b_.event_shape() && again->context_dim() == b_.context_dim() &&
                     again->domain() == b_.domain() && again->codomain() == b_.codomain() &&
                     again->is_constant_log_det() == b_.is_constant_log_det() &&
                     again->log_scale_bound() == b_.log_scale_bound(),
                 "properties of the rebuilt object differ");
    const std::vector<ConstSlot<T>> own = list_state(b_), other = list_state<T>(std::as_const(*again));
    for (std::size_t i = 0; i < std::min(own.size(), other.size()); ++i)
      report_.that(own[i].kind == other[i].kind && own[i].attributes.decay == other[i].attributes.decay &&
                       own[i].attributes.trainable == other[i].attributes.trainable,
                   "attributes of '", own[i].path, "' differ in the rebuilt object");
    for (std::size_t i = 0; i < own.size(); ++i)
      if (const StoredForm<T>* form = own[i].attributes.form) {
        Tensor<T> packed(own[i].tensor->shape());
        const Tensor<T> dense = form->to_file(*own[i].tensor);
        report_.that(dense.shape() == form->shape(), "the stored form of '", own[i].path,
                     "' has another shape than it says");
        form->from_file(dense, packed);
        report_.that(packed == *own[i].tensor, "'", own[i].path, "' does not survive its stored form");
      }
    if constexpr (std::same_as<T, float>) {
      const Poly<Bijector<float>> back = cast<float>(*cast<double>(b_, contract_.registry), contract_.registry);
      same_object(*back, "cast to double and back");
    } else {
      const Poly<Bijector<float>> narrow = cast<float>(b_, contract_.registry);
      const Poly<Bijector<float>> back = cast<float>(*cast<double>(*narrow, contract_.registry), contract_.registry);
      report_.that(snapshot<float>(*back) == snapshot<float>(*narrow),
                   "cast to float, double and float changes tensors");
    }
  }

  void context_matters() {
    both([&](bool forward) {
      const Matrix<T> other = context_.array() + T(0.5);
      const MappedRows<T> a = map(forward), b = map(forward, input(forward), other);
      report_.that(first_difference(a.value, b.value) >= 0, direction(forward), " does not depend on the context");
    });
  }

  void minibatch() {
    const Index n = std::min<Index>(x_.rows(), 23);
    const Matrix<T> context = context_rows(n);
    const double tolerance = contract_.round_trip_tolerance * std::sqrt(eps());
    both([&](bool forward) {
      const Matrix<T> in = input(forward).topRows(n);
      const MappedBatch<T> there =
          forward ? b_.forward(in, Statistics::minibatch, context) : b_.inverse(in, Statistics::minibatch, context);
      if (has(!forward)) {
        const MappedRows<T> back = forward ? b_.inverse(there.value, there.statistics, context)
                                           : b_.forward(there.value, there.statistics, context);
        for (Index i = 0; i < n; ++i) {
          for (Index c = 0; c < in.cols(); ++c)
            report_.near(static_cast<double>(back.value(i, c)), static_cast<double>(in(i, c)),
                         tolerance * (1 + std::abs(static_cast<double>(in(i, c)))), direction(forward),
                         " and back with captured statistics, row ", i, ", column ", c);
          report_.near(there.log_det[i] + back.log_det[i], 0, tolerance * (1 + std::abs(there.log_det[i])),
                       direction(forward), " and back with captured statistics, log_dets, row ", i);
        }
        // The same statistics, the same direction: the same map, now of single rows.
        const MappedRows<T> again =
            forward ? b_.forward(in, there.statistics, context) : b_.inverse(in, there.statistics, context);
        for (Index i = 0; i < n; ++i)
          report_.near(again.log_det[i], there.log_det[i], tolerance * (1 + std::abs(there.log_det[i])),
                       direction(forward), ", log_det with captured statistics, row ", i);
      }
      if constexpr (std::same_as<T, double>) {
        Poly<Bijector<double>> copy = poly_;
        GradientCheck options;
        options.seed = contract_.seed + 5;
        options.statistics = Statistics::minibatch;
        options.rows_couple = true;
        options.entries = 8;
        const Index few = 5;
        std::vector<Failure> failures =
            check_gradient_on(source(forward), [&](Pass<double>& pass,
                               Var<double> v) { return projected<double>(*copy, forward, pass, v, contract_.seed); },
                           Matrix<double>(in.topRows(few)), context_rows(few), parameters<double>(*copy), options);
        for (Failure& f : failures) f.check += std::string(", minibatch statistics, ") + direction(forward);
        report_.add(failures);
      }
    });
  }

  void scale_bound() {
    const double bound = b_.log_scale_bound();
    if (std::isinf(bound)) return;
    Poly<Bijector<T>> extreme = poly_;
    for (const Slot<T>& slot : list_state<T>(*extreme))
      if (slot.kind == StateKind::parameter)
        for (T& v : slot.tensor->values()) v *= T(1000);
    both([&](bool forward) {
      const Eigen::VectorXd usual = map(forward).log_det;
      const Eigen::VectorXd wild = map(*extreme, forward, input(forward), context_).log_det;
      for (Index i = 0; i < usual.size(); ++i) {
        report_.that(std::abs(usual[i]) <= bound * (1 + 4 * eps()), direction(forward), ": log_det is ", usual[i],
                     ", beyond log_scale_bound ", bound);
        report_.that(std::abs(wild[i]) <= bound * (1 + 4 * eps()), direction(forward),
                     " with parameters times 1000: log_det is ", wild[i], ", beyond log_scale_bound ", bound);
      }
    });
  }

  const Poly<Bijector<T>> poly_;
  const Bijector<T>& b_;
  const BijectorContract& contract_;
  Index context_dim_;
  Chart domain_{Space()}, codomain_{Space()};
  Matrix<T> x_, y_, context_;
  Report report_;
};

}  // namespace

template <Scalar T>
std::vector<Failure> check_bijector(const Poly<Bijector<T>>& bijector, const BijectorContract& contract) {
  return BijectorCheck<T>(bijector, contract).run();
}

template std::vector<Failure> check_bijector(const Poly<Bijector<float>>&, const BijectorContract&);
template std::vector<Failure> check_bijector(const Poly<Bijector<double>>&, const BijectorContract&);

}  // namespace pushforward::testing
