// Batch normalisation of tensors that do not fit the caches: bytes per second of the training pass (counted as three
// passes over the tensor) and of its gradient (five), beside memcpy's in the same run, alternating.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <pushforward/pushforward.hpp>
#include <vector>

namespace pf = pushforward;
namespace bn = pushforward::batch_norm;

namespace {

template <class F>
double seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <pf::Scalar T>
void run(const char* name, std::vector<pf::Index> shape, std::vector<pf::Index> kept) {
  pf::Index size = 1;
  for (const pf::Index n : shape) size *= n;
  std::vector<T> x(static_cast<std::size_t>(size)), dy(x.size()), out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<T>(1 + 0.001 * static_cast<double>(i % 977));
    dy[i] = static_cast<T>(0.01 * static_cast<double>(i % 101));
  }
  const std::size_t channels = static_cast<std::size_t>(bn::count_along(shape, kept));
  const std::vector<double> gamma(channels, 1.5), beta(channels, 0.5);
  const pf::TensorView<const T> in(x.data(), shape), g(dy.data(), shape);
  const pf::TensorView<T> to(out.data(), shape);
  std::vector<double> copy, forward, backward;
  bn::Moments m;
  for (int repeat = 0; repeat < 9; ++repeat) {
    copy.push_back(seconds([&] { std::memcpy(out.data(), x.data(), x.size() * sizeof(T)); }));
    forward.push_back(seconds([&] { m = bn::training_forward<T>(in, kept, gamma, beta, 1e-3, to); }));
    backward.push_back(seconds([&] {
      bn::Adjoints<T> adjoints;
      adjoints.out = g;
      bn::training_backward<T>(in, kept,
                               {.mean = m.mean, .variance = m.variance, .gamma = gamma, .beta = beta, .epsilon = 1e-3},
                               adjoints, to);
    }));
  }
  const auto rate = [&](std::vector<double>& times, double passes) {
    std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
    return passes * static_cast<double>(x.size() * sizeof(T)) / times[times.size() / 2] * 1e-9;
  };
  const double c = rate(copy, 2), f = rate(forward, 3), b = rate(backward, 5);
  std::printf("%-34s %-6s  memcpy %5.1f GB/s  forward %5.1f (%3.0f %%)  backward %5.1f (%3.0f %%)\n", name,
              sizeof(T) == 4 ? "float" : "double", c, f, 100 * f / c, b, 100 * b / c);
}

template <pf::Scalar T>
void all() {
  run<T>("rows x 64 channels", {1 << 20, 64}, {1});
  run<T>("rows x 1000 channels", {1 << 16, 1000}, {1});
  run<T>("rows x 3 channels", {1 << 24, 3}, {1});
  run<T>("NCHW 64 x 64 x 112 x 112", {64, 64, 112, 112}, {1});
  run<T>("NHWC 64 x 112 x 112 x 64", {64, 112, 112, 64}, {3});
  run<T>("NHWC 64 x 224 x 224 x 3", {64, 224, 224, 3}, {3});
  run<T>("NCHW, channels of 7 x 7", {1024, 512, 7, 7}, {1});
}

}  // namespace

int main() {
  all<float>();
  all<double>();
}
