// This library's side of the comparison with other libraries: one JSON request a line on standard input, one reply a
// line on standard output, as benchmarks/peers/protocol.py says, so that compare.py can alternate between all of them.
//
//   {"op": "prepare", "peer": "pushforward", "model": "nsf_ar_d6", "work": "train_step", "threads": 2, "dtype":
//   "float32"}
//   {"op": "run", ..., "repeats": 5}  ->  {"seconds": [...]}
//   {"op": "write", ..., "weights": "model.safetensors"}  writes the model after a few steps; other requests with
//   "weights" read it from there, as do the libraries that can take its values.
//
// A reply tells too how much work a row is at least: "parameters", each of which takes part in one multiply-add of an
// evaluation (triangular networks keep no others), and "splines".
//   {"op": "limits", "threads": 2, "dtype": "float32"}
// gives what this machine can do now: "flops" of the best matrix product and "bytes" read and written per second by all
// threads, "spline" and "spline_backward", seconds per value on one thread.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <pushforward/pushforward.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "src/kernels/kernels.hpp"

namespace pf = pushforward;
using Index = pf::Index;
using Json = nlohmann::json;

namespace {

/// Rows that are timed; the result is scaled to the rows that the table speaks of, as it is for the peers.
constexpr Index evaluated_rows = 1 << 15;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// One prepared piece of work; `run` does it `repeats` times and gives the seconds of each.
struct Job {
  virtual ~Job() = default;
  virtual std::vector<double> run(int repeats) = 0;
  /// Of the model: trained values, and splines in one evaluation of a row.
  Index parameters = 0, splines = 0;
};

template <class T>
struct Model {
  pf::TransformedDistribution<T> flow;
  Index batch;
  Index splines = 0;  // of a row

  void describe(Job& job) {
    for (const pf::Slot<T>& slot : pf::list_state<T>(flow))
      if (slot.kind == pf::StateKind::parameter) job.parameters += slot.tensor->size();
    job.splines = splines;
  }
};

template <pf::Scalar T>
Model<T> make(const std::string& name) {
  const auto with = [](Index layers, Index hidden, pf::Mixing mixing = pf::Mixing::lu_linear) {
    return pf::FlowOptions{
        .layers = layers, .hidden = hidden, .residual = true, .mixing = mixing, .spline_unchanged = false};
  };
  if (name == "nsf_ar_d6") return {pf::nsf_ar<T>(6, with(10, 256)), 512, 10 * 6};
  if (name == "nsf_ar_d43") return {pf::nsf_ar<T>(43, with(10, 64)), 128, 10 * 43};
  if (name == "nsf_c_d63") return {pf::nsf<T>(63, with(10, 256)), 512, 5 * 63};
  if (name == "nsf_c_d6") return {pf::nsf<T>(6, with(5, 32, pf::Mixing::none)), 1, 5 * 3};
  if (name == "maf_d43" || name == "maf_d43_b1024")
    return {pf::maf<T>(43, {.layers = 5, .hidden = 512, .blocks = 1, .batch_norm = true}),
            name == "maf_d43" ? 128 : 1024};
  if (name == "realnvp_d21")
    return {
        pf::real_nvp<T>(
            21,
            {.layers = 10, .hidden = 256, .blocks = 1, .activation = pf::Activation::relu, .mixing = pf::Mixing::none}),
        256};
  throw std::invalid_argument("unknown model " + name);
}

/// The model that a request names, with the weights of its file where it has one.
template <pf::Scalar T>
Model<T> make(const Json& request) {
  Model<T> made = make<T>(request.at("model").get<std::string>());
  if (const Index batch = request.value("batch", Index{0}); batch > 0) made.batch = batch;
  if (const std::string path = request.value("weights", ""); !path.empty())
    made.flow = dynamic_cast<const pf::TransformedDistribution<T>&>(*pf::load<T>(path).distribution);
  return made;
}

template <pf::Scalar T>
pf::Matrix<T> normal_rows(Index rows, Index cols, std::uint64_t seed) {
  pf::Matrix<T> y(rows, cols);
  pf::Engine engine(seed);
  pf::MultivariateNormalDiag<T>(cols).sample_into(y, engine);
  return y;
}

template <class F>
std::vector<double> timed(int repeats, F f) {
  std::vector<double> result;
  for (int i = 0; i < repeats; ++i) {
    const double start = seconds_now();
    f();
    result.push_back(seconds_now() - start);
  }
  return result;
}

/// Steps of `fit` on one batch after the other; the first epochs warm up, and what fit does besides (validation,
/// population statistics) is kept out by timing between its calls of the callback, an epoch of 16 steps each.
template <pf::Scalar T>
struct TrainStep final : Job {
  TrainStep(Model<T> model, int threads)
      : made(std::move(model)),
        execution({.threads = threads}),
        y(normal_rows<T>(steps * made.batch, made.flow.dim(), 1)) {
    made.describe(*this);
  }
  std::vector<double> run(int repeats) override {
    std::vector<double> result, ends;
    pf::FitOptions<T> options{.epochs = repeats + 1,
                              .batch_size = made.batch,
                              .learning_rate = 1e-4,
                              .schedule = pf::ConstantSchedule{},
                              .validation_fraction = 0,
                              .statistics = pf::EvaluationStatistics::running,
                              .execution = execution};
    options.callback = [&](const pf::Progress&) {
      ends.push_back(seconds_now());
      return true;
    };
    pf::fit(made.flow, y, options);
    for (std::size_t i = 1; i < ends.size(); ++i) result.push_back((ends[i] - ends[i - 1]) / steps);
    return result;
  }
  static constexpr Index steps = 16;
  Model<T> made;
  pf::Execution execution;
  pf::Matrix<T> y;
};

template <pf::Scalar T>
struct LogProb final : Job {
  LogProb(Model<T> model, Index rows, int threads)
      : made(std::move(model)),
        execution({.threads = threads}),
        y(normal_rows<T>(rows, made.flow.dim(), 2)),
        out(rows) {
    made.describe(*this);
  }
  std::vector<double> run(int repeats) override {
    std::vector<double> result = timed(repeats, [&] { made.flow.log_prob_into(y, out, {}, execution); });
    for (double& s : result) s *= 1e6 / static_cast<double>(y.rows());
    return result;
  }
  Model<T> made;
  pf::Execution execution;
  pf::Matrix<T> y;
  Eigen::VectorXd out;
};

template <pf::Scalar T>
struct Sample final : Job {
  Sample(Model<T> model, Index rows, int threads)
      : made(std::move(model)), execution({.threads = threads}), y(rows, made.flow.dim()) {
    made.describe(*this);
  }
  std::vector<double> run(int repeats) override {
    std::vector<double> result = timed(repeats, [&] {
      pf::Engine engine(3);
      made.flow.sample_into(y, engine, {}, execution);
    });
    for (double& s : result) s *= 1e5 / static_cast<double>(y.rows());
    return result;
  }
  Model<T> made;
  pf::Execution execution;
  pf::Matrix<T> y;
};

/// Median of many calls for one row.
template <pf::Scalar T>
struct Latency final : Job {
  Latency(const Model<T>& model, bool sample)
      : evaluator(model.flow), sample(sample), y(normal_rows<T>(1, evaluator.dim(), 4)), out(1) {}
  std::vector<double> run(int repeats) override {
    std::vector<double> result;
    pf::Engine engine(5);
    for (int r = 0; r < repeats; ++r) {
      std::vector<double> calls = timed(2000, [&] {
        if (sample)
          evaluator.sample_into(y, engine, workspace);
        else
          evaluator.log_prob_into(y, out, workspace);
      });
      std::nth_element(calls.begin(), calls.begin() + 1000, calls.end());
      result.push_back(calls[1000]);
    }
    return result;
  }
  pf::Evaluator<T> evaluator;
  typename pf::Evaluator<T>::Workspace workspace;
  bool sample;
  pf::Matrix<T> y;
  Eigen::VectorXd out;
};

/// Seconds per value, from raw parameters, 8 bins.
template <pf::Scalar T>
struct SplineJob final : Job {
  explicit SplineJob(bool root) : root(root), memory({26, rows}) {
    const pf::Matrix<T> noise = normal_rows<T>(rows, 26, 6);
    for (Index c = 0; c < 26; ++c)
      for (Index i = 0; i < rows; ++i) memory(c, i) = noise(i, c);
    for (Index c = 0; c < 23; ++c) raw.push_back(memory.data() + c * rows);
  }
  std::vector<double> run(int repeats) override {
    T* at = memory.data() + 23 * rows;
    return per_value(
        repeats, [&] { pf::kernels::table<T>().spline(spline, root, at, raw.data(), at + rows, at + 2 * rows, rows); });
  }
  /// Gradients of argument and parameters, from any adjoints.
  std::vector<double> run_backward(int repeats) {
    std::vector<T*> gradient;
    pf::Tensor<T> gradients({24, rows});
    for (Index c = 0; c < 23; ++c) gradient.push_back(gradients.data() + c * rows);
    T* at = memory.data() + 23 * rows;
    run(1);
    return per_value(repeats, [&] {
      pf::kernels::table<T>().spline_backward(spline, root, at, at + rows, raw.data(), at, at,
                                              gradients.data() + 23 * rows, gradient.data(), rows);
    });
  }

 private:
  template <class F>
  std::vector<double> per_value(int repeats, F f) {
    std::vector<double> result = timed(repeats, [&] {
      for (int k = 0; k < 100; ++k) f();
    });
    for (double& s : result) s /= 100 * static_cast<double>(rows);
    return result;
  }
  const pf::kernels::Spline<T> spline{.bins = 8,
                                      .low = -3,
                                      .high = 3,
                                      .first = -3,
                                      .last = 3,
                                      .tails = pf::kernels::Tails::identity,
                                      .scale = 1,
                                      .min_width = T(1e-3),
                                      .min_height = T(1e-3),
                                      .min_derivative = T(1e-3),
                                      .max_derivative = T(1e18),
                                      .log_range = 0};
  static constexpr Index rows = 4096;
  bool root;
  pf::Tensor<T> memory;
  std::vector<const T*> raw;
};

/// A dense linear map or one of its gradients, by the kernel that flows call.
template <pf::Scalar T>
struct Product final : Job {
  Product(const std::string& work, Index outputs, Index inputs, Index rows)
      : work(work),
        outputs(outputs),
        inputs(inputs),
        rows(rows),
        prefix(static_cast<std::size_t>(outputs), inputs),
        w({outputs, inputs}, T(0.1)),
        argument({inputs, rows}, T(1)),
        result({outputs, rows}, T(1e-3)),
        scratch({table.scratch_size(inputs)}) {
    for (Index o = 0; o < outputs; ++o) offset.push_back(o * inputs);
  }
  std::vector<double> run(int repeats) override {
    const auto flops = 2 * static_cast<double>(outputs * inputs * rows);
    const int calls = static_cast<int>(2e9 / flops) + 1;
    std::vector<double> seconds = timed(repeats, [&] {
      for (int i = 0; i < calls; ++i) multiply();
    });
    for (double& s : seconds) s /= calls;
    return seconds;
  }

 private:
  void multiply() {
    const pf::kernels::Staircase<T> map{w.data(), prefix.data(), offset.data()};
    if (work == "product_forward")
      table.linear(rows, argument.data(), rows, map, 0, outputs, nullptr, false, result.data(), rows, scratch.data());
    else if (work == "product_input")
      table.linear_backward_input(rows, result.data(), rows, map, 0, outputs, inputs, argument.data(), rows,
                                  scratch.data());
    else
      table.linear_backward_weight(rows, result.data(), rows, argument.data(), rows, prefix.data(), offset.data(), 0,
                                   outputs, w.data(), nullptr, scratch.data());
  }

  std::string work;
  const pf::kernels::Table<T>& table = pf::kernels::table<T>();
  Index outputs, inputs, rows;
  std::vector<Index> prefix, offset;
  pf::Tensor<T> w, argument, result, scratch;
};

template <pf::Scalar T>
std::unique_ptr<Job> prepare(const Json& request) {
  const std::string work = request.at("work");
  const int threads = request.value("threads", 2);
  const Index rows = request.value("rows", evaluated_rows);
  if (work == "train_step") return std::make_unique<TrainStep<T>>(make<T>(request), threads);
  if (work == "log_prob") return std::make_unique<LogProb<T>>(make<T>(request), rows, threads);
  if (work == "sample") return std::make_unique<Sample<T>>(make<T>(request), rows, threads);
  if (work == "latency_log_prob") return std::make_unique<Latency<T>>(make<T>(request), false);
  if (work == "latency_sample") return std::make_unique<Latency<T>>(make<T>(request), true);
  if (work == "spline_forward") return std::make_unique<SplineJob<T>>(false);
  if (work == "spline_inverse") return std::make_unique<SplineJob<T>>(true);
  if (work.starts_with("product_")) {
    const std::string model = request.at("model");
    Index outputs = 0, inputs = 0, columns = 0;
    char x = 0;
    if (!(std::istringstream(model) >> outputs >> x >> inputs >> x >> columns))
      throw std::invalid_argument("a product's model is <outputs>x<inputs>x<rows>, not " + model);
    return std::make_unique<Product<T>>(work, outputs, inputs, columns);
  }
  throw std::invalid_argument("unknown work " + work);
}

/// Writes the model after 16 steps, which move every value from where it starts.
template <pf::Scalar T>
void write(const Json& request) {
  Model<T> made = make<T>(request.at("model").get<std::string>());
  pf::fit(made.flow, normal_rows<T>(16 * made.batch, made.flow.dim(), 7),
          {.epochs = 1, .batch_size = made.batch, .validation_fraction = 0});
  pf::save<T>(request.at("weights").get<std::string>(), made.flow);
}

/// What the machine can do at this moment, all `threads` of it at work.
template <pf::Scalar T>
Json limits(int threads) {
  pf::Execution execution({.threads = threads});
  constexpr Index outputs = 256, inputs = 256, n = 512;
  constexpr std::size_t copied = std::size_t{1} << 27;
  double product = 1e9, copy = 1e9;
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::vector<double> products(static_cast<std::size_t>(threads)), copies(products);
    execution.run([&](int thread) {
      const auto t = static_cast<std::size_t>(thread);
      Product<T> best("product_forward", outputs, inputs, n);
      best.run(1);
      execution.group().barrier();
      const std::vector<double> seconds = best.run(6);
      products[t] = std::accumulate(seconds.begin(), seconds.end(), 0.0) / 6;
      const std::vector<char> from(copied, 1);
      std::vector<char> to(copied);
      execution.group().barrier();
      copies[t] = timed(1, [&] { std::copy(from.begin(), from.end(), to.begin()); })[0];
    });
    product = std::min(product, *std::max_element(products.begin(), products.end()));
    copy = std::min(copy, *std::max_element(copies.begin(), copies.end()));
  }
  SplineJob<T> spline(false);
  const std::vector<double> forward = spline.run(5), backward = spline.run_backward(5);
  return {{"flops", threads * 2.0 * n * inputs * outputs / product},
          {"bytes", threads * 2.0 * static_cast<double>(copied) / copy},
          {"spline", *std::min_element(forward.begin(), forward.end())},
          {"spline_backward", *std::min_element(backward.begin(), backward.end())}};
}

}  // namespace

int main() {
  std::unique_ptr<Job> job;
  std::string prepared;
  for (std::string line; std::getline(std::cin, line);) {
    Json reply = {{"seconds", Json::array()}};
    try {
      const Json request = Json::parse(line);
      const std::string op = request.at("op"), dtype = request.value("dtype", "float32");
      const bool wide = dtype == "float64";
      const int threads = request.value("threads", 2);
      if (op == "quit") break;
      if (op == "limits") {
        reply = wide ? limits<double>(threads) : limits<float>(threads);
      } else if (op == "write") {
        wide ? write<double>(request) : write<float>(request);
      } else {
        const std::string key = request.at("work").get<std::string>() + "/" + request.at("model").get<std::string>() +
                                "/" + dtype + "/" + std::to_string(threads) + "/" +
                                std::to_string(request.value("batch", 0)) + "/" + request.value("weights", "");
        if (op == "prepare" || key != prepared) {
          job.reset();
          job = wide ? prepare<double>(request) : prepare<float>(request);
          job->run(1);
          prepared = key;
        }
        if (op == "run") reply["seconds"] = job->run(request.value("repeats", 1));
        if (job->parameters > 0) {
          reply["parameters"] = job->parameters;
          reply["splines"] = job->splines;
        }
      }
    } catch (const std::exception& error) {
      reply = {{"cannot", error.what()}};
    }
    std::cout << reply.dump() << std::endl;
  }
}
