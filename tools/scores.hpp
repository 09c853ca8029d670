#pragma once

// What the log-likelihoods of many rows say together.

#include <string>
#include <vector>

#include "tools/tool.hpp"

namespace tool {

/// 8 bytes a row, and for `far` the 50th part of that besides.
class Scores {
 public:
  /// `line` of the file.
  void add(double value, Index line);
  Index count() const { return count_; }
  /// The values in their order, in pieces of chunk_rows.
  const std::vector<std::vector<double>>& pieces() const { return pieces_; }
  /// Of all rows, those of density 0 among them; of NaN none. Interpolated between neighbours.
  double quantile(double p) const;

  /// Rows that carry the mean: a hundredth of the rows at most, each more than 20 standard deviations of the others away
  /// from their mean. Rows of density 0 are not among them, nor among the others.
  struct Far {
    Index count = 0;
    /// Line and value of the ten farthest.
    std::vector<std::pair<Index, double>> rows;
    double mean = 0, standard_error = 0;  ///< of the others
  };
  Far far() const;

 private:
  std::vector<std::vector<double>> pieces_;
  Index count_ = 0;
  /// The ten lowest and the ten highest finite ones, the farthest out first.
  std::vector<std::pair<Index, double>> lowest_, highest_;
};

/// "median -4.1, 1 % quantile -9.3"
std::string quantiles_text(const Scores& scores);
/// "2 rows carry the mean: line 17 (-310), line 4 (-120); the others: -4.1 ± 0.1"; empty if there are none.
std::string far_text(const Scores& scores);
Json to_json(const Scores& scores);

}  // namespace tool
