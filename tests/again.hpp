#pragma once

// An object of a known class, made again from its description.

#include <concepts>
#include <pushforward/registry.hpp>

template <class C>
C made_again(const pushforward::Description& d) {
  const pushforward::Registry registry = pushforward::Registry::standard();
  C object = [] {
    if constexpr (std::constructible_from<C, pushforward::Blank>)
      return C(pushforward::Blank());
    else
      return C(pushforward::Index{1});
  }();
  object.restore({d, registry});
  return object;
}
