// Fits, saves, loads, scores and samples through the installed package; exits with 0 only if the numbers are right.
#include <cmath>
#include <cstdio>

#include <pushforward/pushforward.hpp>

double other_library_norm(const double* values, int n);

int main() {
  namespace pf = pushforward;
  pf::Engine engine(7);
  auto flow = pf::maf<double>(3, {.layers = 2, .hidden = 16, .blocks = 1, .batch_norm = true});
  const Eigen::MatrixXd x = flow.sample(1000, engine);
  pf::fit(flow, x, {.epochs = 1, .batch_size = 100});
  const auto bytes = pf::serialize(flow);
  const auto loaded = pf::load<double>(bytes);
  const Eigen::VectorXd a = flow.log_prob(x), b = loaded.distribution->log_prob(x);
  // What the library computes and the program frees, whatever flags either was built with.
  const auto gaussian = pf::MultivariateNormalTriL<double>::fit(x);
  const Eigen::VectorXd base = pf::GaussianBaseline::fit(x).log_prob(x);
  const Eigen::MatrixXd scale = gaussian.scale_tril();
  std::vector<pf::Poly<pf::Distribution<double>>> parts{gaussian, gaussian};
  const Eigen::VectorXd logits = Eigen::VectorXd::Zero(2);
  const Eigen::VectorXd halves = pf::Mixture<double>(std::move(parts), logits).weights();
  const bool freed = base == gaussian.log_prob(x) && scale(0, 0) > 0 && halves(0) == 0.5;
  // "x,y\n1,2\n", packed by gzip: what the library needs for it comes along with the package.
  constexpr char packed[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\xd0\xa9\xe4\x32\xd4\x31\xe2\x02\x00"
                            "\x23\xdf\x72\x00\x08\x00\x00\x00";
  const pf::Table table = pf::parse_csv({packed, sizeof(packed) - 1});
  const bool unpacked = table.values.rows() == 1 && table.values(0, 1) == 2;
  // Every layout that a caller's Eigen may have.
  const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows = x;
  const Eigen::VectorXd c = flow.log_prob(rows);
  const bool ok = freed && unpacked && (a - b).norm() == 0 && (a - c).norm() == 0 && a.allFinite() &&
                  std::abs(other_library_norm(a.data(), 1000) - a.norm()) < 1e-9;
  try {
    flow.log_prob(Eigen::MatrixXd::Zero(2, 5).eval());
    std::puts("a wrong shape was accepted");
    return 1;
  } catch (const pf::ShapeError& error) {
    std::printf("%s\n", error.what());
  }
  std::printf("mean log_prob %.6f, %s\n", a.mean(), ok ? "consistent" : "NOT CONSISTENT");
  return ok ? 0 : 1;
}
