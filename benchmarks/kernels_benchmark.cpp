// Speed of the kernels, one thread:
//   kernels_benchmark --benchmark_filter=linear/float
// The instruction set is the library's choice (PUSHFORWARD_INSTRUCTION_SET overrules it). "GFLOP/s" counts a
// multiply-add as two; the largest value that any code can reach is printed by `peak`.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <pushforward/random.hpp>
#include <random>
#include <string>
#include <vector>

#include "src/kernels/kernels.hpp"

namespace {

using pushforward::Index;
namespace kernels = pushforward::kernels;

template <class T>
class Buffer {
 public:
  explicit Buffer(Index size, double low = -1, double high = 1)
      : data_(static_cast<T*>(::operator new (static_cast<std::size_t>(size + 16) * sizeof(T), std::align_val_t{64}))) {
    std::mt19937 engine(1);
    std::uniform_real_distribution<double> uniform(low, high);
    for (Index i = 0; i < size + 16; ++i) data_[i] = static_cast<T>(uniform(engine));
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { ::operator delete (data_, std::align_val_t{64}); }
  T* get() { return data_; }

 private:
  T* data_;
};

void set_rate(benchmark::State& state, double flops) {
  state.counters["GFLOP/s"] =
      benchmark::Counter(flops * 1e-9 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void set_time(benchmark::State& state, Index values) {
  state.counters["ns/value"] =
      benchmark::Counter(static_cast<double>(values) * 1e-9 * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// `staircase`: the degrees of a masked network's hidden layer, so that about half of the weights exist.
template <class T>
struct Problem {
  Index rows, inputs, outputs;
  std::vector<Index> prefix, offset;
  Buffer<T> x, w, y, bias, scratch;
  double flops = 0;

  Problem(Index n, Index k, Index o, bool staircase)
      : rows(n),
        inputs(k),
        outputs(o),
        x(n * k),
        w(k * o),
        y(n * o, -1e-3, 1e-3),
        bias(o),
        scratch(kernels::table<T>().scratch_size(k)) {
    for (Index j = 0; j < o; ++j) {
      prefix.push_back(staircase ? std::max<Index>(1, k * (1 + j * 16 / o) / 16) : k);
      offset.push_back(j * k);
      flops += 2.0 * static_cast<double>(n * prefix.back());
    }
  }
  kernels::Staircase<T> staircase() { return {w.get(), prefix.data(), offset.data()}; }
};

template <class T>
void linear(benchmark::State& state, bool staircase) {
  const kernels::Table<T>& table = kernels::table<T>();
  Problem<T> p(state.range(0), state.range(1), state.range(2), staircase);
  for (auto _ : state) {
    table.linear(p.rows, p.x.get(), p.rows, p.staircase(), 0, p.outputs, p.bias.get(), false, p.y.get(), p.rows,
                 p.scratch.get());
    benchmark::ClobberMemory();
  }
  set_rate(state, p.flops);
}

template <class T>
void linear_backward_input(benchmark::State& state, bool staircase) {
  const kernels::Table<T>& table = kernels::table<T>();
  Problem<T> p(state.range(0), state.range(1), state.range(2), staircase);
  for (auto _ : state) {
    table.linear_backward_input(p.rows, p.y.get(), p.rows, p.staircase(), 0, p.outputs, p.inputs, p.x.get(), p.rows,
                                p.scratch.get());
    benchmark::ClobberMemory();
  }
  set_rate(state, p.flops);
}

template <class T>
void linear_backward_weight(benchmark::State& state, bool staircase) {
  const kernels::Table<T>& table = kernels::table<T>();
  Problem<T> p(state.range(0), state.range(1), state.range(2), staircase);
  for (auto _ : state) {
    table.linear_backward_weight(p.rows, p.y.get(), p.rows, p.x.get(), p.rows, p.prefix.data(), p.offset.data(), 0,
                                 p.outputs, p.w.get(), p.bias.get(), p.scratch.get());
    benchmark::ClobberMemory();
  }
  set_rate(state, p.flops);
}

/// Independent multiply-adds on data in registers or the first cache line: the machine's limit, through the tile that
/// the linear kernels use (16 inputs, one tile of rows, contraction over the same few columns).
template <class T>
void peak(benchmark::State& state) {
  const kernels::Table<T>& table = kernels::table<T>();
  Problem<T> p(64, 128, 6, false);
  for (auto _ : state) {
    table.linear(64, p.x.get(), 64, p.staircase(), 0, 6, nullptr, false, p.y.get(), 64, p.scratch.get());
    benchmark::ClobberMemory();
  }
  set_rate(state, p.flops);
}

template <class T>
using Function = void (*kernels::Table<T>::*)(const T*, T*, Index);

template <class T>
void function(benchmark::State& state, Function<T> f, double low, double high) {
  constexpr Index n = 2048;
  Buffer<T> x(n, low, high), y(n);
  for (auto _ : state) {
    (kernels::table<T>().*f)(x.get(), y.get(), n);
    benchmark::ClobberMemory();
  }
  set_time(state, n);
}

template <class T>
void activation(benchmark::State& state, kernels::Activation a, bool backward) {
  constexpr Index n = 2048;
  Buffer<T> x(n, -4, 4), y(n), gy(n), gx(n);
  for (auto _ : state) {
    if (backward) {
      kernels::table<T>().activation_backward(a, x.get(), y.get(), gy.get(), gx.get(), n);
    } else {
      kernels::table<T>().activation(a, x.get(), y.get(), n);
    }
    benchmark::ClobberMemory();
  }
  set_time(state, n);
}

template <class T>
void reduction(benchmark::State& state, int which) {
  constexpr Index n = 2048;
  Buffer<T> x(n), w(n, 0, 1);
  for (auto _ : state) {
    double result = 0;
    if (which == 0) result = kernels::table<T>().sum(x.get(), n);
    if (which == 1) result = kernels::table<T>().dot(x.get(), w.get(), n);
    if (which == 2) result = kernels::table<T>().moments(x.get(), nullptr, n).m2;
    if (which == 3) result = kernels::table<T>().moments(x.get(), w.get(), n).m2;
    benchmark::DoNotOptimize(result);
  }
  set_time(state, n);
}

/// 512 rows of four columns, words and draws.
template <class T>
void random_draws(benchmark::State& state, int which) {
  constexpr Index rows = 512;
  const pushforward::RandomCall call = pushforward::Engine(1).next_call();
  Buffer<T> values(4 * rows);
  for (auto _ : state) {
    if (which == 0) call.normal(0, rows, 4, values.get(), rows);
    if (which == 1) call.uniform(0, rows, 4, values.get(), rows);
    if (which == 2) call.logistic(0, rows, 4, values.get(), rows);
    if (which == 3) call.laplace(0, rows, 4, values.get(), rows);
    if (which == 4) call.cauchy(0, rows, 4, values.get(), rows);
    if (which == 5) call.exponential(0, rows, 4, values.get(), rows);
    benchmark::ClobberMemory();
  }
  set_time(state, 4 * rows);
}

/// One step; the largest does not fit into the caches.
template <class T>
void adam(benchmark::State& state) {
  const Index n = state.range(0);
  Buffer<T> p(n), m(n, -0.1, 0.1), v(n, 0, 0.1), g(n);
  for (auto _ : state) {
    kernels::table<T>().adam(p.get(), m.get(), v.get(), g.get(), n, T(1), T(1e-6), T(0.9), T(0.999), T(0.1), T(0.001),
                             T(1e-8), T(0));
    benchmark::ClobberMemory();
  }
  set_time(state, n);
  state.counters["GB/s"] =
      benchmark::Counter(7e-9 * sizeof(T) * static_cast<double>(n * state.iterations()), benchmark::Counter::kIsRate);
}

template <class T>
void register_all(const std::string& type) {
  const std::string ending = "/" + type;
  const auto shapes = [](benchmark::internal::Benchmark* b) {
    for (const Index rows : {16, 128, 256, 1024}) {
      for (const Index inputs : {6, 64, 256, 512}) {
        for (const Index outputs : {6, 64, 256, 512}) {
          if (std::min(inputs, outputs) >= 64 || std::max(inputs, outputs) == 256) b->Args({rows, inputs, outputs});
        }
      }
    }
    b->ArgNames({"rows", "inputs", "outputs"})->MinTime(0.1);
  };
  benchmark::RegisterBenchmark(("peak" + ending).c_str(), peak<T>);
  for (const bool staircase : {false, true}) {
    const std::string shape = staircase ? "/staircase" : "";
    benchmark::RegisterBenchmark(("linear" + ending + shape).c_str(), linear<T>, staircase)->Apply(shapes);
    benchmark::RegisterBenchmark(("linear_backward_input" + ending + shape).c_str(), linear_backward_input<T>,
                                 staircase)
        ->Apply(shapes);
    benchmark::RegisterBenchmark(("linear_backward_weight" + ending + shape).c_str(), linear_backward_weight<T>,
                                 staircase)
        ->Apply(shapes);
  }
  using Table = kernels::Table<T>;
  const auto add_function = [&](const char* name, Function<T> f, double low, double high) {
    benchmark::RegisterBenchmark((name + ending).c_str(), function<T>, f, low, high)->MinTime(0.1);
  };
  add_function("exp", &Table::exp, -10, 10);
  add_function("log", &Table::log, 0.01, 100);
  add_function("log1p", &Table::log1p, -0.9, 10);
  add_function("expm1", &Table::expm1, -10, 10);
  add_function("tanh", &Table::tanh, -5, 5);
  add_function("sigmoid", &Table::sigmoid, -10, 10);
  add_function("softplus", &Table::softplus, -10, 10);
  add_function("erf", &Table::erf, -4, 4);
  add_function("erfinv", &Table::erfinv, -1, 1);
  add_function("sqrt", &Table::sqrt, 0, 4);

  using kernels::Activation;
  const std::pair<const char*, Activation> activations[] = {
      {"relu", Activation::relu}, {"leaky_relu", Activation::leaky_relu},
      {"elu", Activation::elu},   {"gelu", Activation::gelu},
      {"silu", Activation::silu}, {"tanh", Activation::tanh}};
  for (const auto& [name, a] : activations) {
    for (const bool backward : {false, true}) {
      benchmark::RegisterBenchmark(("activation/" + std::string(name) + (backward ? "_backward" : "") + ending).c_str(),
                                   activation<T>, a, backward)
          ->MinTime(0.1);
    }
  }
  benchmark::RegisterBenchmark(("sum" + ending).c_str(), reduction<T>, 0)->MinTime(0.1);
  benchmark::RegisterBenchmark(("dot" + ending).c_str(), reduction<T>, 1)->MinTime(0.1);
  benchmark::RegisterBenchmark(("moments" + ending).c_str(), reduction<T>, 2)->MinTime(0.1);
  benchmark::RegisterBenchmark(("moments_weighted" + ending).c_str(), reduction<T>, 3)->MinTime(0.1);
  const char* const draws[] = {"normal", "uniform", "logistic", "laplace", "cauchy", "exponential"};
  for (int i = 0; i < 6; ++i)
    benchmark::RegisterBenchmark(("random/" + std::string(draws[i]) + ending).c_str(), random_draws<T>, i)
        ->MinTime(0.1);
  benchmark::RegisterBenchmark(("adam" + ending).c_str(), adam<T>)->Range(1 << 12, 1 << 24)->MinTime(0.1);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::AddCustomContext("instruction_set", kernels::table<float>().instruction_set);
  register_all<float>("float");
  register_all<double>("double");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return EXIT_FAILURE;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return EXIT_SUCCESS;
}
