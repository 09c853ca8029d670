#pragma once

// Flows away from their start.

#include <pushforward/component.hpp>
#include <pushforward/random.hpp>
#include <vector>

namespace flow_tests {

using namespace pushforward;

/// Makes a flow that is far from the identity: every parameter moved by a fixed random amount.
template <Scalar T>
void shake(Component<T>& tree, double size) {
  Engine engine(99);
  for (const Slot<T>& slot : list_state(tree)) {
    if (slot.kind != StateKind::parameter || !slot.attributes.trainable) continue;
    std::vector<double> noise(static_cast<std::size_t>(slot.tensor->size()));
    if (noise.empty()) continue;
    engine.next_call().normal(0, slot.tensor->size(), 1, noise.data(), slot.tensor->size());
    for (Index i = 0; i < slot.tensor->size(); ++i)
      (*slot.tensor)[i] += static_cast<T>(size * noise[static_cast<std::size_t>(i)]);
  }
}

}  // namespace flow_tests
