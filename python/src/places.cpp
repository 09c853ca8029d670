#include "places.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <unistd.h>

#include <random>

#include "docs.hpp"

namespace binding {

using namespace nb::literals;

std::shared_ptr<pf::Execution> Pool::get(int threads, bool all_always) {
  const int process = getpid();
  if (!pool_ || process_ != process || pool_->threads() != threads) {
    pool_ = std::shared_ptr<pf::Execution>(new pf::Execution({.threads = threads, .all_always = all_always}),
                                           [process](pf::Execution* e) {
                                             // Its destructor would wait for threads that a child does not have.
                                             if (getpid() == process) delete e;
                                           });
    process_ = process;
  }
  return pool_;
}

Workspaces::Lease::Lease(Workspaces& from) : from_(from) {
  if (from.idle_.empty()) {
    workspace_ = std::make_unique<pf::Workspace>();
    from.idle_.reserve(from.idle_.capacity() + 1);  // room to give it back without a failure
  } else {
    workspace_ = std::move(from.idle_.back());
    from.idle_.pop_back();
  }
}

std::shared_ptr<pf::Execution> execution_of(nb::handle threads, Pool& own) {
  Execution* shared = nullptr;
  if (PyLong_Check(threads.ptr())) {
    const int n = nb::cast<int>(threads);
    return n == 1 ? nullptr : own.get(n);
  }
  if (nb::try_cast(threads, shared) && shared) return shared->pool.get(shared->threads, shared->all_always);
  throw nb::type_error("threads: expected a number or an Execution");
}

pf::Engine engine_of(nb::handle seed) {
  if (seed.is_none()) {
    std::random_device device;
    const std::uint64_t high = device();
    return pf::Engine(high << 32 | device());
  }
  pf::Engine* shared = nullptr;
  if (!PyLong_Check(seed.ptr()) && nb::try_cast(seed, shared) && shared) {
    const pf::Engine now = *shared;
    static_cast<void>(shared->next_call());
    return now;
  }
  std::uint64_t number = 0;
  // Also NumPy's integers.
  if (!nb::hasattr(seed, "__index__") || !nb::try_cast(nb::steal(PyNumber_Index(seed.ptr())), number))
    throw nb::type_error("seed: expected None, a number from 0 to 2**64 - 1, or an Engine");
  return pf::Engine(number);
}

void bind_places(nb::module_& m) {
  nb::class_<pf::Engine>(m, "Engine", docs::Engine)
      .def(nb::init<std::uint64_t, std::uint64_t>(), "seed"_a, "call"_a = 0)
      .def_prop_ro("seed", &pf::Engine::seed)
      .def_prop_ro("call", &pf::Engine::call, "Number of the call that comes next.")
      .def("stream", &pf::Engine::stream, "name"_a,
           "An engine at call 0 whose seed is made from this one's seed and the name.")
      .def("__getstate__", [](const pf::Engine& e) { return nb::make_tuple(e.seed(), e.call()); })
      .def("__setstate__",
           [](pf::Engine& e, const nb::tuple& state) {
             new (&e) pf::Engine(nb::cast<std::uint64_t>(state[0]), nb::cast<std::uint64_t>(state[1]));
           })
      .def("__eq__", [](const pf::Engine& a, const pf::Engine& b) { return a == b; })
      .def("__repr__", [](const pf::Engine& e) {
        return "Engine(seed=" + std::to_string(e.seed()) + ", call=" + std::to_string(e.call()) + ")";
      });
  nb::class_<Execution>(m, "Execution", docs::Execution)
      .def(
          "__init__",
          [](Execution* self, int threads, bool all_always) {
            // Refuses a bad number now and not at the first call; no thread is started by it.
            static_cast<void>(pf::Execution({.threads = threads}));
            new (self) Execution{threads, all_always, {}};
          },
          "threads"_a, nb::kw_only(), "all_always"_a = false)
      .def_ro("threads", &Execution::threads)
      .def("__repr__", [](const Execution& e) { return "Execution(threads=" + std::to_string(e.threads) + ")"; });
}

}  // namespace binding
