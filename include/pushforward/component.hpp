#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <pushforward/description.hpp>
#include <pushforward/poly.hpp>
#include <pushforward/tape.hpp>
#include <pushforward/tensor.hpp>

namespace pushforward {

template <Scalar T>
class Component;

namespace detail {
template <Scalar T>
T scalar_of_part(const Component<T>&);
template <class Base>
auto scalar_of_part(const Poly<Base>& owner) -> decltype(scalar_of_part(*owner));
}  // namespace detail

/// The scalar type of a bijector, distribution or network, or of a Poly of one.
template <class C>
using ScalarOf = decltype(detail::scalar_of_part(std::declval<const C&>()));

/// How a parameter that is packed in memory looks in files: dense, in the original order of units.
template <Scalar T>
class StoredForm {
 public:
  virtual ~StoredForm() = default;
  virtual std::vector<Index> shape() const = 0;
  virtual Tensor<T> to_file(const Tensor<T>& packed) const = 0;
  virtual void from_file(const Tensor<T>& dense, Tensor<T>& packed) const = 0;
};

/// What training needs to know of a tensor; of state, `from_data` alone.
template <Scalar T>
struct Attributes {
  bool decay = true;      ///< weight decay applies
  bool trainable = true;  ///< false: `fit` leaves it alone
  /// Its first value is still to come from data: before the first step `fit` runs a pass with statistics of a batch, in
  /// which the component proposes it.
  bool from_data = false;
  bool dense = false;     ///< (outputs, inputs) of a linear map as `linear` takes them; an Evaluator packs a copy
  /// A value that is not above 0 is none: a file that has one is refused.
  bool positive = false;
  /// Projects the value back after an update.
  std::function<void(Tensor<T>&)> constraint = {};
  /// Penalty that is added to the loss, the same in every row.
  std::function<Column<T>(Var<T>)> regularizer = {};
  /// Null: stored as it is. Otherwise owned by the component that lists the parameter.
  const StoredForm<T>* form = nullptr;
};

enum class StateKind { parameter, state };

/// One tensor of a component and where it stands in the tree: "bijector.3.net.layer1.weight".
template <Scalar T, class TensorType = Tensor<T>>
struct Slot {
  std::string path;
  StateKind kind;
  TensorType* tensor;
  Attributes<T> attributes;
};
template <Scalar T>
using ConstSlot = Slot<T, const Tensor<T>>;

/// Walks a tree of components and collects their tensors with path names.
template <Scalar T>
class Visitor {
 public:
  /// A learned tensor; quantities with bounds are listed in their unconstrained form.
  void parameter(std::string_view name, const Tensor<T>& tensor, Attributes<T> attributes = {}) {
    slots_.push_back({prefix_ + std::string(name), StateKind::parameter, &tensor, std::move(attributes)});
  }
  /// A tensor that training passes propose values for: running statistics, flags, counters.
  void state(std::string_view name, const Tensor<T>& tensor, Attributes<T> attributes = {}) {
    slots_.push_back({prefix_ + std::string(name), StateKind::state, &tensor, std::move(attributes)});
  }
  /// A part, whose names get "name." in front.
  template <class Part>
  void child(std::string_view name, const Part& part) {
    const std::size_t length = prefix_.size();
    prefix_.append(name).push_back('.');
    part.visit(*this);
    prefix_.resize(length);
  }
  const std::vector<ConstSlot<T>>& slots() const { return slots_; }
  const std::string& prefix() const { return prefix_; }

 private:
  std::string prefix_;
  std::vector<ConstSlot<T>> slots_;
};

template <Scalar T>
class Fields;
struct Restoration;

/// What bijectors, distributions and networks have in common: a name, and fields, named once by `do_fields`
/// (fields.hpp), from which description, listing of tensors, files and texts follow.
template <Scalar T>
class Component {
 public:
  virtual ~Component() = default;

  /// Class name for messages and printing: "MaskedAutoregressive".
  const std::string& name() const { return name_; }
  Description describe() const;
  void visit(Visitor<T>& visitor) const;
  /// Walks through the fields of the object itself.
  void fields(Fields<T>& f) { do_fields(f); }
  /// Of an object that has nothing yet: reads its constants and parts, gives its tensors their shapes.
  /// @throws IoError  if the description does not fit, naming what.
  void restore(const Restoration& from);
  /// "float32" or "float64".
  static constexpr std::string_view dtype() { return sizeof(T) == 4 ? "float32" : "float64"; }

 protected:
  explicit Component(std::string name) : name_(std::move(name)) {}
  Component(const Component&) = default;
  Component(Component&&) = default;
  Component& operator=(const Component&) = default;
  Component& operator=(Component&&) = default;
  void set_name(std::string name) { name_ = std::move(name); }

 private:
  /// Names everything that the object consists of.
  virtual void do_fields(Fields<T>& f) = 0;
  /// After all fields are read: checks them, and makes what follows from them.
  virtual void do_restored() {}

  std::string name_;
};

extern template class Component<float>;
extern template class Component<double>;

/// All tensors of a tree, in the order of its visits.
template <Scalar T>
std::vector<ConstSlot<T>> list_state(const Component<T>& component) {
  Visitor<T> visitor;
  component.visit(visitor);
  return visitor.slots();
}
template <Scalar T>
std::vector<Slot<T>> list_state(Component<T>& component) {
  std::vector<Slot<T>> slots;
  for (const ConstSlot<T>& slot : list_state(std::as_const(component)))
    // The tensors belong to a tree that the caller may change; the one hook lists them as const.
    slots.push_back({slot.path, slot.kind, const_cast<Tensor<T>*>(slot.tensor), slot.attributes});
  return slots;
}
/// Number of trainable values.
template <Scalar T>
Index count_parameters(const Component<T>& component) {
  Index count = 0;
  for (const ConstSlot<T>& slot : list_state(component))
    if (slot.kind == StateKind::parameter && slot.attributes.trainable) count += slot.tensor->size();
  return count;
}

}  // namespace pushforward
