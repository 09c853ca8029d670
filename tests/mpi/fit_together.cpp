// A fit by all ranks, whose result the script beside it compares: fit_together <shards> <threads> [what else]
//   alone        this rank alone, without a reducer
//   checkpoint F  writes F after each epoch and goes on from it
//   slow         epochs take time, for the script to kill a rank
//   stuck R      rank R stops answering in the second epoch; others wait for it for a second
//   throws R     rank R throws then

#include <pushforward/flows/builders.hpp>
#include <pushforward/mpi/reducer.hpp>
#include <pushforward/random.hpp>
#include <pushforward/training/fit.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

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

}  // namespace

int main(int argc, char** argv) {
  const bool stuck = argc > 3 && std::string(argv[3]) == "stuck";
  return pf::mpi_run(
      &argc, &argv,
      [&](pf::MpiReducer& ranks) {
        fit_together<double>(ranks, argc, argv);
        if (argc < 4 || std::string(argv[3]) == "alone") fit_together<float>(ranks, argc, argv);
      },
      stuck ? 1 : 1e9);
}
