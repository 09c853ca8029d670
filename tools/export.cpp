#include <algorithm>
#include <cctype>
#include <memory>

#include <pushforward/export/c_header.hpp>
#include <pushforward/export/onnx.hpp>

#include "src/io/file.hpp"
#include "tools/tool.hpp"

namespace tool {

namespace {

struct Settings {
  std::string model, c, onnx, onnx_sample, name = "flow";
};

void write(const std::string& path, const std::string& content) {
  pf::detail::AtomicFile out = path == "-" ? pf::detail::AtomicFile::standard_output() : pf::detail::AtomicFile(path);
  out.write(content.data(), content.size());
  out.commit();
}

template <class T>
void export_model(const Settings& s, const pf::Model<T>& model) {
  const pf::Distribution<T>& distribution = *model.distribution;
  const auto note = [&](const char* function, const std::string& reason) {
    if (!reason.empty())
      fmt::print(stderr, "pushforward: note: without {}_{}: {}\n", s.name, function, printable(reason));
  };
  if (!s.c.empty()) {
    const pf::CHeader header = pf::c_header(distribution, model.info, s.name);
    write(s.c, header.text);
    note("log_prob", header.no_log_prob);
    note("sample", header.no_sample);
  }
  if (!s.onnx.empty()) write(s.onnx, pf::onnx_log_prob(distribution, model.info));
  if (!s.onnx_sample.empty()) write(s.onnx_sample, pf::onnx_sample(distribution, model.info));
}

void run(const Settings& s) {
  if (s.c.empty() && s.onnx.empty() && s.onnx_sample.empty())
    throw UsageError("what to write is missing: --c, --onnx or --onnx-sample");
  refuse_overwriting({{"the model", s.model}}, {{"--c", s.c}, {"--onnx", s.onnx}, {"--onnx-sample", s.onnx_sample}});
  std::visit([&](const auto& model) { export_model(s, model); }, pf::load_stored(s.model));
}

}  // namespace

void add_export(CLI::App& app) {
  auto s = std::make_shared<Settings>();
  CLI::App* sub = app.add_subcommand("export", "Write a model in a form that needs no library: C or ONNX.");
  sub->add_option("model", s->model, "Model file")->required()->check(file_name())->option_text("MODEL");
  sub->add_option("--c", s->c, "Header in C99 (and C++17) with log_prob and sample; -: standard output")
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("--onnx", s->onnx, "ONNX model of the log density: y and context to log_prob, any number of rows")
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("--onnx-sample", s->onnx_sample, "ONNX model of draws: noise of the base and context to y")
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("--name", s->name, "What names in C begin with: flow_log_prob, flow_sample")
      ->check(CLI::Validator(
          [](const std::string& name) {
            const auto in_name = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
            const bool good = !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0])) &&
                              std::all_of(name.begin(), name.end(), in_name);
            return good ? std::string() : "expected letters, digits and underscores, got '" + name + "'";
          },
          ""))
      ->option_text("NAME (flow)");
  sub->footer("The header has its own description at the top. It agrees with the model to rounding, in the numbers\n"
              "of the file: float where it holds float32. What does not consist of the library's operations is\n"
              "refused, or left out with a note: roots that are searched, draws by rejection, rounded columns.");
  sub->callback([s, sub] {
    refuse_repeated(*sub);
    run(*s);
  });
}

}  // namespace tool
