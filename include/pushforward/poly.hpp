#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include <pushforward/error.hpp>

namespace pushforward {

/// Owns one object of some class derived from Base, as a value: copies are deep, const passes on to the object, and
/// a use after a move throws.
template <class Base>
class Poly {
 public:
  /// Holds nothing: to be assigned to.
  Poly() = default;
  template <class D>
    requires(std::derived_from<std::remove_cvref_t<D>, Base> && !std::is_abstract_v<std::remove_cvref_t<D>>)
  Poly(D&& object)  // NOLINT: implicit by design
      : object_(new std::remove_cvref_t<D>(std::forward<D>(object))), copy_([](const Base& b) -> Base* {
          return new std::remove_cvref_t<D>(static_cast<const std::remove_cvref_t<D>&>(b));
        }) {}
  Poly(const Poly& other) : object_(other.object_ ? other.copy_(*other) : nullptr), copy_(other.copy_) {}
  Poly(Poly&& other) noexcept : object_(std::exchange(other.object_, nullptr)), copy_(other.copy_) {}
  Poly& operator=(const Poly& other) {
    Poly copy(other);
    return *this = std::move(copy);
  }
  Poly& operator=(Poly&& other) noexcept {
    std::swap(object_, other.object_);
    std::swap(copy_, other.copy_);
    return *this;
  }
  ~Poly() { delete object_; }

  const Base& operator*() const { return *checked(); }
  Base& operator*() { return *checked(); }
  const Base* operator->() const { return checked(); }
  Base* operator->() { return checked(); }

 private:
  Base* checked() const {
    if (!object_) throw Error("Poly: used after a move, or before it was given an object");
    return object_;
  }
  Base* object_ = nullptr;
  Base* (*copy_)(const Base&) = nullptr;
};

}  // namespace pushforward
