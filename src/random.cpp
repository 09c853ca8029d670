#include <pushforward/random.hpp>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

#include <pushforward/error.hpp>

#include "random_transforms.hpp"

namespace pushforward {

using namespace draws;

namespace {

// ------------------------------------------------------------------------------------------------------- generator

enum Kind : std::uint32_t { uniform_words = 0, normal_words = 2, row_words = 4, name_key = 5, call_key = 6 };
constexpr std::uint32_t low_words = 1;  // added to a kind: the words that only double needs
constexpr int block_bits = 29;
constexpr Index max_rows = Index{1} << 40;
constexpr Index max_columns = Index{1} << 31;
constexpr Index max_slots = Index{1} << 24;

constexpr std::uint32_t block_word(std::uint32_t kind, std::uint32_t block) { return kind << block_bits | block; }
constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
constexpr std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

struct Block {
  std::uint32_t x0, x1, x2, x3;
};

// Ten rounds, written so that a loop over lanes around it has no inner loop.
inline Block philox(Block x, std::uint32_t k0, std::uint32_t k1) {
  const auto round = [k0, k1](Block c, std::uint32_t i) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c.x0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c.x2;
    return Block{high(p1) ^ c.x1 ^ (k0 + i * 0x9E3779B9u), low(p1), high(p0) ^ c.x3 ^ (k1 + i * 0xBB67AE85u), low(p0)};
  };
  x = round(x, 0);
  x = round(x, 1);
  x = round(x, 2);
  x = round(x, 3);
  x = round(x, 4);
  x = round(x, 5);
  x = round(x, 6);
  x = round(x, 7);
  x = round(x, 8);
  return round(x, 9);
}

std::uint64_t derived_key(std::uint64_t key, Kind kind, std::uint64_t value) {
  const Block x = philox({block_word(kind, 0), low(value), high(value), 0}, low(key), high(key));
  return std::uint64_t{x.x1} << 32 | x.x0;
}

void check(const char* where, const char* what, Index first, Index count, Index limit) {
  if (first < 0 || count < 0 || first > limit || count > limit - first)
    throw DomainError(std::string("RandomCall::") + where + ": expected " + what + " in [0, " + std::to_string(limit) +
                      "), got " + std::to_string(count) + " from " + std::to_string(first));
}

// ----------------------------------------------------------------------------------------------------------- loops

constexpr int lanes = 16;  // rows at a time, of four columns
template <class T>
using Group = T[4][lanes];

void generate(std::uint64_t key, std::uint32_t call, std::uint32_t block, std::uint64_t row,
              Group<std::uint32_t>& out) {
  const std::uint32_t k0 = low(key), k1 = high(key);
  for (int l = 0; l < lanes; ++l) {
    const std::uint64_t r = row + static_cast<std::uint64_t>(l);
    const Block x = philox({block, low(r), high(r), call}, k0, k1);
    out[0][l] = x.x0;
    out[1][l] = x.x1;
    out[2][l] = x.x2;
    out[3][l] = x.x3;
  }
}

void words(std::uint64_t key, std::uint32_t call, Kind kind, std::uint32_t block, std::uint64_t row,
           Group<std::uint32_t>& k) {
  generate(key, call, block_word(kind, block), row, k);
}

void words(std::uint64_t key, std::uint32_t call, Kind kind, std::uint32_t block, std::uint64_t row,
           Group<std::uint64_t>& k) {
  alignas(64) Group<std::uint32_t> upper, lower;
  generate(key, call, block_word(kind, block), row, upper);
  generate(key, call, block_word(kind + low_words, block), row, lower);
  for (int w = 0; w < 4; ++w)
    for (int l = 0; l < lanes; ++l) k[w][l] = std::uint64_t{upper[w][l]} << 20 | lower[w][l] >> 12;
}

// transform(k, begin, end, values) computes columns [begin, end) of a group.
template <class T, class Transform>
void fill(const char* where, std::uint64_t key, std::uint32_t call, Kind kind, Index first_row, Index rows, Index cols,
          T* out, Index ld, Index first_column, Transform transform) {
  check(where, "rows", first_row, rows, max_rows);
  check(where, "columns", first_column, cols, max_columns);
  if (rows == 0 || cols == 0) return;
  if (ld < rows && cols > 1)
    throw ShapeError(std::string("RandomCall::") + where + ": expected a leading dimension of at least " +
                     std::to_string(rows) + ", got " + std::to_string(ld));
  const Index end_column = first_column + cols;
  alignas(64) Group<typename Real<T>::Word> k;
  alignas(64) Group<T> values;
  for (Index group = first_column / 4 * 4; group < end_column; group += 4) {
    const int begin = static_cast<int>(std::max(first_column - group, Index{0}));
    const int end = static_cast<int>(std::min(end_column - group, Index{4}));
    for (Index i = 0; i < rows; i += lanes) {
      words(key, call, kind, static_cast<std::uint32_t>(group / 4), static_cast<std::uint64_t>(first_row + i), k);
      transform(k, begin, end, values);
      const auto bytes = static_cast<std::size_t>(std::min(rows - i, Index{lanes})) * sizeof(T);
      for (int c = begin; c < end; ++c) {
        T* const to = out + (group + c - first_column) * ld + i;
        if (bytes == sizeof(T) * lanes)
          std::memcpy(to, values[c], sizeof(T) * lanes);
        else
          std::memcpy(to, values[c], bytes);
      }
    }
  }
}

// A transform of each word on its own.
template <class T, T (*function)(typename Real<T>::Word)>
struct Each {
  void operator()(const Group<typename Real<T>::Word>& k, int begin, int end, Group<T>& values) const {
    for (int c = begin; c < end; ++c)
      for (int l = 0; l < lanes; ++l) values[c][l] = function(k[c][l]);
  }
};

// Columns 0 and 1 from the first two words, 2 and 3 from the others.
template <class T>
struct Normals {
  void operator()(const Group<typename Real<T>::Word>& k, int begin, int end, Group<T>& values) const {
    for (int c = begin / 2 * 2; c < end; c += 2)
      for (int l = 0; l < lanes; ++l) to_normal(k[c][l], k[c + 1][l], values[c][l], values[c + 1][l]);
  }
};

}  // namespace

// ---------------------------------------------------------------------------------------------------------- public

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  const Block x = philox({counter[0], counter[1], counter[2], counter[3]}, key[0], key[1]);
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
  fill("uniform", key_, call_, uniform_words, first_row, rows, cols, out, ld, first_column, Each<T, to_uniform<T>>());
}
template <Scalar T>
void RandomCall::normal(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column) const {
  fill("normal", key_, call_, normal_words, first_row, rows, cols, out, ld, first_column, Normals<T>());
}
template <Scalar T>
void RandomCall::logistic(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column) const {
  fill("logistic", key_, call_, uniform_words, first_row, rows, cols, out, ld, first_column, Each<T, to_logistic<T>>());
}
template <Scalar T>
void RandomCall::laplace(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column) const {
  fill("laplace", key_, call_, uniform_words, first_row, rows, cols, out, ld, first_column, Each<T, to_laplace<T>>());
}
template <Scalar T>
void RandomCall::cauchy(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column) const {
  fill("cauchy", key_, call_, uniform_words, first_row, rows, cols, out, ld, first_column, Each<T, to_cauchy<T>>());
}
template <Scalar T>
void RandomCall::exponential(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column) const {
  fill("exponential", key_, call_, uniform_words, first_row, rows, cols, out, ld, first_column,
       Each<T, to_exponential<T>>());
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
  const Block x = philox({block_word(uniform_words, static_cast<std::uint32_t>(column / 4)), low(r), high(r), call_},
                         low(key_), high(key_));
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
