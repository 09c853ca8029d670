// The charts by which the contracts know each kind of space: against its documentation and numerical derivatives.

#include <Eigen/LU>
#include <cmath>
#include <limits>

#include "src/testing/chart.hpp"
#include "tests/catch.hpp"

using namespace pushforward;
using pushforward::testing::detail::Chart;

TEST_CASE("Charts of every kind of space", "[surfaces]") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  for (const Space& space :
       {Space::box({{}, {0, inf}, {-inf, 2}, {1, 3}}), Space::circle(2, {-1, 2}), Space::simplex(2), Space::simplex(4),
        Space::ordered(3), Space::sphere(2), Space::sphere(3), Space::sphere(5), Space::lower_triangular(3),
        Space::positive_definite(1), Space::positive_definite(3), Space::correlation(2), Space::correlation(4),
        Space::real(1) * Space::simplex(3) * Space::sphere(3) * Space::box(1, {0, 1})}) {
    INFO(space.to_text());
    const Chart chart(space);
    REQUIRE(chart.dimensions() == space.dimensions());
    Eigen::MatrixXd draws(20, chart.dimensions());
    for (Index i = 0; i < draws.rows(); ++i)
      for (Index k = 0; k < draws.cols(); ++k)
        draws(i, k) = 1.5 * std::sin(static_cast<double>(1 + 7 * i + 3 * k + i * k));
    const Eigen::MatrixXd points = chart.points(draws);
    for (Index i = 0; i < points.rows(); ++i) {
      const Eigen::VectorXd row = points.row(i);
      CHECK(space.contains(row));
      Eigen::VectorXd u(chart.dimensions()), up(row.size()), down(row.size());
      chart.coordinates(row.data(), u.data());
      const double element = chart.row(u.data(), up.data());
      CHECK((up - row).norm() <= 1e-12 * (1 + row.norm()));
      const Eigen::MatrixXd projection = chart.projection(row);
      Eigen::MatrixXd jacobian(chart.dimensions(), chart.dimensions()), along(row.size(), chart.dimensions());
      for (Index k = 0; k < chart.dimensions(); ++k) {
        Eigen::VectorXd v = u;
        v[k] = u[k] + 1e-6;
        chart.row(v.data(), up.data());
        v[k] = u[k] - 1e-6;
        chart.row(v.data(), down.data());
        jacobian.col(k) = projection * (up - down) / 2e-6;
        along.col(k) = chart.directions(row)[static_cast<std::size_t>(k)].along;
      }
      CHECK(std::abs(jacobian.determinant()) == Approx(element).epsilon(1e-6));
      CHECK((projection * along).isIdentity(1e-12));
      for (const Eigen::VectorXd& other : chart.outside(row)) {
        // The boundary belongs to what a Space contains, equal neighbours and faces, but not to where maps lead.
        const bool boundary = space.contains(other) && (other.array() == 0).any();
        const bool ordered = space.blocks()[0].kind == Space::Kind::ordered;
        const bool neighbours = ordered && (other[0] == other[1] || other[1] == other[2]);
        CHECK((boundary || neighbours || !space.contains(other)));
      }
    }
  }
}
