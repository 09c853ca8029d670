#pragma once

// The whole public API but the contract checks, which tests include (<pushforward/testing/...>), and the ports of other
// systems' batch normalisation (<pushforward/ports/...>, target pushforward::ports).

#include <pushforward/arena.hpp>
#include <pushforward/batch_norm/core.hpp>
#include <pushforward/batch_norm/layer.hpp>
#include <pushforward/bijector.hpp>
#include <pushforward/classes.hpp>
#include <pushforward/component.hpp>
#include <pushforward/description.hpp>
#include <pushforward/distribution.hpp>
#include <pushforward/distributions/location_scale.hpp>
#include <pushforward/distributions/location_scale_tril.hpp>
#include <pushforward/dual.hpp>
#include <pushforward/error.hpp>
#include <pushforward/evaluator.hpp>
#include <pushforward/execution.hpp>
#include <pushforward/fields.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/io/csv.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/io/npy.hpp>
#include <pushforward/io/safetensors.hpp>
#include <pushforward/nn/dense.hpp>
#include <pushforward/nn/network.hpp>
#include <pushforward/ops.hpp>
#include <pushforward/pass.hpp>
#include <pushforward/poly.hpp>
#include <pushforward/random.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/space.hpp>
#include <pushforward/tape.hpp>
#include <pushforward/tensor.hpp>
#include <pushforward/training/calibrate.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/losses.hpp>
#include <pushforward/training/optimizer.hpp>
#include <pushforward/training/prepare.hpp>
#include <pushforward/training/schedule.hpp>
#include <pushforward/transformer.hpp>
#include <pushforward/views.hpp>
#include <pushforward/wrapper.hpp>
