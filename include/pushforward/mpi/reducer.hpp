#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <mpi.h>

#include <pushforward/error.hpp>
#include <pushforward/reducer.hpp>

namespace pushforward {

/// The processes of an MPI communicator fit one model together, `FitOptions::reducer`; the target `pushforward::mpi`,
/// which is this header and the MPI that the program is compiled with.
///
///     int main(int argc, char** argv) {
///       return pushforward::mpi_run(&argc, &argv, [](pushforward::MpiReducer& ranks) {
///         auto flow = pushforward::maf<double>(8);
///         fit(flow, data, {.epochs = 2, .shards = 8, .reducer = &ranks});
///         if (ranks.rank() == 0) pushforward::save("flow.safetensors", flow);
///       });
///     }
///
/// Sums are taken along one fixed binary tree, neighbours first, for each element: the bits are the same for 1, 2, 4, ...
/// ranks, of any MPI, with any number of threads, at a given number of shards.
///
/// @par Cost    a sum of n values over P ranks: where P is a power of two, halves are exchanged between the ranks r and
///              r ^ 1, r ^ 2, r ^ 4, ..., and back: 2 log2(P) messages and 2 n (P - 1) / P values sent by each, which is
///              the least; else the tree to rank 0 and back.
/// @par Errors  MPI's own end the job, as is its default. A rank that does not answer: see `timeout`.
class MpiReducer final : public Reducer {
 public:
  /// Works on a copy of the communicator, so that messages of the program's own do not mix with these. Collective.
  /// `timeout`: seconds after which a rank that does not answer is an Error which names it; infinity: it is waited for.
  /// All do the same work, so one that lets the others wait for longer than a step has stopped. After such an Error messages
  /// are still under way: end the job.
  explicit MpiReducer(MPI_Comm communicator = MPI_COMM_WORLD,
                      double timeout = std::numeric_limits<double>::infinity())
      : timeout_(timeout) {
    if (!(timeout > 0)) throw DomainError("MpiReducer: timeout must be above 0, got " + std::to_string(timeout));
    int started = 0, finished = 0;
    MPI_Initialized(&started);
    MPI_Finalized(&finished);
    if (!started || finished) throw Error("MpiReducer: MPI is not running; call MPI_Init first, or use mpi_run");
    MPI_Comm_dup(communicator, &communicator_);
    MPI_Comm_rank(communicator_, &rank_);
    MPI_Comm_size(communicator_, &size_);
  }
  ~MpiReducer() override {
    int finished = 0;
    MPI_Finalized(&finished);
    // With a rank that is gone this would wait for it.
    if (!finished && !broken_) MPI_Comm_free(&communicator_);
  }
  MpiReducer(const MpiReducer&) = delete;
  MpiReducer& operator=(const MpiReducer&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  MPI_Comm communicator() const { return communicator_; }
  void sum(std::span<float> values) override { sum_of(values, MPI_FLOAT); }
  void sum(std::span<double> values) override { sum_of(values, MPI_DOUBLE); }
  void broadcast(std::span<float> values) override { broadcast_of(values, MPI_FLOAT); }
  void broadcast(std::span<double> values) override { broadcast_of(values, MPI_DOUBLE); }

  /// Messages and bytes that this rank has sent.
  long long messages() const { return messages_; }
  long long bytes() const { return bytes_; }

 private:
  // MPI counts in int.
  static constexpr std::size_t most = std::size_t{1} << 28;

  template <class V>
  void sum_of(std::span<V> values, MPI_Datatype type) {
    if (size_ == 1) return;
    const auto memory = std::make_unique_for_overwrite<V[]>(values.size());
    const std::span<V> received(memory.get(), values.size());
    if ((size_ & (size_ - 1)) != 0) return sum_by_tree<V>(values, received, type);
    std::vector<std::pair<std::size_t, std::size_t>> parts;
    std::size_t begin = 0, end = values.size();
    for (int step = 1; step < size_; step *= 2) {
      const std::size_t middle = begin + (end - begin) / 2;
      const bool low = (rank_ & step) == 0;
      const std::size_t kept = low ? begin : middle, kept_end = low ? middle : end;
      const std::size_t sent = low ? middle : begin, sent_end = low ? end : middle;
      exchange<V>(rank_ ^ step, values.subspan(sent, sent_end - sent),
                  received.subspan(kept, kept_end - kept), type);
      for (std::size_t i = kept; i < kept_end; ++i) values[i] += received[i];
      parts.emplace_back(begin, end);
      begin = kept, end = kept_end;
    }
    for (int step = size_ / 2; step >= 1; step /= 2) {
      const auto [whole, whole_end] = parts.back();
      parts.pop_back();
      const std::size_t missing = begin == whole ? end : whole, missing_end = begin == whole ? whole_end : begin;
      exchange<V>(rank_ ^ step, values.subspan(begin, end - begin), values.subspan(missing, missing_end - missing), type);
      begin = whole, end = whole_end;
    }
  }

  template <class V>
  void sum_by_tree(std::span<V> values, std::span<V> received, MPI_Datatype type) {
    for (int step = 1; step < size_; step *= 2) {
      if (rank_ % (2 * step) != 0) {
        exchange<V>(rank_ - step, values, {}, type);
        break;
      }
      if (rank_ + step >= size_) continue;
      exchange<V>(rank_ + step, {}, received, type);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += received[i];
    }
    broadcast_of(values, type);
  }

  /// From rank 0, along the same tree.
  template <class V>
  void broadcast_of(std::span<V> values, MPI_Datatype type) {
    int step = 1;
    while (step < size_) step *= 2;
    for (step /= 2; step >= 1; step /= 2) {
      if (rank_ % (2 * step) == 0) {
        if (rank_ + step < size_) exchange<V>(rank_ + step, values, {}, type);
      } else if (rank_ % step == 0) {
        exchange<V>(rank_ - step, {}, values, type);
      }
    }
  }

  /// Both at once.
  template <class V>
  void exchange(int other, std::span<const V> sent, std::span<V> received, MPI_Datatype type) {
    std::vector<MPI_Request> requests;
    for (std::size_t i = 0; i < received.size(); i += most)
      MPI_Irecv(received.data() + i, static_cast<int>(std::min(most, received.size() - i)), type, other, 0, communicator_,
                &requests.emplace_back());
    for (std::size_t i = 0; i < sent.size(); i += most) {
      MPI_Isend(sent.data() + i, static_cast<int>(std::min(most, sent.size() - i)), type, other, 0, communicator_,
                &requests.emplace_back());
      ++messages_;
    }
    bytes_ += static_cast<long long>(sent.size_bytes());
    if (timeout_ == std::numeric_limits<double>::infinity()) {
      MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
      return;
    }
    const auto start = std::chrono::steady_clock::now();
    for (int done = 0; !done;) {
      MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
      if (done || std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < timeout_) continue;
      broken_ = true;
      throw Error("MpiReducer: rank " + std::to_string(other) + " of " + std::to_string(size_) +
                  " has not answered rank " + std::to_string(rank_) + " for " + std::to_string(timeout_) +
                  " s; end the job, and go on from its checkpoint");
    }
  }

  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  double timeout_;
  bool broken_ = false;
  long long messages_ = 0, bytes_ = 0;
};

/// The body of a program under mpirun: f(reducer), between MPI_Init_thread and MPI_Finalize. What f throws is printed with
/// the rank that threw it, and ends all ranks.
/// @returns 0; if f threw, it does not return.
template <class F>
int mpi_run(int* argc, char*** argv, const F& f, double timeout = std::numeric_limits<double>::infinity()) {
  int provided = 0;
  MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided);
  int rank = 0, size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const auto end_all = [&](const char* why) {
    std::fprintf(stderr, "rank %d of %d: %s\n", rank, size, why);
    std::fflush(stderr);
    MPI_Abort(MPI_COMM_WORLD, 1);
  };
  if (provided < MPI_THREAD_SERIALIZED) end_all("this MPI lets one thread alone call it; a fit calls it from another");
  try {
    MpiReducer reducer(MPI_COMM_WORLD, timeout);
    f(reducer);
  } catch (const std::exception& error) {
    end_all(error.what());
  }
  MPI_Finalize();
  return 0;
}

}  // namespace pushforward
