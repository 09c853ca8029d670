#include <pushforward/classes.hpp>
#include <pushforward/registry.hpp>

namespace pushforward {

Registry Registry::standard() {
  Registry registry;
#define PUSHFORWARD_ADD(Class, type) registry.add<Class>(type);
  PUSHFORWARD_CLASSES(PUSHFORWARD_ADD)
#undef PUSHFORWARD_ADD
  return registry;
}

}  // namespace pushforward
