// The module pushforward._core. Each bind_* stands in a file of its own.
#include <pushforward/error.hpp>

#include "objects.hpp"

NB_MODULE(_core, m) {
  using namespace binding;
  // What a program, or a library that it uses, still holds at its end is no fault of its user's.
  nb::set_leak_warnings(false);
  // The classes of error that Python's users expect, with the library's texts.
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const pf::ShapeError& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    } catch (const pf::DomainError& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    } catch (const pf::NotImplemented& e) {
      PyErr_SetString(PyExc_NotImplementedError, e.what());
    } catch (const pf::IoError& e) {
      PyErr_SetString(PyExc_OSError, e.what());
    } catch (const nb::cast_error&) {
      PyErr_SetString(PyExc_TypeError, "an argument is of another type than its call takes");
    } catch (const pf::Error& e) {
      PyErr_SetString(PyExc_RuntimeError, e.what());
    }
  });
  m.attr("__version__") = PUSHFORWARD_VERSION;
  bind_places(m);
  bind_options(m);
  bind_spaces(m);
  bind_distribution(m);
  bind_networks(m);
  bind_bijectors(m);
  bind_scalar_maps(m);
  bind_layers(m);
  bind_families(m);
  bind_flows(m);
  bind_training(m);
  bind_best(m);
  bind_conditioning(m);
  bind_diagnostics(m);
  bind_batch_norm(m);
  bind_pickles(m);
}
