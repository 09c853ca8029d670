#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <pushforward/component.hpp>
#include <pushforward/poly.hpp>

namespace pushforward {

class Registry;

/// Asks a constructor for an object that has nothing yet, to be restored.
struct Blank {};

/// Says which tensors a file holds, by path; null for one that it has not.
class TensorShapes {
 public:
  virtual ~TensorShapes() = default;
  virtual const std::vector<Index>* find(const std::string& path) const = 0;
};

/// What an object is made again from. Without `shapes` nothing is asked before tensors are made.
struct Restoration {
  const Description& description;
  const Registry& registry;
  const TensorShapes* shapes = nullptr;
  std::string prefix = {};  ///< of the object's paths: "bijector.3."
};
/// By the registry, for bijectors, distributions, networks and transformers.
/// @throws IoError  if the type is unknown, naming those that are known, or the description does not fit it.
template <class Base>
Poly<Base> restored(const Restoration& from);

/// A value of an enumeration and the name that it has in files and texts.
template <class E>
struct Choice {
  E value;
  std::string_view name;
};

/// What a component consists of, each thing named once, in `do_fields`:
///
///     f.type("sinh_arcsinh");
///     this->dim_field(f);
///     f.parameter("skew", skew_, {this->dim()});
///     f.parameter("tail", tail_, {this->dim()});
///
/// The same walk lists tensors, describes the object, and restores one: then constants and parts are read into the
/// members, tensors get their shapes (after the file has been asked whether it holds as much), and `do_restored` makes
/// what follows from them. So a constant is named before what depends on it. Everything else only reads.
template <Scalar T>
class Fields {
 public:
  virtual ~Fields() = default;
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;

  bool restoring() const { return restoring_; }
  virtual bool describing() const { return false; }

  /// The name of the class in files.
  void type(std::string_view name) {
    type_ = name;
    do_type(name);
  }

  // ---- constants. Restoring, each @throws IoError, naming type and constant, if it is missing, of another kind, or
  // out of range.
  void constant(std::string_view name, bool& value) { exchange(name, value); }
  void constant(std::string_view name, double& value) { exchange(name, value); }
  void constant(std::string_view name, std::string& value) { exchange(name, value); }
  void constant(std::string_view name, std::vector<std::int64_t>& value) { exchange(name, value); }
  void constant(std::string_view name, std::vector<double>& value) { exchange(name, value); }
  void constant(std::string_view name, std::vector<std::string>& value) { exchange(name, value); }
  /// In [low, high].
  void constant(std::string_view name, Index& value, Index low, Index high) {
    std::int64_t number = value;
    exchange(name, number);
    if (restoring_ && (number < low || number > high))
      refuse(name, "must lie in [" + std::to_string(low) + ", " + std::to_string(high) + "], got " + std::to_string(number));
    value = static_cast<Index>(number);
  }
  /// Values of an enumeration go by their names.
  template <class E>
    requires std::is_enum_v<E>
  void constant(std::string_view name, E& value, std::span<const Choice<std::type_identity_t<E>>> choices) {
    std::string text;
    for (const Choice<E>& c : choices)
      if (c.value == value) text = c.name;
    exchange(name, text);
    if (!restoring_) return;
    std::string known;
    for (const Choice<E>& c : choices) {
      if (c.name == text) {
        value = c.value;
        return;
      }
      known += (known.empty() ? "" : ", ") + std::string(c.name);
    }
    refuse(name, "must be one of " + known + ", got '" + text + "'");
  }
  /// All constants at once, for an object that writes and reads them by other means.
  void constants(Description& d) { do_constants(d); }
  /// Left out where it is as usual: for constants that files of an earlier version do not have.
  template <class V, class... More>
  void optional(std::string_view name, V& value, const std::type_identity_t<V>& usual, const More&... more) {
    if (restoring_ && !has(name))
      value = usual;
    else if (restoring_ || !(value == usual))
      constant(name, value, more...);
  }

  // ---- tensors of the given shape, which is that of the file where they have a stored form
  void parameter(std::string_view name, Tensor<T>& tensor, const std::vector<Index>& shape, Attributes<T> attributes = {}) {
    do_tensor(name, StateKind::parameter, tensor, shape, std::move(attributes));
  }
  void state(std::string_view name, Tensor<T>& tensor, const std::vector<Index>& shape, Attributes<T> attributes = {}) {
    do_tensor(name, StateKind::state, tensor, shape, std::move(attributes));
  }
  /// Restoring: that a tensor of this shape is there, before something of its size is made.
  /// @throws IoError  otherwise.
  void expect(std::string_view name, const std::vector<Index>& shape) { do_expect(name, &shape, 0); }
  /// The same where the shape is not known yet: one of `count` values.
  void expect_values(std::string_view name, Index count) { do_expect(name, nullptr, count); }

  // ---- parts
  /// An object of any class that the registry knows.
  template <class Base>
  void part(std::string_view name, Poly<Base>& part) {
    if (restoring_)
      part = restored<Base>(do_source(name));
    else
      do_part(name, *part);
  }
  /// An object of that class; restoring, the description must name it.
  template <class C>
    requires std::derived_from<C, Component<T>>
  void part(std::string_view name, C& part) {
    if (restoring_)
      part.restore(do_source(name));
    else
      do_part(name, part);
  }
  /// As many as the description has, named 0, 1, 2, ...
  template <class Base>
  void parts(std::vector<Poly<Base>>& list) {
    if (restoring_) list.assign(static_cast<std::size_t>(count_parts()), Poly<Base>());
    for (std::size_t i = 0; i < list.size(); ++i) part(std::to_string(i), list[i]);
  }
  /// How many those are, in the description or in the list.
  template <class Base>
  Index count(const std::vector<Poly<Base>>& list) const {
    return static_cast<Index>(restoring_ ? count_parts() : list.size());
  }
  /// What `names` names stands under "name." in paths; it is no object of its own in descriptions.
  template <class Names>
  void block(std::string_view name, Names names) {
    const std::size_t length = prefix_.size();
    prefix_.append(name).push_back('.');
    names();
    prefix_.resize(length);
  }
  /// The same for the tensors of a component whose constants follow from its owner's; without a name they stand among
  /// the owner's.
  void tensors_of(std::string_view name, Component<T>& component) { do_tensors_of(name, component); }

 protected:
  explicit Fields(bool restoring, std::string prefix = {}) : restoring_(restoring), prefix_(std::move(prefix)) {}
  const std::string& prefix() const { return prefix_; }

 private:
  virtual void do_type(std::string_view) {}
  virtual bool do_has(std::string_view) const { return false; }
  /// Takes the constant, or puts the one that is restored in its place; it keeps its kind.
  virtual void do_constant(std::string_view, Description::Value&) {}
  virtual void do_constants(Description&) {}
  virtual void do_tensor(std::string_view, StateKind, Tensor<T>&, const std::vector<Index>&, Attributes<T>) {}
  virtual void do_expect(std::string_view, const std::vector<Index>*, Index) {}
  virtual void do_part(std::string_view, Component<T>&) {}
  virtual void do_tensors_of(std::string_view, Component<T>&) {}
  // Restoring alone.
  virtual std::size_t count_parts() const { return 0; }
  virtual Restoration do_source(std::string_view name);
  /// The same value as text or number of the class's kind, in and out.
  template <class V>
  void exchange(std::string_view name, V& value) {
    Description::Value v = value;
    do_constant(name, v);
    if (restoring_) value = std::get<V>(std::move(v));
  }
  bool has(std::string_view name) const { return do_has(name); }
  [[noreturn]] void refuse(std::string_view name, const std::string& what) const;

  bool restoring_;
  std::string prefix_;
  std::string type_;  // for messages
};

extern template class Fields<float>;
extern template class Fields<double>;

/// The tree as people read it: a line for each part, with its constants and the number of its parameters.
///
///     layers (base side first)          parameters
///     transformed_distribution               4,306
///     ├─ base: multivariate_normal_diag          -   dim 4
///     └─ bijector: chain                     4,306
template <Scalar T>
std::string to_text(const Component<T>& model);

}  // namespace pushforward
