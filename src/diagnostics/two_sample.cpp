// Classifiers that learn to tell rows from draws.

#include <Eigen/Cholesky>
#include <cmath>

#include "src/diagnostics/statistics.hpp"

namespace pushforward::detail {

namespace {

constexpr std::size_t most_features = 500;
constexpr Index most_columns = 250;

/// Columns, squares and products, each with mean 0 and deviation 1 over `train`.
class Features {
 public:
  explicit Features(const Matrix<double>& train) {
    const auto squares_and_columns = static_cast<std::size_t>(2 * train.cols());
    products_ = column_pairs(train.cols(), most_features - std::min(most_features, squares_and_columns));
    for (Index c = 0; c < train.cols(); ++c) products_.emplace_back(c, c);
    const Matrix<double> raw = of(train);
    shift_ = raw.colwise().mean();
    scale_ = ((raw.rowwise() - shift_).colwise().squaredNorm() / static_cast<double>(raw.rows())).cwiseSqrt();
    for (double& s : scale_) s = s > 0 ? s : 1;
  }
  Matrix<double> operator()(const Matrix<double>& rows) const {
    Matrix<double> f = of(rows);
    for (Index c = 0; c < f.cols(); ++c) f.col(c) = (f.col(c).array() - shift_[c]) / scale_[c];
    return f;
  }

 private:
  Matrix<double> of(const Matrix<double>& rows) const {
    Matrix<double> f(rows.rows(), rows.cols() + static_cast<Index>(products_.size()));
    f.leftCols(rows.cols()) = rows;
    for (std::size_t k = 0; k < products_.size(); ++k)
      f.col(rows.cols() + static_cast<Index>(k)) =
          rows.col(products_[k].first).cwiseProduct(rows.col(products_[k].second));
    return f;
  }

  std::vector<std::pair<Index, Index>> products_;
  Eigen::RowVectorXd shift_, scale_;
};

/// Fisher's discriminant: scores of the rows, the middle between both groups at 0. Rows of `train` are in turn of both.
std::vector<double> discriminant(const Matrix<double>& train, const Matrix<double>& test) {
  const Features features(train);
  const Matrix<double> f = features(train);
  const double n = static_cast<double>(f.rows());
  Eigen::VectorXd sign(f.rows());
  for (Index i = 0; i < f.rows(); ++i) sign[i] = i % 2 == 0 ? 1 : -1;
  // Weights solve (F^T F / n + ridge) w = F^T sign, by conjugate gradients: where they stop early, directions of little
  // variance have small weights, which is what the ridge is for.
  constexpr double ridge = 0.01;  // of the variance of a feature
  Eigen::VectorXd weights = Eigen::VectorXd::Zero(f.cols()), rest = f.transpose() * sign, direction = rest;
  double square = rest.squaredNorm();
  const double enough = 1e-12 * square;
  for (int step = 0; step < 100 && square > enough; ++step) {
    const Eigen::VectorXd along = f * direction;
    Eigen::VectorXd image = f.transpose() * along;
    image = image / n + ridge * direction;
    const double length = square / direction.dot(image);
    weights += length * direction;
    rest -= length * image;
    const double before = std::exchange(square, rest.squaredNorm());
    direction = rest + square / before * direction;
  }
  const Matrix<double> judged = features(test);
  const Eigen::VectorXd scores = judged * weights;
  return {scores.begin(), scores.end()};
}

/// The share of data among the nearest rows of `train`, less 1/2.
std::vector<double> nearest_neighbours(const Matrix<double>& train, const Matrix<double>& test) {
  const Index n = train.rows();
  const auto neighbours = static_cast<std::ptrdiff_t>(std::sqrt(static_cast<double>(n)));
  const Eigen::VectorXd lengths = train.rowwise().squaredNorm();
  std::vector<double> scores;
  std::vector<std::pair<double, Index>> near(static_cast<std::size_t>(n));
  Eigen::VectorXd row(train.cols()), products(n);
  for (Index i = 0; i < test.rows(); ++i) {
    row = test.row(i);
    products.noalias() = train * row;
    for (Index k = 0; k < n; ++k) near[static_cast<std::size_t>(k)] = {lengths[k] - 2 * products[k], k};
    std::nth_element(near.begin(), near.begin() + neighbours - 1, near.end());
    const auto data =
        std::count_if(near.begin(), near.begin() + neighbours, [](const auto& p) { return p.second % 2 == 0; });
    scores.push_back(static_cast<double>(data) / static_cast<double>(neighbours) - 0.5);
  }
  return scores;
}

/// Every second row of both, from `first`, in turn; of many columns some, evenly spread.
Matrix<double> half(MatrixView<const double> data, MatrixView<const double> draws, Index first) {
  const Index n = (data.rows() - first + 1) / 2, columns = std::min(data.cols(), most_columns);
  Matrix<double> rows(2 * n, columns);
  for (Index k = 0; k < columns; ++k) {
    const Index c = k * data.cols() / columns;
    for (Index i = 0; i < n; ++i) {
      rows(2 * i, k) = data(first + 2 * i, c);
      rows(2 * i + 1, k) = draws(first + 2 * i, c);
    }
  }
  return rows;
}

TwoSampleTest judge(const char* name, const std::vector<double>& scores) {
  TwoSampleTest result{.classifier = name, .rows = static_cast<Index>(scores.size() / 2)};
  std::vector<double> data, draws;
  double right = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const bool of_data = i % 2 == 0;
    (of_data ? data : draws).push_back(scores[i]);
    right += scores[i] == 0 ? 0.5 : (scores[i] > 0) == of_data ? 1 : 0;
  }
  const RankSum sum = rank_sum(data, draws);
  result.accuracy = right / static_cast<double>(scores.size());
  result.auc = sum.auc;
  result.auc_error = sum.standard_error;
  if (sum.standard_error > 0) result.p = 0.5 * std::erfc((sum.auc - 0.5) / sum.standard_error / std::sqrt(2.0));
  return result;
}

}  // namespace

std::vector<TwoSampleTest> classify(MatrixView<const double> data, MatrixView<const double> draws) {
  const Matrix<double> train = half(data, draws, 0), test = half(data, draws, 1);
  return {judge("linear discriminant", discriminant(train, test)),
          judge("nearest neighbours", nearest_neighbours(train, test))};
}

}  // namespace pushforward::detail
