#include <atomic>
#include <numeric>
#include <optional>
#include <pushforward/bijector.hpp>

#include "src/core/evaluate.hpp"
#include "src/core/proposals.hpp"

namespace pushforward {

using namespace detail;

template <Scalar T>
Bijector<T>::Bijector(std::string name, std::vector<Index> event_shape, Index context_dim)
    : Component<T>(std::move(name)) {
  const Index dim = checked_dim(this->name(), event_shape, context_dim);
  set_shape(dim, std::move(event_shape), context_dim);
}

template <Scalar T>
Bijector<T>::Bijector(std::string name, Index base_dim, std::vector<Index> event_shape, Index context_dim)
    : Component<T>(std::move(name)) {
  set_shape(base_dim, std::move(event_shape), context_dim);
}

template <Scalar T>
void Bijector<T>::set_shape(Index base_dim, std::vector<Index> event_shape, Index context_dim) {
  dim_ = checked_dim(this->name(), event_shape, context_dim);
  base_event_shape_ = base_dim == dim_ ? event_shape : std::vector<Index>{base_dim};
  base_dim_ = checked_dim(this->name(), base_event_shape_, context_dim);
  event_shape_ = std::move(event_shape);
  context_dim_ = context_dim;
}

template <Scalar T>
void Bijector<T>::dim_field(Fields<T>& f, Index most) {
  Index dim = dim_;
  f.constant("dim", dim, 1, most);
  if (f.restoring()) set_shape(dim, {dim});
}

namespace {

template <Scalar T>
void check_var(const Bijector<T>& b, const char* call, Index cols, Pass<T>& pass, Var<T> x) {
  if (x.cols() != cols)
    throw ShapeError(b.name() + "::" + call + ": expected (N, " + std::to_string(cols) + "), got " +
                     shape_text({pass.rows(), x.cols()}));
  check_pass_context(b.name(), call, b.context_dim(), pass);
}

}  // namespace

template <Scalar T>
Mapped<T> Bijector<T>::forward(Pass<T>& pass, Var<T> x) const {
  check_var(*this, "forward", base_dim_, pass, x);
  const typename Pass<T>::Part part(pass, this->name());
  return do_forward(pass, x);
}

template <Scalar T>
Mapped<T> Bijector<T>::inverse(Pass<T>& pass, Var<T> y) const {
  check_var(*this, "inverse", dim_, pass, y);
  const typename Pass<T>::Part part(pass, this->name());
  return do_inverse(pass, y);
}

template <Scalar T>
std::vector<bool> Bijector<T>::is_increasing() const {
  return do_is_increasing();
}

template <Scalar T>
std::vector<bool> Bijector<T>::do_is_increasing() const {
  throw NotImplemented(this->name() + "::is_increasing: only elementwise maps increase or decrease per column");
}

template <Scalar T>
Space Bijector<T>::image(bool forward, const Space& from) const {
  const Index cols = forward ? base_dim_ : dim_;
  if (from.columns() != cols)
    throw ShapeError(this->name() + "::" + (forward ? "image" : "preimage") + ": expected a space of " +
                     std::to_string(cols) + " columns, got " + from.to_text());
  return do_image(forward, from);
}

template <Scalar T>
Space Bijector<T>::do_image(bool forward, const Space& from) const {
  const Space source = forward ? domain() : codomain(), target = forward ? codomain() : domain();
  // A box is its circle but for the point where the ends meet.
  const bool whole = std::all_of(from.blocks().begin(), from.blocks().end(), [](const Space::Block& b) {
    return b.kind == Space::Kind::box || b.kind == Space::Kind::circle;
  });
  if (from == source || (whole && source.holds(from) && from.bounds() == source.bounds())) return target;
  // Where one draw takes the ends of an interval says nothing about the next.
  const bool exact = estimates() == Estimate::exact;
  if (is_elementwise() && exact && context_dim_ == 0 && from.is_box() && source.is_box()) {
    std::vector<Interval> images = interval_images(forward, from.bounds());
    // Rounding may leave nothing of an interval.
    if (std::all_of(images.begin(), images.end(), [](const Interval& i) { return i.low < i.high; }))
      return Space::box(std::move(images));
  }
  return Space::part_of(target);
}

// Where an interval ends where the map does, so does its image; elsewhere the map says where.
template <Scalar T>
std::vector<Interval> Bijector<T>::interval_images(bool forward, const std::vector<Interval>& from) const {
  const Space source = forward ? domain() : codomain(), target = forward ? codomain() : domain();
  const std::vector<bool> increasing = is_increasing();
  std::vector<Interval> images(from.size());
  // One row of lower ends, one of upper ends; a place that needs none gets a point inside.
  Workspace memory;
  Tape<T> tape(Tape<T>::Mode::evaluate, {memory.batch, memory.local}, 2);
  Pass<T> pass(tape, {});
  const Var<T> ends = tape.matrix(dim_, false);
  for (Index c = 0; c < dim_; ++c) {
    const Interval own = source[c], range = from[static_cast<std::size_t>(c)];
    T* v = tape.value(ends, c);
    std::fill_n(v, tape.padded_rows(), static_cast<T>(own.inside()));
    if (range.low > own.low) v[0] = static_cast<T>(range.low);
    if (range.high < own.high) v[1] = static_cast<T>(range.high);
  }
  const Var<T> mapped = (forward ? do_forward(pass, ends) : do_inverse(pass, ends)).value;
  for (Index c = 0; c < dim_; ++c) {
    const Interval own = source[c], other = target[c], range = from[static_cast<std::size_t>(c)];
    const T* v = tape.value(mapped, c);
    const bool up = increasing[static_cast<std::size_t>(c)];
    const double low = range.low > own.low ? static_cast<double>(v[0]) : up ? other.low : other.high;
    const double high = range.high < own.high ? static_cast<double>(v[1]) : up ? other.high : other.low;
    // No negative zeros.
    images[static_cast<std::size_t>(c)] = up ? Interval{low + 0.0, high + 0.0} : Interval{high + 0.0, low + 0.0};
  }
  return images;
}

template <Scalar T>
std::vector<std::int64_t> Bijector<T>::do_triangular_order() const {
  if (is_elementwise()) return {};
  throw NotImplemented(this->name() + "::triangular_order: its columns do not follow on each other in one order");
}

template <Scalar T>
double Bijector<T>::do_log_scale_bound() const {
  return std::numeric_limits<double>::infinity();
}

template <Scalar T>
Var<T> Bijector<T>::do_log_derivative(bool, Pass<T>&, Var<T>) const {
  throw NotImplemented(this->name() + ": event_ndims 0 needs an elementwise map");
}

template <Scalar T>
void Bijector<T>::map_into(bool forward, MatrixView<const T> in, MatrixView<T> out, VectorView<double> log_det,
                           MatrixView<const T> context, StatisticsChoice statistics, Run run, Engine* engine) const {
  const char* call = forward ? "forward" : "inverse";
  const Index cols = forward ? dim_ : base_dim_;
  check_columns(this->name(), call, in, forward ? base_dim_ : dim_);
  check_context(this->name(), call, context, in.rows(), context_dim_);
  if (out.rows() != in.rows() || out.cols() != cols)
    throw ShapeError(this->name() + "::" + call + ": expected an output of shape " + shape_text({in.rows(), cols}) +
                     ", got " + shape_text({out.rows(), out.cols()}));
  if (log_det.size() != in.rows())
    throw ShapeError(this->name() + "::" + call + ": expected " + std::to_string(in.rows()) +
                     " places for log_det, got " + std::to_string(log_det.size()));

  // Statistics go by path outside and by address inside.
  CapturedStatistics<T> captured, capture;
  Proposals<T> proposals;
  std::vector<ConstSlot<T>> slots;
  if (statistics.captured || statistics.capture) slots = list_state<T>(static_cast<const Component<T>&>(*this));
  if (statistics.captured)
    for (const auto& [path, moments] : statistics.captured->layers) {
      const auto slot = std::find_if(slots.begin(), slots.end(), [&](const auto& s) { return s.path == path; });
      if (slot == slots.end())
        throw ShapeError(this->name() + "::" + call + ": captured statistics name '" + path + "', which is not here");
      if (static_cast<Index>(moments.mean.size()) != slot->tensor->size() ||
          moments.variance.size() != moments.mean.size())
        throw ShapeError(this->name() + "::" + call + ": captured statistics of '" + path + "' have the wrong size");
      captured.layers.emplace_back(slot->tensor, moments);
    }

  const std::optional<RandomCall> noise = engine ? std::optional(engine->next_call()) : std::nullopt;
  // Minibatch statistics couple all rows, so they make one tile.
  const bool whole = statistics.use != Statistics::running;
  std::atomic<Index> first_outside{in.rows()};
  for_each_tile<T>(in.rows(), whole ? Run() : run, whole ? in.rows() : tile_rows,
                   [&](typename Tape<T>::Memory memory, Index begin, Index count) {
                     Tape<T> tape(Tape<T>::Mode::evaluate, memory, count);
                     typename Pass<T>::Settings settings;
                     settings.statistics = statistics.use;
                     settings.captured = statistics.captured ? &captured : nullptr;
                     settings.capture = statistics.capture ? &capture : nullptr;
                     settings.proposals = statistics.capture ? &proposals : nullptr;
                     settings.first_row = begin;
                     if (engine) settings.noise = &*noise;
                     const bool repeat = context.rows() == 1;
                     if (context_dim_ > 0)
                       settings.context =
                           load(tape, repeat ? context : context.middle_rows(begin, count), false, repeat);
                     Pass<T> pass(tape, settings);
                     const Var<T> x = load(tape, in.middle_rows(begin, count), false);
                     mark_non_finite(tape, x, pass.outside());
                     if (context_dim_ > 0) mark_non_finite(tape, settings.context, pass.outside());
                     if (whole)
                       for (Index i = 0; i < count; ++i)
                         if (pass.outside()[i])
                           throw DomainError(this->name() + "::" + call + ": row " + std::to_string(i) +
                                             " is not finite, so the batch has no statistics");
                     const Mapped<T> mapped = forward ? this->forward(pass, x) : this->inverse(pass, x);
                     store(tape, mapped.value, out.middle_rows(begin, count));
                     for (Index i = 0; i < count; ++i) {
                       const std::uint8_t mark = pass.outside()[i];
                       double value = mapped.log_det.is_zero() ? 0.0 : mapped.log_det.values()[i];
                       if (mark & row_nan) {
                         value = std::numeric_limits<double>::quiet_NaN();
                         for (Index c = 0; c < cols; ++c) out(begin + i, c) = std::numeric_limits<T>::quiet_NaN();
                       } else if (mark & row_outside) {
                         Index seen = first_outside.load();
                         while (begin + i < seen && !first_outside.compare_exchange_weak(seen, begin + i)) {
                         }
                       }
                       log_det[begin + i] = value;
                     }
                   });
  if (const Index i = first_outside; i < in.rows()) {
    std::vector<double> row;
    for (Index c = 0; c < in.cols(); ++c) row.push_back(static_cast<double>(in(i, c)));
    const std::string misfit = (forward ? domain() : codomain()).misfit(row, {}, surface_tolerance<T>);
    throw DomainError(this->name() + "::" + call + ": row " + std::to_string(i) + " lies outside the " +
                      (forward ? "domain" : "codomain") + " of the map" + (misfit.empty() ? "" : ": " + misfit));
  }
  if (!statistics.capture) return;
  for (const ConstSlot<T>& slot : slots) {
    for (const auto& [tensor, moments] : capture.layers)
      if (slot.tensor == tensor) statistics.capture->layers[slot.path] = moments;
    for (const auto& [tensor, value] : proposals.values)
      if (slot.tensor == tensor) statistics.capture->proposals[slot.path] = value;
  }
}

template <Scalar T>
void Bijector<T>::log_det_into(bool forward, MatrixView<const T> in, int event_ndims,
                               VectorView<double> log_det) const {
  const std::string where = this->name() + (forward ? "::forward_log_det_jacobian" : "::inverse_log_det_jacobian");
  const std::size_t rank = (forward ? base_event_shape_ : event_shape_).size();
  if (event_ndims != static_cast<int>(rank))
    throw ShapeError(where + ": a matrix holds one event per row, so event_ndims must be " + std::to_string(rank) +
                     ", got " + std::to_string(event_ndims) + "; the tensor overload reduces over other ranks");
  Matrix<T> out(in.rows(), forward ? dim_ : base_dim_);
  map_into(forward, in, out, log_det, {}, {}, {});
}

template <Scalar T>
Index Bijector<T>::event_count(bool forward, const TensorView<const T>& in, int event_ndims) const {
  const std::vector<Index>& shape = forward ? base_event_shape_ : event_shape_;
  const Index rank = in.rank(), own = static_cast<Index>(shape.size());
  const int least = forward ? forward_min_event_ndims() : inverse_min_event_ndims();
  if (event_ndims < least || event_ndims > rank)
    throw ShapeError(this->name() + "::log_det_jacobian: event_ndims must lie in [" + std::to_string(least) + ", " + std::to_string(rank) + "], got " +
                     std::to_string(event_ndims));
  bool fits = rank >= own;
  for (Index axis = 0; fits && axis < own; ++axis)
    fits = in.shape()[static_cast<std::size_t>(rank - own + axis)] == shape[static_cast<std::size_t>(axis)];
  if (!fits) throw ShapeError(this->name() + "::log_det_jacobian: the last axes must be the event shape");
  Index count = 1;
  for (Index axis = 0; axis < rank - event_ndims; ++axis) count *= in.shape()[static_cast<std::size_t>(axis)];
  return count;
}

template <Scalar T>
void Bijector<T>::log_det_into(bool forward, const TensorView<const T>& in, int event_ndims,
                               VectorView<double> log_det) const {
  const Index cols = forward ? base_dim_ : dim_;
  const Index rows = in.size() / cols;
  Matrix<T> flat(rows, cols);
  std::vector<Index> position(in.shape().size(), 0);
  for (Index i = 0; i < in.size(); ++i) {
    Index at = 0;
    for (std::size_t axis = 0; axis < position.size(); ++axis) at += position[axis] * in.strides()[axis];
    flat(i / cols, i % cols) = in.data()[at];
    for (std::size_t axis = position.size(); axis-- > 0;) {
      if (++position[axis] < in.shape()[axis]) break;
      position[axis] = 0;
    }
  }
  const auto event_rank = static_cast<int>((forward ? base_event_shape_ : event_shape_).size());
  if (event_ndims < event_rank) {
    check_context(this->name(), "log_det_jacobian", MatrixView<const T>(), rows, context_dim_);
    Index elements = 1;  // of one result
    for (std::size_t axis = in.shape().size() - static_cast<std::size_t>(event_ndims); axis < in.shape().size(); ++axis)
      elements *= in.shape()[axis];
    for (Index e = 0; e < log_det.size(); ++e) log_det[e] = 0;
    for_each_tile<T>(rows, {}, tile_rows, [&](typename Tape<T>::Memory memory, Index begin, Index count) {
      Tape<T> tape(Tape<T>::Mode::evaluate, memory, count);
      Pass<T> pass(tape, {});
      const Var<T> x = load(tape, MatrixView<const T>(flat).middle_rows(begin, count), false);
      const Var<T> log_derivative = do_log_derivative(forward, pass, x);
      for (Index i = 0; i < count; ++i)
        for (Index c = 0; c < cols; ++c)
          log_det[((begin + i) * cols + c) / elements] += !log_derivative ? 0.0
                                                          : log_derivative.is_shared()
                                                              ? static_cast<double>(log_derivative.values()[c])
                                                              : static_cast<double>(tape.value(log_derivative, c)[i]);
    });
    return;
  }
  Eigen::VectorXd per_row(rows);
  log_det_into(forward, MatrixView<const T>(flat), event_rank, per_row);
  const Index per_event = log_det.size() == 0 ? 0 : rows / log_det.size();
  for (Index e = 0; e < log_det.size(); ++e) log_det[e] = per_row.segment(e * per_event, per_event).sum();
}

std::vector<std::int64_t> common_order(const std::string& name, std::vector<std::int64_t> a,
                                       std::vector<std::int64_t> b) {
  if (a.empty() || a == b) return b;
  if (b.empty()) return a;
  throw NotImplemented(name + "::triangular_order: its parts have different orders of the columns");
}

Estimate common_estimate(const std::string& name, Estimate a, Estimate b) {
  if (a == Estimate::exact || a == b) return b;
  if (b == Estimate::exact) return a;
  throw NotImplemented(name + "::estimates: draws of densities and of log densities together have no unbiased mean");
}

template <Scalar T>
void commit(Component<T>& tree, const Proposals<T>& proposals) {
  commit_as("commit", tree, proposals);
}

template class Bijector<float>;
template class Bijector<double>;
template <Scalar T>
void commit(Component<T>& tree, const BatchStatistics& statistics) {
  const std::vector<ConstSlot<T>> slots = list_state(std::as_const(tree));
  Proposals<T> proposals;
  for (const auto& [path, value] : statistics.proposals) {
    const auto slot = std::find_if(slots.begin(), slots.end(), [&](const auto& s) { return s.path == path; });
    if (slot == slots.end()) throw Error("commit: the statistics propose values for '" + path + "', which is not here");
    proposals.add(*slot->tensor, value);
  }
  commit(tree, proposals);
}
template void commit(Component<float>&, const Proposals<float>&);
template void commit(Component<double>&, const Proposals<double>&);
template void commit(Component<float>&, const BatchStatistics&);
template void commit(Component<double>&, const BatchStatistics&);

}  // namespace pushforward
