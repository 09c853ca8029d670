#pragma once

#include <algorithm>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

#include <pushforward/arena.hpp>
#include <pushforward/tensor.hpp>
#include <pushforward/trace.hpp>
#include <pushforward/views.hpp>

namespace pushforward {

template <Scalar T>
class Tape;
template <Scalar T>
class PackedWeights;

/// The threads that work on one batch together, each on its own range of rows.
class Group {
 public:
  virtual ~Group() = default;
  virtual int size() const = 0;
  /// Waits until all members have arrived; throws Error in every member if one of them failed.
  virtual void barrier() = 0;
};

namespace detail {

/// A matrix on a tape. Of a batch: `cols` columns of all rows of the batch, column-major with leading dimension `ld`.
/// Shared (parameters and what is computed from them alone): `rows` x `cols`, row-major, the same for the whole batch.
template <class T>
struct Node {
  Tape<T>* tape = nullptr;
  T* value = nullptr;
  T* gradient = nullptr;
  Node* root = nullptr;  ///< a block of columns of `root`, sharing its storage; else itself
  Index rows = 0;
  Index cols = 0;
  Index ld = 0;
  bool shared = false;
  bool wanted = false;   ///< a gradient is to flow here
  bool touched = false;  ///< `gradient` holds something (only kept in the root)
};

/// One double per row of the batch.
template <class T>
struct ColumnNode {
  Tape<T>* tape = nullptr;
  double* value = nullptr;
  double* gradient = nullptr;
  bool wanted = false;
  bool touched = false;
};

}  // namespace detail

/// Handle to a matrix on a tape: (rows of the batch, cols()), or shared by all rows. Cheap to copy; valid as long as
/// the tape is neither reset nor released below it. Differentiable operations on it: `ops.hpp`.
template <Scalar T>
class Var {
 public:
  Var() = default;
  explicit Var(detail::Node<T>* node) : node_(node) {}

  Index cols() const { return node_->cols; }
  bool is_shared() const { return node_->shared; }
  bool wants_gradient() const { return node_->wanted; }
  Tape<T>& tape() const { return *node_->tape; }
  explicit operator bool() const { return node_ != nullptr; }

  /// Values of column `col` for the rows of this thread (of a shared matrix: all its values, row-major).
  const T* values(Index col = 0) const;

  detail::Node<T>* node() const { return node_; }

 private:
  detail::Node<T>* node_ = nullptr;
};

/// Handle to one double per row of the batch: log_det, log_prob, losses. A default-made Column is zero in every row.
template <Scalar T>
class Column {
 public:
  Column() = default;
  explicit Column(detail::ColumnNode<T>* node) : node_(node) {}
  bool is_zero() const { return node_ == nullptr; }
  const double* values() const;  ///< for the rows of this thread; not for a zero column
  detail::ColumnNode<T>* node() const { return node_; }

 private:
  detail::ColumnNode<T>* node_ = nullptr;
};

/// Where the gradients of chosen parameters are gathered: one contiguous block, a padded range for each tensor.
template <Scalar T>
class Gradients {
 public:
  Gradients() = default;
  explicit Gradients(std::span<const Tensor<T>* const> parameters);

  /// Gradient of `parameter` in the layout of its values, or null if it is not one of the chosen.
  T* find(const Tensor<T>* parameter);
  const T* find(const Tensor<T>* parameter) const;
  /// All values, padding included (the padding is zero).
  std::span<T> values() { return storage_.values(); }
  /// Part `part` of `parts`, of about equal size.
  void set_zero(int part = 0, int parts = 1);

 private:
  struct Entry {
    const Tensor<T>* parameter;
    Index offset;
  };
  std::vector<Entry> entries_;  // sorted by address
  Tensor<T> storage_;
};

/// Reverse-mode tape of whole matrices, local to its owner, first order.
///
/// Of a batch of `rows()` rows this tape works on the range [begin(), end()); the other threads of the group have the
/// other ranges and run the same operations in the same order. `backward` then runs three lists, each in reverse order
/// of recording: (1) row work, every thread on its rows; (2) sums over all rows into parameter gradients, each
/// block of outputs by one thread, in row order: so the bits do not depend on the number of threads; (3) what lies
/// between parameters and shared matrices, by the first thread.
template <Scalar T>
class Tape {
  struct Record {
    Record* previous;
    void (*call)(const void* function, Index begin, Index end);
    const void* function;
    Index begin;
    Index end;
    Index total;
    const Index* cost;
  };
  /// What is to be run backward, each the latest of its kind.
  struct Lists {
    Record* row_work = nullptr;
    Record* costly_reductions = nullptr;
    Record* reductions = nullptr;
    Record* shared_work = nullptr;
  };

 public:
  enum class Mode { evaluate, record };

  /// Memory that outlives tapes: `batch` is shared by the group, `local` belongs to one thread.
  struct Memory {
    Arena& batch;
    Arena& local;
    const PackedWeights<T>* packed = nullptr;  ///< for evaluation: of the parameters that will be asked for
  };

  /// Every range starts at a multiple of this many rows; columns are padded to whole blocks.
  static constexpr Index row_block = 16;

  Tape(Mode mode, Memory memory, Index rows);
  Tape(Mode mode, Memory memory, Index rows, Index begin, Index end, Group* group, int rank);
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  bool recording() const { return mode_ == Mode::record; }
  Index rows() const { return rows_; }
  Index begin() const { return begin_; }
  Index end() const { return end_; }
  Index local_rows() const { return end_ - begin_; }
  /// Local rows rounded up to whole blocks: what elementwise kernels run over.
  Index padded_rows() const { return (end_ - begin_ + row_block - 1) / row_block * row_block; }
  Index leading_dimension() const { return ld_; }
  int group_size() const { return group_ ? group_->size() : 1; }
  int rank() const { return rank_; }
  const PackedWeights<T>* packed() const { return packed_; }
  void barrier() {
    if (group_) group_->barrier();
  }
  /// Calls f(first, last) for the part of the outputs [begin, end) that this thread owns, of a target with `total`
  /// outputs: one contiguous range for each thread, even in number or, with `cost`, even in work: cost[o] is the work
  /// of all outputs before o. Ownership depends on total, cost and the number of threads alone.
  template <class F>
  void for_owned_outputs(Index begin, Index end, Index total, F&& f, const Index* cost = nullptr) const {
    const auto edge = [&](Index rank) -> Index {
      if (!cost || rank == 0 || rank == group_size()) return total * rank / group_size();
      return std::lower_bound(cost, cost + total, cost[total - 1] * rank / group_size()) - cost;
    };
    const Index first = std::max(begin, edge(rank_)), last = std::min(end, edge(rank_ + 1));
    if (first < last) f(first, last);
  }

  // ---- matrices
  /// A batch matrix without values yet.
  Var<T> matrix(Index cols, bool wanted);
  /// A shared matrix without values yet; its gradient, if wanted, starts at zero.
  Var<T> shared(Index rows, Index cols, bool wanted);
  /// `tensor` itself as a shared matrix (rank 1: one row); its gradient goes to `gradients` if it is listed there.
  Var<T> parameter(const Tensor<T>& tensor);
  /// The same for what is computed from constants alone: never with a gradient.
  Var<T> constant(const Tensor<T>& tensor);
  /// Columns [begin, begin + count) of a batch matrix, no copy.
  Var<T> columns(Var<T> x, Index begin, Index count);
  Column<T> column(bool wanted);
  /// Local scratch, 64-byte aligned.
  template <class V>
  V* scratch(Index count) {
    static_assert(std::is_trivially_destructible_v<V>);
    return static_cast<V*>(local_memory_.allocate(local_, static_cast<std::size_t>(count) * sizeof(V)));
  }
  /// Local scratch for the time of one kernel: the next to ask gets the same memory, still in the cache.
  void* workspace(std::size_t bytes) {
    if (bytes > workspace_size_) {
      workspace_ = local_memory_.allocate(local_, bytes);
      workspace_size_ = bytes;
    }
    return workspace_;
  }
  /// Memory at the same address in all threads of the group.
  template <class V>
  V* common(Index count) {
    static_assert(std::is_trivially_destructible_v<V>);
    if (freed_) wait_for_readers();
    return static_cast<V*>(batch_memory_.allocate(batch_, static_cast<std::size_t>(count) * sizeof(V)));
  }

  // ---- addresses for kernels: this thread's rows. A trace does not learn what is done with them.
  T* value(Var<T> x, Index col) const {
    if (trace_) [[unlikely]] trace_->exposed();
    return x.node()->value + col * x.node()->ld + begin_;
  }
  double* value(Column<T> c) const {
    if (trace_) [[unlikely]] trace_->exposed();
    return c.node()->value + begin_;
  }
  /// Gradient of this thread's rows, set to zero at the first touch; accumulate into it.
  T* gradient(Var<T> x, Index col) {
    detail::Node<T>& root = *x.node()->root;
    if (!root.touched) touch(root);
    return x.node()->gradient + col * x.node()->ld + begin_;
  }
  double* gradient(Column<T> c) {
    if (!c.node()->touched) touch(*c.node());
    return c.node()->gradient + begin_;
  }
  static bool has_gradient(Var<T> x) { return x.node()->wanted && x.node()->root->touched; }
  static bool has_gradient(Column<T> c) { return c.node()->wanted && c.node()->touched; }

  // ---- recording: F is stored in the arena, so it holds handles and pointers only; nothing is kept while evaluating
  template <class F>
  void on_backward(F f) {
    if (!recording()) return;
    lists_.row_work = push(lists_.row_work, 0, 0, [f](Index, Index) { f(); });
  }
  /// `f(first, last)` is called for the part of [begin, end) that this thread owns, when all rows are done. All
  /// reductions into one gradient must number its outputs in the same way, `total` of them. Those with a `cost` (an
  /// array that outlives the tape's rows, the same for each use of a target) run first, then all others.
  template <class F>
  void on_reduce(Index begin, Index end, Index total, F f, const Index* cost = nullptr) {
    if (!recording()) return;
    Record*& list = cost ? lists_.costly_reductions : lists_.reductions;
    list = push(list, begin, end, f);
    list->total = total;
    list->cost = cost;
  }
  template <class F>
  void on_shared(F f) {
    if (!recording()) return;
    lists_.shared_work = push(lists_.shared_work, 0, 0, [f](Index, Index) { f(); });
  }

  /// Where parameter gradients go; without it parameters want none.
  void set_gradients(Gradients<T>* gradients) { gradients_ = gradients; }

  /// Where each tensor that `parameter` is asked for is noted, for checks of a tree; null: nowhere.
  void set_asked(std::vector<const Tensor<T>*>* asked) { asked_ = asked; }

  /// Where operations note what they do; null: nowhere. For one thread and without recording.
  void set_trace(Trace* trace) { trace_ = trace; }
  Trace* trace() const { return trace_; }

  /// Starts from d loss / d loss_i = seed[i] (rows of this thread start at seed[begin()]).
  void backward(Column<T> loss, const double* seed);
  /// Runs what is recorded, from the gradients that its results have already.
  void backward();

  // ---- memory reuse
  struct Mark {
    Arena::Cursor batch;
    Arena::Cursor local;
  };
  Mark mark() const { return {batch_, local_}; }
  /// Frees everything made since `mark` but the values of `x` and `c`, which move down. Only while evaluating; with
  /// several threads nothing is freed, since they share the columns that would move, and with a trace neither.
  void release(const Mark& mark, Var<T>& x, Column<T>& c);

  /// A stretch of work on this tape in a mode of its own, whose memory is freed when it ends. What was made before may
  /// be read in it, and matrices made before it may be filled in it; nothing that is made in it outlives it.
  ///
  ///     const Var<T> kept = tape.matrix(x.cols(), false);
  ///     {
  ///       const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);  // not recorded, whatever the tape does
  ///       assign(kept, exp(x) - x);
  ///     }
  ///
  /// A recording scope inside a backward pass has lists of its own, which `backward()` runs before it ends. All threads
  /// of a group make and end their scopes in the same order.
  class Scope {
   public:
    Scope(Tape& tape, Mode mode);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Tape& tape_;
    Mode mode_;
    Mark mark_;
    void* workspace_;
    std::size_t workspace_size_;
    Lists lists_;
  };

 private:
  template <class F>
  Record* push(Record* previous, Index begin, Index end, F f) {
    static_assert(std::is_trivially_destructible_v<F>, "capture handles, pointers and numbers only");
    auto* stored = new (scratch<std::byte>(sizeof(F))) F(f);
    return new (scratch<Record>(1)) Record{
        previous, [](const void* g, Index b, Index e) { (*static_cast<const F*>(g))(b, e); }, stored, begin, end, 0, nullptr};
  }
  void touch(detail::Node<T>& root);
  void touch(detail::ColumnNode<T>& node);
  /// Other threads may still read what this one has freed and would write over.
  void wait_for_readers() {
    freed_ = false;
    barrier();
  }
  detail::Node<T>* new_node(Index cols, bool shared, bool wanted);

  Mode mode_;
  Arena& batch_memory_;
  Arena& local_memory_;
  const PackedWeights<T>* packed_;
  Arena::Cursor batch_;
  Arena::Cursor local_;
  void* workspace_ = nullptr;
  std::size_t workspace_size_ = 0;
  Index rows_;
  Index begin_;
  Index end_;
  Index ld_;
  Group* group_;
  int rank_;
  Gradients<T>* gradients_ = nullptr;
  std::vector<const Tensor<T>*>* asked_ = nullptr;
  Trace* trace_ = nullptr;
  Lists lists_;
  bool freed_ = false;
};

template <Scalar T>
const T* Var<T>::values(Index col) const {
  return node_->shared ? node_->value : node_->tape->value(*this, col);
}
template <Scalar T>
const double* Column<T>::values() const {
  return node_->tape->value(*this);
}

extern template class Gradients<float>;
extern template class Gradients<double>;
extern template class Tape<float>;
extern template class Tape<double>;

}  // namespace pushforward
