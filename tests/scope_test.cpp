// Scopes on the tape: memory that is freed while a pass is recorded, parts that are computed again in the backward pass,
// constants, and reductions over the batch.

#include <cmath>
#include <cstring>
#include <limits>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/nn/made.hpp>
#include <pushforward/testing/bijector_contract.hpp>
#include <pushforward/testing/gradient_check.hpp>
#include <pushforward/training/fit.hpp>

#include "tests/catch.hpp"
#include "tests/training.hpp"

using namespace pushforward;
using namespace pushforward::testing;
using training_tests::same_bits;

namespace {

std::size_t arena_bytes(Execution& execution) {
  std::size_t bytes = execution.common().capacity();
  for (int t = 0; t < execution.threads(); ++t) bytes += execution.local(t).capacity();
  return bytes;
}

struct Trained {
  std::vector<float> values;
  std::vector<double> losses;
  std::size_t bytes;
};

Trained train(TransformedDistribution<float> flow, const Matrix<float>& y, bool checkpointing, int threads,
              Index batch, Index epochs) {
  Execution execution({.threads = threads, .all_always = true});
  const FitReport report = fit(flow, y,
                               {.epochs = epochs,
                                .batch_size = batch,
                                .validation_fraction = 0,
                                .statistics = EvaluationStatistics::running,
                                .gradient_checkpointing = checkpointing,
                                .execution = execution});
  return {training_tests::values<float>(flow), report.train_loss, arena_bytes(execution)};
}

Matrix<float> normal_rows(Index rows, Index dim) {
  Engine engine(11);
  return Normal<float>(dim).sample(rows, engine);
}

}  // namespace

// ------------------------------------------------------------------------------------------------------ checkpoints

TEST_CASE("Training with checkpoints gives the same bits, with dropout and batch norm between, for any number of threads",
          "[scope]") {
  const Matrix<float> y = normal_rows(320, 5);
  const FlowOptions options{.layers = 3, .hidden = 16, .dropout = 0.2, .mixing = Mixing::lu_linear, .batch_norm = true};
  const std::vector<std::pair<std::string, TransformedDistribution<float>>> flows{
      {"maf", maf<float>(5, options)}, {"iaf", iaf<float>(5, options)}, {"nsf", nsf<float>(5, options)}};
  for (const auto& [name, flow] : flows) {
    INFO(name);
    const Trained plain = train(flow, y, false, 1, 64, 2);
    for (const int threads : {1, 2, 3}) {
      INFO(threads << " threads");
      const Trained again = train(flow, y, true, threads, 64, 2);
      CHECK(same_bits(again.values, plain.values));
      CHECK(same_bits(again.losses, plain.losses));
    }
  }
}

TEST_CASE("A checkpointed step of a deep flow takes at most a fifth of the memory", "[scope]") {
  const Matrix<float> y = normal_rows(512, 20);
  FlowOptions options{.layers = 10, .hidden = 64, .residual = true, .mixing = Mixing::lu_linear};
  for (const bool between : {false, true}) {
    options.batch_norm = between;
    options.dropout = between ? 0.1 : 0;
    const TransformedDistribution<float> flow = nsf_ar<float>(20, options);
    const Trained plain = train(flow, y, false, 1, 512, 1), again = train(flow, y, true, 1, 512, 1);
    CHECK(same_bits(again.values, plain.values));
    INFO("plain " << plain.bytes << " bytes, with checkpoints " << again.bytes << (between ? ", dropout" : ""));
    CHECK(again.bytes * 5 <= plain.bytes);
  }
}

TEST_CASE("A checkpoint hands out proposals once and gives gradients of the context", "[scope]") {
  TransformedDistribution<double> flow =
      maf<double>(3, {.layers = 2, .hidden = 8, .context_dim = 2, .batch_norm = true});
  perturb<double>(flow, 7);
  const Matrix<double> y = normal_rows(37, 3).cast<double>(), c = normal_rows(37, 2).cast<double>();
  struct Result {
    std::size_t proposals;
    Eigen::MatrixXd rows, context;
  };
  const auto run = [&](bool checkpointing) {
    Arena batch, local;
    Tape<double> tape(Tape<double>::Mode::record, {batch, local}, 37);
    const auto load = [&](const Matrix<double>& m) {
      const Var<double> x = tape.matrix(m.cols(), true);
      for (Index j = 0; j < m.cols(); ++j) {
        std::fill_n(tape.value(x, j), tape.padded_rows(), 0.0);
        for (Index i = 0; i < m.rows(); ++i) tape.value(x, j)[i] = m(i, j);
      }
      return x;
    };
    Proposals<double> proposals;
    Pass<double>::Settings settings;
    settings.statistics = Statistics::minibatch;
    settings.proposals = &proposals;
    settings.checkpoint = checkpointing;
    settings.context = load(c);
    Pass<double> pass(tape, settings);
    const Var<double> x = load(y);
    const std::vector<double> ones(37, 1.0);
    tape.backward(flow.log_prob(pass, x), ones.data());
    Result result{proposals.values.size(), Eigen::MatrixXd(37, 3), Eigen::MatrixXd(37, 2)};
    for (Index i = 0; i < 37; ++i) {
      for (Index j = 0; j < 3; ++j) result.rows(i, j) = tape.gradient(x, j)[i];
      for (Index j = 0; j < 2; ++j) result.context(i, j) = tape.gradient(settings.context, j)[i];
    }
    return result;
  };
  const Result plain = run(false), again = run(true);
  CHECK(plain.proposals > 0);
  CHECK(again.proposals == plain.proposals);
  CHECK(again.rows == plain.rows);
  CHECK(again.context == plain.context);
  CHECK(plain.context.norm() > 0.1);
}

TEST_CASE("checkpoint names a wrong number of columns", "[scope]") {
  Arena batch, local;
  Tape<double> tape(Tape<double>::Mode::record, {batch, local}, 3);
  Pass<double> pass(tape, {});
  const Var<double> x = tape.matrix(2, true);
  for (Index c = 0; c < 2; ++c) std::fill_n(tape.value(x, c), tape.padded_rows(), 0.5);
  CHECK_THROWS_WITH(checkpoint(pass, x, 3, [](Pass<double>&, Var<double> v) { return Mapped<double>{exp(v), {}}; }),
                    "checkpoint: expected 3 columns, got 2");
}

// ----------------------------------------------------------------------------------------------------------- scopes

TEST_CASE("A scope frees what was made in it, while recording too", "[scope]") {
  Arena batch, local;
  Tape<double> tape(Tape<double>::Mode::record, {batch, local}, 256);
  Gradients<double> none;
  const Var<double> x = tape.matrix(4, true);
  for (Index c = 0; c < 4; ++c) std::fill_n(tape.value(x, c), tape.padded_rows(), 0.25 * static_cast<double>(c));
  const Var<double> kept = tape.matrix(4, false);
  const auto iterate = [&] {
    const Tape<double>::Scope scope(tape, Tape<double>::Mode::evaluate);
    CHECK_FALSE(tape.recording());
    Var<double> v = x;
    for (int i = 0; i < 10; ++i) v = tanh(v) + x;
    CHECK_FALSE(v.wants_gradient());
    assign(kept, v);
  };
  iterate();
  const std::size_t before = batch.capacity() + local.capacity();
  for (int i = 0; i < 200; ++i) iterate();
  CHECK(batch.capacity() + local.capacity() == before);
  CHECK(tape.recording());

  // What is recorded around it is not disturbed: d/dx sum(x k) with k constant.
  const std::vector<double> ones(256, 1.0);
  tape.backward(row_sum(x * kept), ones.data());
  double expected = 0.75;
  for (int i = 0; i < 10; ++i) expected = std::tanh(expected) + 0.75;
  CHECK(tape.gradient(x, 3)[17] == Approx(expected).epsilon(1e-14));
}

TEST_CASE("A scope ends by an exception too", "[scope]") {
  Arena batch, local;
  Tape<double> tape(Tape<double>::Mode::record, {batch, local}, 16);
  CHECK_THROWS_AS(
      [&] {
        const Tape<double>::Scope scope(tape, Tape<double>::Mode::evaluate);
        throw DomainError("test");
      }(),
      DomainError);
  CHECK(tape.recording());
}

TEST_CASE("detach keeps values and stops gradients", "[scope]") {
  const Matrix<double> x = Matrix<double>::Random(9, 2);
  // The detached factor counts as a number: the gradient of x * detach(x) is x, of a difference quotient 2 x.
  const auto f = [](Pass<double>&, Var<double> v) { return row_sum(v * detach(v)); };
  CHECK_FALSE(check_gradient(f, x, {}, {}).empty());
  const auto g = [](Pass<double>&, Var<double> v) { return row_sum(v * detach(v) - square(v) * 0.5) + row_sum(square(v)) - row_sum(detach(square(v)) * 0.5); };
  Arena batch, local;
  Tape<double> tape(Tape<double>::Mode::record, {batch, local}, 9);
  Pass<double> pass(tape, {});
  const Var<double> v = tape.matrix(2, true);
  for (Index c = 0; c < 2; ++c) {
    std::fill_n(tape.value(v, c), tape.padded_rows(), 0.0);
    for (Index i = 0; i < 9; ++i) tape.value(v, c)[i] = x(i, c);
  }
  const Column<double> loss = g(pass, v) + detach(row_sum(v));
  const std::vector<double> ones(9, 1.0);
  tape.backward(loss, ones.data());
  for (Index i = 0; i < 9; ++i)
    for (Index c = 0; c < 2; ++c) CHECK(tape.gradient(v, c)[i] == Approx(2 * x(i, c)).epsilon(1e-14));
  CHECK_FALSE(detach(v).wants_gradient());
  CHECK(detach(v).values() == v.values());
}

// ------------------------------------------------------------------------------------------------- the whole batch

TEST_CASE("Reductions over the batch have the right values and gradients", "[scope]") {
  Matrix<double> x = Matrix<double>::Random(21, 2);
  const auto sum = [](Pass<double>&, Var<double> v) { return batch_sum(row_sum(square(v))); };
  const auto log_sum = [](Pass<double>&, Var<double> v) {
    return batch_log_sum_exp(row_sum(v * 3.0)) + row_sum(v);
  };
  CHECK(check_gradient(sum, x, {}, {}, {.rows_couple = true}).empty());
  CHECK(check_gradient(log_sum, x, {}, {}, {.rows_couple = true}).empty());

  Arena batch, local;
  Tape<double> tape(Tape<double>::Mode::evaluate, {batch, local}, 3);
  const Column<double> c = tape.column(false);
  std::fill_n(tape.value(c), tape.padded_rows(), 7.0);  // the padding has no part in it
  const double values[] = {1000, 1001, 999};
  std::copy_n(values, 3, tape.value(c));
  CHECK(batch_sum(c).values()[1] == 3000);
  CHECK(batch_log_sum_exp(c).values()[2] == Approx(1001.4076059644443803).epsilon(1e-15));
  std::fill_n(tape.value(c), 3, -std::numeric_limits<double>::infinity());
  CHECK(batch_log_sum_exp(c).values()[0] == -std::numeric_limits<double>::infinity());
  CHECK(batch_sum(Column<double>()).is_zero());
}

TEST_CASE("A loss that couples rows trains to the same bits for any number of threads", "[scope]") {
  const Matrix<float> y = normal_rows(200, 3);
  const auto values = [&](int threads, bool checkpointing) {
    TransformedDistribution<float> flow = maf<float>(3, {.layers = 2, .hidden = 16});
    Execution execution({.threads = threads, .all_always = true});
    // Each row against the batch, as in contrastive losses.
    const Loss<float> loss = [](Pass<float>& pass, const Distribution<float>& d, Var<float> rows) {
      const Column<float> score = d.log_prob(pass, rows) * 0.5;
      return batch_log_sum_exp(score) - score;
    };
    fit(flow, y,
        {.epochs = 3,
         .batch_size = 50,
         .validation_fraction = 0,
         .gradient_checkpointing = checkpointing,
         .loss = loss,
         .execution = execution});
    return training_tests::values<float>(flow);
  };
  const std::vector<float> one = values(1, false);
  CHECK_FALSE(same_bits(one, training_tests::values<float>(maf<float>(3, {.layers = 2, .hidden = 16}))));
  for (const int threads : {1, 2, 3}) {
    INFO(threads << " threads");
    CHECK(same_bits(values(threads, false), one));
    CHECK(same_bits(values(threads, true), one));
  }
}

// ------------------------------------------------------------------------------------------------ numerical inverses

namespace {

/// y to logit of sum_k w_k sigmoid((y - m_k) / s_k): the data side has the closed form, the base side is bisected.
template <Scalar T>
class MixtureCdf final : public Transformer<T> {
 public:
  explicit MixtureCdf(Index k) : Transformer<T>("MixtureCdf", 3 * k), k_(k) {}

 private:
  using Elements = typename Transformer<T>::Elements;
  using Params = std::span<const Var<T>>;

  Elements map(Var<T> y, Params p) const {
    const auto add = [](Var<T> a, Var<T> b) { return a ? a + softplus(b - a) : b; };
    Var<T> total, up, down, density;
    for (Index k = 0; k < k_; ++k) {
      const Var<T> w = p[static_cast<std::size_t>(k)], s = soft_bound(p[static_cast<std::size_t>(2 * k_ + k)], T(3));
      const Var<T> z = (y - (p[static_cast<std::size_t>(k_ + k)] + T(k) - T(k_ - 1) / 2)) * exp(-s);
      total = add(total, w);
      up = add(up, w - softplus(-z));
      down = add(down, w - softplus(z));
      density = add(density, w - softplus(-z) - softplus(z) - s);
    }
    return {up - down, density + total - up - down};
  }
  Elements do_inverse(Pass<T>&, Var<T> y, Params p) const override { return map(y, p); }
  Elements do_forward(Pass<T>& pass, Var<T> x, Params p) const override {
    Tape<T>& tape = pass.tape();
    const Index cols = x.cols(), n = tape.padded_rows();
    const Var<T> low = tape.matrix(cols, false), high = tape.matrix(cols, false), root = tape.matrix(cols, false),
                 slope = tape.matrix(cols, false);
    for (Index c = 0; c < cols; ++c) {
      std::fill_n(tape.value(low, c), n, T(-1000));
      std::fill_n(tape.value(high, c), n, T(1000));
    }
    for (int i = 0; i < (sizeof(T) == 8 ? 64 : 34); ++i) {
      const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);
      const Var<T> middle = (low + high) * T(0.5), at = map(middle, p).value;
      for (Index c = 0; c < cols; ++c)
        for (Index r = 0; r < n; ++r)
          (tape.value(at, c)[r] < tape.value(x, c)[r] ? tape.value(low, c) : tape.value(high, c))[r] =
              tape.value(middle, c)[r];
      assign(root, middle);
    }
    {
      const typename Tape<T>::Scope scope(tape, Tape<T>::Mode::evaluate);
      assign(slope, exp(-map(root, p).log_derivative));
    }
    // A Newton step from the root carries the gradient of the implicit function.
    const Var<T> y = root - (map(root, p).value - x) * slope;
    return {y, -map(y, p).log_derivative};
  }
  double do_log_scale_bound() const override { return std::numeric_limits<double>::infinity(); }
  void do_fields(Fields<T>& f) override {
    f.type("mixture_cdf");
    f.constant("k", k_, 1, 64);
  }
  void do_restored() override { this->set_multiplier(3 * k_); }
  Index k_;
};

}  // namespace

TEST_CASE("A transformer that is inverted step by step keeps the contract", "[scope]") {
  const Registry registry = Registry::standard().add<MixtureCdf>("mixture_cdf");
  Poly<Bijector<double>> maf = MaskedAutoregressive<double>(
      Made<double>(3, 9, {.hidden = 7, .activation = Activation::tanh, .final_scale = 1, .seed = 5}),
      MixtureCdf<double>(3));
  perturb<double>(*maf, 7);
  const std::vector<Failure> failures = check_bijector<double>(maf, {.registry = registry});
  INFO(report(failures));
  CHECK(failures.empty());
}

TEST_CASE("A sampling tile with numerical inverses stays small", "[scope]") {
  const MaskedAutoregressive<float> flow(Made<float>(20, 24, {.hidden = 64}), MixtureCdf<float>(8));
  const Matrix<float> x = normal_rows(256, 20);
  Matrix<float> y(256, 20);
  Eigen::VectorXd log_det(256);
  Workspace workspace;
  flow.forward_into(x, y, log_det, {}, workspace);
  const std::size_t bytes = workspace.batch.capacity() + workspace.local.capacity();
  INFO(bytes << " bytes");
  CHECK(bytes < 25'000'000);
  CHECK((flow.inverse(y).value - x).cwiseAbs().maxCoeff() < 1e-3F);
}
