// Models in forms that need no library: C and ONNX.
#include <nanobind/stl/string.h>

#include <pushforward/export/c_header.hpp>
#include <pushforward/export/onnx.hpp>

#include "objects.hpp"

namespace binding {

namespace {

/// write(distribution, info) without the GIL, of the model as it is now.
template <class Write>
std::string written(const Distribution& self, Write write) {
  return self.visit_shared([&, info = self.info](const auto& snapshot) {
    const nb::gil_scoped_release others;
    return write(**snapshot, info);
  });
}

nb::bytes bytes(const std::string& text) { return nb::bytes(text.data(), text.size()); }

}  // namespace

void bind_export(nb::class_<Distribution>& c) {
  c.def(
      "c_header",
      [](const Distribution& self, const std::string& name) {
        return written(self, [&](const auto& d, const auto& info) { return pf::c_header(d, info, name).text; });
      },
      "name"_a = "flow",
      (std::string("The text of a header. Where one of log_prob and sample is missing, the comment at the top says "
                   "why.\n\n") +
       docs::c_header)
          .c_str());
  c.def(
      "onnx_log_prob",
      [](const Distribution& self) {
        return bytes(written(self, [](const auto& d, const auto& info) { return pf::onnx_log_prob(d, info); }));
      },
      docs::onnx_log_prob);
  c.def(
      "onnx_sample",
      [](const Distribution& self) {
        return bytes(written(self, [](const auto& d, const auto& info) { return pf::onnx_sample(d, info); }));
      },
      docs::onnx_sample);
}

}  // namespace binding
