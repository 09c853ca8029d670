#include <Eigen/Core>

// Eigen objects of this library's own flags never meet those of the client: plain memory is between them.
double other_library_norm(const double* values, int n) { return Eigen::Map<const Eigen::VectorXd>(values, n).norm(); }
