#include <algorithm>
#include <numeric>
#include <pushforward/error.hpp>
#include <pushforward/random.hpp>
#include <string>
#include <utility>

#include "src/kernels/kernels.hpp"
#include "src/kernels/philox.hpp"

namespace pushforward {

using kernels::Draw;
using kernels::RandomSource;
using kernels::RandomWord;

namespace {

// ------------------------------------------------------------------------------------------------------- generator

enum Kind : std::uint32_t { uniform_words = 0, normal_words = 2, row_words = 4, name_key = 5, call_key = 6 };
constexpr int block_bits = 29;
static_assert(RandomSource::low_words == std::uint32_t{1} << block_bits);  // the next kind
constexpr Index max_rows = Index{1} << 40;
constexpr Index max_columns = Index{1} << 31;
constexpr Index max_slots = Index{1} << 24;

constexpr std::uint32_t block_word(std::uint32_t kind, std::uint32_t block) { return kind << block_bits | block; }
constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
constexpr std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

std::uint64_t derived_key(std::uint64_t key, Kind kind, std::uint64_t value) {
  const kernels::PhiloxBlock x = kernels::philox({block_word(kind, 0), low(value), high(value), 0}, key);
  return std::uint64_t{x.x1} << 32 | x.x0;
}

void check(const char* where, const char* what, Index first, Index count, Index limit) {
  if (first < 0 || count < 0 || first > limit || count > limit - first)
    throw DomainError(std::string("RandomCall::") + where + ": expected " + what + " in [0, " + std::to_string(limit) +
                      "), got " + std::to_string(count) + " from " + std::to_string(first));
}

// ----------------------------------------------------------------------------------------------------------- loops

constexpr Index chunk = 128;  // rows at a time, of four columns

// transform(words, n, begin, end, to) computes columns [begin, end) of a group; of others what it likes.
template <class T, class Transform>
void fill(const char* where, const RandomSource& source, Kind kind, Index first_row, Index rows, Index cols, T* out,
          Index ld, Index first_column, Transform transform) {
  check(where, "rows", first_row, rows, max_rows);
  check(where, "columns", first_column, cols, max_columns);
  if (rows == 0 || cols == 0) return;
  if (ld < rows && cols > 1)
    throw ShapeError(std::string("RandomCall::") + where + ": expected a leading dimension of at least " +
                     std::to_string(rows) + ", got " + std::to_string(ld));
  const Index end_column = first_column + cols;
  alignas(64) RandomWord<T> words[4 * chunk];
  alignas(64) T spare[4][chunk];
  for (Index group = first_column / 4 * 4; group < end_column; group += 4) {
    const Index begin = std::max(first_column - group, Index{0}), end = std::min(end_column - group, Index{4});
    for (Index i = 0; i < rows; i += chunk) {
      const Index count = std::min(rows - i, chunk);
      const Index n = (count + kernels::row_block - 1) / kernels::row_block * kernels::row_block;
      kernels::table<T>().random_words(source, block_word(kind, static_cast<std::uint32_t>(group / 4)),
                                       static_cast<std::uint64_t>(first_row + i), n, words);
      T* to[4];
      const auto column = [&](Index c) { return out + (group + c - first_column) * ld + i; };
      for (Index c = 0; c < 4; ++c) to[c] = c >= begin && c < end && n == count ? column(c) : spare[c];
      transform(words, n, begin, end, to);
      if (n != count)
        for (Index c = begin; c < end; ++c) std::copy_n(spare[c], count, column(c));
    }
  }
}

template <Scalar T>
auto each(Draw draw) {
  return [draw](const RandomWord<T>* words, Index n, Index begin, Index end, T* const* to) {
    for (Index c = begin; c < end; ++c) kernels::table<T>().draw(draw, words + c * n, to[c], n);
  };
}

}  // namespace

// ---------------------------------------------------------------------------------------------------------- public

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  const kernels::PhiloxBlock x =
      kernels::philox({counter[0], counter[1], counter[2], counter[3]}, std::uint64_t{key[1]} << 32 | key[0]);
  return {x.x0, x.x1, x.x2, x.x3};
}

RandomCall Engine::next_call() {
  const std::uint64_t call = call_++;
  const std::uint64_t era = high(call);
  return RandomCall(era == 0 ? seed_ : derived_key(seed_, call_key, era), low(call));
}

Engine Engine::stream(std::string_view name) const {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return Engine(derived_key(seed_, name_key, hash));
}

template <Scalar T>
void RandomCall::uniform(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column) const {
  fill("uniform", {key_, call_}, uniform_words, first_row, rows, cols, out, ld, first_column, each<T>(Draw::uniform));
}
template <Scalar T>
void RandomCall::normal(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column) const {
  // Columns 0 and 1 from the first two words, 2 and 3 from the others.
  fill("normal", {key_, call_}, normal_words, first_row, rows, cols, out, ld, first_column,
       [](const RandomWord<T>* words, Index n, Index begin, Index end, T* const* to) {
         for (Index c = begin / 2 * 2; c < end; c += 2)
           kernels::table<T>().normal_draws(words + c * n, words + (c + 1) * n, to[c], to[c + 1], n);
       });
}
template <Scalar T>
void RandomCall::logistic(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column) const {
  fill("logistic", {key_, call_}, uniform_words, first_row, rows, cols, out, ld, first_column, each<T>(Draw::logistic));
}
template <Scalar T>
void RandomCall::laplace(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column) const {
  fill("laplace", {key_, call_}, uniform_words, first_row, rows, cols, out, ld, first_column, each<T>(Draw::laplace));
}
template <Scalar T>
void RandomCall::cauchy(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column) const {
  fill("cauchy", {key_, call_}, uniform_words, first_row, rows, cols, out, ld, first_column, each<T>(Draw::cauchy));
}
template <Scalar T>
void RandomCall::exponential(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column) const {
  fill("exponential", {key_, call_}, uniform_words, first_row, rows, cols, out, ld, first_column,
       each<T>(Draw::exponential));
}

#define PUSHFORWARD_FILL(name)                                                     \
  template void RandomCall::name(Index, Index, Index, float*, Index, Index) const; \
  template void RandomCall::name(Index, Index, Index, double*, Index, Index) const;
PUSHFORWARD_FILL(uniform)
PUSHFORWARD_FILL(normal)
PUSHFORWARD_FILL(logistic)
PUSHFORWARD_FILL(laplace)
PUSHFORWARD_FILL(cauchy)
PUSHFORWARD_FILL(exponential)
#undef PUSHFORWARD_FILL

std::uint32_t RandomCall::bits(Index row, Index column) const {
  check("bits", "a row", row, 1, max_rows);
  check("bits", "a column", column, 1, max_columns);
  const auto r = static_cast<std::uint64_t>(row);
  const kernels::PhiloxBlock x = kernels::philox(
      {block_word(uniform_words, static_cast<std::uint32_t>(column / 4)), low(r), high(r), call_}, key_);
  const std::uint32_t word[4] = {x.x0, x.x1, x.x2, x.x3};
  return word[column % 4];
}

RowStream RandomCall::row(Index row, Index slot) const {
  check("row", "a row", row, 1, max_rows);
  check("row", "a slot", slot, 1, max_slots);
  const auto r = static_cast<std::uint64_t>(row);
  return RowStream(key_, {block_word(row_words, 0), low(r), high(r) | static_cast<std::uint32_t>(slot) << 8, call_});
}

void RowStream::refill() {
  const std::uint64_t block = position_ / 4;
  if (block >> block_bits != 0) throw DomainError("RowStream: more than 2^31 numbers drawn; take another slot or call");
  std::array<std::uint32_t, 4> counter = counter_;
  counter[0] |= low(block);
  words_ = philox4x32(counter, {low(key_), high(key_)});
}

void RowStream::discard(std::uint64_t count) {
  constexpr std::uint64_t end = std::uint64_t{4} << block_bits;
  position_ = std::min(count, end - position_) + position_;
  if (position_ % 4 != 0) refill();
}

void permutation(const RandomCall& call, std::span<std::int64_t> out) {
  if (out.size() > std::size_t{1} << 30)
    throw DomainError("permutation: expected at most 2^30 numbers, got " + std::to_string(out.size()));
  std::iota(out.begin(), out.end(), std::int64_t{0});
  RowStream stream = call.row(0);
  for (std::size_t n = out.size(); n > 1; --n) {
    const auto bound = static_cast<std::uint32_t>(n);
    std::uint64_t product = std::uint64_t{stream()} * bound;
    if (low(product) < bound) {
      const std::uint32_t threshold = (0u - bound) % bound;
      while (low(product) < threshold) product = std::uint64_t{stream()} * bound;
    }
    std::swap(out[n - 1], out[high(product)]);
  }
}

}  // namespace pushforward
