// Batch normalisation from its primitives, with the switch between training and test written by hand.
//
// In training each batch is normalised by its own moments, and moving averages follow them; at test time the averages
// take their place, so that the output for an image depends on that image alone.
#include <cmath>
#include <cstdio>
#include <pushforward/ports/tf_nn.hpp>
#include <pushforward/pushforward.hpp>
#include <vector>

namespace pf = pushforward;
namespace tf_nn = pushforward::batch_norm::tf_nn;

using Tensor = pf::Tensor<float>;

namespace {

constexpr pf::Index height = 4, width = 4, channels = 2;
constexpr double mean[channels] = {3, -1}, deviation[channels] = {2, 0.5};  // of the data; the program learns them

/// Images of normal noise, (n, height, width, channels).
Tensor images(pf::Index n, pf::Engine& engine) {
  Tensor x({n, height, width, channels});
  std::vector<double> noise(static_cast<std::size_t>(x.size()));
  engine.next_call().normal(0, x.size(), 1, noise.data(), x.size());
  for (pf::Index i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(mean[i % channels] + deviation[i % channels] * noise[static_cast<std::size_t>(i)]);
  return x;
}

struct BatchNorm {
  Tensor beta = Tensor({channels}, 0);  // would be learned; no gamma: a layer that follows has its own scale
  Tensor moving_mean = Tensor({channels}, 0);
  Tensor moving_variance = Tensor({channels}, 1);
  tf_nn::ZeroDebias<float> mean_state, variance_state;  // used where averages are to forget their start
  double decay = 0.98, epsilon = 0.001;
  bool zero_debias = false;

  Tensor train(const Tensor& x) {
    const tf_nn::Moments<float> batch = tf_nn::moments(x, {0, 1, 2});
    if (zero_debias) {
      tf_nn::assign_moving_average(moving_mean, batch.mean, decay, mean_state);
      tf_nn::assign_moving_average(moving_variance, batch.variance, decay, variance_state);
    } else {
      tf_nn::assign_biased_moving_average(moving_mean, batch.mean, decay);
      tf_nn::assign_biased_moving_average(moving_variance, batch.variance, decay);
    }
    return normalize(x, batch.mean, batch.variance);
  }
  Tensor test(const Tensor& x) const { return normalize(x, moving_mean, moving_variance); }

  Tensor normalize(const Tensor& x, const Tensor& m, const Tensor& v) const {
    return tf_nn::batch_normalization(x, m, v, beta, {}, epsilon);
  }
};

/// The largest difference between `y` and what the data's true mean and deviation give.
double error(const Tensor& x, const Tensor& y) {
  double largest = 0;
  for (pf::Index i = 0; i < x.size(); ++i) {
    const double right = (static_cast<double>(x[i]) - mean[i % channels]) / deviation[i % channels];
    largest = std::max(largest, std::abs(static_cast<double>(y[i]) - right));
  }
  return largest;
}

void print(const char* when, const BatchNorm& layer, double off) {
  std::printf("%-32s mean (%+.3f, %+.3f), variance (%.3f, %.3f), test output off by %.3f\n", when,
              static_cast<double>(layer.moving_mean[0]), static_cast<double>(layer.moving_mean[1]),
              static_cast<double>(layer.moving_variance[0]), static_cast<double>(layer.moving_variance[1]), off);
}

}  // namespace

int main() {
  pf::Engine engine(1);
  const Tensor x_test = images(8, engine);
  BatchNorm layer, debiased;
  debiased.zero_debias = true;
  print("before training:", layer, error(x_test, layer.test(x_test)));

  double early = 0;
  for (int step = 1; step <= 400; ++step) {
    const Tensor x = images(32, engine);
    layer.train(x);
    debiased.train(x);
    if (step != 10) continue;
    early = error(x_test, debiased.test(x_test));
    print("10 batches:", layer, error(x_test, layer.test(x_test)));
    print("10 batches, zero_debias:", debiased, early);
  }
  const double late = error(x_test, layer.test(x_test));
  print("400 batches:", layer, late);
  print("400 batches, zero_debias:", debiased, error(x_test, debiased.test(x_test)));

  // One image alone: at test time the same numbers as in its batch, by the moments of the batch different ones.
  Tensor one({1, height, width, channels});
  std::copy_n(x_test.data(), one.size(), one.data());
  const Tensor alone = layer.test(one), together = layer.test(x_test);
  const bool same = std::equal(alone.data(), alone.data() + alone.size(), together.data());
  const double trained = error(one, BatchNorm(layer).train(one));
  std::printf("an image alone at test time: %s as in its batch; by its own moments it is off by %.3f\n",
              same ? "the same bits" : "NOT the same", trained);

  return late < 0.05 && early < 0.15 && same && trained > 0.1 ? 0 : 1;
}
