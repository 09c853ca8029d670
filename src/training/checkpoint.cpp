#include "src/training/checkpoint.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <sstream>
#include <variant>

#include <fmt/format.h>
#include <pushforward/error.hpp>
#include <pushforward/io/safetensors.hpp>

#include "src/training/checksum.hpp"

namespace pushforward::detail {

namespace {

constexpr const char* format_name = "pushforward checkpoint 2";
constexpr const char* adam_format_name = "pushforward checkpoint 1";  // of 0.1, which had Adam alone

Tensor<double> to_tensor(const std::vector<double>& values) { return Tensor<double>::of(values); }
std::vector<double> to_vector(const Tensor<double>& tensor) {
  return {tensor.values().begin(), tensor.values().end()};
}

/// What Adam's settings are called, from the four words of a checkpoint of 0.1.
std::string adam_text(const std::string& words) {
  std::istringstream in(words);
  std::string beta1, beta2, epsilon, decoupled;
  in >> beta1 >> beta2 >> epsilon >> decoupled;
  return fmt::format("adam(beta1={},beta2={},decoupled_decay={},epsilon={},)", beta1, beta2, decoupled, epsilon);
}

/// For readers: a list in parentheses ends with a comma in the file.
std::string shown(std::string text) {
  for (std::size_t at = 0; (at = text.find(",)", at)) != std::string::npos;) text.erase(at, 1);
  return text;
}

/// The first line that two trees do not have in common, in both.
std::string first_difference(const std::string& there, const std::string& here) {
  // Without branches and numbers of parameters, which follow from the rest.
  const auto lines = [](const std::string& text) {
    std::vector<std::string> all;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
      std::istringstream rest(line);
      std::string words;
      bool counted = false;
      for (std::string word; rest >> word;) {
        if (word == "├─" || word == "└─" || word == "│") continue;
        if (!counted && word.find_first_not_of("0123456789,-") == std::string::npos) counted = true;
        else words += (words.empty() ? "" : " ") + word;
      }
      all.push_back(words);
    }
    return all;
  };
  const std::vector<std::string> old = lines(there), now = lines(here);
  std::size_t i = 0;
  while (i < old.size() && i < now.size() && old[i] == now[i]) ++i;
  if (old.size() != now.size()) return fmt::format("{} parts there and {} here", old.size() - 1, now.size() - 1);
  return i < old.size() ? fmt::format("'{}' there and '{}' here", old[i], now[i]) : "other constants";
}

template <Scalar T>
std::string kept_name(const RunState<T>& state) {
  return state.stopping.best_epoch >= 0 ? "best." : "good.";
}

}  // namespace

template <Scalar T>
std::string state_checksum(const std::vector<Slot<T>>& slots, const std::vector<Tensor<T>>& values) {
  Checksum sum;
  for (std::size_t i = 0; i < slots.size(); ++i)
    if (slots[i].kind == StateKind::state)
      for (const T v : (values.empty() ? *slots[i].tensor : values[i]).values()) sum.add(static_cast<double>(v));
  return fmt::format("{:016x}", sum.value());
}

template <Scalar T>
void save_checkpoint(const std::filesystem::path& path, const std::vector<Slot<T>>& slots,
                     Optimizer<T>& optimizer, const RunState<T>& s, const Fingerprint& fingerprint) {
  const Tensor<std::int64_t> counters = Tensor<std::int64_t>::of(
      {s.epoch, s.batch, s.step, s.skipped, s.consecutive_skips, s.stopping.best_epoch, s.stopping.since_best,
       optimizer.steps(), s.rate.bad, s.rate.cooldown});
  const Tensor<double> numbers =
      Tensor<double>::of({s.loss_sum, s.loss_rows, s.stopping.best_loss, s.seconds, s.rate.rate, s.rate.best});
  const Tensor<double> train = to_tensor(s.train_loss), validation = to_tensor(s.validation_loss),
                       rates = to_tensor(s.learning_rate);
  std::vector<NamedTensor> tensors{named_tensor("counters", counters),
                                   named_tensor("numbers", numbers),
                                   named_tensor("train_loss", train),
                                   named_tensor("validation_loss", validation),
                                   named_tensor("learning_rate", rates)};
  for (const typename Optimizer<T>::State& state : optimizer.state())
    tensors.push_back(
        std::visit([&](const auto* tensor) { return named_tensor("optimizer." + state.name, *tensor); }, state.tensor));
  for (std::size_t i = 0; i < slots.size(); ++i) {
    tensors.push_back(named_tensor("flow." + slots[i].path, *slots[i].tensor));
    tensors.push_back(named_tensor(kept_name(s) + slots[i].path, s.kept[i]));
  }
  std::map<std::string, std::string> metadata(fingerprint.begin(), fingerprint.end());
  metadata["format"] = format_name;
  if (!s.start.empty()) metadata["start state"] = s.start;
  write_safetensors(path, tensors, metadata);
}

template <Scalar T>
void load_checkpoint(const std::filesystem::path& path, const std::vector<Slot<T>>& slots,
                     Optimizer<T>& optimizer, RunState<T>& state, const Fingerprint& fingerprint) {
  const SafetensorsFile file = SafetensorsFile::read(path);
  const auto text = [&](const std::string& name) {
    const auto found = file.metadata().find(name);
    return found == file.metadata().end() ? std::string("missing") : found->second;
  };
  const bool of_adam = text("format") == adam_format_name;
  if (!of_adam && text("format") != format_name)
    throw IoError(fmt::format("{}: expected \"{}\", got \"{}\"", path.string(), format_name, text("format")));
  std::string differing;
  for (const auto& [name, value] : fingerprint) {
    if (name == model_tree) continue;
    const std::string there = of_adam && name == "optimizer" ? adam_text(text("adam")) : text(name);
    if (there == value) continue;
    differing += differing.empty() ? "" : "; ";
    if (name == "model" && text(model_tree) != "missing")
      differing += "the model has " + first_difference(text(model_tree), fingerprint.at(model_tree));
    else
      differing += fmt::format("{} was {} there and is {} here", name, shown(there), shown(value));
  }
  if (!differing.empty())
    throw IoError(fmt::format("{}: the checkpoint belongs to another run: {}; with the same settings it goes on, without "
                              "resume a new run begins",
                              path.string(), differing));
  const auto counters = file.get<std::int64_t>("counters", {10});
  const auto numbers = file.get<double>("numbers", {6});
  RunState<T> s;
  s.epoch = counters[0];
  s.batch = counters[1];
  s.step = counters[2];
  s.skipped = counters[3];
  s.consecutive_skips = counters[4];
  s.stopping.best_epoch = counters[5];
  s.stopping.since_best = counters[6];
  s.rate.bad = counters[8];
  s.rate.cooldown = counters[9];
  s.loss_sum = numbers[0];
  s.loss_rows = numbers[1];
  s.stopping.best_loss = numbers[2];
  // 0.1 took the first validation for the best even if it was not finite.
  if (!std::isfinite(s.stopping.best_loss)) s.stopping.best_epoch = -1;
  s.seconds = numbers[3];
  s.rate.rate = numbers[4];
  s.rate.best = numbers[5];
  s.train_loss = to_vector(file.get<double>("train_loss", {s.epoch}));
  s.validation_loss = to_vector(file.get<double>("validation_loss", {s.epoch}));
  s.learning_rate = to_vector(file.get<double>("learning_rate", {s.epoch}));
  std::vector<std::variant<Tensor<float>, Tensor<double>>> moments;
  for (const typename Optimizer<T>::State& part : optimizer.state())
    std::visit(
        [&]<class V>(const Tensor<V>* tensor) {
          moments.push_back(file.get<V>((of_adam ? "adam." : "optimizer.") + part.name, tensor->shape()));
        },
        part.tensor);
  std::vector<Tensor<T>> values;
  for (const Slot<T>& slot : slots) {
    values.push_back(file.get<T>("flow." + slot.path, slot.tensor->shape()));
    const bool given = slot.kind == StateKind::parameter && !slot.attributes.trainable;
    if (given && !std::equal(values.back().values().begin(), values.back().values().end(), slot.tensor->data()))
      throw IoError(fmt::format("{}: the checkpoint belongs to another run: '{}', which training leaves alone, has "
                                "other values there than here",
                                path.string(), slot.path));
    // A file of 0.1 has none before the first validation.
    const std::string kept = kept_name(s) + slot.path;
    s.kept.push_back(s.stopping.best_epoch >= 0 || file.find(kept) ? file.get<T>(kept, slot.tensor->shape())
                                                                       : values.back());
  }
  if (file.metadata().contains("start state")) s.start = text("start state");
  if (std::min({s.epoch, s.batch, s.step, s.skipped, counters[7]}) < 0)
    throw IoError(path.string() + ": tensor \"counters\" holds a negative count");
  // Nothing can fail from here on. Values are copied, for the tensors must stay where they are.
  for (std::size_t i = 0; i < slots.size(); ++i)
    std::copy(values[i].values().begin(), values[i].values().end(), slots[i].tensor->data());
  std::size_t next = 0;
  for (const typename Optimizer<T>::State& part : optimizer.state())
    std::visit([&]<class V>(Tensor<V>* tensor) { tensor->swap(std::get<Tensor<V>>(moments[next])); ++next; },
               part.tensor);
  optimizer.set_steps(counters[7]);
  state = std::move(s);
}

#define PUSHFORWARD_INSTANTIATE(T)                                                                               \
  template std::string state_checksum(const std::vector<Slot<T>>&, const std::vector<Tensor<T>>&);               \
  template void save_checkpoint(const std::filesystem::path&, const std::vector<Slot<T>>&, Optimizer<T>&,        \
                                const RunState<T>&, const Fingerprint&);                                         \
  template void load_checkpoint(const std::filesystem::path&, const std::vector<Slot<T>>&, Optimizer<T>&,        \
                                RunState<T>&, const Fingerprint&);
PUSHFORWARD_INSTANTIATE(float)
PUSHFORWARD_INSTANTIATE(double)
#undef PUSHFORWARD_INSTANTIATE

}  // namespace pushforward::detail
