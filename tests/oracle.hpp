#pragma once

// Numbers made once by other libraries: tests/data/oracles, the scripts are in tests/oracles.

#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include <pushforward/component.hpp>
#include <pushforward/views.hpp>

namespace oracle {

using Json = nlohmann::json;

inline Json read(const std::string& name) {
  std::ifstream file(std::string(PUSHFORWARD_TEST_DATA) + "/oracles/" + name + ".json");
  if (!file) throw std::runtime_error("no oracle " + name);
  return Json::parse(file);
}

inline double number(const Json& j) {
  if (j.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (j.is_string()) return (j == "-inf" ? -1 : 1) * std::numeric_limits<double>::infinity();
  return j.get<double>();
}

inline Eigen::VectorXd vector(const Json& j) {
  Eigen::VectorXd v(static_cast<Eigen::Index>(j.size()));
  for (Eigen::Index i = 0; i < v.size(); ++i) v[i] = number(j[static_cast<std::size_t>(i)]);
  return v;
}

/// A list of rows, or of numbers: then one row.
inline Eigen::MatrixXd matrix(const Json& j) {
  if (j.empty()) return {};
  if (!j[0].is_array()) return vector(j).transpose();
  Eigen::MatrixXd m(static_cast<Eigen::Index>(j.size()), static_cast<Eigen::Index>(j[0].size()));
  for (Eigen::Index i = 0; i < m.rows(); ++i) m.row(i) = vector(j[static_cast<std::size_t>(i)]).transpose();
  return m;
}

/// Sets a tensor of the tree from dense values, through the form that files have.
inline void set(pushforward::Component<double>& tree, const std::string& path, const Eigen::MatrixXd& dense) {
  for (const pushforward::Slot<double>& slot : pushforward::list_state(tree)) {
    if (slot.path != path) continue;
    const auto* form = slot.attributes.form;
    pushforward::Tensor<double> value(form ? form->shape() : slot.tensor->shape());
    if (value.size() != dense.size()) throw std::runtime_error("oracle::set: '" + path + "' has another size");
    for (Eigen::Index i = 0; i < dense.rows(); ++i)
      for (Eigen::Index k = 0; k < dense.cols(); ++k) value[i * dense.cols() + k] = dense(i, k);
    if (form)
      form->from_file(value, *slot.tensor);
    else
      *slot.tensor = value;
    return;
  }
  throw std::runtime_error("oracle::set: no tensor '" + path + "'");
}

}  // namespace oracle
