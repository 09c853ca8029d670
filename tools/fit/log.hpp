#pragma once

// A file with a line for each epoch, for those who watch a run or draw it.

#include <fstream>
#include <string>
#include <vector>

#include <pushforward/training/fit.hpp>

#include "tools/tool.hpp"

namespace tool::fitting {

/// JSON Lines. Without a path it does nothing.
class Log {
 public:
  Log(const std::string& path, bool go_on) : path_(path) {
    if (path.empty()) return;
    file_.open(path, go_on ? std::ios::app : std::ios::trunc);
    check();
  }
  void write(const pf::Progress& p) {
    if (!path_.empty()) put(epoch(p));
  }
  /// An epoch of a race: whose it is is known when its stage ends.
  void keep(const pf::Progress& p) {
    if (!path_.empty()) kept_.push_back(epoch(p));
  }
  /// `whose` comes before what was kept.
  void write_kept(const Json& whose) {
    for (const Json& line : kept_) {
      Json whole = whose;
      whole.update(line);
      put(whole);
    }
    kept_.clear();
  }

 private:
  static Json epoch(const pf::Progress& p) {
    return {{"epoch", p.epoch},           {"epochs", p.epochs},
            {"step", p.step},             {"train_loss", p.train_loss},
            {"seconds", p.seconds},       {"validation_loss", p.validation_loss},
            {"learning_rate", p.learning_rate}};
  }
  void put(const Json& line) {
    file_ << line.dump() << std::endl;  // numbers that are not finite become null
    check();
  }
  void check() const {
    if (!file_) throw pf::IoError("--log: cannot write to '" + path_ + "'");
  }

  std::string path_;
  std::ofstream file_;
  std::vector<Json> kept_;
};

}  // namespace tool::fitting
