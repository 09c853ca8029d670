// A corner plot: every column on the diagonal, every pair of columns below (data) and above it (samples).

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <numeric>
#include <sstream>
#include <system_error>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/picture.hpp"
#include "tools/tool.hpp"

extern char** environ;

namespace tool {

namespace {

struct Settings {
  std::string model, data, out, array;
  std::vector<std::string> columns;
  Index samples = 0;
  std::uint64_t seed = 0;
  int threads = 0;
  bool json = false;
};

constexpr Index most_rows = 200000;  // that are drawn; of more, a random choice
constexpr std::size_t most_columns = 8;

using Colour = std::array<double, 3>;
constexpr Colour white{255, 255, 255};
// Light, middle and dark of the two sides.
constexpr std::array<Colour, 3> blues{{{205, 222, 240}, {92, 148, 200}, {20, 66, 122}}};
constexpr std::array<Colour, 3> oranges{{{254, 221, 188}, {243, 146, 64}, {166, 64, 8}}};
constexpr const char* blue_fill = "#bcd3ea";
constexpr const char* blue_line = "#1f5a99";
constexpr const char* orange_line = "#d9630d";
constexpr const char* ink = "#303338";
constexpr const char* frame = "#9aa0a8";

// ------------------------------------------------------------------------------------------------- what is drawn

/// The rows of a stream, or a random choice of them if there are too many.
class Reservoir {
 public:
  Reservoir(Index cols, std::uint64_t seed) : rows_(0, cols), call_(pf::Engine(seed).stream("plot rows").next_call()) {}
  void add(const Eigen::MatrixXd& chunk) {
    for (Index i = 0; i < chunk.rows(); ++i, ++seen_) {
      if (kept_ < most_rows) {
        if (kept_ == rows_.rows()) rows_.conservativeResize(std::min(most_rows, 2 * kept_ + 1024), Eigen::NoChange);
        rows_.row(kept_++) = chunk.row(i);
        continue;
      }
      double u = 0;
      call_.uniform<double>(seen_, 1, 1, &u, 1);
      const auto place = static_cast<Index>(u * static_cast<double>(seen_ + 1));
      if (place < most_rows) rows_.row(place) = chunk.row(i);
    }
  }
  Eigen::MatrixXd rows() const { return rows_.topRows(kept_); }
  Index seen() const { return seen_; }

 private:
  Eigen::MatrixXd rows_;
  pf::RandomCall call_;
  Index kept_ = 0, seen_ = 0;
};

/// The density as an image, x fastest, from the lower left: white to dark.
void write_image(std::ostream& out, const Eigen::MatrixXd& grid, const std::array<Colour, 3>& ramp) {
  const std::array<std::pair<double, Colour>, 5> stops{{{0.0, white},
                                                        {0.03, {(255 + ramp[0][0]) / 2, (255 + ramp[0][1]) / 2,
                                                                (255 + ramp[0][2]) / 2}},
                                                        {0.18, ramp[0]},
                                                        {0.55, ramp[1]},
                                                        {1.0, ramp[2]}}};
  for (Index j = 0; j < grid.cols(); ++j)
    for (Index i = 0; i < grid.rows(); ++i) {
      const double t = std::pow(grid(i, j), 0.7);
      std::size_t k = 1;
      while (k + 1 < stops.size() && t > stops[k].first) ++k;
      const double u = std::clamp((t - stops[k - 1].first) / (stops[k].first - stops[k - 1].first), 0.0, 1.0);
      for (std::size_t channel = 0; channel < 3; ++channel)
        out.put(static_cast<char>(static_cast<unsigned char>(
            std::lround((1 - u) * stops[k - 1].second[channel] + u * stops[k].second[channel]))));
    }
}

// ------------------------------------------------------------------------------------------------------ gnuplot

/// In single quotes, where gnuplot takes everything as it is.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += c == '\n' ? ' ' : c;
  }
  return out + "'";
}

/// A directory that goes away.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "pushforward-XXXXXX").string();
    if (!mkdtemp(pattern.data()))
      throw pf::IoError(fmt::format("{}: cannot make a temporary directory: {}", pattern, std::strerror(errno)));
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::string first_lines(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::string line, text;
  while (std::getline(in, line) && text.size() < 300) {
    if (line.find_first_not_of(" ^\t") == line.npos) continue;
    text += (text.empty() ? "" : " ") + line;
  }
  return text;
}

void run_gnuplot(const std::filesystem::path& directory, const std::filesystem::path& script) {
  const std::string log = (directory / "log").string(), file = script.string();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  const std::array<const char*, 3> arguments{"gnuplot", file.c_str(), nullptr};
  pid_t process = 0;
  const int error =
      posix_spawnp(&process, "gnuplot", &actions, nullptr, const_cast<char* const*>(arguments.data()), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT)
    throw pf::Error("plot: gnuplot is not installed; install it (Debian: apt-get install gnuplot-nox)");
  if (error != 0) throw pf::Error(fmt::format("plot: cannot run gnuplot: {}", std::strerror(error)));
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const std::string text = first_lines(log);
    throw pf::Error("plot: gnuplot failed" + (text.empty() ? "" : ": " + text));
  }
}

/// Copies beside the place where it goes, then renames.
void move_file(const std::filesystem::path& from, const std::string& to) {
  const std::string partial = fmt::format("{}.{}.partial", to, getpid());
  std::error_code error;
  std::filesystem::copy_file(from, partial, std::filesystem::copy_options::overwrite_existing, error);
  if (!error) std::filesystem::rename(partial, to, error);
  if (!error) return;
  std::error_code ignored;
  std::filesystem::remove(partial, ignored);
  throw pf::IoError(fmt::format("{}: cannot write: {}", to, error.message()));
}

// ------------------------------------------------------------------------------------------------------- layout

/// Side of a panel in pixels.
int cell_size(Index dim) {
  return dim == 1 ? 520 : dim == 2 ? 400 : dim == 3 ? 310 : dim == 4 ? 260 : dim <= 6 ? 215 : 190;
}

struct Texts {
  std::string title, subtitle;
};

/// Writes the data files and the script; returns the script.
std::filesystem::path write_script(const std::filesystem::path& directory, const std::vector<Axis>& axes,
                                   const Eigen::MatrixXd& data, const Eigen::MatrixXd& samples, const Texts& texts) {
  const auto dim = static_cast<Index>(axes.size());
  const auto open = [&](const std::string& name) {
    std::ofstream out(directory / name, std::ios::binary);
    out.precision(9);
    return out;
  };
  const int cell = cell_size(dim);
  const int gap = dim <= 3 ? 14 : 10;
  const int font = 13;
  std::size_t longest = 0;  // tick label
  for (const Axis& axis : axes)
    for (const auto& tick : axis.ticks)
      longest = std::max(longest, static_cast<std::size_t>(std::count_if(tick.second.begin(), tick.second.end(),
                                                                         [](char c) { return (c & 0xC0) != 0x80; })));
  const int tick_space = 9 * static_cast<int>(longest);
  const bool rotate = tick_space + 6 > cell / 4;
  const int left = 46 + (dim > 1 ? tick_space : 0), right = dim > 1 ? 46 + tick_space : 46, top = 112;
  const int bottom = rotate ? 52 + tick_space : 66;
  const int width = left + static_cast<int>(dim) * cell + (static_cast<int>(dim) - 1) * gap + right;
  const int height = top + static_cast<int>(dim) * cell + (static_cast<int>(dim) - 1) * gap + bottom;
  const auto screen_x = [&](double pixel) { return pixel / width; };
  const auto screen_y = [&](double pixel) { return 1 - pixel / height; };

  std::ofstream gp = open("plot.gp");
  gp << "cd " << quoted(directory.string()) << "\n"
     << "set terminal pngcairo noenhanced rounded background '#ffffff' font 'DejaVu Sans," << font
     << "' fontscale 0.75 linewidth 1 size " << width << "," << height << "\n"
     << "set output 'corner.png'\n"
     << "set encoding utf8\n"
     << "set multiplot\n"
     << "unset key\nunset title\nunset colorbox\n"
     << "set border 15 linewidth 1 linecolor rgb '" << frame << "'\n"
     << "set tics front nomirror scale 0.5\n";

  // The heading, drawn once: two lines of text and the key.
  const auto label = [&](const std::string& text, double x, double y, const char* more) {
    gp << "set label " << quoted(text) << " at screen " << screen_x(x) << "," << screen_y(y) << " " << more << "\n";
  };
  label(texts.title, left, 30, fmt::format("left font 'DejaVu Sans Bold,17' textcolor rgb '{}'", ink).c_str());
  label(texts.subtitle, left, 57, "left textcolor rgb '#6a7078'");
  const int key_y = 84;
  gp << "set object 1 rectangle from screen " << screen_x(left) << "," << screen_y(key_y + 7) << " to screen "
     << screen_x(left + 26) << "," << screen_y(key_y - 7) << " fillcolor rgb '" << blue_fill
     << "' fillstyle solid 1 border linecolor rgb '" << blue_line << "'\n";
  label("data", left + 34, key_y, fmt::format("left textcolor rgb '{}'", blue_line).c_str());
  gp << "set arrow 1 from screen " << screen_x(left + 88) << "," << screen_y(key_y) << " to screen "
     << screen_x(left + 114) << "," << screen_y(key_y) << " nohead linewidth 2.4 linecolor rgb '" << orange_line
     << "'\n";
  label("samples of the model", left + 122, key_y, fmt::format("left textcolor rgb '{}'", orange_line).c_str());
  if (dim > 1)
    label("lines hold 50 % and 90 % of the other side", left + 300, key_y, "left textcolor rgb '#6a7078'");

  const std::string tick_style = fmt::format(" textcolor rgb '{}'", ink);
  bool heading = true;
  for (Index row = 0; row < dim; ++row) {
    for (Index col = 0; col < dim; ++col) {
      const Axis& x_axis = axes[static_cast<std::size_t>(col)];
      const Axis& y_axis = axes[static_cast<std::size_t>(row)];
      const int x0 = left + static_cast<int>(col) * (cell + gap), y0 = top + static_cast<int>(row) * (cell + gap);
      gp << "\nset lmargin at screen " << screen_x(x0) << "\nset rmargin at screen " << screen_x(x0 + cell)
         << "\nset tmargin at screen " << screen_y(y0) << "\nset bmargin at screen " << screen_y(y0 + cell) << "\n";
      gp << "set xrange [" << fmt::format("{:.17g}:{:.17g}", x_axis.low, x_axis.high) << "]\n";
      // Labels stand at the lower and the left side; the first row, which has a histogram there, has them right.
      const bool diagonal = row == col;
      const bool x_labels = row + 1 == dim;
      const bool y_left = col == 0 && row > 0, y_right = row == 0 && col + 1 == dim && dim > 1;
      const auto ticks = [&](const Axis& axis, bool labels) {
        std::string list;
        for (const auto& [value, text] : axis.ticks)
          list += fmt::format("{}{} {:.17g}", list.empty() ? "" : ", ", quoted(labels ? text : ""), value);
        return "(" + list + ")";
      };
      gp << "set xtics " << ticks(x_axis, x_labels) << (x_labels && rotate ? " rotate by 90 right" : " norotate")
         << tick_style << "\n";
      gp << "unset ytics\nunset y2tics\nunset xlabel\nunset ylabel\nunset y2label\n";
      if (x_labels)
        label(x_axis.name, x0 + cell / 2.0, top + static_cast<double>(dim) * (cell + gap) - gap + bottom - 20.0,
              fmt::format("center font 'DejaVu Sans,14' textcolor rgb '{}'", ink).c_str());
      if (y_left)
        label(y_axis.name, 20, y0 + cell / 2.0,
              fmt::format("center rotate by 90 font 'DejaVu Sans,14' textcolor rgb '{}'", ink).c_str());
      if (y_right)
        label(y_axis.name, width - 20, y0 + cell / 2.0,
              fmt::format("center rotate by 90 font 'DejaVu Sans,14' textcolor rgb '{}'", ink).c_str());

      const std::string id = fmt::format("{}_{}", row, col);
      if (diagonal) {
        const Index count = data.rows() < 500 ? 24 : data.rows() < 5000 ? 36 : 48;
        const std::vector<double> of_data = histogram(data.col(col), x_axis, count);
        const std::vector<double> of_samples = histogram(samples.col(col), x_axis, count);
        const double step = (x_axis.high - x_axis.low) / static_cast<double>(count);
        const double peak = std::max(*std::max_element(of_data.begin(), of_data.end()),
                                     *std::max_element(of_samples.begin(), of_samples.end()));
        std::ofstream out = open("h" + id);
        for (Index k = 0; k <= count; ++k) {
          const auto at = static_cast<std::size_t>(std::min(k, count - 1));
          out << x_axis.low + static_cast<double>(k) * step << ' ' << of_data[at] << ' ' << of_samples[at] << '\n';
        }
        gp << "set yrange [0:" << (peak > 0 ? 1.12 * peak : 1) << "]\n"
           << "plot 'h" << id << "' using 1:2 with fillsteps fillstyle solid 1 noborder linecolor rgb '" << blue_fill
           << "', '' using 1:2 with steps linewidth 1 linecolor rgb '" << blue_line
           << "', '' using 1:3 with steps linewidth 2 linecolor rgb '" << orange_line << "'\n";
      } else {
        gp << "set yrange [" << fmt::format("{:.17g}:{:.17g}", y_axis.low, y_axis.high) << "]\n";
        if (y_right)
          gp << "set y2range [" << fmt::format("{:.17g}:{:.17g}", y_axis.low, y_axis.high) << "]\nset y2tics "
             << ticks(y_axis, true) << tick_style << "\n";
        else
          gp << "set ytics " << ticks(y_axis, y_left) << tick_style << "\n";
        const bool below = row > col;
        const Eigen::MatrixXd of_data = density(data.col(col), data.col(row), x_axis, y_axis);
        const Eigen::MatrixXd of_samples = density(samples.col(col), samples.col(row), x_axis, y_axis);
        {
          std::ofstream image = open("i" + id);
          write_image(image, below ? of_data : of_samples, below ? blues : oranges);
          std::ofstream lines = open("c" + id);
          const Eigen::MatrixXd& other = below ? of_samples : of_data;
          for (const double mass : {0.5, 0.9})
            for (const Polyline& line : contours(other, level_of(other, mass), x_axis, y_axis)) {
              for (const auto& [x, y] : line) lines << x << ' ' << y << '\n';
              lines << '\n';
            }
        }
        gp << fmt::format("plot 'i{0}' binary array=({1},{1}) format='%uchar' dx={2:.17g} dy={3:.17g} "
                          "origin=({4:.17g},{5:.17g}) using 1:2:3 with rgbimage, "
                          "'c{0}' using 1:2 with lines linewidth 1.5 linecolor rgb '{6}'\n",
                          id, x_axis.bins, x_axis.bin_width(), y_axis.bin_width(), x_axis.low + x_axis.bin_width() / 2,
                          y_axis.low + y_axis.bin_width() / 2, below ? orange_line : blue_line);
      }
      if (heading || x_labels || y_left || y_right) gp << "unset label\n";
      if (heading) gp << "unset object\nunset arrow\n";
      heading = false;
    }
  }
  gp << "unset multiplot\nunset output\n";
  gp.close();
  if (!gp) throw pf::IoError((directory / "plot.gp").string() + ": cannot write");
  return directory / "plot.gp";
}

void run(const Settings& s) {
  if (extension(s.out) != ".png") throw UsageError("--out: expected a .png file, got '" + s.out + "'");
  refuse_overwriting({{"the model", s.model}, {"the data", s.data}}, {{"--out", s.out}});
  const LoadedModel model = load_model(s.model);
  const std::vector<std::string> asked = split_lists(s.columns);
  std::vector<Index> shown = columns_named(asked, model);
  const bool limited = asked.empty() && model.columns.size() > most_columns;
  if (asked.empty()) {
    shown.resize(std::min(model.columns.size(), most_columns));
    std::iota(shown.begin(), shown.end(), Index{0});
  }
  if (shown.size() > 16) throw UsageError("--columns: at most 16 columns fit into one picture");

  // All rows are scored; of many, a random choice is drawn.
  pf::Execution execution({.threads = thread_count(s.threads)});
  DataReader reader = DataReader::for_model(s.data, model, {.array = s.array});
  Reservoir kept(model.dim() + model.context_dim(), s.seed);
  LogLikelihood likelihood;
  pf::Table chunk;
  while (reader.next(chunk, chunk_rows)) {
    const auto y = chunk.values.leftCols(model.dim());
    const pf::MatrixView<const double> context = model.context_of(chunk);
    for (const double value : model.distribution->log_prob(y, context, execution)) likelihood.add(value);
    kept.add(chunk.values);
  }
  const Eigen::MatrixXd rows = kept.rows();
  const Index count = s.samples > 0 ? s.samples : std::clamp<Index>(rows.rows(), 50000, most_rows);
  pf::Engine engine(s.seed);
  Eigen::MatrixXd samples;
  if (model.context_dim() > 0) {
    // Each sample has the context of a row, so both sides are the same mixture.
    Eigen::MatrixXd contexts(count, model.context_dim());
    for (Index i = 0; i < count; ++i) contexts.row(i) = rows.row(i % rows.rows()).tail(model.context_dim());
    samples = model.distribution->sample_each(contexts, engine, execution);
  } else {
    samples = model.distribution->sample(count, engine, execution);
  }

  std::vector<Axis> axes;
  for (const Index c : shown) axes.push_back(make_axis(model.columns[static_cast<std::size_t>(c)], rows.col(c),
                             cell_size(static_cast<Index>(shown.size())) / 2));
  const std::string model_name = std::filesystem::path(s.model).filename().string();
  const std::string data_name = s.data == "-" ? "standard input" : std::filesystem::path(s.data).filename().string();
  Texts texts;
  texts.title = fmt::format("{} and {}", data_name, model_name);
  texts.subtitle = fmt::format("{} · mean log-likelihood {} nats", counted(kept.seen(), "row"),
                               likelihood.zero > 0 ? "−∞"
                                                   : with_minus(with_error(likelihood.mean(),
                                                                           likelihood.inside.standard_error())));
  if (shown.size() < model.columns.size())
    texts.subtitle += fmt::format(" · {} of {} columns", shown.size(), model.columns.size());

  const TemporaryDirectory directory;
  const auto shown_of = [&](const Eigen::MatrixXd& m) { return Eigen::MatrixXd(m(Eigen::seqN(0, m.rows()), shown)); };
  run_gnuplot(directory.path(), write_script(directory.path(), axes, shown_of(rows), shown_of(samples), texts));
  move_file(directory.path() / "corner.png", s.out);

  std::vector<std::string> names;
  for (const Axis& axis : axes) names.push_back(axis.name);
  if (s.json) {
    print_json({{"rows", kept.seen()},
                {"samples", count},
                {"columns", names},
                {"mean_log_likelihood", likelihood.mean()},
                {"out", s.out}});
    return;
  }
  if (limited)
    fmt::print("the first {} of {} columns; choose others with --columns\n", most_columns, model.columns.size());
  fmt::print("wrote {} ({}, {})\n", s.out, counted(kept.seen(), "row"), counted(count, "sample"));
}

}  // namespace

void add_plot(CLI::App& app) {
  auto s = std::make_shared<Settings>();
  CLI::App* sub = app.add_subcommand("plot", "Draw data and samples: every column and every pair of columns.");
  sub->add_option("model", s->model, "Model file")->required()->check(file_name())->option_text("MODEL");
  sub->add_option("data", s->data, "Data file; -: CSV from standard input")
      ->required()
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("-o,--out", s->out, "PNG file")
      ->required()
      ->check(file_name())
      ->option_text("FILE (required)");
  add_list(*sub, "--columns", s->columns, "Columns to show, a,b,c (default: the first 8)")->option_text("A,B,...");
  sub->add_option("-n,--number", s->samples, "Samples to draw (default: as many as rows, 50,000 to 200,000)")
      ->transform(whole_number(1, 10'000'000))
      ->option_text("N");
  sub->add_option("--seed", s->seed, "Of the samples")
      ->transform(seed_number())
      ->option_text("N (0)");
  sub->add_option("--array", s->array, "Array of a .npz file")->option_text("NAME");
  sub->add_option("--threads", s->threads, "Threads (default: all)")
      ->transform(whole_number(1, 1024))
      ->option_text("N");
  sub->add_flag("--json", s->json, "Print the result as JSON");
  sub->footer("Diagonal: histograms. Below it: the density of the data, above it: that of the samples, each with lines\n"
              "that hold 50 % and 90 % of the other. Runs gnuplot (Debian package gnuplot-nox).");
  sub->callback([s, sub] {
    refuse_repeated(*sub);
    run(*s);
  });
}

}  // namespace tool
