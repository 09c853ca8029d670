// This library's side of the comparison with other libraries: one JSON request a line on standard input, one reply a
// line on standard output, as benchmarks/peers/protocol.py says, so that compare.py can alternate between all of them.
//
//   {"op": "prepare", "peer": "pushforward", "model": "nsf_ar_d6", "work": "train_step", "threads": 2, "dtype":
//   "float32"}
//   {"op": "run", ..., "repeats": 5}  ->  {"seconds": [...]}
#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <pushforward/pushforward.hpp>
#include <string>
#include <vector>

#include "kernels/kernels.hpp"

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
};

template <class T>
struct Model {
  pf::TransformedDistribution<T> flow;
  Index batch;
};

template <pf::Scalar T>
Model<T> make(const std::string& name) {
  const auto with = [](Index layers, Index hidden, pf::Mixing mixing = pf::Mixing::lu_linear) {
    return pf::FlowOptions{
        .layers = layers, .hidden = hidden, .residual = true, .mixing = mixing, .spline_unchanged = false};
  };
  if (name == "nsf_ar_d6") return {pf::nsf_ar<T>(6, with(10, 256)), 512};
  if (name == "nsf_ar_d43") return {pf::nsf_ar<T>(43, with(10, 64)), 128};
  if (name == "nsf_c_d63") return {pf::nsf<T>(63, with(10, 256)), 512};
  if (name == "nsf_c_d6") return {pf::nsf<T>(6, with(5, 32, pf::Mixing::none)), 1};
  if (name == "maf_d43") return {pf::maf<T>(43, {.layers = 5, .hidden = 512, .blocks = 1, .batch_norm = true}), 128};
  if (name == "realnvp_d21")
    return {
        pf::real_nvp<T>(
            21,
            {.layers = 10, .hidden = 256, .blocks = 1, .activation = pf::Activation::relu, .mixing = pf::Mixing::none}),
        256};
  throw std::invalid_argument("unknown model " + name);
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
  TrainStep(const std::string& model, Index batch, int threads)
      : made(make<T>(model)), batch(batch > 0 ? batch : made.batch), execution({.threads = threads}) {
    y = normal_rows<T>(steps * this->batch, made.flow.dim(), 1);
  }
  std::vector<double> run(int repeats) override {
    std::vector<double> result, ends;
    pf::FitOptions<T> options{.epochs = repeats + 1,
                              .batch_size = batch,
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
  Index batch;
  pf::Execution execution;
  pf::Matrix<T> y;
};

template <pf::Scalar T>
struct LogProb final : Job {
  LogProb(const std::string& model, Index rows, int threads)
      : made(make<T>(model)), execution({.threads = threads}), y(normal_rows<T>(rows, made.flow.dim(), 2)), out(rows) {}
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
  Sample(const std::string& model, Index rows, int threads)
      : made(make<T>(model)), execution({.threads = threads}), y(rows, made.flow.dim()) {}
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
  Latency(const std::string& model, bool sample)
      : evaluator(make<T>(model).flow), sample(sample), y(normal_rows<T>(1, evaluator.dim(), 4)), out(1) {}
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
    T* at = memory.data() + 23 * rows;
    std::vector<double> result = timed(repeats, [&] {
      for (int k = 0; k < 100; ++k)
        pf::kernels::table<T>().spline(spline, root, at, raw.data(), at + rows, at + 2 * rows, rows);
    });
    for (double& s : result) s /= 100 * static_cast<double>(rows);
    return result;
  }
  static constexpr Index rows = 4096;
  bool root;
  pf::Tensor<T> memory;
  std::vector<const T*> raw;
};

template <pf::Scalar T>
std::unique_ptr<Job> prepare(const Json& request) {
  const std::string work = request.at("work"), model = request.at("model");
  const int threads = request.value("threads", 2);
  if (work == "train_step") return std::make_unique<TrainStep<T>>(model, request.value("batch", Index{0}), threads);
  if (work == "log_prob") return std::make_unique<LogProb<T>>(model, request.value("rows", evaluated_rows), threads);
  if (work == "sample") return std::make_unique<Sample<T>>(model, request.value("rows", evaluated_rows), threads);
  if (work == "latency_log_prob") return std::make_unique<Latency<T>>(model, false);
  if (work == "latency_sample") return std::make_unique<Latency<T>>(model, true);
  if (work == "spline_forward") return std::make_unique<SplineJob<T>>(false);
  if (work == "spline_inverse") return std::make_unique<SplineJob<T>>(true);
  throw std::invalid_argument("unknown work " + work);
}

}  // namespace

int main() {
  std::unique_ptr<Job> job;
  std::string prepared;
  for (std::string line; std::getline(std::cin, line);) {
    Json reply = {{"seconds", Json::array()}};
    try {
      const Json request = Json::parse(line);
      const std::string op = request.at("op");
      if (op == "quit") break;
      const std::string key = request.at("work").get<std::string>() + "/" + request.at("model").get<std::string>() +
                              "/" + request.value("dtype", "float32") + "/" +
                              std::to_string(request.value("threads", 2)) + "/" +
                              std::to_string(request.value("batch", 0));
      if (op == "prepare" || key != prepared) {
        job.reset();
        job = request.value("dtype", "float32") == "float64" ? prepare<double>(request) : prepare<float>(request);
        job->run(1);
        prepared = key;
      }
      if (op == "run") reply["seconds"] = job->run(request.value("repeats", 1));
    } catch (const std::exception& error) {
      reply = {{"cannot", error.what()}};
    }
    std::cout << reply.dump() << std::endl;
  }
}
