// Density of 8x8 grey patches of natural images (BSDS300), as published for MAF and RQ-NSF: a million patches from the
// training images, 50,000 from 20 of them that are held out for choosing, 250,000 from the test images; every pixel
// plus uniform noise over 256, the patch's mean subtracted, the last pixel dropped, nothing standardised. Scores are in
// nats of that space. Runs take as long as they are given: the rate of learning falls to 0 in that time.
//
//   bsds300 <folder with train/*.pgm and test/*.pgm> <list of held-out images> [maf | nsf] [minutes] [threads] [seed]
//           [rows, hidden units, batch: 0 for the model's own]
#include <cmath>
#include <cstdio>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "benchmarks/held_out.hpp"

namespace pf = pushforward;
using namespace held_out;
namespace fs = std::filesystem;

namespace {

struct Image {
  Index width, height;
  std::string pixels;
};

Image read_pgm(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  Image image;
  Index most = 0;
  file >> magic >> image.width >> image.height >> most;
  file.get();
  if (!file || magic != "P5" || most != 255) throw std::runtime_error(path.string() + ": not an 8-bit binary PGM");
  image.pixels.resize(static_cast<std::size_t>(image.width * image.height));
  if (!file.read(image.pixels.data(), image.width * image.height))
    throw std::runtime_error(path.string() + ": too short");
  return image;
}

std::vector<Image> read_images(const fs::path& folder, const std::set<std::string>& names, bool listed) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder))
    if (names.contains(entry.path().filename().string()) == listed) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Image> images;
  for (const fs::path& path : paths) images.push_back(read_pgm(path));
  return images;
}

/// Patches at random places of random images.
Eigen::MatrixXf patches(const std::vector<Image>& images, Index count, std::uint64_t seed) {
  pf::Engine engine(seed);
  const Eigen::MatrixXd place = pf::Uniform<double>(3).sample(count, engine);
  const Eigen::MatrixXf noise = pf::Uniform<float>(64).sample(count, engine);
  Eigen::MatrixXf result(count, 63);
  const auto pick = [](double u, Index n) { return std::min(n - 1, static_cast<Index>(u * static_cast<double>(n))); };
  for (Index i = 0; i < count; ++i) {
    const Image& image = images[static_cast<std::size_t>(pick(place(i, 0), static_cast<Index>(images.size())))];
    const Index x = pick(place(i, 1), image.width - 7), y = pick(place(i, 2), image.height - 7);
    Eigen::RowVectorXf patch(64);
    for (Index p = 0; p < 64; ++p)
      patch[p] = (static_cast<float>(static_cast<unsigned char>(
                      image.pixels[static_cast<std::size_t>((y + p / 8) * image.width + x + p % 8)])) +
                  noise(i, p)) /
                 256;
    result.row(i) = patch.head(63).array() - patch.mean();
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr,
                 "usage: bsds300 <folder of images> <held-out images> [maf | nsf] [minutes] [threads] [seed]\n");
    return 2;
  }
  const fs::path images = folder("bsds300", argv[1], "train");
  const std::string kind = argc > 3 ? argv[3] : "maf";
  const double minutes = argc > 4 ? std::atof(argv[4]) : 60;
  const int threads = argc > 5 ? std::atoi(argv[5]) : 2;
  const auto seed = static_cast<std::uint64_t>(argc > 6 ? std::atoi(argv[6]) : 1);
  const Index rows = argc > 7 && std::atoi(argv[7]) > 0 ? std::atoi(argv[7]) : 1'000'000;
  const Index hidden = argc > 8 ? std::atoi(argv[8]) : 0, batch = argc > 9 ? std::atoi(argv[9]) : 0;

  std::set<std::string> held_out_images;
  std::ifstream list(argv[2]);
  for (std::string name; std::getline(list, name);)
    if (!name.empty()) held_out_images.insert(name);
  if (held_out_images.empty()) {
    std::fprintf(stderr, "bsds300: no names of images in %s\n", argv[2]);
    return 1;
  }
  const Eigen::MatrixXf train = patches(read_images(images / "train", held_out_images, false), rows, 1),
                        validation = patches(read_images(images / "train", held_out_images, true), 50'000, 2),
                        test = patches(read_images(images / "test", {}, false), 250'000, 3);

  Model model =
      kind == "nsf"
          ? Model{"RQ-NSF (C)-20, LU linear, residual 128x1",
                  &pf::nsf<float>,
                  {.layers = 20,
                   .hidden = 128,
                   .blocks = 1,
                   .residual = true,
                   .dropout = 0.2,
                   .mixing = pf::Mixing::lu_linear},
                  {.batch_size = 512, .learning_rate = 5e-4}}
          : Model{"MAF-5, batch norm, reversed, MADE 512x2",
                  &pf::maf<float>,
                  {.layers = 5, .hidden = 512, .blocks = 1, .mixing = pf::Mixing::reverse, .batch_norm = true},
                  {.batch_size = 256, .learning_rate = 1e-3}};
  if (hidden > 0) model.flow.hidden = hidden;
  if (batch > 0) model.options.batch_size = batch;
  model.flow.seed = seed;
  pf::FitOptions<float>& options = model.options;
  options.patience = 0;
  options.seed = seed;
  options.statistics = pf::EvaluationStatistics::running;  // those of all rows come at the end
  pf::Execution execution({.threads = threads});
  options.execution = execution;

  // An epoch's time, from 20,000 rows; the learning rate's schedule needs the number of epochs.
  const Eigen::MatrixXf some = train.topRows(std::min<Index>(rows, 20'000));
  pf::FitOptions<float> pilot = options;
  pilot.epochs = 2;
  pilot.validation_fraction = 0;
  std::vector<double> seconds;
  pilot.callback = [&](const pf::Progress& p) { return seconds.push_back(p.seconds), true; };
  pf::TransformedDistribution<float> throwaway = model.build(63, model.flow);
  pf::fit(throwaway, some, pilot);
  const double epoch = (seconds[1] - seconds[0]) * static_cast<double>(rows) / static_cast<double>(some.rows());
  options.epochs = std::max<Index>(1, static_cast<Index>(0.96 * minutes * 60 / (1.02 * epoch)));
  options.validation = validation;
  options.schedule = pf::CosineSchedule{};

  pf::TransformedDistribution<float> flow = model.build(63, model.flow);
  std::printf("%s%s: %td rows, %td hidden, batch %td, %td epochs of about %.1f s\n", model.name,
              hidden > 0 ? " (other size)" : "", rows, *model.flow.hidden, options.batch_size, options.epochs, epoch);
  std::vector<double> marks{30, 60, 120};
  options.callback = [&](const pf::Progress& p) {
    if (p.epoch % 5 == 0 || p.epoch == p.epochs) std::printf("%s\n", pf::to_text(p).c_str());
    if (!marks.empty() && p.seconds >= 60 * marks.front()) {
      const Score s = score(flow.log_prob(test, execution));
      std::printf("after %.0f minutes: test %.3f +- %.3f\n", marks.front(), s.mean, s.two_errors);
      marks.erase(marks.begin());
    }
    std::fflush(stdout);
    return true;
  };
  const pf::FitReport report = pf::fit(flow, train, options);
  Score s = score(flow.log_prob(test, execution));
  std::printf("test %.3f +- %.3f (2 standard errors), validation %.3f, epoch %td of %td, %.0f s\n", s.mean,
              s.two_errors, report.validation.mean, report.best_epoch, options.epochs, report.seconds);
  if (model.flow.batch_norm) {
    pf::calibrate(flow, train, {}, execution);
    s = score(flow.log_prob(test, execution));
    std::printf("with the statistics of all training rows: test %.3f +- %.3f, validation %.3f\n", s.mean, s.two_errors,
                flow.log_prob(validation, execution).mean());
  }
}
