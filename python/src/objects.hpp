#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <pushforward/bijector.hpp>
#include <pushforward/distribution.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/nn/network.hpp>
#include <pushforward/packed_weights.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/transformer.hpp>
#include <typeindex>
#include <unordered_map>
#include <variant>

#include "arrays.hpp"
#include "docs.hpp"
#include "places.hpp"

namespace binding {

/// A part of either scalar type. Python never changes one, so that copies share it.
template <class Kind>
struct Part {
  template <pf::Scalar T>
  using Poly = pf::Poly<typename Kind::template Base<T>>;
  template <pf::Scalar T>
  using Shared = std::shared_ptr<const Poly<T>>;

  Part() = default;
  template <pf::Scalar T, class C>
  static Part of(C&& c) {
    Part part;
    part.object = std::make_shared<const Poly<T>>(std::forward<C>(c));
    return part;
  }

  Dtype dtype() const { return Dtype::of(object.index() == 1); }
  /// It must be of that type.
  template <pf::Scalar T>
  const Poly<T>& as() const {
    return *std::get<Shared<T>>(object);
  }
  /// f(const Poly<T>&)
  template <class F>
  auto visit(F f) const {
    return std::visit([&](const auto& shared) { return f(*shared); }, object);
  }
  std::type_index type() const {
    return visit([](const auto& poly) { return std::type_index(typeid(*poly)); });
  }

  std::variant<Shared<double>, Shared<float>> object;
};
struct BijectorKind {
  template <pf::Scalar T>
  using Base = pf::Bijector<T>;
};
struct TransformerKind {
  template <pf::Scalar T>
  using Base = pf::Transformer<T>;
};
struct NetworkKind {
  template <pf::Scalar T>
  using Base = pf::Network<T>;
};
using Bijector = Part<BijectorKind>;
using Transformer = Part<TransformerKind>;
using Network = Part<NetworkKind>;

/// A model as it is between two changes. Calls hold it, so a fit that ends meanwhile takes nothing away from them.
template <pf::Scalar T>
class Snapshot {
 public:
  explicit Snapshot(pf::Poly<pf::Distribution<T>> object) : object_(std::move(object)) {}
  Snapshot(const Snapshot&) = delete;

  const pf::Distribution<T>& operator*() const { return *object_; }
  const pf::Distribution<T>* operator->() const { return &*object_; }
  const pf::Poly<pf::Distribution<T>>& poly() const { return object_; }
  /// As an Evaluator has them, made when first asked for.
  const pf::PackedWeights<T>& packed() const {
    std::call_once(once_, [this] {
      std::vector<const pf::Tensor<T>*> weights;
      for (const pf::ConstSlot<T>& slot : pf::list_state<T>(*object_))
        if (slot.attributes.dense) weights.push_back(slot.tensor);
      packed_.emplace(weights);
    });
    return *packed_;
  }

 private:
  const pf::Poly<pf::Distribution<T>> object_;
  mutable std::once_flag once_;
  mutable std::optional<pf::PackedWeights<T>> packed_;
};

/// A distribution of either scalar type, what its file says besides, and what its calls run on.
struct Distribution {
  template <pf::Scalar T>
  using Shared = std::shared_ptr<const Snapshot<T>>;

  Distribution() = default;
  template <pf::Scalar T>
  explicit Distribution(pf::Poly<pf::Distribution<T>> object, pf::ModelInfo info = {})
      : object(std::make_shared<const Snapshot<T>>(std::move(object))), info(std::move(info)) {}

  template <pf::Scalar T, class C>
  static Distribution of(C&& c) {
    return Distribution(pf::Poly<pf::Distribution<T>>(std::forward<C>(c)));
  }

  Dtype dtype() const { return Dtype::of(object.index() == 1); }
  template <pf::Scalar T>
  const pf::Poly<pf::Distribution<T>>& as() const {
    return std::get<Shared<T>>(object)->poly();
  }
  /// f(const pf::Distribution<T>&)
  template <class F>
  auto visit(F f) const {
    return std::visit([&](const auto& shared) { return f(**shared); }, object);
  }
  std::type_index type() const {
    return visit([](const auto& d) { return std::type_index(typeid(d)); });
  }
  /// f(shared snapshot)
  template <class F>
  auto visit_shared(F f) const {
    return std::visit([&](auto shared) { return f(std::move(shared)); }, object);
  }

  std::variant<Shared<double>, Shared<float>> object;
  pf::ModelInfo info;
  Pool pool;
  Workspaces workspaces;
};

/// The Python class of a class template C, for both scalar types, by the name of C<double>. (g++ 12 takes no
/// constrained template where a template hands it on.)
template <class ForDouble, class Object>
struct Of : Object {
  Of() = default;
  explicit Of(Object&& object) : Object(std::move(object)) {}
};

/// What makes a Python object of the right class from a C++ one; filled while the module is made.
template <class Object>
std::unordered_map<std::type_index, nb::object (*)(Object&&)>& makers() {
  static std::unordered_map<std::type_index, nb::object (*)(Object&&)> map;
  return map;
}

/// The object as the Python class of its C++ class, or as the base class if Python knows none.
template <class Object>
nb::object wrap(Object&& object) {
  const auto found = makers<Object>().find(object.type());
  return found == makers<Object>().end() ? nb::cast(std::move(object)) : found->second(std::move(object));
}

/// Declares the Python class `name` for the class template C, with the documentation of its header.
template <template <pf::Scalar> class C, class Object>
nb::class_<Of<C<double>, Object>, Object> declare(nb::module_& m, const char* name, const char* doc) {
  const auto make = +[](Object&& object) { return nb::cast(Of<C<double>, Object>(std::move(object))); };
  makers<Object>()[typeid(C<double>)] = make;
  makers<Object>()[typeid(C<float>)] = make;
  return nb::class_<Of<C<double>, Object>, Object>(m, name, doc);
}

/// Constructs in place what `make(std::type_identity<T>())` gives, for the type that the arguments have.
template <class Self, class Make>
void construct(Self* self, Dtype dtype, Make make) {
  // What throws leaves nothing behind: the object is made before its place is used.
  auto made = dtype.is_single() ? Self::template of<float>(make(std::type_identity<float>()))
                                : Self::template of<double>(make(std::type_identity<double>()));
  new (self) Self(std::move(made));
}

/// The arguments of a constructor that are numbers for each column.
class Columns {
 public:
  /// @param dtype  as the caller gave it.
  Columns(const char* call, nb::handle dtype) : call_(call), dtype_(dtype) {}
  /// None: absent. What is there is looked at for its scalar type and its number of columns.
  void add(const char* name, const nb::object& source) {
    if (source.is_none()) {
      given_.emplace_back(std::nullopt);
      return;
    }
    given_.emplace_back(Values(name, source));
    dtype_.agree(given_.back()->dtype, call_, name);
    if (!given_.back()->is_scalar() && !size_) size_ = given_.back()->shape[0];
  }
  void agree(Dtype other, const char* name) { dtype_.agree(other, call_, name); }
  /// The number of columns that the arguments have, or else the one that was given.
  /// @throws TypeError  if neither says it.
  pf::Index size(std::optional<pf::Index> dim) {
    if (dim && size_ && *dim != *size_)
      throw nb::value_error((std::string(call_) + ": dim is " + std::to_string(*dim) + " and the values are for " +
                             std::to_string(*size_) + " columns")
                                .c_str());
    if (!dim && !size_) type_error(std::string(call_) + ": give dim, the number of columns, or values for each column");
    return size_ ? *size_ : *dim;
  }
  Dtype dtype() const { return dtype_; }
  bool any() const {
    return std::any_of(given_.begin(), given_.end(), [](const auto& g) { return g.has_value(); });
  }
  /// Argument i for each column; `otherwise` where it is absent.
  template <pf::Scalar T>
  std::vector<T> get(std::size_t i, pf::Index size, double otherwise) const {
    if (!given_[i]) return std::vector<T>(static_cast<std::size_t>(size), static_cast<T>(otherwise));
    return given_[i]->template as<T>(size);
  }
  const std::optional<Values>& operator[](std::size_t i) const { return given_[i]; }

 private:
  const char* call_;
  Dtype dtype_;
  std::vector<std::optional<Values>> given_;
  std::optional<pf::Index> size_;
};

/// The tree as `repr` prints it, which brings a line's end of its own.
template <pf::Scalar T>
std::string tree_text(const pf::Component<T>& component) {
  std::string text = pf::to_text(component);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

/// An enumeration's value by its name.
template <class E>
struct Named {
  const char* name;
  E value;
};
template <class E, std::size_t N>
E choose(std::string_view what, std::string_view name, const Named<E> (&choices)[N]) {
  std::string known;
  for (const Named<E>& c : choices) {
    if (name == c.name) return c.value;
    known += (known.empty() ? "" : ", ") + std::string(c.name);
  }
  throw nb::value_error((std::string(what) + " must be one of " + known + ", got '" + std::string(name) + "'").c_str());
}

void bind_options(nb::module_& m);
void bind_spaces(nb::module_& m);
void bind_distribution(nb::module_& m);
void bind_families(nb::module_& m);
void bind_bijectors(nb::module_& m);
void bind_layers(nb::module_& m);
void bind_scalar_maps(nb::module_& m);
void bind_networks(nb::module_& m);
void bind_flows(nb::module_& m);
void bind_training(nb::module_& m);
void bind_best(nb::module_& m);
void bind_conditioning(nb::module_& m);
void bind_diagnostics(nb::module_& m);
void bind_batch_norm(nb::module_& m);
void bind_pickles(nb::module_& m);
/// Methods of Distribution.
void bind_export(nb::class_<Distribution>& c);

}  // namespace binding
