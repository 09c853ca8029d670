#pragma once

// Which columns of a table are read, and what is wrong with them: the same for all kinds of files.

#include <map>
#include <pushforward/error.hpp>
#include <pushforward/views.hpp>
#include <string>
#include <vector>

namespace pushforward::detail {

/// `"x", "y"`; cut after twenty.
std::string name_list(const std::vector<std::string>& names);

/// Positions among `names` of `columns` (empty: all), in that order, without those of `drop`. IoError, which starts with
/// `source`, for a name that is not there or is selected twice, and if nothing is left of names that there are.
std::vector<Index> chosen_columns(const std::string& source, const std::vector<std::string>& names,
                                  const std::vector<std::string>& columns, const std::vector<std::string>& drop);

/// In how many rows each column has which fault.
struct Faults {
  explicit Faults(std::size_t columns) : missing(columns), text(columns), grouped(columns), separators(columns) {}

  std::vector<Index> missing;      ///< no value
  std::vector<Index> text;         ///< what is no number, or none that is finite
  std::vector<Index> grouped;      ///< numbers with thousands separated ...
  std::vector<char> separators;    ///< ... by this
  Index rows = 0;                  ///< that were looked at
  /// Columns in which a row misses a value, and how many rows do so: for advice that leaves rows. Only so many kinds.
  std::map<std::vector<Index>, Index> holes;

  void add_holes(const std::vector<Index>& columns);
  void add_grouped(std::size_t column, char separator);

  /// `first` says what the first fault is; all of them follow, and the options that are the way out. `all`: no other rows
  /// are left to be looked at.
  Notice notice(const std::vector<std::string>& names, std::string where, std::string first, bool all) const;
  /// No row is without a missing value: those columns that miss most are the way out.
  Notice nothing_left(const std::vector<std::string>& names, std::string where) const;
};

}  // namespace pushforward::detail
