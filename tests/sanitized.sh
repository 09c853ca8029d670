#!/bin/sh
# The contract and reader tests with AddressSanitizer and UndefinedBehaviorSanitizer, in a build of their own; .ci/slow
# runs all of them.
PUSHFORWARD_BUILD_DIR=${PUSHFORWARD_SANITIZED_BUILD_DIR:-$(cd "$(dirname "$0")/.." && pwd)/build-sanitized}
PUSHFORWARD_CMAKE_OPTIONS="-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DPUSHFORWARD_SANITIZE=address,undefined -DPUSHFORWARD_BUILD_SAMPLES=OFF -DPUSHFORWARD_BUILD_TOOLS=OFF"
. "$(dirname "$0")/../cmake/setup.sh"

targets="contract_test ops_test ops_elementwise_test ops_linear_test ops_batch_norm_test"
targets="$targets csv_test files_test npy_test safetensors_test model_test model_refusals_test"
targets="$targets batch_norm_test batch_norm_layer_test"
targets="$targets affine_tail_test stochastic_contract_test c_interface_test c_interface_c99_test"
# shellcheck disable=SC2086
cmake --build "$build" -j "$jobs" --target $targets
ctest --test-dir "$build" --output-on-failure -j "$jobs" -R "^($(echo "$targets" | tr ' ' '|'))\$"
