// A fit by all ranks, whose result the script beside it compares: fit_together <shards> <threads> [what else]
//   alone        this rank alone, without a reducer
//   checkpoint F  writes F after each epoch and goes on from it
//   slow         epochs take time, for the script to kill a rank
//   stuck R      rank R stops answering in the second epoch; others wait for it for a second
//   throws R     rank R throws then
//   count        no fit: sums of several sizes send what the header says, and add what they should

#include <pushforward/flows/builders.hpp>
#include <pushforward/mpi/reducer.hpp>
#include <pushforward/random.hpp>
#include <pushforward/training/fit.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace pf = pushforward;

namespace {

pf::Matrix<double> rows() {
  pf::Matrix<double> z(800, 4);
  pf::Engine(1).next_call().normal(0, 800, 4, z.data(), 800);
  for (pf::Index c = 1; c < 4; ++c) z.col(c) += 0.6 * z.col(c - 1).array().square().matrix();
  return z;
}

template <class T>
std::uint64_t checksum(const pf::Component<T>& flow) {
  std::uint64_t sum = 14695981039346656037u;
  for (const auto& slot : pf::list_state(flow))
    for (const T v : slot.tensor->values()) {
      unsigned char bytes[sizeof(T)];
      std::memcpy(bytes, &v, sizeof(T));
      for (const unsigned char b : bytes) sum = (sum ^ b) * 1099511628211u;
    }
  return sum;
}

template <class T>
void fit_together(pf::MpiReducer& ranks, int argc, char** argv) {
  const std::string more = argc > 3 ? argv[3] : "";
  // Every rank but the first starts from other weights, which do not count.
  auto flow = pf::maf<T>(4, {.layers = 2, .hidden = 12, .dropout = 0.1, .batch_norm = true, .act_norm = true,
                             .seed = static_cast<std::uint64_t>(4 + ranks.rank())});
  pf::Execution execution({.threads = std::atoi(argv[2]), .all_always = true});
  pf::FitOptions<T> options{.epochs = 6, .batch_size = 128, .shards = std::atoi(argv[1]), .learning_rate = 0.01,
                            .validation_fraction = 0.2, .seed = 2};
  options.execution = execution;
  if (more != "alone") options.reducer = &ranks;
  if (more == "checkpoint" || more == "slow") options.checkpoint = argv[4], options.resume = true;
  options.callback = [&](const pf::Progress& progress) {
    const bool own = argc > 4 && (more == "stuck" || more == "throws") && std::atoi(argv[4]) == ranks.rank();
    if (own && progress.epoch == 1 && more == "stuck") std::this_thread::sleep_for(std::chrono::hours(1));
    if (own && progress.epoch == 1) throw pf::Error("its disk is gone");
    if (more == "slow") std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return true;
  };
  const pf::FitReport report = pf::fit(flow, rows().template cast<T>().eval(), options);
  if (ranks.rank() > 0 && more == "alone") return;
  // All ranks end with the same bits: rank 0 has the others' checksums.
  const std::uint64_t own = checksum<T>(flow);
  std::uint64_t first = own;
  MPI_Bcast(&first, 1, MPI_UINT64_T, 0, more == "alone" ? MPI_COMM_SELF : ranks.communicator());
  if (own != first) throw pf::Error("ends with other parameters than rank 0");
  if (ranks.rank() == 0)
    std::printf("%s %016llx %.17g %.17g\n", sizeof(T) == 4 ? "float" : "double", static_cast<unsigned long long>(own),
                report.train_loss.back(), report.validation_loss.back());
}

void count(pf::MpiReducer& ranks) {
  const long long size = ranks.size();
  const bool by_halves = (size & (size - 1)) == 0;
  for (const std::size_t n : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, std::size_t{4096}}) {
    const long long messages = ranks.messages(), bytes = ranks.bytes();
    std::vector<double> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<double>(ranks.rank()) + static_cast<double>(i);
    ranks.sum(std::span(values));
    long long sent[2] = {ranks.messages() - messages, ranks.bytes() - bytes}, all[2];
    MPI_Allreduce(sent, all, 2, MPI_LONG_LONG, MPI_SUM, ranks.communicator());
    long long steps = 0;
    while ((1ll << (steps + 1)) <= size) ++steps;
    // Of few values some halves are empty, and are not sent.
    const bool right = all[1] == 2 * (size - 1) * static_cast<long long>(n * sizeof(double)) &&
                       (by_halves ? all[0] <= 2 * steps * size && (n < 1000 || sent[0] == 2 * steps) : all[0] == 2 * (size - 1));
    if (!right)
      throw pf::Error("a sum of " + std::to_string(n) + " values sent " + std::to_string(all[0]) + " messages and " +
                      std::to_string(all[1]) + " bytes");
    for (std::size_t i = 0; i < n; ++i)
      if (values[i] != static_cast<double>(size * (size - 1) / 2) + static_cast<double>(size) * static_cast<double>(i))
        throw pf::Error("a sum of " + std::to_string(n) + " values is wrong at " + std::to_string(i));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool stuck = argc > 3 && std::string(argv[3]) == "stuck";
  return pf::mpi_run(
      &argc, &argv,
      [&](pf::MpiReducer& ranks) {
        if (argc > 3 && std::string(argv[3]) == "count") return count(ranks);
        fit_together<double>(ranks, argc, argv);
        if (argc < 4 || std::string(argv[3]) == "alone") fit_together<float>(ranks, argc, argv);
      },
      stuck ? 1 : 1e9);
}
