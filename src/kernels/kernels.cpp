#include "src/kernels/kernels.hpp"

#include <cctype>
#include <cstdlib>
#include <pushforward/error.hpp>
#include <string>

#include "src/kernels/dispatch.hpp"

namespace pushforward::kernels {
namespace {

/// What the processor has, less what the program told Highway to disable. As a side effect SupportedTargets() resets
/// the choice that all users of Highway in the process share; this puts it back.
std::int64_t supported_targets() {
  hwy::ChosenTarget& shared = hwy::GetChosenTarget();
  const bool chosen_before = shared.IsInitialized();
  const std::int64_t targets = hwy::SupportedTargets();
  if (chosen_before) {
    shared.Update(targets);
  } else {
    shared.DeInit();
  }
  return targets;
}

/// Best first: Highway gives better targets lower bits.
template <class T>
std::vector<Table<T>> make_tables() {
  std::int64_t targets = supported_targets() & HWY_TARGETS;
  if (targets == 0) targets = HWY_STATIC_TARGET;
  std::vector<Table<T>> tables;
  for (; targets != 0; targets &= targets - 1) {
    const std::int64_t target = targets & -targets;
    Table<T> table{};
    fill_functions(target, table);
    fill_elementwise(target, table);
    fill_activations(target, table);
    fill_reductions(target, table);
    fill_normalize(target, table);
    fill_spline(target, table);
    fill_tails(target, table);
    fill_random(target, table);
    fill_linear(target, table);
    tables.push_back(table);
  }
  return tables;
}

template <class T>
const std::vector<Table<T>>& tables() {
  static const std::vector<Table<T>> all = make_tables<T>();
  return all;
}

std::string upper_case(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return upper;
}

template <class T>
const Table<T>& choose() {
  const char* name = std::getenv("PUSHFORWARD_INSTRUCTION_SET");
  return table_named<T>(name == nullptr ? std::string_view() : std::string_view(name));
}

}  // namespace

template <class T>
std::vector<const Table<T>*> available_tables() {
  std::vector<const Table<T>*> available;
  for (const Table<T>& table : tables<T>()) available.push_back(&table);
  return available;
}

template <class T>
const Table<T>& table_named(std::string_view name) {
  const std::vector<Table<T>>& all = tables<T>();
  if (name.empty()) return all.front();
  std::string wanted = upper_case(name);
  if (wanted == "AVX512") wanted = "AVX3";
  std::string known;
  for (const Table<T>& table : all) {
    if (wanted == table.instruction_set) return table;
    known += (known.empty() ? "" : ", ") + std::string(table.instruction_set);
  }
  throw DomainError("PUSHFORWARD_INSTRUCTION_SET: expected one of " + known + " on this machine, got \"" +
                    std::string(name) + "\"");
}

template <class T>
const Table<T>& table() {
  static const Table<T>& chosen = choose<T>();
  return chosen;
}

template std::vector<const Table<float>*> available_tables<float>();
template std::vector<const Table<double>*> available_tables<double>();
template const Table<float>& table_named<float>(std::string_view name);
template const Table<double>& table_named<double>(std::string_view name);
template const Table<float>& table<float>();
template const Table<double>& table<double>();

}  // namespace pushforward::kernels
