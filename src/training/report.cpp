// Progress and report as text.

#include <cmath>

#include <fmt/format.h>

#include <pushforward/training/fit.hpp>

#include "src/core/number_text.hpp"

namespace pushforward {

using detail::unsigned_nan;

namespace {

/// Four decimals, unless that would be a long row of digits.
std::string nats(double value) {
  return std::abs(value) < 1e7 ? fmt::format("{:.4f}", value) : fmt::format("{:.5g}", unsigned_nan(value));
}

}  // namespace

std::string to_text(const Progress& p) {
  std::string text = fmt::format("epoch {}/{}  loss {:.5g}", p.epoch, p.epochs, unsigned_nan(p.train_loss));
  if (!std::isnan(p.validation_loss)) text += fmt::format("  validation {:.5g}", p.validation_loss);
  return text + fmt::format("  rate {:.3g}  {:.1f} s, about {:.0f} s left", p.learning_rate, p.seconds, p.seconds_left);
}

std::string to_text(const FitReport& r) {
  std::string text = fmt::format("{}; {} steps ({} skipped) in {:.1f} s on {} rows\n", r.stop_text, r.steps,
                                 r.skipped_steps, r.seconds, r.train_rows);
  if (r.best_epoch >= 0)
    text += fmt::format("best epoch {}, validation loss {:.5g}\n", r.best_epoch + 1,
                        r.validation_loss[static_cast<std::size_t>(r.best_epoch)]);
  const auto line = [&](const char* name, const MeanLogLikelihood& m) {
    if (std::isnan(m.mean)) return;
    text += fmt::format("{}: {} +- {} nats per row\n", name, nats(m.mean), nats(m.standard_error));
  };
  line("training log-likelihood", r.train);
  line("validation log-likelihood", r.validation);
  if (!std::isnan(r.gaussian_baseline)) text += fmt::format("Gaussian for comparison: {}\n", nats(r.gaussian_baseline));
  for (const Notice& warning : r.warnings) text += "warning: " + warning.text() + "\n";
  return text;
}

}  // namespace pushforward
