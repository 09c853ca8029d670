#include "src/training/options.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include <fmt/format.h>

#include "src/core/number_text.hpp"

namespace pushforward::detail {

namespace {

std::string to_text(const Schedule& schedule) {
  if (const auto* cosine = std::get_if<CosineSchedule>(&schedule)) return fmt::format("cosine to {}", cosine->floor);
  if (const auto* p = std::get_if<PlateauSchedule>(&schedule))
    return fmt::format("plateau {} {} {} {} {} {}", p->factor, p->patience, p->threshold, p->relative, p->cooldown,
                       p->floor);
  return "constant";
}

std::string to_text(const Description& d) {
  std::string text = d.type + "(";
  for (const auto& [name, value] : d.constants) {
    text += name + "=";
    std::visit(
        [&](const auto& v) {
          if constexpr (requires { v.begin(); } && !std::is_same_v<std::decay_t<decltype(v)>, std::string>) {
            for (const auto& item : v) text += fmt::format("{} ", item);
          } else {
            text += fmt::format("{}", v);
          }
        },
        value);
    text += ",";
  }
  for (const auto& [name, child] : d.children) text += name + ":" + to_text(child);
  return text + ")";
}

std::string checksum_of(const std::string& text) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("{:016x}", h);
}

}  // namespace

template <Scalar T>
void check_options(const std::string& where, const FitOptions<T>& o) {
  const auto check = [&](bool good, const char* name, double value, const std::string& expected) {
    if (!good)
      throw DomainError(Notice{.where = where + ": ",
                               .problem = fmt::format("{} must be {}, got {}", name, expected, unsigned_nan(value)),
                               .option = name});
  };
  const auto at_least = [&](Index value, Index least, const char* name) {
    check(value >= least, name, static_cast<double>(value), least == 0 ? "at least 0" : "at least 1");
  };
  at_least(o.epochs, 0, "epochs");
  at_least(o.batch_size, 1, "batch_size");
  at_least(o.shards, 1, "shards");
  check(o.shuffle_block >= 1 && o.shuffle_block <= 1 << 17, "shuffle_block", static_cast<double>(o.shuffle_block),
        "from 1 to 131072");
  at_least(o.validate_every, 1, "validate_every");
  at_least(o.patience, 0, "patience");
  at_least(o.max_consecutive_skips, 1, "max_consecutive_skips");
  at_least(o.steps_per_epoch, 1, "steps_per_epoch");
  at_least(o.checkpoint_every, 0, "checkpoint_every");
  at_least(o.checkpoint_every_steps, 0, "checkpoint_every_steps");
  check(o.weight_decay >= 0 && std::isfinite(o.weight_decay), "weight_decay", o.weight_decay, "at least 0");
  check(o.clip_norm >= 0, "clip_norm", o.clip_norm, "at least 0");
  check(o.min_delta >= 0, "min_delta", o.min_delta, "at least 0");
  if (o.resume && o.checkpoint.empty()) throw DomainError(where + ": resume needs the path of a checkpoint");
  if (static_cast<bool>(o.objective.columns) != static_cast<bool>(o.objective.coupling))
    throw DomainError(where + ": objective.columns and objective.coupling are two halves of one loss; give both");
  if (o.loss && !o.objective.is_empty())
    throw DomainError(where + ": loss is short for objective.rows; give one of loss and objective");
  if (o.reducer) {
    const int size = o.reducer->size(), rank = o.reducer->rank();
    check(size >= 1, "reducer->size()", size, "at least 1");
    check(rank >= 0 && rank < size, "reducer->rank()", rank, fmt::format("at least 0 and below size(), {}", size));
  }
  if (o.reducer && (o.shards % o.reducer->size() != 0 ||
                    !std::has_single_bit(static_cast<std::uint64_t>(o.shards / o.reducer->size()))))
    throw DomainError(fmt::format("{}: with {} processes shards must be {} times a power of two, got {}", where,
                                  o.reducer->size(), o.reducer->size(), o.shards));
  if (o.reducer && o.batch_size < o.shards)
    throw DomainError(
        fmt::format("{}: a batch of {} rows cannot be dealt to {} shards", where, o.batch_size, o.shards));
  if (const Index processes = o.reducer ? o.reducer->size() : 1; o.synchronized_statistics && o.shards != processes)
    throw DomainError(fmt::format(
        "{}: synchronized_statistics needs all shards of a batch at the same time, one for each process: shards must "
        "be {}, got {}; in one process, shards = 1 has the statistics of the whole batch, and gradient_checkpointing "
        "keeps its memory small",
        where, processes, o.shards));
  if (o.shards > 1 && o.objective.batch)
    throw DomainError(fmt::format("{}: objective.batch sees all rows of a batch together, so shards must be 1, got {}; "
                                  "written in two halves, objective.columns and objective.coupling, it goes in shards",
                                  where, o.shards));
}

template <Scalar T>
Fingerprint fingerprint_of(const Distribution<T>& flow, const FitOptions<T>& o) {
  Fingerprint f{{"scalar", std::string(Component<T>::dtype())},
                {"model", checksum_of(to_text(flow.describe()))},
                {model_tree, to_text(flow)},
                {"batch_size", fmt::format("{}", o.batch_size)},
                {"learning_rate", fmt::format("{}", o.learning_rate)},
                {"schedule", to_text(o.schedule)},
                {"warmup_steps", fmt::format("{}", o.warmup_steps)},
                {"weight_decay", fmt::format("{}", o.weight_decay)},
                {"optimizer", to_text(o.optimizer->describe())},
                {"clip_norm", fmt::format("{}", o.clip_norm)},
                {"seed", fmt::format("{}", o.seed)}};
  if (o.shards != 1) f["shards"] = fmt::format("{}", o.shards);
  // A longer run is the same run, unless the rates depend on its length.
  if (std::holds_alternative<CosineSchedule>(o.schedule)) f["epochs"] = fmt::format("{}", o.epochs);
  return f;
}

template void check_options(const std::string&, const FitOptions<float>&);
template void check_options(const std::string&, const FitOptions<double>&);
template Fingerprint fingerprint_of(const Distribution<float>&, const FitOptions<float>&);
template Fingerprint fingerprint_of(const Distribution<double>&, const FitOptions<double>&);

}  // namespace pushforward::detail
