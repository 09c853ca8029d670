// Options hold views: what would be gone before `fit` reads it does not convert to one. One set of options for prepare
// and fit.

#include <pushforward/flows/builders.hpp>
#include <pushforward/training/fit.hpp>
#include <pushforward/training/prepare.hpp>

#include "tests/catch.hpp"

using namespace pushforward;

namespace {

template <class V>
concept Context = requires(FitOptions<double>& o, V&& v) { o.context = std::forward<V>(v); };
template <class V>
concept Validation = requires(FitOptions<double>& o, V&& v) {
  o.validation = std::forward<V>(v);
  o.validation_context = std::forward<V>(v);
};
template <class V>
concept Weights = requires(FitOptions<double>& o, V&& v) {
  o.weights = std::forward<V>(v);
  o.validation_weights = std::forward<V>(v);
};
template <class V>
concept Named = requires(V&& v) { FitOptions<double>{.context = std::forward<V>(v)}; };

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Block = Eigen::Block<Eigen::MatrixXd>;
using Map = Eigen::Map<const Eigen::MatrixXd>;
using Expression = decltype(std::declval<Eigen::MatrixXd&>() * 2.0);

static_assert(Context<Eigen::MatrixXd&> && Context<const Eigen::MatrixXd&> && Context<RowMajor&> && Context<Block> &&
              Context<Map> && Context<MatrixView<const double>> && Context<MatrixView<double>> &&
              Context<Eigen::VectorXd&>);
static_assert(!Context<Eigen::MatrixXd> && !Context<const Eigen::MatrixXd> && !Context<RowMajor> &&
              !Context<Expression> && !Context<Eigen::VectorXd> && !Context<Eigen::ArrayXXd> && !Context<Eigen::MatrixXf&>);
static_assert(Validation<Eigen::MatrixXd&> && !Validation<Eigen::MatrixXd>);
static_assert(Named<Eigen::MatrixXd&> && !Named<Eigen::MatrixXd>);
static_assert(Weights<std::vector<double>&> && Weights<const std::vector<double>&> && Weights<Eigen::VectorXd&> &&
              Weights<std::span<const double>> && Weights<VectorView<const double>> &&
              Weights<Eigen::MatrixXd::ColXpr>);
static_assert(!Weights<std::vector<double>> && !Weights<const Eigen::VectorXd> && !Weights<Eigen::VectorXd> &&
              !Weights<Eigen::RowVectorXd>);

}  // namespace

TEST_CASE("borrowed views see what they are made from") {
  Eigen::MatrixXd a = Eigen::MatrixXd::Random(4, 3);
  std::vector<double> w{1, 2, 3, 4};
  const FitOptions<double> o{.context = a.middleRows(1, 2), .weights = w, .validation_weights = a.col(2)};
  CHECK(o.context.data() == a.data() + 1);
  CHECK(o.context.rows() == 2);
  CHECK(o.context(1, 2) == a(2, 2));
  CHECK(o.weights[3] == 4);
  CHECK(o.validation_weights[1] == a(1, 2));
  CHECK(o.validation.empty());
}

TEST_CASE("prepare_and_fit with no epochs gives the model that fit trains to the same bits") {
  Eigen::MatrixXd y(80, 2);
  Engine(1).next_call().normal(0, 80, 2, y.data(), 80);
  y.array() = y.array() * 3 + 7;
  FitOptions<double> options{.epochs = 0, .batch_size = 16, .validation_fraction = 0.25, .seed = 5};
  TransformedDistribution<double> model = prepare_and_fit(maf<double>(2), y, {}, options).model;
  options.epochs = 2;
  const FitReport report = fit(model, y, options);
  const Fitted<double> both = prepare_and_fit(maf<double>(2), y, {}, options);
  CHECK(both.report.validation_loss == report.validation_loss);
  CHECK(both.model.log_prob(y) == model.log_prob(y));
}
