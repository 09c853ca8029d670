#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <optional>
#include <pushforward/execution.hpp>
#include <pushforward/random.hpp>
#include <vector>

namespace binding {

namespace nb = nanobind;
namespace pf = pushforward;

/// A pool of threads, made when first asked for and kept warm. A child process gets a new one after a fork: the old
/// one's threads do not exist there.
class Pool {
 public:
  Pool() = default;
  /// Another object's pool is its own.
  Pool(const Pool&) {}
  Pool& operator=(const Pool&) { return *this; }
  std::shared_ptr<pf::Execution> get(int threads, bool all_always = false);

 private:
  std::shared_ptr<pf::Execution> pool_;
  int process_ = 0;
};

/// pushforward.Execution: a pool that several models share.
struct Execution {
  int threads = 1;
  bool all_always = false;
  Pool pool;
};

/// Memory for calls on the caller's own thread. Several Python threads may call at the same time: each takes one, and
/// gives it back warm. Used with the GIL held.
class Workspaces {
 public:
  Workspaces() = default;
  Workspaces(const Workspaces&) {}
  Workspaces& operator=(const Workspaces&) { return *this; }

  class Lease {
   public:
    explicit Lease(Workspaces& from);
    Lease(const Lease&) = delete;
    ~Lease() { from_.idle_.push_back(std::move(workspace_)); }
    pf::Workspace& operator*() { return *workspace_; }

   private:
    Workspaces& from_;
    std::unique_ptr<pf::Workspace> workspace_;
  };

 private:
  std::vector<std::unique_ptr<pf::Workspace>> idle_;
};

inline bool any_object(PyObject*) { return true; }
struct Threads : nb::object {
  NB_OBJECT_DEFAULT(Threads, nb::object, "int | Execution", any_object)
};
struct Seed : nb::object {
  NB_OBJECT_DEFAULT(Seed, nb::object, "int | Engine | None", any_object)
};

/// Where a call runs: `threads` of the model's own pool, or an Execution; null: the calling thread alone.
std::shared_ptr<pf::Execution> execution_of(nb::handle threads, Pool& own);

/// The engine of one call. Of an Engine the next call is taken, and the Engine is advanced at once, so that two threads
/// never draw the same; a number is a new engine's seed; None: a seed from the operating system.
pf::Engine engine_of(nb::handle seed);

void bind_places(nb::module_& m);

}  // namespace binding
