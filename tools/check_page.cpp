#include "tools/check_page.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "tools/picture.hpp"

namespace tool {

namespace {

// Data: hatched areas, solid lines, dots. Model: broken lines. So the pictures need no colour.
constexpr const char* style = R"css(
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#56606b;--line:#b4bcc5;--paper:#fff;--box:#f3f5f8;--data:#1f5a99;
--model:#b04a05;--bad:#a3201a;--good:#1a6437}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#a4adb6;--line:#56606b;--paper:#15181c;--box:#1f242a;
--data:#82b4ea;--model:#f0a060;--bad:#ff8d85;--good:#7fd09a}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:1200px;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,"Segoe UI","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:.2em 0}h2{font-size:1.2rem;margin:2em 0 .3em;border-bottom:1px solid var(--line)}
p{margin:.4em 0;max-width:75ch}.soft,figcaption{color:var(--soft);font-size:.875rem}
.verdict{border:3px double var(--good);background:var(--box);padding:.6rem 1rem;margin:1rem 0}
.verdict.bad{border-color:var(--bad)}.verdict strong{color:var(--good)}.verdict.bad strong{color:var(--bad)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
th,td{padding:.2em .7em;text-align:right;border-bottom:1px solid var(--line);
white-space:nowrap}th:first-child,td:first-child{text-align:left}td:first-child{white-space:normal;overflow-wrap:normal}
@media(max-width:600px){.less{display:none}th,td{padding:.2em .35em}}
.found td{font-weight:bold}.found .soft{font-weight:normal}figure{margin:0}figcaption{font-size:.8rem}svg{display:block;width:100%;height:auto}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,260px),1fr));gap:1rem}
.wide{max-width:560px;margin-top:1rem}.key svg{display:inline-block;width:28px;vertical-align:middle;margin-left:.7em}.corner{display:grid;grid-template-columns:repeat(2,1fr);gap:4px}
@media(min-width:760px){.corner{grid-template-columns:repeat(var(--n),minmax(0,260px))}
.corner>*{grid-row:var(--r);grid-column:var(--c)}}
text{font:11px system-ui,"DejaVu Sans",sans-serif;fill:var(--ink)}text.small{font-size:10px;fill:var(--soft)}
.frame{fill:none;stroke:var(--line)}.bars{fill:url(#hatch);stroke:var(--data);stroke-width:1}
.data{fill:none;stroke:var(--data);stroke-width:1.3}.dots{fill:var(--data)}
.model{fill:none;stroke:var(--model);stroke-width:2;stroke-dasharray:6 3}
.band{fill:url(#dots);stroke:var(--soft);stroke-width:.8;stroke-dasharray:2 2}.mark{fill:var(--ink)}
details{margin:.5em 0}summary{cursor:pointer}
)css";
constexpr const char* patterns =
    R"svg(<svg width="0" height="0" style="position:absolute;width:0" aria-hidden="true"><defs>
<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="5" height="5" style="fill:var(--data);opacity:.12"/>
<line x1="0" y1="0" x2="0" y2="5" style="stroke:var(--data);stroke-width:1.4"/></pattern>
<pattern id="dots" width="4" height="4" patternUnits="userSpaceOnUse">
<rect width="4" height="4" style="fill:var(--soft);opacity:.12"/>
<circle cx="2" cy="2" r=".7" style="fill:var(--soft)"/></pattern></defs></svg>
)svg";

constexpr const char* key = R"svg(<p class="key soft">
<svg viewBox="0 0 28 14" aria-hidden="true"><rect class="bars" x="1" y="1" width="26" height="12"/></svg>
<svg viewBox="0 0 28 14" aria-hidden="true"><path class="data" d="M1 7h26"/><circle class="dots" cx="9" cy="3" r="1"/>
<circle class="dots" cx="19" cy="11" r="1"/></svg> rows
<svg viewBox="0 0 28 14" aria-hidden="true"><path class="model" d="M1 7h26"/></svg> draws of the model</p>
)svg";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

bool begins_character(char c) { return (c & 0xC0) != 0x80; }
std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

/// So many characters at most.
std::string shortened(const std::string& text, std::size_t most) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (begins_character(text[i]) && ++count > most) return text.substr(0, i) + "…";
  return text;
}

std::size_t longest(const std::vector<std::pair<double, std::string>>& ticks) {
  std::size_t most = 0;
  for (const auto& tick : ticks) most = std::max(most, characters(tick.second));
  return most;
}

/// A picture with one pair of axes.
class Chart {
 public:
  Chart(std::string label, Axis x, Axis y, double width, double height, double left = 38)
      : label_(std::move(label)),
        x_(std::move(x)),
        y_(std::move(y)),
        width_(width),
        height_(height),
        left_(std::max(left, 12 + 6.2 * static_cast<double>(longest(y_.ticks)))),
        bottom_(x_.name.empty() ? 19 : 33) {}

  double x(double v) const { return left_ + (v - x_.low) / (x_.high - x_.low) * (width_ - left_ - right); }
  double y(double v) const { return height_ - bottom_ - (v - y_.low) / (y_.high - y_.low) * (height_ - top - bottom_); }

  void rectangle(const char* kind, double x0, double y0, double x1, double y1) {
    body_ += fmt::format("<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>", kind,
                         x(x0), y(y1), x(x1) - x(x0), y(y0) - y(y1));
  }
  void line(const char* kind, const Polyline& points) {
    std::string path;
    bool pen = false;
    for (const auto& [px, py] : points) {
      // NaN lifts it.
      if (std::isfinite(px) && std::isfinite(py)) path += fmt::format("{}{:.1f} {:.1f}", pen ? "L" : "M", x(px), y(py));
      pen = std::isfinite(px) && std::isfinite(py);
    }
    body_ += fmt::format("<path class=\"{}\" d=\"{}\"/>", kind, path);
  }
  void dot(const char* kind, double px, double py, double size) {
    body_ += fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>", kind, x(px), y(py), size);
  }
  /// In the units of the picture.
  void raw(const std::string& svg) { body_ += svg; }
  /// `y_ticks`: numbers at the left_ side.
  std::string svg(bool y_ticks = true) const {
    std::string out = fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">", width_, height_,
                                  escaped(label_)) +
                      body_;
    out += fmt::format("<rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{:.1f}\"/>", left_, top,
                       width_ - left_ - right, height_ - top - bottom_);
    for (const auto& [v, t] : x_.ticks)
      out += fmt::format(
          "<path class=\"frame\" d=\"M{0:.1f} {1:.1f}v4\"/><text class=\"small\" x=\"{0:.1f}\" y=\"{2:.1f}\" "
          "text-anchor=\"middle\">{3}</text>",
          x(v), height_ - bottom_, height_ - bottom_ + 14, escaped(t));
    if (y_ticks)
      for (const auto& [v, t] : y_.ticks)
        out += fmt::format(
            "<path class=\"frame\" d=\"M{0:.1f} {1:.1f}h-4\"/><text class=\"small\" x=\"{2:.1f}\" "
            "y=\"{3:.1f}\" text-anchor=\"end\">{4}</text>",
            left_, y(v), left_ - 6, y(v) + 3, escaped(t));
    const auto most = static_cast<std::size_t>((width_ - left_) / 6.6);  // characters
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", (left_ + width_ - right) / 2,
                       height_ - 5, escaped(shortened(x_.name, most)));
    out += fmt::format("<text x=\"{}\" y=\"11\">{}</text></svg>", 2, escaped(shortened(y_.name, most)));
    return out;
  }

 private:
  static constexpr double right = 8, top = 17;
  std::string label_, body_;
  Axis x_, y_;
  double width_, height_, left_, bottom_;
};

Axis axis_of(const std::string& name, double low, double high) {
  Axis axis;
  axis.name = name;
  axis.low = low;
  axis.high = high > low ? high : low + 1;
  add_ticks(axis);
  return axis;
}

/// That breaks nowhere.
std::string p_html(double p) {
  std::string text;
  for (const char c : p_text(p)) text += c == '<' ? "&lt;" : c == ' ' ? "&nbsp;" : c == '-' ? "−" : std::string(1, c);
  return text;
}

std::string number(double v) {
  return std::isfinite(v) ? with_minus(fmt::format("{:.5g}", v)) : v < 0 ? "−∞" : v > 0 ? "∞" : "–";
}
std::string with_error(const pf::MeanLogLikelihood& m) {
  return std::isfinite(m.mean) ? with_minus(tool::with_error(m.mean, m.standard_error)) : "–";
}

// ---------------------------------------------------------------------------------------------------------- tables

/// Cells are HTML; the first row is the head. Columns of the class "less" are left out where the page is narrow.
std::string table(const std::string& caption, const std::vector<std::vector<std::string>>& rows,
                  const std::vector<bool>& found = {}, const std::vector<std::string>& classes = {}) {
  std::string out = caption.empty() ? "" : "<p class=\"soft\">" + caption + "</p>\n";
  out += "<div class=\"scroll\" tabindex=\"0\"><table>";
  for (std::size_t r = 0; r < rows.size(); ++r) {
    out += r > 0 && r - 1 < found.size() && found[r - 1] ? "<tr class=\"found\">" : "<tr>";
    for (std::size_t c = 0; c < rows[r].size(); ++c)
      out += fmt::format("<{0}{1}{2}>{3}</{0}>", r == 0 ? "th" : "td", r == 0 ? " scope=\"col\"" : "",
                         c < classes.size() && !classes[c].empty() ? " class=\"" + classes[c] + "\"" : "", rows[r][c]);
    out += "</tr>";
  }
  return out + "</table></div>\n";
}

std::string scores(const pf::CalibrationReport& r) {
  std::vector<std::vector<std::string>> rows{{"", "nats per row"}};
  rows.push_back({r.density_zero > 0 ? fmt::format("mean log-likelihood of the {} inside the support",
                                                   grouped(r.rows - r.density_zero))
                                     : "mean log-likelihood",
                  with_error(r.score)});
  rows.push_back({"Gaussian (" + escaped(r.baseline_text) + ")", with_error(r.baseline)});
  rows.push_back({"gain over it, row by row", with_error(r.gain)});
  rows.push_back({"1 % quantile of rows", number(r.quantile_01)});
  rows.push_back({"median", number(r.median)});
  rows.push_back({"99 % quantile", number(r.quantile_99)});
  if (r.density_zero > 0) rows.push_back({"rows of density 0", grouped(r.density_zero)});
  return table("Errors are standard errors of means.", rows);
}

std::string findings(const pf::CalibrationReport& r) {
  std::vector<std::vector<std::string>> rows{{"group of tests", "result", "corrected p", "tests", "p of the group"}};
  std::vector<bool> found;
  for (const pf::CalibrationFinding& f : r.findings) {
    rows.push_back({escaped(f.name) + (f.found ? "<br><span class=\"soft\">" + escaped(f.text) + "</span>" : ""),
                    f.found ? "✗ differs" : "✓ nothing found", p_html(f.holm_p), grouped(f.tests), p_html(f.p)});
    found.push_back(f.found);
  }
  return table(fmt::format("A right model fails some group in at most {:g} of 100 checks.", 100 * r.level), rows, found,
               {"", "", "", "less", "less"});
}

// -------------------------------------------------------------------------------------------------------- pictures

std::string learning_curve(const LearningCurve& curve) {
  double low = INFINITY, high = -INFINITY;
  std::vector<double> sorted;
  for (const auto* values : {&curve.train, &curve.validation})
    for (const double v : *values)
      if (std::isfinite(v)) sorted.push_back(v);
  if (sorted.empty()) return "<p>The log has no losses.</p>";
  std::sort(sorted.begin(), sorted.end());
  low = sorted.front();
  high = sorted.back();
  // The first epochs may be far above what matters.
  const double usual = sorted[sorted.size() * 9 / 10];
  high = std::min(high, usual + 1.5 * (usual - low) + 1e-9);
  const double margin = 0.05 * (high - low);
  Chart chart("Loss of training and validation by epoch",
              axis_of("epoch", 0.5, static_cast<double>(curve.train.size()) + 0.5),
              axis_of("loss: solid training, broken validation", low - margin, high + margin), 560, 260);
  const auto draw = [&](const char* kind, const std::vector<double>& values) {
    Polyline line;
    for (std::size_t i = 0; i < values.size(); ++i)
      if (std::isfinite(values[i])) line.push_back({static_cast<double>(i + 1), std::min(values[i], high + margin)});
    chart.line(kind, line);
  };
  draw("data", curve.train);
  draw("model", curve.validation);
  return (curve.candidate.empty() ? ""
                                  : "<p class=\"soft\">Of the candidate '" + escaped(curve.candidate) + "'.</p>\n") +
         "<figure class=\"wide\">" + chart.svg() + "</figure>\n";
}

std::string corner(const CheckPage& p) {
  const auto n = static_cast<Index>(p.shown.size());
  const auto axis = [&](Index c) { return make_axis(p.columns[static_cast<std::size_t>(c)], p.rows.col(c), 64); };
  std::string out = fmt::format("<div class=\"corner\" style=\"--n:{}\">", n);
  for (Index r = 0; r < n; ++r)
    for (Index c = 0; c <= r; ++c) {
      const Index a = p.shown[static_cast<std::size_t>(c)], b = p.shown[static_cast<std::size_t>(r)];
      const Axis x = axis(a);
      out += fmt::format("<figure style=\"--r:{};--c:{}\">", r + 1, c + 1);
      if (r == c) {
        const Index bins = p.rows.rows() < 500 ? 20 : 32;
        const std::vector<double> data = histogram(p.rows.col(a), x, bins), model = histogram(p.draws.col(a), x, bins);
        const double peak =
            std::max(*std::max_element(data.begin(), data.end()), *std::max_element(model.begin(), model.end()));
        Axis y;
        y.name = "density";
        y.high = peak > 0 ? 1.1 * peak : 1;
        Chart chart(fmt::format("Histograms of {}: data and draws", x.name), x, y, 240, 220);
        const double step = (x.high - x.low) / static_cast<double>(bins);
        Polyline line{{x.low, 0}};
        for (Index k = 0; k < bins; ++k) {
          const double from = x.low + static_cast<double>(k) * step, height = model[static_cast<std::size_t>(k)];
          chart.rectangle("bars", from, 0, from + step, data[static_cast<std::size_t>(k)]);
          line.push_back({from, height});
          line.push_back({from + step, height});
        }
        line.push_back({x.high, 0});
        chart.line("model", line);
        out += chart.svg(false);
      } else {
        const Axis y = axis(b);
        Chart chart(fmt::format("{} against {}: data and draws", y.name, x.name), x, y, 240, 220);
        const Index dots = std::min<Index>(p.rows.rows(), 250);
        for (Index k = 0; k < dots; ++k) {
          const Index i = k * p.rows.rows() / dots;
          const double px = p.rows(i, a), py = p.rows(i, b);
          if (px > x.low && px < x.high && py > y.low && py < y.high) chart.dot("dots", px, py, 0.8);
        }
        for (const bool model : {false, true}) {
          const Eigen::MatrixXd& rows = model ? p.draws : p.rows;
          const Eigen::MatrixXd grid = density(rows.col(a), rows.col(b), x, y);
          for (const double mass : {0.5, 0.9})
            for (const Polyline& line : contours(grid, level_of(grid, mass), x, y))
              chart.line(model ? "model" : "data", line);
        }
        out += chart.svg();
      }
      out += "</figure>";
    }
  return out + "</div>\n";
}

std::string test_text(const pf::UniformityTest& t) {
  return fmt::format("Kolmogorov–Smirnov {:.3g}, p {}<br>Anderson–Darling {:.3g}, p {}", t.ks, p_html(t.ks_p), t.ad,
                     p_html(t.ad_p));
}

/// Shares of 20 bins over what uniform numbers have, and where those lie in 99 of 100 cases.
std::string uniform_panel(const std::string& name, const pf::Uniforms& u) {
  constexpr std::size_t bins = 20;
  std::array<double, bins> heights{};
  const double n = std::max<double>(1, static_cast<double>(u.values.size())), unit = static_cast<double>(bins) / n;
  for (const double v : u.values)
    heights[std::min(bins - 1, static_cast<std::size_t>(std::max(v, 0.0) * bins))] += unit;
  const double band = 2.576 * std::sqrt(unit * (1 - 1.0 / bins));
  const double high = 1.08 * std::max(1 + band, *std::max_element(heights.begin(), heights.end()));
  Chart chart(fmt::format("Histogram of {}: uniform if the model is right", name), axis_of("", 0, 1),
              axis_of(name, 0, std::max(1.6, high)), 260, 170);
  for (std::size_t k = 0; k < bins; ++k)
    chart.rectangle("bars", static_cast<double>(k) / bins, 0, static_cast<double>(k + 1) / bins, heights[k]);
  chart.rectangle("band", 0, std::max(0.0, 1 - band), 1, 1 + band);
  chart.line("model", {{0, 1}, {1, 1}});
  return "<figure>" + chart.svg() + "<figcaption>" + test_text(u.test) + "</figcaption></figure>\n";
}

/// Those of the columns that are shown, and the one that fits worst.
template <class Name>
std::string uniform_panels(const std::vector<pf::Uniforms>& list, std::vector<Index> shown, Name name) {
  const auto worst =
      std::min_element(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.test.p() < b.test.p(); });
  if (std::find(shown.begin(), shown.end(), worst - list.begin()) == shown.end()) shown.push_back(worst - list.begin());
  std::string out = "<div class=\"grid\">";
  for (const Index c : shown)
    if (c < static_cast<Index>(list.size())) out += uniform_panel(name(c), list[static_cast<std::size_t>(c)]);
  return out + "</div>\n";
}

std::string radius(const pf::CalibrationReport& r) {
  std::vector<double> sorted = r.radius;
  std::sort(sorted.begin(), sorted.end());
  const auto n = static_cast<Index>(sorted.size());
  const double dim = static_cast<double>(r.latents.size());
  const pf::Gamma<double> square({dim / 2}, {0.5});
  const auto chi = [&](double p) {
    pf::Matrix<double> at(1, 1);
    at(0, 0) = p;
    return std::sqrt(square.quantile(at)(0, 0));
  };
  // 100 rows from the middle, and the outermost 30 each.
  std::vector<Index> places;
  for (Index k = 0; k < n; ++k)
    if (k < 30 || k >= n - 30 || k % std::max<Index>(1, n / 100) == 0) places.push_back(k);
  Polyline points, low, high;
  for (const Index k : places) {
    const double rank = static_cast<double>(k + 1), expected = chi((rank - 0.5) / static_cast<double>(n));
    points.push_back({expected, sorted[static_cast<std::size_t>(k)]});
    const pf::Beta<double> order({rank}, {static_cast<double>(n) + 1 - rank});
    pf::Matrix<double> at(2, 1);
    at << 0.025, 0.975;
    const pf::Matrix<double> ends = order.quantile(at);
    low.push_back({expected, chi(ends(0, 0))});
    high.push_back({expected, chi(ends(1, 0))});
  }
  const double most_x = 1.04 * points.back()[0];
  double most = most_x;
  for (const auto& [x, y] : points)
    if (std::isfinite(y)) most = std::max(most, 1.04 * y);
  for (const auto& [x, y] : high)
    if (std::isfinite(y)) most = std::max(most, 1.02 * y);
  Chart chart(
      fmt::format("Latent radius of rows against quantiles of chi with {} degrees of freedom", r.latents.size()),
      axis_of(fmt::format("quantile of chi, {} degrees of freedom", r.latents.size()), 0, most_x),
      axis_of("radius of rows; dotted: 95 % band", 0, most), 420, 340);
  Polyline band = low;
  band.insert(band.end(), high.rbegin(), high.rend());
  chart.line("band", band);
  chart.line("model", {{0, 0}, {most_x, most_x}});
  for (const auto& [x, y] : points)
    if (std::isfinite(y)) chart.dot("dots", x, y, 2);
  return "<figure class=\"wide\">" + chart.svg() + "<figcaption>Chi-square of the radius:<br>" +
         test_text(r.radius_uniforms.test) + "</figcaption></figure>\n";
}

std::string coverage(const pf::CalibrationReport& r) {
  double reach = 0;
  for (const pf::Coverage& c : r.coverage)
    reach = std::max({reach, std::abs(c.share - c.level), c.level - c.low, c.high - c.level});
  reach *= 110;
  const double n = static_cast<double>(r.coverage.size());
  Axis rows;
  rows.name = "box: 95 % band of a right model; diamond: the rows";
  rows.low = 0;
  rows.high = n;
  Chart chart("Share of rows in regions of highest density, less what the model says",
              axis_of("percentage points above the level", -reach, reach), rows, 420, 70 + 30 * n, 52);
  std::vector<std::vector<std::string>> cells{{"level", "rows inside", "95 % band", "p"}};
  for (std::size_t k = 0; k < r.coverage.size(); ++k) {
    const pf::Coverage& c = r.coverage[k];
    const double at = n - 0.5 - static_cast<double>(k), d = 100 * (c.share - c.level);
    chart.rectangle("band", 100 * (c.low - c.level), at - 0.28, 100 * (c.high - c.level), at + 0.28);
    const double x = chart.x(d), y = chart.y(at);
    chart.line("model", {{0, at - 0.4}, {0, at + 0.4}});
    chart.raw(fmt::format("<path class=\"mark\" d=\"M{:.1f} {:.1f}l5 5l-5 5l-5 -5z\"/>", x, y - 5));
    chart.raw(fmt::format("<text x=\"48\" y=\"{:.1f}\" text-anchor=\"end\">{:g} %</text>", y + 4, 100 * c.level));
    cells.push_back({fmt::format("{:g} %", 100 * c.level), fmt::format("{:.2f} %", 100 * c.share),
                     fmt::format("{:.2f} to {:.2f} %", 100 * c.low, 100 * c.high), p_html(c.p)});
  }
  return "<figure class=\"wide\">" + chart.svg(false) + "</figure>\n" + table("", cells);
}

std::string worst_rows(const CheckPage& p) {
  const pf::CalibrationReport& r = *p.report;
  std::vector<std::vector<std::string>> cells{{"row", "log density"}};
  if (!r.worst_baseline.empty()) cells[0].push_back("by the Gaussian");
  for (const Index c : p.shown) cells[0].push_back(escaped(shortened(p.columns[static_cast<std::size_t>(c)], 24)));
  for (std::size_t k = 0; k < r.worst_rows.size(); ++k) {
    std::vector<std::string> line{escaped(p.places[k]), number(r.worst_log_prob[k])};
    if (!r.worst_baseline.empty()) line.push_back(number(r.worst_baseline[k]));
    for (const Index c : p.shown) line.push_back(number(p.worst(static_cast<Index>(k), c)));
    cells.push_back(std::move(line));
  }
  return table("Lowest density first.", cells);
}

std::string two_sample(const pf::CalibrationReport& r) {
  std::vector<std::vector<std::string>> cells{
      {"classifier", "rows judged", "right answers", "area under the curve", "p"}};
  for (const pf::TwoSampleTest& t : r.two_sample)
    cells.push_back({escaped(t.classifier), grouped(t.rows), fmt::format("{:.1f} %", 100 * t.accuracy),
                     fmt::format("{:.3f} (right model: 0.5 ± {:.3f})", t.auc, t.auc_error), p_html(t.p)});
  return table("", cells);
}

std::string pairs(const CheckPage& p) {
  const pf::CalibrationReport& r = *p.report;
  std::vector<std::size_t> order(r.pairs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return r.pairs[a].test.p() < r.pairs[b].test.p(); });
  if (order.size() > 10) order.resize(10);
  std::vector<std::vector<std::string>> cells{{"columns", "correlation in rows", "in draws", "KS p", "AD p"}};
  for (const std::size_t k : order) {
    const pf::PairCalibration& pair = r.pairs[k];
    cells.push_back(
        {escaped(p.names[static_cast<std::size_t>(pair.first)] + ", " + p.names[static_cast<std::size_t>(pair.second)]),
         with_minus(fmt::format("{:.3f}", pair.in_data)), with_minus(fmt::format("{:.3f}", pair.in_draws)),
         p_html(pair.test.ks_p), p_html(pair.test.ad_p)});
  }
  return table(
      fmt::format("{} of {} pairs, smallest p first; correlations are of normal scores.", order.size(), r.pairs.size()),
      cells);
}

std::string all_columns(const CheckPage& p) {
  std::vector<std::vector<std::string>> cells{{"column", "KS", "p", "AD", "p"}};
  for (std::size_t c = 0; c < p.columns.size(); ++c) {
    const pf::UniformityTest& t = p.report->columns[c].test;
    cells.push_back({escaped(p.columns[c]), fmt::format("{:.4f}", t.ks), p_html(t.ks_p), fmt::format("{:.3f}", t.ad),
                     p_html(t.ad_p)});
  }
  return "<details><summary>All columns</summary>" + table("", cells) + "</details>\n";
}

}  // namespace

std::string p_text(double p) {
  return p < 1e-12 ? "< 1e-12" : p < 0.001 ? fmt::format("{:.1e}", p) : fmt::format("{:.3f}", p);
}

std::string to_html(const CheckPage& p) {
  const pf::CalibrationReport& r = *p.report;
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><link rel=\"icon\" href=\"data:,\">"
      "<title>" +
      escaped(p.data + " and " + p.model) + "</title><style>" + style + "</style></head><body>\n";
  out += patterns;
  const auto heading = [&](const char* text) { out += fmt::format("<h2>{}</h2>\n", text); };
  const auto soft = [&](const std::string& text) { out += "<p class=\"soft\">" + text + "</p>\n"; };

  out += "<h1>Does " + escaped(p.model) + " describe " + escaped(p.data) + "?</h1>\n";
  soft(fmt::format("{} of {}; {} tested, with {} of the model for each{}", counted(r.rows, "row"),
                   counted(static_cast<Index>(p.columns.size()), "column"),
                   r.tested == r.rows ? "all" : grouped(r.tested), counted(r.draws, "draw"),
                   p.facts.empty() ? "." : "; " + escaped(joined(p.facts, "; ")) + "."));
  out += fmt::format("<div class=\"verdict{}\"><p><strong>{}</strong> {}</p></div>\n", r.passed ? "" : " bad",
                     r.passed ? "✓ Passed." : "✗ Failed.", escaped(r.verdict));
  soft(
      "A model that passes may still have faults that so many rows do not show. Rows that the model was fitted to "
      "flatter it: "
      "check with others.");
  out += findings(r);

  heading("Scores");
  out += scores(r);
  heading("Learning curves");
  if (p.curve.file.empty())
    out +=
        "<p>Model files do not hold the losses of the training; give <code>--log</code> the log that the fit "
        "wrote.</p>\n";
  else
    out += learning_curve(p.curve);

  heading("Rows and draws");
  const bool all = p.shown.size() == p.columns.size();
  std::vector<std::string> names;
  for (const Index c : p.shown) names.push_back(p.columns[static_cast<std::size_t>(c)]);
  soft(fmt::format("{} {}: {}.{} Contours hold 50 % and 90 %.", all ? "All" : fmt::format("{} of", p.shown.size()),
                   counted(static_cast<Index>(p.columns.size()), "column"), escaped(joined(names)),
                   all ? "" : " Choose others with <code>--columns</code>."));
  out += key;
  out += corner(p);

  heading("Ranks of the columns");
  soft(
      "Where each row's value lies among the draws made for the row (PIT). If the model is right, all bars but about "
      "one in "
      "100 end in the dotted band. A hump in the middle: the model is too wide; horns at the ends: too narrow.");
  out += uniform_panels(r.columns, p.shown, [&](Index c) { return p.columns[static_cast<std::size_t>(c)]; });
  if (p.columns.size() > p.shown.size()) out += all_columns(p);

  heading("Latent values");
  if (r.latents.empty()) {
    out += "<p>None: " + escaped(r.latents_text) + ".</p>\n";
  } else {
    soft("The rows as the model's map takes them back to its base, by the base's distribution function (Rosenblatt).");
    std::vector<Index> first(std::min(p.shown.size(), r.latents.size()));
    std::iota(first.begin(), first.end(), Index{0});
    out += uniform_panels(r.latents, first, [](Index c) { return fmt::format("latent value {}", c); });
    out += radius(r);
  }

  heading("Densities of rows among those of draws");
  soft("Left: rows that the model finds less probable than its own draws.");
  out += "<div class=\"grid\">" + uniform_panel("rank of the density", r.density) + "</div>\n";
  heading("Coverage of regions of highest density");
  out += coverage(r);
  if (!r.pairs.empty()) {
    heading("Pairs of columns");
    out += pairs(p);
  }
  heading("Classifiers that tell rows from draws (C2ST)");
  out += two_sample(r);
  heading("Worst rows");
  out += worst_rows(p);
  return out + "</body></html>\n";
}

}  // namespace tool
