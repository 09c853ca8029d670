#pragma once

#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "tools/tool.hpp"

namespace tool {

/// One line on the terminal that is written over; nothing where standard error is no terminal.
class ProgressLine {
 public:
  ~ProgressLine() { clear(); }
  void show(const pf::Progress& p) {
    if (!terminal_) return;
    std::string text =
        fmt::format("epoch {:>{}}/{}   train {:.4f}", p.epoch, std::to_string(p.epochs).size(), p.epochs, p.train_loss);
    if (std::isfinite(p.validation_loss)) {
      if (best_epoch_ == 0 || p.validation_loss < best_) {
        best_ = p.validation_loss;
        best_epoch_ = p.epoch;
      }
      text += fmt::format("   validation {:.4f} (best {:.4f}, epoch {})", p.validation_loss, best_, best_epoch_);
    }
    if (p.epoch < p.epochs) text += fmt::format("   {} left", duration(p.seconds_left));
    show(text);
  }
  void show(const std::string& text) {
    if (!terminal_) return;
    fmt::print(stderr, "\r{}\x1b[K", text);
    std::fflush(stderr);
    shown_ = true;
  }
  void clear() {
    if (shown_) fmt::print(stderr, "\r\x1b[K");
    shown_ = false;
  }

 private:
  bool terminal_ = isatty(STDERR_FILENO) != 0;
  bool shown_ = false;
  double best_ = 0;
  Index best_epoch_ = 0;
};

}  // namespace tool
