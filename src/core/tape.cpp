#include <pushforward/tape.hpp>

#include <algorithm>
#include <deque>
#include <mutex>
#include <utility>

#include <pushforward/error.hpp>

namespace pushforward {

// ---------------------------------------------------------------------------------------------------------- Arena

struct Arena::State {
  struct Chunk {
    std::byte* data;
    std::size_t size;
  };
  std::mutex mutex;  // chunks may be asked for by several threads; a chunk never changes once made
  std::deque<Chunk> chunks;

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const Chunk& chunk : chunks) sum += chunk.size;
    return sum;
  }
};

Arena::Arena() : state_(std::make_unique<State>()) {}

Arena::~Arena() {
  for (State::Chunk& chunk : state_->chunks) ::operator delete(chunk.data, std::align_val_t{64});
}

void Arena::advance(Cursor& cursor, std::size_t bytes) {
  constexpr std::size_t first_chunk = std::size_t{1} << 16;
  constexpr std::size_t largest_growth = std::size_t{1} << 26;
  const std::lock_guard lock(state_->mutex);
  if (cursor.data) ++cursor.chunk;
  for (;; ++cursor.chunk) {
    if (cursor.chunk == state_->chunks.size()) {
      // By a quarter, so that no more than that is held for nothing.
      const std::size_t size = std::max({first_chunk, bytes, std::min(state_->bytes() / 4, largest_growth) / 64 * 64});
      state_->chunks.push_back({static_cast<std::byte*>(::operator new(size, std::align_val_t{64})), size});
    }
    const State::Chunk& chunk = state_->chunks[cursor.chunk];
    if (bytes > chunk.size) continue;
    cursor = {cursor.chunk, 0, chunk.data, chunk.size};
    return;
  }
}

std::size_t Arena::capacity() const {
  const std::lock_guard lock(state_->mutex);
  return state_->bytes();
}

// ------------------------------------------------------------------------------------------------------- Gradients

template <Scalar T>
Gradients<T>::Gradients(std::span<const Tensor<T>* const> parameters) {
  Index offset = 0;
  for (const Tensor<T>* parameter : parameters) {
    entries_.push_back({parameter, offset});
    offset += (parameter->size() + 15) / 16 * 16;
  }
  storage_ = Tensor<T>({offset});
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return std::less<>{}(a.parameter, b.parameter); });
}

template <Scalar T>
const T* Gradients<T>::find(const Tensor<T>* parameter) const {
  const auto entry = std::lower_bound(entries_.begin(), entries_.end(), parameter, [](const Entry& e, const auto* p) {
    return std::less<>{}(e.parameter, p);
  });
  if (entry == entries_.end() || entry->parameter != parameter) return nullptr;
  return storage_.data() + entry->offset;
}

template <Scalar T>
T* Gradients<T>::find(const Tensor<T>* parameter) {
  return const_cast<T*>(std::as_const(*this).find(parameter));
}

template <Scalar T>
void Gradients<T>::set_zero(int part, int parts) {
  const auto edge = [&](int p) { return storage_.data() + storage_.size() * p / parts; };
  std::fill(edge(part), edge(part + 1), T(0));
}

// ------------------------------------------------------------------------------------------------------------ Tape

namespace {

// A leading dimension that is a power of two would send all columns of a row block to the same cache sets.
Index padded_leading_dimension(Index rows) {
  const Index padded = (rows + 15) / 16 * 16;
  return padded <= 16 ? padded : (padded / 16 | 1) * 16;
}

}  // namespace

template <Scalar T>
Tape<T>::Tape(Mode mode, Memory memory, Index rows) : Tape(mode, memory, rows, 0, rows, nullptr, 0) {}

template <Scalar T>
Tape<T>::Tape(Mode mode, Memory memory, Index rows, Index begin, Index end, Group* group, int rank)
    : mode_(mode),
      batch_memory_(memory.batch),
      local_memory_(memory.local),
      packed_(memory.packed),
      rows_(rows),
      begin_(begin),
      end_(end),
      ld_(padded_leading_dimension(rows)),
      group_(group),
      rank_(rank) {
  if (rows < 0) throw ShapeError("Tape: the number of rows must be at least 0, got " + std::to_string(rows));
}

template <Scalar T>
detail::Node<T>* Tape<T>::new_node(Index cols, bool shared, bool wanted) {
  auto* node = new (scratch<detail::Node<T>>(1)) detail::Node<T>;
  node->tape = this;
  node->root = node;
  node->cols = cols;
  node->shared = shared;
  node->wanted = wanted && recording();
  return node;
}

template <Scalar T>
Var<T> Tape<T>::matrix(Index cols, bool wanted) {
  detail::Node<T>* node = new_node(cols, false, wanted);
  node->rows = rows_;
  node->ld = ld_;
  node->value = common<T>(cols * ld_);
  // Whether a gradient will arrive is not known yet, but all threads must agree on where it would lie.
  if (node->wanted) node->gradient = common<T>(cols * ld_);
  return Var<T>(node);
}

template <Scalar T>
Var<T> Tape<T>::shared(Index rows, Index cols, bool wanted) {
  detail::Node<T>* node = new_node(cols, true, wanted);
  node->rows = rows;
  node->ld = cols;
  const Index padded = (rows * cols + row_block - 1) / row_block * row_block;
  node->value = scratch<T>(padded);
  if (node->wanted) {
    node->gradient = common<T>(padded);
    if (rank_ == 0) std::fill_n(node->gradient, padded, T(0));
    node->touched = true;
  }
  return Var<T>(node);
}

template <Scalar T>
Var<T> Tape<T>::constant(const Tensor<T>& tensor) {
  detail::Node<T>* node = new_node(tensor.rank() == 0 ? 1 : tensor.shape().back(), true, false);
  node->ld = node->cols;
  node->rows = node->cols == 0 ? 0 : tensor.size() / node->cols;
  node->value = const_cast<T*>(tensor.data());  // operations never write to the value of an input
  return Var<T>(node);
}

template <Scalar T>
Var<T> Tape<T>::parameter(const Tensor<T>& tensor) {
  const Var<T> v = constant(tensor);
  if (asked_) asked_->push_back(&tensor);
  if (recording() && gradients_) v.node()->gradient = gradients_->find(&tensor);
  v.node()->wanted = v.node()->touched = v.node()->gradient != nullptr;
  return v;
}

template <Scalar T>
Var<T> Tape<T>::columns(Var<T> x, Index begin, Index count) {
  detail::Node<T>* node = new_node(count, false, x.node()->wanted);
  node->root = x.node()->root;
  node->rows = rows_;
  node->ld = x.node()->ld;
  node->value = x.node()->value + begin * node->ld;
  if (node->wanted) node->gradient = x.node()->gradient + begin * node->ld;
  return Var<T>(node);
}

template <Scalar T>
Column<T> Tape<T>::column(bool wanted) {
  auto* node = new (scratch<detail::ColumnNode<T>>(1)) detail::ColumnNode<T>;
  node->tape = this;
  node->wanted = wanted && recording();
  node->value = common<double>(ld_);
  if (node->wanted) node->gradient = common<double>(ld_);
  return Column<T>(node);
}

template <Scalar T>
void Tape<T>::touch(detail::Node<T>& root) {
  root.touched = true;
  for (Index col = 0; col < root.cols; ++col) std::fill_n(root.gradient + col * root.ld + begin_, padded_rows(), T(0));
}

template <Scalar T>
void Tape<T>::touch(detail::ColumnNode<T>& node) {
  node.touched = true;
  std::fill_n(node.gradient + begin_, padded_rows(), 0.0);
}

template <Scalar T>
void Tape<T>::backward(Column<T> loss, const double* seed) {
  if (!loss.is_zero() && loss.node()->wanted) {
    double* gradient = this->gradient(loss);
    for (Index i = 0; i < local_rows(); ++i) gradient[i] += seed[begin_ + i];
  }
  backward();
}

template <Scalar T>
void Tape<T>::backward() {
  for (Record* r = lists_.row_work; r; r = r->previous) r->call(r->function, 0, 0);
  barrier();
  // Two ways to divide a target's outputs must not be at work at the same time.
  for (Record* list : {lists_.costly_reductions, lists_.reductions}) {
    for (Record* r = list; r; r = r->previous)
      for_owned_outputs(
          r->begin, r->end, r->total, [r](Index begin, Index end) { r->call(r->function, begin, end); }, r->cost);
    barrier();
  }
  if (rank_ == 0)
    for (Record* r = lists_.shared_work; r; r = r->previous) r->call(r->function, 0, 0);
  barrier();
}

template <Scalar T>
void Tape<T>::release(const Mark& mark, Var<T>& x, Column<T>& c) {
  const detail::Node<T> old = *x.node();
  if (old.shared || group_size() > 1 || trace_) return;
  // The kept values may lie anywhere above the mark and in any order, so they first go to the top of the arena; from
  // there they move down in the order in which they lie, and nothing is overwritten before it has been read.
  const auto matrix_bytes = static_cast<std::size_t>(old.cols * ld_) * sizeof(T);
  const auto column_bytes = static_cast<std::size_t>(ld_) * sizeof(double);
  T* kept = common<T>(old.cols * ld_);
  std::memcpy(kept, old.value, matrix_bytes);
  double* kept_column = nullptr;
  if (!c.is_zero()) {
    kept_column = common<double>(ld_);
    std::memcpy(kept_column, c.node()->value, column_bytes);
  }
  batch_ = mark.batch;
  local_ = mark.local;
  workspace_size_ = 0;  // it may lie above the mark
  x = matrix(old.cols, false);
  std::memmove(x.node()->value, kept, matrix_bytes);
  if (kept_column) {
    c = column(false);
    std::memmove(c.node()->value, kept_column, column_bytes);
  }
}

template <Scalar T>
Tape<T>::Scope::Scope(Tape& tape, Mode mode)
    : tape_(tape),
      mode_(std::exchange(tape.mode_, mode)),
      mark_(tape.mark()),
      workspace_(tape.workspace_),
      workspace_size_(tape.workspace_size_),
      lists_(std::exchange(tape.lists_, Lists())) {}

template <Scalar T>
Tape<T>::Scope::~Scope() {
  tape_.mode_ = mode_;
  tape_.lists_ = lists_;
  if (tape_.trace_) return;
  tape_.batch_ = mark_.batch;
  tape_.local_ = mark_.local;
  tape_.workspace_ = workspace_;
  tape_.workspace_size_ = workspace_size_;
  tape_.freed_ = tape_.group_size() > 1;
}

template class Gradients<float>;
template class Gradients<double>;
template class Tape<float>;
template class Tape<double>;

}  // namespace pushforward
