// Model files: everything survives, and what is damaged or hostile is refused with IoError and nothing else.

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <new>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

#include "tests/catch.hpp"

#include <pushforward/io/model.hpp>
#include <pushforward/io/safetensors.hpp>

#include "tests/allocations.hpp"
#include "tests/models.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

using Bytes = std::vector<std::byte>;

/// The folder that a test writes to, removed with all that is in it.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "model_test_XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(const fs::path& name) const { return path_ / name; }
  std::size_t count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

Bytes read_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

template <Scalar T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0);
}

template <Scalar T>
bool same_state(const Component<T>& a, const Component<T>& b) {
  const auto x = list_state(a), y = list_state(b);
  if (x.size() != y.size()) return false;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i].path != y[i].path || !same_bits(*x[i].tensor, *y[i].tensor)) return false;
  return true;
}

/// A file taken apart: changed, and put together again, without the checksum unless asked for.
struct Parts {
  std::map<std::string, Bytes> data;
  std::vector<NamedTensor> tensors;
  std::map<std::string, std::string> metadata;
  Json json;

  explicit Parts(std::span<const std::byte> bytes) {
    const SafetensorsFile file = SafetensorsFile::read(bytes);
    tensors = file.tensors();
    metadata = file.metadata();
    for (NamedTensor& t : tensors) data[t.name] = Bytes(t.bytes.begin(), t.bytes.end());
    json = Json::parse(metadata.at("pushforward"));
    metadata.erase("pushforward.crc32");
  }
  template <class T>
  T& value(const std::string& name, std::size_t i) {
    return reinterpret_cast<T*>(data.at(name).data())[i];
  }
  void add(const std::string& name, const std::string& dtype, std::vector<Index> shape, std::size_t size) {
    data[name] = Bytes(size);
    tensors.push_back({name, dtype, std::move(shape), {}});
  }
  void remove(const std::string& name) {
    std::erase_if(tensors, [&](const NamedTensor& t) { return t.name == name; });
  }
  NamedTensor& tensor(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const NamedTensor& t) { return t.name == name; });
  }
  Bytes bytes() {
    metadata["pushforward"] = json.dump();
    for (NamedTensor& t : tensors) t.bytes = data.at(t.name);
    return serialize_safetensors(tensors, metadata);
  }
};

template <Scalar T = double>
std::string why(std::span<const std::byte> bytes, const Registry& registry = Registry::standard()) {
  try {
    load<T>(bytes, "model", registry);
  } catch (const IoError& error) {
    return error.what();
  }
  return "loaded";
}

TransformedDistribution<double> small_flow() {
  TransformedDistribution<double> flow =
      maf<double>(2, {.layers = 2, .hidden = 4, .blocks = 1, .batch_norm = true, .seed = 3});
  models::shake(flow);
  return flow;
}

const ModelInfo full_info{.columns = {"a", "b, with \"marks\" and \xc3\xa4"},
                          .context_columns = {},
                          .data_range = {{-1.5, 0.1}, {1e-300, 1e300}},
                          .context_range = {},
                          .notes = {{"date", "today"}, {"empty", ""}, {"text", "two\nlines\tand \xe2\x82\xac"}}};

bool same_info(const ModelInfo& a, const ModelInfo& b) {
  return a.columns == b.columns && a.context_columns == b.context_columns && a.data_range == b.data_range &&
         a.context_range == b.context_range && a.notes == b.notes;
}

}  // namespace

// ------------------------------------------------------------------------------------------------- what survives

TEMPLATE_TEST_CASE("every class saves, loads and casts bit for bit", "", float, double) {
  using T = TestType;
  using Other = std::conditional_t<sizeof(T) == 8, float, double>;
  for (const models::Named<T>& m : models::all<T>())
    DYNAMIC_SECTION(m.name) {
      const Distribution<T>& d = *m.distribution;
      const Bytes bytes = serialize(d);
      const Model<T> again = load<T>(bytes);
      CHECK(same_state(d, *again.distribution));
      CHECK(again.distribution->describe() == d.describe());
      CHECK(again.distribution->name() == d.name());
      CHECK(serialize(*again.distribution) == bytes);

      const Index n = 20;
      Matrix<T> context(d.context_dim() > 0 ? n : 0, d.context_dim());
      for (Index i = 0; i < context.size(); ++i) context.data()[i] = T(0.1) * static_cast<T>(i % 13) - T(0.6);
      Engine engine(3), engine_again(3);
      const Matrix<T> y = d.context_dim() > 0 ? d.sample_each(context, engine) : d.sample(n, engine);
      CHECK((d.context_dim() > 0 ? again.distribution->sample_each(context, engine_again)
                                 : again.distribution->sample(n, engine_again)) == y);
      CHECK(again.distribution->log_prob(y, context) == d.log_prob(y, context));

      // To the other scalar and back: what `cast` does, and the way back changes nothing that a float holds.
      const Model<Other> other = load<Other>(bytes);
      const Poly<Distribution<Other>> casted = cast<Other>(d);
      CHECK(same_state(*casted, *other.distribution));
      const Model<T> back = load<T>(serialize(*other.distribution));
      const Poly<Distribution<T>> casted_back = cast<T>(*casted);
      CHECK(same_state(*casted_back, *back.distribution));
      if (sizeof(T) == 4) CHECK(same_state(d, *back.distribution));
    }
}

TEST_CASE("the list of models holds every registered class") {
  std::set<std::string> seen;
  const std::function<void(const Description&)> walk = [&](const Description& d) {
    seen.insert(d.type);
    for (const auto& [name, child] : d.children) walk(child);
  };
  for (const models::Named<double>& m : models::all<double>()) walk(m.distribution->describe());

  const Registry registry = Registry::standard();
  const Description nothing{.type = "no such type", .constants = {}, .children = {}};
  const auto known = [&](auto make) {
    try {
      make();
    } catch (const IoError& error) {
      const std::string text = error.what(), mark = "known here: ";
      return text.substr(text.find(mark) + mark.size()) + ", ";
    }
    return std::string();
  };
  for (std::string types : {known([&] { registry.bijector<double>(nothing); }),
                            known([&] { registry.distribution<double>(nothing); }),
                            known([&] { registry.network<double>(nothing); }),
                            known([&] { registry.transformer<double>(nothing); })}) {
    CHECK(!types.empty());
    for (std::size_t end; (end = types.find(", ")) != std::string::npos; types.erase(0, end + 2)) {
      INFO(types.substr(0, end) << " needs a line in tests/models.hpp");
      CHECK(seen.contains(types.substr(0, end)));
    }
  }
}

TEST_CASE("info survives, from a path and from bytes") {
  const Folder folder;
  const TransformedDistribution<double> flow = small_flow();
  save(folder / "m.safetensors", flow, full_info);
  CHECK(folder.count() == 1);
  const Model<double> model = load<double>(folder / "m.safetensors");
  CHECK(same_info(model.info, full_info));
  CHECK(same_state<double>(*model.distribution, flow));
  CHECK(read_bytes(folder / "m.safetensors") == serialize(flow, full_info));
  CHECK(same_info(load<float>(folder / "m.safetensors").info, full_info));
  // Saved again with what was read: the same bytes.
  CHECK(serialize(*model.distribution, model.info) == serialize(flow, full_info));

  ModelInfo conditional{.context_columns = {"c", "d"}, .context_range = {{0, 1}, {5, 5}}};
  TransformedDistribution<double> with_context = maf<double>(2, {.layers = 1, .hidden = 4, .context_dim = 2});
  const Model<double> again = load<double>(serialize(with_context, conditional));
  CHECK(same_info(again.info, conditional));
}

TEST_CASE("info that does not fit the model is refused when saving") {
  const TransformedDistribution<double> flow = small_flow();
  const auto fails = [&](const ModelInfo& info, const char* text) {
    CHECK_THROWS_AS(serialize(flow, info), DomainError);
    CHECK_THROWS_WITH(serialize(flow, info), ContainsSubstring(text));
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  fails({.columns = {"a"}}, "columns: expected none or 2 entries, got 1");
  fails({.context_columns = {"a"}}, "context_columns: expected none or 0 entries, got 1");
  fails({.data_range = {{0, 1}, {0, nan}}}, "data_range: expected finite low <= high in column 1");
  fails({.data_range = {{0, 1}, {2, 1}}}, "data_range");
  fails({.notes = {{"pushforward", "x"}}}, "reserved");
  fails({.columns = {"\xff", "b"}}, "UTF-8");
}

TEST_CASE("rows outside the training range") {
  const ModelInfo info{.data_range = {{0, 1}, {-2, 2}}, .context_range = {{10, 11}}};
  Eigen::MatrixXd y(5, 2), context(5, 1);
  y << 0, 0, 1, 2, 1.001, 0, 0.5, -2.5, std::numeric_limits<double>::quiet_NaN(), 0;
  context << 10, 12, 10, 10, 10;
  CHECK(rows_outside_training_range(info, y) == std::vector<Index>{2, 3, 4});
  CHECK(rows_outside_training_range(info, y, context) == std::vector<Index>{1, 2, 3, 4});
  const Eigen::MatrixXd one = Eigen::MatrixXd::Constant(1, 1, 20);
  CHECK(rows_outside_training_range(info, y, one) == std::vector<Index>{0, 1, 2, 3, 4});
  CHECK(rows_outside_training_range(ModelInfo(), y, context).empty());
  const Eigen::MatrixXd narrow = Eigen::MatrixXd::Zero(5, 1);
  CHECK_THROWS_AS(rows_outside_training_range(info, narrow), ShapeError);
  CHECK_THROWS_AS(rows_outside_training_range(info, y, y), ShapeError);
}

TEST_CASE("masked weights are dense in files, in the original order of units") {
  const Index dim = 4, hidden = 9;
  const Made<double> made(
      dim, 2, {.hidden = hidden, .blocks = 1, .residual = false, .random_degrees = true, .seed = 4});
  const std::vector<std::int64_t> degrees = made.hidden_degrees();
  CHECK(!std::is_sorted(degrees.begin(), degrees.end()));
  TransformedDistribution<double> flow(MultivariateNormalDiag<double>(dim),
                                       MaskedAutoregressive<double>(made, AffineTransformer<double>()));
  models::shake(flow);
  const Bytes bytes = serialize(flow);
  const SafetensorsFile file = SafetensorsFile::read(bytes);
  CHECK(file.get<std::int64_t>("constants.bijector.net.hidden_degrees") == Tensor<std::int64_t>::of(degrees));

  const auto degree = [&](Index unit) { return degrees[static_cast<std::size_t>(unit)]; };
  const auto check = [&](const char* name, Index rows, Index cols, auto connected) {
    const Tensor<double> w = file.get<double>(std::string("bijector.net.") + name, {rows, cols});
    for (Index i = 0; i < rows; ++i)
      for (Index k = 0; k < cols; ++k) {
        INFO(name << " " << i << " " << k);
        CHECK((w(i, k) != 0) == connected(i, k));
      }
  };
  check("initial.weight", hidden, dim, [&](Index i, Index k) { return k + 1 <= degree(i); });
  check("layer0.weight", hidden, hidden, [&](Index i, Index k) { return degree(k) <= degree(i); });
  check("final.weight", 2 * dim, hidden, [&](Index i, Index k) { return degree(k) < i % dim + 1; });

  // Row by row as written: unit i of the file is unit i of the network, whatever the order in memory.
  const Tensor<double> w0 = file.get<double>("bijector.net.initial.weight"),
                       b0 = file.get<double>("bijector.net.initial.bias"),
                       w1 = file.get<double>("bijector.net.layer0.weight"),
                       b1 = file.get<double>("bijector.net.layer0.bias"),
                       w2 = file.get<double>("bijector.net.final.weight"),
                       b2 = file.get<double>("bijector.net.final.bias");
  const Eigen::Vector4d y(0.3, -1.2, 0.8, 2);
  const auto layer = [](const Tensor<double>& w, const Tensor<double>& b, const Eigen::VectorXd& x, bool relu) {
    Eigen::VectorXd out(w.extent(0));
    for (Index i = 0; i < out.size(); ++i) {
      out[i] = b[i];
      for (Index k = 0; k < x.size(); ++k) out[i] += w(i, k) * x[k];
      if (relu) out[i] = std::max(out[i], 0.0);
    }
    return out;
  };
  const Eigen::VectorXd raw = layer(w2, b2, layer(w1, b1, layer(w0, b0, y, true), true), false);
  double expected = 0;
  for (Index d = 0; d < dim; ++d) {
    const double s = -5 * std::tanh(raw[dim + d] / 5), x = (y[d] - raw[d]) * std::exp(s);
    const double loc = file.get<double>("base.loc")[d], log_scale = file.get<double>("base.log_scale")[d];
    const double z = (x - loc) * std::exp(-log_scale);
    expected += s - 0.5 * z * z - log_scale - 0.5 * std::log(2 * M_PI);
  }
  const Eigen::MatrixXd row = y.transpose();
  CHECK(flow.log_prob(row)[0] == Approx(expected).epsilon(1e-12));
}

// ------------------------------------------------------------------------------------------------- users' classes

namespace {

/// y = weight x, with constants of every kind.
template <Scalar T>
class MyMap final : public ElementwiseBijector<T> {
 public:
  MyMap(Index dim, double amount, std::string label, std::vector<std::int64_t> steps, std::vector<double> knots,
        std::vector<std::string> words)
      : ElementwiseBijector<T>("MyMap", dim),
        weight_({dim}, static_cast<T>(amount)),
        label_(std::move(label)),
        steps_(std::move(steps)),
        knots_(std::move(knots)),
        words_(std::move(words)) {}
  explicit MyMap(const Description& d)
      : MyMap(d.integer("dim", 1, 100), 0, d.text("label"), d.integers("steps"), d.numbers("knots"),
              d.texts("words")) {}

 private:
  using Elements = typename ElementwiseBijector<T>::Elements;
  Elements do_forward_elements(Pass<T>& pass, Var<T> x) const override {
    const Var<T> s = soft_bound(pass.parameter(weight_), T(2));
    return {x * exp(s), s};
  }
  Elements do_inverse_elements(Pass<T>& pass, Var<T> y) const override {
    const Var<T> s = soft_bound(pass.parameter(weight_), T(2));
    return {y * exp(-s), -s};
  }
  void do_visit(Visitor<T>& v) const override { v.parameter("weight", weight_); }
  Description do_describe() const override {
    return {.type = "my_map",
            .constants = {{"dim", this->dim()},
                          {"label", label_},
                          {"steps", steps_},
                          {"knots", knots_},
                          {"words", words_},
                          {"large", std::int64_t{1} << 60},
                          {"negative", std::int64_t{-5}},
                          {"flag", true},
                          {"tenth", 0.1},
                          {"whole", 3.0},
                          {"endless", -std::numeric_limits<double>::infinity()}},
            .children = {}};
  }

  Tensor<T> weight_;
  std::string label_;
  std::vector<std::int64_t> steps_;
  std::vector<double> knots_;
  std::vector<std::string> words_;
};

/// A density without a sampler.
template <Scalar T>
class Mute final : public Distribution<T> {
 public:
  explicit Mute(Index dim) : Distribution<T>("Mute", dim), weight_({dim}) {}
  explicit Mute(const Description& d) : Mute(d.integer("dim", 1, 100)) {}

 private:
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override { return row_sum(y * pass.parameter(weight_)); }
  Var<T> do_sample(Pass<T>&) const override { throw NotImplemented("Mute::sample: there is none"); }
  void do_visit(Visitor<T>& v) const override { v.parameter("weight", weight_); }
  Description do_describe() const override {
    return {.type = "mute", .constants = {{"dim", this->dim()}}, .children = {}};
  }

  Tensor<T> weight_;
};

TransformedDistribution<double> with_my_map() {
  return {MultivariateNormalDiag<double>(2),
          Chain<double>(Affine<double>(2),
                        MyMap<double>(2, 0.7, "a \"label\"", {5, -3, std::numeric_limits<std::int64_t>::max()},
                                      {0.1, std::numeric_limits<double>::infinity(), -0.0}, {"x", ""}))};
}

}  // namespace

TEST_CASE("a user's classes save, load and cast once they are registered") {
  const TransformedDistribution<double> flow = with_my_map();
  const Bytes bytes = serialize(flow);
  Registry registry = Registry::standard();
  registry.add<MyMap>("my_map").add<Mute>("mute");
  const Model<double> model = load<double>(bytes, "model", registry);
  CHECK(same_state<double>(*model.distribution, flow));
  CHECK(model.distribution->describe() == flow.describe());
  const Model<float> narrow = load<float>(bytes, "model", registry);
  const Poly<Distribution<float>> casted = cast<float>(static_cast<const Distribution<double>&>(flow), registry);
  CHECK(same_state(*narrow.distribution, *casted));

  const std::string text = why(bytes);
  CHECK_THAT(text, ContainsSubstring("model: description"));
  CHECK_THAT(text, ContainsSubstring("unknown type 'my_map'"));
  CHECK_THAT(text, ContainsSubstring("act_norm"));
  CHECK_THAT(text, ContainsSubstring("tanh"));

  Mute<double> mute(2);
  models::shake(mute);
  const Bytes quiet = serialize(mute, {.data_range = {{0, 1}, {5, 6}}});
  CHECK(same_state<double>(*load<double>(quiet, "model", registry).distribution, mute));
  Parts parts(quiet);
  CHECK(parts.json.at("reference").at("rows").size() == 8);
  parts.value<double>("weight", 0) += 1e-3;
  CHECK_THAT(why(parts.bytes(), registry), ContainsSubstring("reference: row 0"));
}

// ------------------------------------------------------------------------------------------------- what is refused

TEST_CASE("values that are not finite are refused, saving and loading") {
  TransformedDistribution<double> flow = small_flow();
  const Bytes bytes = serialize(flow);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    TransformedDistribution<double> broken = flow;
    for (const Slot<double>& slot : list_state<double>(broken))
      if (slot.path == "bijector.0.net.initial.weight") (*slot.tensor)[1] = bad;
    CHECK_THROWS_AS(serialize(broken), DomainError);
    CHECK_THROWS_WITH(serialize(broken),
                      ContainsSubstring("'bijector.0.net.initial.weight' holds a value that is not finite"));

    Parts parts(bytes);
    parts.value<double>("base.loc", 1) = bad;
    CHECK_THAT(why(parts.bytes()), ContainsSubstring("model: tensor 'base.loc' holds a value that is not finite"));
  }
  // Finite, but not as float.
  MultivariateNormalDiag<double> wide(1);
  for (const Slot<double>& slot : list_state<double>(wide))
    if (slot.path == "loc") (*slot.tensor)[0] = 1e200;
  const Bytes far = serialize(wide);
  CHECK(why<double>(far) == "loaded");
  CHECK_THAT(why<float>(far), ContainsSubstring("tensor 'loc' holds a value that does not fit into float32"));
}

TEST_CASE("a small change of a weight is refused") {
  for (const models::Named<double>& m : models::all<double>())
    DYNAMIC_SECTION(m.name) {
      const Bytes bytes = serialize(*m.distribution);
      CHECK(Parts(bytes).json.at("reference").at("rows").size() == 8);
      std::size_t tried = 0, missed = 0;
      for (const NamedTensor& tensor : Parts(bytes).tensors) {
        if (tensor.dtype != "F64" || tensor.name.ends_with("initialized")) continue;
        for (std::size_t i = 0; i < tensor.bytes.size() / 8; ++i) {
          Parts parts(bytes);
          double& value = parts.value<double>(tensor.name, i);
          if (value == 0) continue;  // behind a mask
          value += 1e-3;
          const std::string text = why(parts.bytes());
          ++tried;
          if (text == "loaded") ++missed;  // a unit that relu puts to sleep, the unused half of a triangular matrix
          else CHECK_THAT(text, ContainsSubstring("; the model is damaged"));
          // With the checksum in place nothing goes through.
          Parts summed(bytes);
          summed.metadata["pushforward.crc32"] = SafetensorsFile::read(bytes).metadata().at("pushforward.crc32");
          summed.value<double>(tensor.name, i) += 1e-3;
          CHECK_THAT(why(summed.bytes()), ContainsSubstring("checksum"));
          if (tensor.bytes.size() > 100) i += 6;
        }
      }
      INFO(missed << " of " << tried << " changes leave the reference rows alone");
      CHECK(2 * missed <= tried);
    }
}

TEST_CASE("descriptions that do not fit are refused, naming the field") {
  const Bytes bytes = serialize(small_flow(), full_info);
  const auto refused = [&](const char* text, auto change) {
    Parts parts(bytes);
    change(parts);
    CHECK_THAT(why(parts.bytes()), ContainsSubstring(text));
  };
  CHECK(why(Parts(bytes).bytes()) == "loaded");
  refused("has schema version 2, this library reads version 1", [](Parts& p) { p.json["schema"] = 2; });
  refused("has schema version 18446744073709551615", [](Parts& p) { p.json["schema"] = ~std::uint64_t{0}; });
  refused("schema: expected an integer", [](Parts& p) { p.json["schema"] = "1"; });
  refused("field 'schema' is missing", [](Parts& p) { p.json.erase("schema"); });
  refused("scalar: expected float32 or float64, got 'float16'", [](Parts& p) { p.json["scalar"] = "float16"; });
  refused("expected dtype F32, got F64", [](Parts& p) { p.json["scalar"] = "float32"; });
  refused("expected an object", [](Parts& p) { p.json = Json::array(); });
  refused("columns: expected none or 2 entries, got 3", [](Parts& p) { p.json["columns"].push_back("c"); });
  refused("data_range: expected pairs", [](Parts& p) { p.json["data_range"][0] = 1; });
  refused("data_range: expected finite low <= high in column 1",
          [](Parts& p) { std::swap(p.json["data_range"][1][0], p.json["data_range"][1][1]); });
  refused("entry 'pushforward.more' is unknown", [](Parts& p) { p.metadata["pushforward.more"] = ""; });
  refused("the checksum is", [](Parts& p) { p.metadata["pushforward.crc32"] = "00000000"; });
  refused("expected an object", [](Parts& p) { p.json = Json("text"); });
}

TEST_CASE("tensors that are missing, or that nobody uses, are named") {
  const Bytes bytes = serialize(small_flow());
  Parts missing(bytes);
  missing.remove("base.loc");
  missing.remove("bijector.0.net.final.bias");
  // Sizes are checked first: a made without its bias is smaller than its constants say.
  CHECK_THAT(why(missing.bytes()), ContainsSubstring("base.multivariate_normal_diag") ||
                                       ContainsSubstring("bijector.0.net.made"));
  Parts renamed(bytes);
  renamed.tensor("base.loc").name = "base.log";
  renamed.data["base.log"] = renamed.data["base.loc"];
  CHECK_THAT(why(renamed.bytes()), ContainsSubstring("model: tensors are missing: base.loc"));
  Parts unused(bytes);
  unused.add("extra", "F64", {2}, 16);
  unused.add("more", "I64", {1}, 8);
  CHECK_THAT(why(unused.bytes()), ContainsSubstring("model: tensors that the model does not use: extra, more"));
  Parts shape(bytes);
  shape.tensor("base.loc").shape = {2, 1};
  CHECK_THAT(why(shape.bytes()), ContainsSubstring("tensor \"base.loc\": expected shape (2,), got (2, 1)"));

  const std::map<std::string, std::string> foreign{{"format", "pt"}};
  CHECK_THAT(why(serialize_safetensors({}, foreign)), ContainsSubstring("no 'pushforward' entry in the metadata"));
  const Folder folder;
  CHECK_THROWS_AS(load<double>(folder / "none.safetensors"), IoError);
  CHECK_THROWS_WITH(load<double>(folder / "none.safetensors"), ContainsSubstring("none.safetensors"));
}

TEST_CASE("constants and parts that the class does not know are refused") {
  const Bytes bytes = serialize(small_flow());
  Parts constant(bytes);
  constant.json["description"]["children"][0]["description"]["constants"]["tilt"] = true;
  CHECK_THAT(why(constant.bytes()), ContainsSubstring("description.base.constants.tilt: unknown"));
  Parts twice(bytes);
  twice.json["description"]["children"].push_back(twice.json["description"]["children"][0]);
  CHECK_THAT(why(twice.bytes()), ContainsSubstring("the name 'base' is empty, contains a dot, or occurs twice"));
  twice.json["description"]["children"][2]["name"] = "basis";
  CHECK_THAT(why(twice.bytes()), ContainsSubstring("basis.multivariate_normal_diag: its constants need 2 values"));
  // A tensor that two constants use, and one under another name.
  Parts shared(bytes);
  const auto part = [](Json& node, std::size_t i) -> Json& { return node["children"][i]["description"]; };
  Json& net = part(part(part(shared.json["description"], 1), 0), 0);
  CHECK(net["constants"].contains("hidden_degrees"));
  net["constants"]["hidden_degrees"]["tensor"] = "constants.bijector.1.permutation";
  CHECK_THAT(why(shared.bytes()), ContainsSubstring("expected the tensor 'constants.bijector.0.net.hidden_degrees', "
                                                    "got 'constants.bijector.1.permutation'"));
}

namespace {

/// Calls f with the place of each integer and each list of integers of each node.
void each_size(const Json& node, const Json::json_pointer& at,
               const std::function<void(const Json::json_pointer&)>& f) {
  for (const auto& [name, value] : node.at("constants").items())
    if (value.is_number_integer() || (value.is_object() && value.contains("tensor"))) f(at / "constants" / name);
  for (std::size_t i = 0; i < node.at("children").size(); ++i)
    each_size(node["children"][i]["description"], at / "children" / i / "description", f);
}

}  // namespace

TEST_CASE("no description makes load allocate more than the file justifies") {
  constexpr std::size_t arena_block = 2000000;  // what a pass of the largest of these models takes at once
  std::size_t refused = 0;
  for (const models::Named<double>& m : models::all<double>()) {
    const Bytes bytes = serialize(*m.distribution);
    const Parts original(bytes);
    std::vector<Json::json_pointer> places;
    each_size(original.json.at("description"), Json::json_pointer("/description"),
              [&](const Json::json_pointer& p) { places.push_back(p); });
    const auto attack = [&](std::span<const Json::json_pointer> where, std::int64_t size) {
      Parts parts(bytes);
      for (const Json::json_pointer& place : where) {
        Json& value = parts.json[place];
        if (value.is_number_integer()) {
          value = size;
        } else {
          const std::string name = value.at("tensor");
          for (std::size_t i = 0; i < parts.data.at(name).size() / 8; ++i) parts.value<std::int64_t>(name, i) = size;
        }
      }
      const Bytes hostile = parts.bytes();
      largest_allocation = 0;
      const std::string text = why(hostile);
      INFO(m.name << ", " << size << ", first " << where.front().to_string() << ": " << text);
      CHECK(largest_allocation < 4 * hostile.size() + arena_block);
      refused += text != "loaded";
    };
    for (const std::int64_t size : {std::int64_t{2000}, std::int64_t{8192}, std::int64_t{1} << 20,
                                    std::int64_t{1} << 24, std::int64_t{1} << 40,
                                    std::numeric_limits<std::int64_t>::max(), std::int64_t{-1}, std::int64_t{0}}) {
      for (const Json::json_pointer& place : places) attack(std::span(&place, 1), size);
      if (!places.empty()) attack(places, size);
    }
  }
  CHECK(refused > 1000);

  // Rows of the reference that claim to be many.
  Parts parts(serialize(small_flow()));
  parts.json["reference"]["rows"] = std::vector<Json>(1001, Json::array());
  CHECK_THAT(why(parts.bytes()), ContainsSubstring("reference.rows: expected at most 1000 rows, got 1001"));
  parts.json["reference"]["rows"] = std::vector<Json>(1000, Json::array());
  CHECK_THAT(why(parts.bytes()), ContainsSubstring("reference.rows: expected rows of 2 numbers"));
  // Nesting without end.
  Parts deep(serialize(small_flow()));
  Json node = deep.json["description"];
  for (int i = 0; i < 100; ++i)
    node = Json{{"type", "invert"},
                {"constants", Json::object()},
                {"children", Json::array({Json{{"name", "bijector"}, {"description", node}}})}};
  deep.json["description"] = node;
  CHECK_THAT(why(deep.bytes()), ContainsSubstring("nested too deeply"));
  std::string brackets(1000000, '[');
  deep.metadata["pushforward"] = brackets;
  for (NamedTensor& t : deep.tensors) t.bytes = deep.data.at(t.name);
  CHECK_THAT(why(serialize_safetensors(deep.tensors, deep.metadata)), ContainsSubstring("is not JSON"));
  Poly<Bijector<double>> nested = Identity<double>(1);
  for (int i = 0; i < 70; ++i) nested = Invert<double>(std::move(nested));
  const TransformedDistribution<double> too_deep(Normal<double>(1), std::move(nested));
  CHECK_THROWS_AS(serialize(too_deep), DomainError);
}

TEST_CASE("every truncation and every flipped byte gives IoError or the same model") {
  const TransformedDistribution<double> flow = small_flow();
  const ModelInfo info{.columns = {"x", "y"}, .data_range = {{0, 1}, {0, 1}}, .notes = {{"note", "some words"}}};
  const Bytes bytes = serialize(flow, info);
  CHECK(bytes.size() < 20000);
  largest_allocation = 0;
  std::size_t loaded = 0;
  const auto check = [&](std::span<const std::byte> damaged) {
    // Anything but IoError ends the test.
    std::optional<Model<double>> model;
    try {
      model = load<double>(damaged);
    } catch (const IoError&) {
      return true;
    }
    ++loaded;
    ModelInfo there = model->info;
    there.notes = info.notes;  // notes are not protected
    return same_state<double>(*model->distribution, flow) && same_info(there, info);
  };
  std::size_t wrong = 0;
  for (std::size_t length = 0; length < bytes.size(); ++length)
    wrong += !check(std::span(bytes).first(length)) || loaded > 0;
  CHECK(wrong == 0);
  CHECK(loaded == 0);

  std::uint32_t random = 12345;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes damaged = bytes;
    random = random * 1664525u + 1013904223u;
    damaged[i] ^= static_cast<std::byte>(random % 3 == 0 ? 1u << (random >> 16) % 8 : 1 + (random >> 16) % 255);
    wrong += !check(damaged);
  }
  CHECK(wrong == 0);
  INFO(loaded << " of " << bytes.size() << " files with a flipped byte load");
  CHECK(loaded < 100);
  CHECK(largest_allocation < 1000000);
}

// ------------------------------------------------------------------------------------------------------ the folder

TEST_CASE("a save that fails leaves everything as it was") {
  const Folder folder;
  const fs::path path = folder / "m.safetensors";
  const TransformedDistribution<double> flow = small_flow();
  save(path, flow);
  const Bytes before = read_bytes(path);

  TransformedDistribution<double> broken = flow;
  (*list_state<double>(broken).front().tensor)[0] = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(save(path, broken), DomainError);
  CHECK_THROWS_AS(save(path, flow, {.columns = {"one"}}), DomainError);
  CHECK_THROWS_AS(save(path, flow, {.notes = {{"\xff", ""}}}), IoError);
  CHECK(read_bytes(path) == before);
  CHECK(folder.count() == 1);

  CHECK_THROWS_AS(save(folder / "no" / "such" / "m.safetensors", flow), IoError);
  CHECK_THROWS_WITH(save(folder / "no" / "m.safetensors", flow), ContainsSubstring("m.safetensors"));
  CHECK_THROWS_AS(save(path / "below_a_file.safetensors", flow), IoError);
  fs::create_directory(folder / "folder");
  CHECK_THROWS_AS(save(folder / "folder", flow), IoError);
  CHECK(fs::is_empty(folder / "folder"));
  CHECK(folder.count() == 2);

  fs::create_directory(folder / "closed");
  fs::permissions(folder / "closed", fs::perms::owner_read | fs::perms::owner_exec);
  try {  // root may write there; then the file is whole
    save(folder / "closed" / "m.safetensors", flow);
    CHECK(read_bytes(folder / "closed" / "m.safetensors") == before);
  } catch (const IoError&) {
    CHECK(fs::is_empty(folder / "closed"));
  }
  fs::permissions(folder / "closed", fs::perms::owner_all);
}
