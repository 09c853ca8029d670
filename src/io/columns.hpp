#pragma once

// Which columns of a table are read, the same for all kinds of files.

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

}  // namespace pushforward::detail
