#include <pushforward/fields.hpp>

#include <fmt/format.h>

#include <pushforward/error.hpp>

namespace pushforward {

template <Scalar T>
Restoration Fields<T>::do_source(std::string_view name) {
  throw Error("Fields: '" + std::string(name) + "' is not restored from anything");
}

template <Scalar T>
void Fields<T>::refuse(std::string_view name, const std::string& what) const {
  throw IoError(type_ + ": constant '" + std::string(name) + "' " + what);
}

template class Fields<float>;
template class Fields<double>;

namespace {

template <Scalar T>
class Lister final : public Fields<T> {
 public:
  explicit Lister(Visitor<T>& visitor) : Fields<T>(false), visitor_(visitor) {}

 private:
  void do_tensor(std::string_view name, StateKind kind, Tensor<T>& tensor, const std::vector<Index>&,
                 Attributes<T> attributes) override {
    const std::string path = this->prefix() + std::string(name);
    if (kind == StateKind::parameter)
      visitor_.parameter(path, tensor, std::move(attributes));
    else
      visitor_.state(path, tensor, std::move(attributes));
  }
  void do_part(std::string_view name, Component<T>& part) override { do_tensors_of(name, part); }
  void do_tensors_of(std::string_view name, Component<T>& component) override {
    if (name.empty()) return component.visit(visitor_);
    visitor_.child(this->prefix() + std::string(name), component);
  }

  Visitor<T>& visitor_;
};

template <Scalar T>
class Describer final : public Fields<T> {
 public:
  explicit Describer(Description& description) : Fields<T>(false), description_(description) {}
  bool describing() const override { return true; }

 private:
  void do_constants(Description& d) override { description_.constants.merge(d.constants); }
  void do_type(std::string_view name) override { description_.type = name; }
  void do_constant(std::string_view name, Description::Value& value) override {
    description_.constants[this->prefix() + std::string(name)] = value;
  }
  void do_part(std::string_view name, Component<T>& part) override {
    description_.children.push_back({this->prefix() + std::string(name), part.describe()});
  }

  Description& description_;
};

template <Scalar T>
class Restorer final : public Fields<T> {
 public:
  explicit Restorer(const Restoration& from) : Fields<T>(true), from_(from), d_(from.description) {}

 private:
  void do_type(std::string_view name) override {
    if (d_.type != name) throw IoError("expected the description of a " + std::string(name) + ", got '" + d_.type + "'");
  }
  bool do_has(std::string_view name) const override { return d_.has(name); }
  void do_constant(std::string_view name, Description::Value& value) override {
    std::visit(
        [&](auto& v) {
          using V = std::remove_cvref_t<decltype(v)>;
          if constexpr (std::same_as<V, bool>) v = d_.flag(name);
          else if constexpr (std::same_as<V, std::int64_t>) v = d_.integer(name);
          else if constexpr (std::same_as<V, double>) v = d_.number(name);
          else if constexpr (std::same_as<V, std::string>) v = d_.text(name);
          else if constexpr (std::same_as<V, std::vector<std::int64_t>>) v = d_.integers(name);
          else if constexpr (std::same_as<V, std::vector<double>>) v = d_.numbers(name);
          else v = d_.texts(name);
        },
        value);
  }
  void do_tensor(std::string_view name, StateKind, Tensor<T>& tensor, const std::vector<Index>& shape,
                 Attributes<T> attributes) override {
    // In another form than the file's it has been made already, by the component that knows it.
    expect(std::string(name), attributes.form ? attributes.form->shape() : shape);
    if (!attributes.form) tensor = Tensor<T>(shape);
  }
  void do_constants(Description& d) override {
    d.constants = d_.constants;
  }
  void do_expect(std::string_view name, const std::vector<Index>* shape, Index count) override {
    if (shape) return expect(std::string(name), *shape);
    const auto [path, found] = look_up(std::string(name));
    if (!found) return;
    double values = 1;
    for (const Index extent : *found) values *= static_cast<double>(extent);
    if (values != static_cast<double>(count))
      throw IoError(fmt::format("tensor \"{}\": expected {} values, got {}", path, count, values));
  }
  std::pair<std::string, const std::vector<Index>*> look_up(const std::string& name) const {
    std::string path = from_.prefix + this->prefix() + name;
    const std::vector<Index>* found = from_.shapes ? from_.shapes->find(path) : nullptr;
    if (from_.shapes && !found) throw IoError("tensors are missing: " + path);
    return {std::move(path), found};
  }
  void expect(const std::string& name, const std::vector<Index>& shape) const {
    const auto [path, found] = look_up(name);
    if (found && *found != shape)
      throw IoError(fmt::format("tensor \"{}\": expected shape ({}{}), got ({}{})", path, fmt::join(shape, ", "),
                                shape.size() == 1 ? "," : "", fmt::join(*found, ", "), found->size() == 1 ? "," : ""));
  }
  std::size_t count_parts() const override { return d_.children.size(); }
  Restoration do_source(std::string_view name) override {
    // Parts are asked for in the order of the description as a rule, of which there may be many.
    const bool next = asked_ < d_.children.size() && d_.children[asked_].name == name;
    const Description& part = next ? d_.children[asked_++].description : d_.child(name);
    return {part, from_.registry, from_.shapes, from_.prefix + this->prefix() + std::string(name) + "."};
  }

  const Restoration& from_;
  const Description& d_;
  std::size_t asked_ = 0;
};

}  // namespace

template <Scalar T>
void Component<T>::visit(Visitor<T>& visitor) const {
  Lister<T> lister(visitor);
  // Listing changes nothing; restoring is the one walk that does.
  const_cast<Component*>(this)->do_fields(lister);
}

template <Scalar T>
Description Component<T>::describe() const {
  Description description;
  Describer<T> describer(description);
  const_cast<Component*>(this)->do_fields(describer);
  if (description.type.empty()) throw NotImplemented(name() + "::describe: do_fields names no type");
  return description;
}

template <Scalar T>
void Component<T>::restore(const Restoration& from) {
  Restorer<T> restorer(from);
  do_fields(restorer);
  do_restored();
}

template class Component<float>;
template class Component<double>;

}  // namespace pushforward
