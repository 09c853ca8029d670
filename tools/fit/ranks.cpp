#include "tools/fit/ranks.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <unistd.h>

#ifdef PUSHFORWARD_WITH_MPI
#include <pushforward/mpi/reducer.hpp>
#endif

namespace tool::fitting {

namespace {

/// How many processes OpenMPI's or MPICH's launcher says there are.
int launched() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
    if (const char* size = std::getenv(name)) return std::atoi(size);
  return 1;
}

}  // namespace

#ifdef PUSHFORWARD_WITH_MPI

struct Ranks::Job {
  std::unique_ptr<pf::MpiReducer> reducer;
  int errors = -1;  ///< where errors of a process that is otherwise silent go

  [[noreturn]] void end(const char* why, int status) const {
    // All meet most errors, and the first one tells of them.
    if (reducer->rank() > 0) std::this_thread::sleep_for(std::chrono::seconds(2));
    std::string line = fmt::format("pushforward: {}{}\n",
                                   reducer->rank() > 0 ? fmt::format("process {}: ", reducer->rank()) : "", why);
    std::replace(line.begin(), line.end() - 1, '\n', ' ');
    if (write(errors, line.data(), line.size()) < 0) status = 1;
    MPI_Abort(MPI_COMM_WORLD, status);
    std::abort();
  }
};

Ranks::Ranks() {
  if (launched() < 2) return;
  job_ = std::make_unique<Job>();
  // Signals are for the thread that waits for them, and not for MPI's.
  sigset_t signals, before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, &before);
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  job_->reducer = std::make_unique<pf::MpiReducer>();
  job_->errors = dup(STDERR_FILENO);
  if (provided < MPI_THREAD_SERIALIZED) job_->end("this MPI lets one thread alone call it; a fit calls it from others", 1);
  if (!is_first())
    for (std::FILE* stream : {stdout, stderr})
      if (!std::freopen("/dev/null", "w", stream)) job_->end("cannot open /dev/null", 1);
  MPI_Comm here = MPI_COMM_NULL;
  int neighbours = 1;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
  MPI_Comm_size(here, &neighbours);
  MPI_Comm_free(&here);
  threads_ = std::max(1, thread_count(0) / neighbours);
}

Ranks::~Ranks() {
  if (!job_) return;
  job_->reducer.reset();
  MPI_Finalize();
}

void Ranks::run(const std::function<void()>& f) const {
  if (!job_) return f();
  try {
    f();
  } catch (const Interrupted&) {
    // All stop at the same step; the first one says so.
    if (is_first()) throw;
  } catch (const UsageError& error) {
    job_->end(error.what(), 2);
  } catch (const std::exception& error) {
    job_->end(error.what(), 1);
  }
}

pf::Reducer* Ranks::reducer() const { return job_ ? job_->reducer.get() : nullptr; }

#else

struct Ranks::Job {};

Ranks::Ranks() {
  if (const int size = launched(); size > 1)
    throw UsageError(fmt::format("mpirun started {} of these, and this one was built without MPI: they would all do the same. "
                                 "Configure it with -DPUSHFORWARD_BUILD_MPI=ON",
                                 size));
}
Ranks::~Ranks() = default;
void Ranks::run(const std::function<void()>& f) const { f(); }
pf::Reducer* Ranks::reducer() const { return nullptr; }

#endif

}  // namespace tool::fitting
