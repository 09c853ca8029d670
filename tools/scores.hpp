#pragma once

// What the log-likelihoods of many rows say together.

#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/tool.hpp"

namespace tool {

/// Numbers one after another. A million are in memory, more of them in a file without a name in the folder for temporary
/// files where there is room; or all in a file with a name, which may hold the first of them already.
class NumberStore {
 public:
  NumberStore() = default;
  explicit NumberStore(const std::string& path);

  Index count() const { return count_; }
  void append(std::span<const double> values);
  /// Those from `first` on.
  void read(Index first, std::span<double> values) const;
  /// use(values) of all of them in their order, a piece at a time.
  void each_piece(const std::function<void(std::span<const double>)>& use) const;

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  [[noreturn]] void fail(const char* action) const;
  bool put(Index first, std::span<const double> values);
  void give_file_up();

  std::optional<std::string> name_;
  bool may_have_file_ = true;
  std::vector<double> held_;
  std::unique_ptr<std::FILE, Close> file_;  // once there is one, it holds all
  Index count_ = 0;
};

/// Memory does not grow with the rows, but for `far` by the 50th part of 8 bytes a row.
class Scores {
 public:
  Scores() = default;
  /// All values are kept in the file `path`; those that it holds already are `stored`.
  explicit Scores(const std::string& path) : stored_(path), known_(stored_.count()) {}

  /// Of the next row; `line` of the file.
  void add(double value, Index line);
  Index count() const { return count_; }
  /// From an earlier run; `add` does not store them again.
  Index known() const { return known_; }
  /// All that were added are in the file then.
  void flush();
  const NumberStore& stored() const { return stored_; }
  /// use(values) of all of them in their order, a piece at a time.
  void each_piece(const std::function<void(std::span<const double>)>& use) const {
    stored_.each_piece(use);
    use(fresh_);
  }
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
  NumberStore stored_;
  std::vector<double> fresh_;  // not yet among them
  Index count_ = 0, known_ = 0;
  /// The ten lowest and the ten highest finite ones, the farthest out first.
  std::vector<std::pair<Index, double>> lowest_, highest_;
};

/// "median -4.1, 1 % quantile -9.3"
std::string quantiles_text(const Scores& scores);
/// "2 rows carry the mean: line 17 (-310), line 4 (-120); the others: -4.1 ± 0.1"; empty if there are none.
std::string far_text(const Scores& scores, const DataReader& reader);
Json to_json(const Scores& scores, const DataReader& reader);

}  // namespace tool
