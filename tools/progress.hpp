#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
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
  /// Of a work that takes more than a second; 0: nobody knows of how many.
  void show_rows(Index done, Index of = 0) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    if (seconds < 1 || done == of) return;
    const std::string all =
        of > 0 ? fmt::format(" of {}   {} left", grouped(of), duration(seconds * static_cast<double>(of - done) /
                                                                      static_cast<double>(done)))
               : std::string();
    show(counted(done, "row") + all);
  }
  void show(const std::string& text) {
    if (!terminal_) return;
    // A line that is longer than the terminal is wide would stay: only its last part is written over.
    winsize size{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    fmt::print(stderr, "\r{}\x1b[K", text.substr(0, known ? size.ws_col - 1u : 79u));
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
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double best_ = 0;
  Index best_epoch_ = 0;
};

}  // namespace tool
