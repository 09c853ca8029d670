// Pickles of parts: bijectors, transformers and networks, by their description and tensors. (Distributions have files.)
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>

#include "objects.hpp"

namespace binding {

namespace {

/// (type, [(name, which kind of value, value)], [(name, part)])
nb::tuple plain(const pf::Description& d) {
  nb::list constants, children;
  for (const auto& [name, value] : d.constants)
    constants.append(nb::make_tuple(name, value.index(), std::visit([](const auto& v) { return nb::cast(v); }, value)));
  for (const pf::Description::Part& part : d.children)
    children.append(nb::make_tuple(part.name, plain(part.description)));
  return nb::make_tuple(d.type, constants, children);
}

/// The value of that kind: an empty list does not tell which it is.
template <std::size_t I = 0>
pf::Description::Value value_of(std::size_t index, nb::handle value) {
  if constexpr (I == std::variant_size_v<pf::Description::Value>) {
    throw nb::value_error("the pickle is damaged");
  } else {
    if (index == I) return nb::cast<std::variant_alternative_t<I, pf::Description::Value>>(value);
    return value_of<I + 1>(index, value);
  }
}

pf::Description description_of(const nb::tuple& plain) {
  pf::Description d;
  d.type = nb::cast<std::string>(plain[0]);
  for (nb::handle c : nb::cast<nb::list>(plain[1]))
    d.constants.emplace(nb::cast<std::string>(c[0]), value_of(nb::cast<std::size_t>(c[1]), c[2]));
  for (nb::handle c : nb::cast<nb::list>(plain[2]))
    d.children.push_back({nb::cast<std::string>(c[0]), description_of(nb::cast<nb::tuple>(c[1]))});
  return d;
}

template <pf::Scalar T>
nb::list tensors_of(const pf::Component<T>& component) {
  nb::list list;
  for (const pf::ConstSlot<T>& slot : pf::list_state(component)) {
    Result<T> values({slot.tensor->size()});
    std::copy_n(slot.tensor->data(), slot.tensor->size(), values.data());
    list.append(nb::make_tuple(slot.path, values.array()));
  }
  return list;
}

template <class Kind, pf::Scalar T>
nb::object restored(const pf::Description& d, const nb::list& tensors) {
  using Base = typename Kind::template Base<T>;
  const pf::Registry registry = pf::Registry::standard();
  pf::Poly<Base> part = registry.make<Base>({d, registry});
  const std::vector<pf::Slot<T>> slots = pf::list_state<T>(*part);
  if (slots.size() != nb::len(tensors)) throw nb::value_error("the pickle is damaged, or of another version");
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const Borrowed values("pickle", "tensor", tensors[i][1], sizeof(T) == 4, 1);
    if (slots[i].path != nb::cast<std::string>(tensors[i][0]) || slots[i].tensor->size() != values.rows())
      throw nb::value_error(("the pickle has no tensor " + slots[i].path + ": it is of another version").c_str());
    for (pf::Index k = 0; k < values.rows(); ++k) (*slots[i].tensor)[k] = values.vector<T>()[k];
  }
  return wrap(Part<Kind>::template of<T>(std::move(part)));
}

template <class Kind>
void bind(nb::module_& m, const char* name) {
  const std::string restore = "_restore_" + std::string(name);
  m.def(restore.c_str(), [](const std::string& dtype, const nb::tuple& description, const nb::list& tensors) {
    const pf::Description d = description_of(description);
    return dtype == "float32" ? restored<Kind, float>(d, tensors) : restored<Kind, double>(d, tensors);
  });
  nb::cast<nb::class_<Part<Kind>>>(m.attr(name)).def("__reduce__", [name](const Part<Kind>& part) {
    return part.visit([&](const auto& poly) {
      return nb::make_tuple(nb::module_::import_("pushforward._pickle").attr("restore_part"),
                            nb::make_tuple(name, part.dtype().name(), plain(poly->describe()),
                                           tensors_of<pf::ScalarOf<decltype(*poly)>>(*poly)));
    });
  });
}

}  // namespace

void bind_pickles(nb::module_& m) {
  bind<BijectorKind>(m, "Bijector");
  bind<TransformerKind>(m, "Transformer");
  bind<NetworkKind>(m, "Network");
}

}  // namespace binding
