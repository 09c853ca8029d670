#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <pushforward/views.hpp>

namespace pushforward {

class RandomCall;
class RowStream;

/// The block cipher under all random numbers here: Philox 4x32 with 10 rounds, a bijection of 128-bit counters for
/// each 64-bit key. J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel random numbers: as easy as 1, 2, 3
/// (SC 2011). Same numbers as the Random123 library.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// Where random numbers come from. The whole state is the pair (seed, call): write both down to continue later from
/// the same point.
///
/// Every operation that draws takes one call with next_call(); all its numbers are pure functions of the seed, the
/// number of the call, the row and the column. So a sample does not depend on the number of threads, on how rows are
/// split, or on how many rows are drawn besides. An engine is for one thread at a time; the calls that it hands out
/// are values, for any number of threads.
class Engine {
 public:
  /// Starts at the given call, 0 for a new sequence.
  explicit Engine(std::uint64_t seed, std::uint64_t call = 0) : seed_(seed), call_(call) {}

  std::uint64_t seed() const { return seed_; }
  /// Number of the call that comes next: how many were handed out since call 0.
  std::uint64_t call() const { return call_; }

  /// The random numbers of one call; the engine moves on to the next.
  RandomCall next_call();

  /// An engine at call 0 whose seed is made from this one's seed and the name; this engine's call has no part in it,
  /// and this engine does not change. Streams of different names, and their parent, are independent.
  Engine stream(std::string_view name) const;

  bool operator==(const Engine&) const = default;

 private:
  std::uint64_t seed_;
  std::uint64_t call_;
};

/// The random numbers of one call of an Engine: an immutable value, cheap to copy, safe to share between threads.
///
/// Rows are 0 to 2^40 - 1, columns 0 to 2^31 - 1. The fill functions write the draws of rows
/// [first_row, first_row + rows) and columns [first_column, first_column + cols), row i and column j of them to
/// `out[i + j * ld]`; a draw depends on its own row and column only. Several consumers within one call (base noise,
/// the dropout masks of several layers) take disjoint ranges of columns.
///
/// `uniform`, `logistic`, `laplace`, `cauchy` and `exponential` at one row and column are increasing functions
/// (`exponential`: decreasing) of the same uniform number u, the comonotone coupling: use different columns where
/// they shall be independent. `normal` and the row streams are independent of these and of each other everywhere.
///
/// **Float and double.** u is made from a 32-bit word in float and from that word and 20 bits more in double, so both
/// types draw the same number up to the resolution of the word and the rounding of float. With B = 32 or 52 and the
/// integer k from the words, u = (k + 1/2) / 2^B: never 0, never 1, symmetric about 1/2. Both tails are computed from
/// u and 1 - u as integers, so the lower and the upper tail have the same accuracy: relative errors of the transforms
/// are below 2^-21 in float and 2^-50 in double.
///
/// **Bits.** Transforms are our own polynomials in +, -, *, / and square root of IEEE arithmetic, in the type drawn,
/// without contraction: the same bits for every compiler and machine that keeps to IEEE 754.
///
/// **Counter.** Four words, low first: (kind << 29 | block, row mod 2^32, row >> 32 | slot << 8, call mod 2^32). The
/// key is the seed, low word first. Kinds: 0 high words of uniforms, 1 their low words, 2 and 3 the same for normals,
/// 4 row streams, 5 keys of named streams, 6 keys of calls beyond 2^32. Column c is word c mod 4 of block c / 4.
///
/// @throws DomainError  for rows, columns or slots out of range.
/// @throws ShapeError   for a leading dimension below the number of rows.
class RandomCall {
 public:
  /// u in the open interval (0, 1). Float: 23 bits, (k + 1/2) / 2^23 with the word's upper bits, exact, from 2^-24 to
  /// 1 - 2^-24. Double: 52 bits, from 2^-53 to 1 - 2^-53.
  template <Scalar T>
  void uniform(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column = 0) const;

  /// Mean 0, variance 1, by Box and Muller: columns 2i and 2i + 1 are sqrt(-2 log u) times cos(2 pi v) and sin(2 pi v).
  /// Magnitudes up to sqrt(2 (B + 1) log 2): 6.76 in float, 8.57 in double. Errors are relative to the square root.
  template <Scalar T>
  void normal(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column = 0) const;

  /// log(u / (1 - u)); magnitudes up to 22.9 in float, 36.8 in double.
  template <Scalar T>
  void logistic(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column = 0) const;

  /// Density exp(-|x|) / 2: log(2u) for u < 1/2, else -log(2 (1 - u)); magnitudes up to 22.2 in float, 36.1 in double.
  template <Scalar T>
  void laplace(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column = 0) const;

  /// tan(pi (u - 1/2)); magnitudes up to 2.7e9 in float, 2.9e15 in double.
  template <Scalar T>
  void cauchy(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column = 0) const;

  /// -log u, rate 1, always positive; from 2^-33 to 22.9 in float, from 2^-53 to 36.8 in double.
  template <Scalar T>
  void exponential(Index first_row, Index rows, Index cols, T* out, Index ld, Index first_column = 0) const;

  /// A generator of the row's own, for algorithms that need an unknown number of draws. Slots, 0 to 2^24 - 1, are
  /// independent of each other.
  RowStream row(Index row, Index slot = 0) const;

  /// The 32-bit word behind u at one row and column: its leading bits in both types.
  std::uint32_t bits(Index row, Index column) const;

 private:
  friend class Engine;
  RandomCall(std::uint64_t key, std::uint32_t call) : key_(key), call_(call) {}

  std::uint64_t key_;
  std::uint32_t call_;
};

/// A UniformRandomBitGenerator of 32-bit numbers that belongs to one row: fits the distributions of the standard
/// library and of Boost.Random. Take Boost's where results shall not depend on the standard library at hand.
class RowStream {
 public:
  using result_type = std::uint32_t;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return 0xffffffffu; }

  /// @throws DomainError  after 2^31 numbers, rather than repeat.
  result_type operator()() {
    if (position_ % 4 == 0) refill();
    return words_[position_++ % 4];
  }
  /// Skips `count` numbers, in constant time.
  void discard(std::uint64_t count);

 private:
  friend class RandomCall;
  RowStream(std::uint64_t key, std::array<std::uint32_t, 4> counter) : key_(key), counter_(counter) {}
  void refill();

  std::uint64_t key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> words_{};
  std::uint64_t position_ = 0;
};

/// A random permutation of 0 ... out.size() - 1, every one equally likely (Fisher and Yates, with D. Lemire's bounded
/// numbers, ACM TOMACS 29, 2019). Draws from row 0, slot 0 of the call's row streams.
/// @throws DomainError  for more than 2^30 numbers.
void permutation(const RandomCall& call, std::span<std::int64_t> out);
inline std::vector<std::int64_t> permutation(const RandomCall& call, Index n) {
  std::vector<std::int64_t> result(static_cast<std::size_t>(n));
  permutation(call, result);
  return result;
}

}  // namespace pushforward
