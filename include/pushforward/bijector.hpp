#pragma once

#include <pushforward/component.hpp>
#include <pushforward/execution.hpp>
#include <pushforward/fields.hpp>
#include <pushforward/pass.hpp>
#include <pushforward/poly.hpp>
#include <string>
#include <vector>

namespace pushforward {

/// What `forward` and `inverse` give as numbers: values, and the log|det| of the map just applied, in nats.
// Structs that hold Eigen objects name Eigen's type in their own: the library has Eigen under another name, so a program
// whose flags let Eigen allocate in another way never meets the library's copy of a destructor.
template <Scalar T, class Values = Matrix<T>>
struct MappedRows {
  Values value;
  Eigen::VectorXd log_det;
};
template <Scalar T, class Values = Matrix<T>>
struct MappedBatch {
  Values value;
  Eigen::VectorXd log_det;
  BatchStatistics statistics;
};

/// A differentiable one-to-one map of rows. `x` is the base side, `y` the data side; `forward` goes from base to data
/// (sampling), `inverse` from data to base (density). The two sides may have different numbers of columns, where one is
/// a surface: log|det| is with respect to the measures of `domain()` and `codomain()`.
///
/// To write one: derive, pass name and dimension to the base, and override do_forward, do_inverse and do_fields. Hooks
/// get matrices of the right width with finite values, and write the map and its log|det| with the operations of
/// ops.hpp: gradients, training, files and threads follow.
template <Scalar T>
class Bijector : public Component<T> {
 public:
  // ---- on a tape
  Mapped<T> forward(Pass<T>& pass, Var<T> x) const;
  Mapped<T> inverse(Pass<T>& pass, Var<T> y) const;

  /// Elementwise and triangular maps: log of the absolute derivative of each column by its own input, (N, dim()) or
  /// shared (1, dim()); a default-made Var is 0.
  Var<T> log_derivative(bool forward, Pass<T>& pass, Var<T> in) const {
    const typename Pass<T>::Part part(pass, this->name());
    return do_log_derivative(forward, pass, in);
  }

  // Functions that return Eigen objects are always inlined: the caller's code allocates and frees them, whatever flags
  // it was built with.
  // ---- numbers: x is (N, base_dim()), y (N, dim()); context is (N, context_dim()) or one row for all
  /// @throws ShapeError   if a size does not fit.
  /// @throws DomainError  naming the first row that lies outside the domain. Rows with NaN give NaN.
  [[gnu::always_inline]] MappedRows<T> forward(MatrixView<const T> x, MatrixView<const T> context = {},
                                               Run run = {}) const {
    MappedRows<T> result{Matrix<T>(x.rows(), dim()), Eigen::VectorXd(x.rows())};
    map_into(true, x, result.value, result.log_det, context, {}, run);
    return result;
  }
  template <Place P>
  [[gnu::always_inline]] MappedRows<T> forward(MatrixView<const T> x, P&& where) const {
    return forward(x, {}, where);
  }
  [[gnu::always_inline]] MappedRows<T> inverse(MatrixView<const T> y, MatrixView<const T> context = {},
                                               Run run = {}) const {
    MappedRows<T> result{Matrix<T>(y.rows(), base_dim()), Eigen::VectorXd(y.rows())};
    map_into(false, y, result.value, result.log_det, context, {}, run);
    return result;
  }
  template <Place P>
  [[gnu::always_inline]] MappedRows<T> inverse(MatrixView<const T> y, P&& where) const {
    return inverse(y, {}, where);
  }
  void forward_into(MatrixView<const T> x, MatrixView<T> y, VectorView<double> log_det,
                    MatrixView<const T> context = {}, Run run = {}) const {
    map_into(true, x, y, log_det, context, {}, run);
  }
  void inverse_into(MatrixView<const T> y, MatrixView<T> x, VectorView<double> log_det,
                    MatrixView<const T> context = {}, Run run = {}) const {
    map_into(false, y, x, log_det, context, {}, run);
  }
  /// Of a stochastic map: one draw for each row. What a row draws depends on the engine and the row's number alone, and
  /// each call advances the engine by one, also of a map that draws nothing. Estimates are `estimates()`'s.
  [[gnu::always_inline]] MappedRows<T> forward(MatrixView<const T> x, Engine& engine, MatrixView<const T> context = {},
                                               Run run = {}) const {
    MappedRows<T> result{Matrix<T>(x.rows(), dim()), Eigen::VectorXd(x.rows())};
    map_into(true, x, result.value, result.log_det, context, {}, run, &engine);
    return result;
  }
  [[gnu::always_inline]] MappedRows<T> inverse(MatrixView<const T> y, Engine& engine, MatrixView<const T> context = {},
                                               Run run = {}) const {
    MappedRows<T> result{Matrix<T>(y.rows(), base_dim()), Eigen::VectorXd(y.rows())};
    map_into(false, y, result.value, result.log_det, context, {}, run, &engine);
    return result;
  }
  /// With the statistics of this batch, which are handed back; nothing changes in the bijector. With
  /// Statistics::minibatch the rows depend on each other, so the result is no density.
  [[gnu::always_inline]] MappedBatch<T> forward(MatrixView<const T> x, Statistics statistics,
                                                MatrixView<const T> context = {}) const {
    MappedBatch<T> result{Matrix<T>(x.rows(), dim()), Eigen::VectorXd(x.rows()), {}};
    map_into(true, x, result.value, result.log_det, context, {statistics, nullptr, &result.statistics}, {});
    return result;
  }
  [[gnu::always_inline]] MappedBatch<T> inverse(MatrixView<const T> y, Statistics statistics,
                                                MatrixView<const T> context = {}) const {
    MappedBatch<T> result{Matrix<T>(y.rows(), base_dim()), Eigen::VectorXd(y.rows()), {}};
    map_into(false, y, result.value, result.log_det, context, {statistics, nullptr, &result.statistics}, {});
    return result;
  }
  /// With statistics captured by an earlier call.
  [[gnu::always_inline]] MappedRows<T> forward(MatrixView<const T> x, const BatchStatistics& captured,
                                               MatrixView<const T> context = {}) const {
    MappedRows<T> result{Matrix<T>(x.rows(), dim()), Eigen::VectorXd(x.rows())};
    map_into(true, x, result.value, result.log_det, context, {Statistics::running, &captured, nullptr}, {});
    return result;
  }
  [[gnu::always_inline]] MappedRows<T> inverse(MatrixView<const T> y, const BatchStatistics& captured,
                                               MatrixView<const T> context = {}) const {
    MappedRows<T> result{Matrix<T>(y.rows(), base_dim()), Eigen::VectorXd(y.rows())};
    map_into(false, y, result.value, result.log_det, context, {Statistics::running, &captured, nullptr}, {});
    return result;
  }
  /// log|det| alone. `event_ndims` must be the rank of event_shape(); the tensor overload sums over more.
  [[gnu::always_inline]] Eigen::VectorXd forward_log_det_jacobian(MatrixView<const T> x, int event_ndims = 1) const {
    Eigen::VectorXd log_det(x.rows());
    log_det_into(true, x, event_ndims, log_det);
    return log_det;
  }
  [[gnu::always_inline]] Eigen::VectorXd inverse_log_det_jacobian(MatrixView<const T> y, int event_ndims = 1) const {
    Eigen::VectorXd log_det(y.rows());
    log_det_into(false, y, event_ndims, log_det);
    return log_det;
  }
  /// Reductions as TFP's: `x` has shape batch + event, the last `event_ndims` axes are one event, and the result has
  /// one value per batch element (flat, last axis fastest). The trailing axes must be the event shape of the side; axes
  /// of the event beyond it are summed. Elementwise maps (forward_min_event_ndims() == 0) also take event_ndims == 0.
  [[gnu::always_inline]] Eigen::VectorXd forward_log_det_jacobian(const TensorView<const T>& x, int event_ndims) const {
    Eigen::VectorXd log_det(event_count(true, x, event_ndims));
    log_det_into(true, x, event_ndims, log_det);
    return log_det;
  }
  [[gnu::always_inline]] Eigen::VectorXd inverse_log_det_jacobian(const TensorView<const T>& y, int event_ndims) const {
    Eigen::VectorXd log_det(event_count(false, y, event_ndims));
    log_det_into(false, y, event_ndims, log_det);
    return log_det;
  }

  // ---- properties
  /// Columns of the data side, and of the base side.
  Index dim() const { return dim_; }
  Index base_dim() const { return base_dim_; }
  /// {dim()} by default; higher ranks are flattened with the last axis fastest.
  const std::vector<Index>& event_shape() const { return event_shape_; }
  /// That of the base side: the same where both sides have the same number of columns, else {base_dim()}.
  const std::vector<Index>& base_event_shape() const { return base_event_shape_; }
  /// Columns of context that the map needs; 0 for none.
  Index context_dim() const { return context_dim_; }
  int forward_min_event_ndims() const { return do_min_event_ndims(); }
  int inverse_min_event_ndims() const { return forward_min_event_ndims(); }
  /// Column by column, each independent of the others.
  bool is_elementwise() const { return do_is_elementwise(); }
  /// The Jacobian is the same for all rows.
  bool is_constant_jacobian() const { return do_is_constant_jacobian(); }
  /// The log|det| is the same for all rows.
  bool is_constant_log_det() const { return do_is_constant_log_det(); }
  /// Elementwise maps: whether each column increases.
  /// @throws NotImplemented  if the map is not elementwise.
  std::vector<bool> is_increasing() const;
  /// Arguments are checked in every build type; it cannot be turned off.
  static constexpr bool validate_args() { return true; }
  bool has_inverse() const { return do_has_inverse(); }
  bool has_forward() const { return do_has_forward(); }
  /// The columns in an order in which, both ways, each is computed from those up to it alone; empty: in any order
  /// (elementwise maps).
  /// @throws NotImplemented  naming the part that mixes columns otherwise.
  std::vector<std::int64_t> triangular_order() const { return do_triangular_order(); }
  /// Where x lives, and where y may lie: of a composition with the values that its parameters have.
  Space domain() const { return do_domain(); }
  Space codomain() const { return do_codomain(); }
  /// What becomes of the points of a space by forward, and by inverse; unknown where it cannot be told.
  /// @throws ShapeError  if the number of columns does not fit.
  Space image(const Space& x) const { return image(true, x); }
  Space preimage(const Space& y) const { return image(false, y); }
  /// Largest possible |log_det| that bounded scales allow per row, or infinity where there is no bound.
  double log_scale_bound() const { return do_log_scale_bound(); }
  /// What a stochastic map's draws say about the density that it makes.
  Estimate estimates() const { return do_estimates(); }

 protected:
  Bijector(std::string name, Index dim, Index context_dim = 0)
      : Bijector(std::move(name), std::vector<Index>{dim}, context_dim) {}
  Bijector(std::string name, std::vector<Index> event_shape, Index context_dim = 0);
  /// From rows of `base_dim` columns.
  Bijector(std::string name, Index base_dim, std::vector<Index> event_shape, Index context_dim = 0);
  /// Without a shape, to be restored.
  explicit Bijector(std::string name) : Component<T>(std::move(name)) {}
  /// The field "dim", where the number of columns is a constant of its own; restoring, gives the object its shape.
  void dim_field(Fields<T>& f, Index most = Index{1} << 20);
  /// For `do_restored`, where the shape follows from constants or parts.
  void set_shape(Index base_dim, std::vector<Index> event_shape, Index context_dim = 0);

 private:
  virtual Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const = 0;
  virtual Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const = 0;
  /// If smaller than the rank of the event, do_log_derivative tells the parts of it apart.
  virtual int do_min_event_ndims() const { return is_elementwise() ? 0 : static_cast<int>(event_shape_.size()); }
  virtual bool do_is_elementwise() const { return false; }
  virtual bool do_is_constant_jacobian() const { return false; }
  virtual bool do_is_constant_log_det() const { return do_is_constant_jacobian(); }
  virtual std::vector<bool> do_is_increasing() const;
  virtual bool do_has_forward() const { return true; }
  virtual bool do_has_inverse() const { return true; }
  virtual Space do_domain() const { return Space::real(base_dim_); }
  virtual Space do_codomain() const { return Space::real(dim_); }
  /// Of a space with the right number of columns. Default: one side's whole space for the other's; elementwise maps:
  /// the ends of each column's interval.
  virtual Space do_image(bool forward, const Space& from) const;
  virtual double do_log_scale_bound() const;
  /// Of a map whose hooks draw.
  virtual Estimate do_estimates() const { return Estimate::exact; }
  virtual std::vector<std::int64_t> do_triangular_order() const;
  /// Elementwise and triangular maps: log of the absolute derivative of each element of `in`, (N, dim) or shared (1,
  /// dim).
  virtual Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const;

  struct StatisticsChoice {
    Statistics use = Statistics::running;
    const BatchStatistics* captured = nullptr;
    BatchStatistics* capture = nullptr;
  };
  void map_into(bool forward, MatrixView<const T> in, MatrixView<T> out, VectorView<double> log_det,
                MatrixView<const T> context, StatisticsChoice statistics, Run run, Engine* engine = nullptr) const;
  void log_det_into(bool forward, MatrixView<const T> in, int event_ndims, VectorView<double> log_det) const;
  void log_det_into(bool forward, const TensorView<const T>& in, int event_ndims, VectorView<double> log_det) const;
  Index event_count(bool forward, const TensorView<const T>& in, int event_ndims) const;
  Space image(bool forward, const Space& from) const;
  std::vector<Interval> interval_images(bool forward, const std::vector<Interval>& from) const;

  Index dim_ = 0;
  Index base_dim_ = 0;
  Index context_dim_ = 0;
  std::vector<Index> event_shape_;
  std::vector<Index> base_event_shape_;
};

/// A bijector that maps each column on its own: write the map and the log of its absolute derivative, element by
/// element; sums over columns, the tensor overloads with event_ndims 0 and the rest follow.
template <Scalar T>
class ElementwiseBijector : public Bijector<T> {
 public:
  using Elements = MappedElements<T>;
  Elements forward_elements(Pass<T>& pass, Var<T> x) const { return do_forward_elements(pass, x); }
  Elements inverse_elements(Pass<T>& pass, Var<T> y) const { return do_inverse_elements(pass, y); }

 protected:
  using Bijector<T>::Bijector;

 private:
  virtual Elements do_forward_elements(Pass<T>& pass, Var<T> x) const = 0;
  virtual Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const = 0;
  std::vector<bool> do_is_increasing() const override {
    return std::vector<bool>(static_cast<std::size_t>(this->dim()), true);
  }
  bool do_is_elementwise() const final { return true; }
  Mapped<T> do_forward(Pass<T>& pass, Var<T> x) const final { return summed(do_forward_elements(pass, x)); }
  Mapped<T> do_inverse(Pass<T>& pass, Var<T> y) const final { return summed(do_inverse_elements(pass, y)); }
  Var<T> do_log_derivative(bool forward, Pass<T>& pass, Var<T> in) const final {
    return (forward ? do_forward_elements(pass, in) : do_inverse_elements(pass, in)).log_derivative;
  }
  static Mapped<T> summed(Elements e) { return {e.value, e.log_derivative ? row_sum(e.log_derivative) : Column<T>()}; }
};

/// One order that both have, where an empty one is any.
/// @throws NotImplemented  naming `name`, if they differ.
std::vector<std::int64_t> common_order(const std::string& name, std::vector<std::int64_t> a, std::vector<std::int64_t> b);

/// What draws of both parts say about their composition.
/// @throws NotImplemented  naming `name`, if one draws densities and the other their logarithms: no mean is unbiased
///   then.
Estimate common_estimate(const std::string& name, Estimate a, Estimate b);

/// Applies proposals to the tree: all or nothing.
/// @throws Error        if a proposal does not belong to a listed tensor of the tree or has another size.
/// @throws DomainError  if a value is not finite as T, naming the tensor and the channel.
template <Scalar T>
void commit(Component<T>& tree, const Proposals<T>& proposals);
/// What a call with Statistics::minibatch proposed, for training loops written by hand:
///
///     const auto step = bijector.inverse(y, Statistics::minibatch);
///     commit(bijector, step.statistics);  // the moving statistics follow
///
/// New values were made from those at the time of the call, so that of several calls the last commit counts.
template <Scalar T>
void commit(Component<T>& tree, const BatchStatistics& statistics);

extern template class Bijector<float>;
extern template class Bijector<double>;

}  // namespace pushforward
