// Model files: everything survives, and a save that fails changes nothing.

#include <algorithm>
#include <filesystem>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <pushforward/error.hpp>
#include <pushforward/io/model.hpp>
#include <pushforward/io/safetensors.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/catalogue.hpp"
#include "tests/catch.hpp"
#include "tests/model_files.hpp"
#include "tests/models.hpp"

using namespace pushforward;
using namespace model_file_tests;
using Catch::Matchers::ContainsSubstring;

namespace {

/// A distribution of the catalogue, or a bijector of it on a base that has its domain, with values away from their start.
template <Scalar T>
Poly<Distribution<T>> shaken(Poly<Distribution<T>> distribution) {
  models::shake(*distribution);
  return distribution;
}
template <Scalar T>
Poly<Distribution<T>> shaken(const Poly<Bijector<T>>& bijector) {
  const auto on = [](Poly<Distribution<T>> base, Poly<Bijector<T>> map) {
    return shaken<T>(Poly<Distribution<T>>(TransformedDistribution<T>(std::move(base), std::move(map))));
  };
  const Space domain = bijector->domain();
  const Normal<T> normal(bijector->base_dim());
  if (domain == normal.support()) return on(normal, bijector);
  const auto is_circle = [](const Space::Block& b) { return b.kind == Space::Kind::circle; };
  if (domain.is_box() || std::all_of(domain.blocks().begin(), domain.blocks().end(), is_circle))
    return on(TransformedDistribution<T>(normal, ColumnSupports<T>(domain.bounds())), bijector);
  if (bijector->codomain() == Space::real(bijector->dim())) return on(Normal<T>(bijector->dim()), Invert<T>(bijector));
  for (const auto& entry : catalogue::distributions<T>())
    if (entry.object->support() == domain) return on(entry.object, bijector);
  throw Error("tests/catalogue.hpp has no distribution on " + domain.to_text() + " to put " + bijector->name() + " on");
}

/// d is itself again after a file and after casts.
template <Scalar T>
void survives(const Distribution<T>& d) {
  using Other = std::conditional_t<sizeof(T) == 8, float, double>;
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

}  // namespace

TEMPLATE_TEST_CASE("every class saves, loads and casts bit for bit", "", float, double) {
  using T = TestType;
  for (const auto& entry : catalogue::bijectors<T>())
    DYNAMIC_SECTION(entry.name) { survives<T>(*shaken<T>(entry.object)); }
  for (const auto& entry : catalogue::distributions<T>())
    DYNAMIC_SECTION(entry.name) { survives<T>(*shaken<T>(entry.object)); }
  for (const models::Named<T>& m : models::all<T>()) DYNAMIC_SECTION(m.name) { survives<T>(*m.distribution); }
}

TEST_CASE("the catalogue holds every registered class") {
  std::set<std::string> seen;
  const std::function<void(const Description&)> walk = [&](const Description& d) {
    seen.insert(d.type);
    for (const auto& [name, child] : d.children) walk(child);
  };
  for (const auto& entry : catalogue::bijectors<double>()) walk(entry.object->describe());
  for (const auto& entry : catalogue::distributions<double>()) walk(entry.object->describe());

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
      INFO(types.substr(0, end) << " needs an object in tests/catalogue.hpp");
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
  explicit MyMap(Blank) : ElementwiseBijector<T>("MyMap") {}

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
  void do_fields(Fields<T>& f) override {
    f.type("my_map");
    this->dim_field(f, 100);
    f.constant("label", label_);
    f.constant("steps", steps_);
    f.constant("knots", knots_);
    f.constant("words", words_);
    f.constant("large", large_, Index{1} << 60, Index{1} << 60);
    f.constant("negative", negative_, -5, -5);
    f.constant("flag", flag_);
    f.constant("tenth", tenth_);
    f.constant("whole", whole_);
    f.constant("endless", endless_);
    f.parameter("weight", weight_, {this->dim()});
  }

  Tensor<T> weight_;
  std::string label_;
  std::vector<std::int64_t> steps_;
  std::vector<double> knots_;
  std::vector<std::string> words_;
  Index large_ = Index{1} << 60, negative_ = -5;
  bool flag_ = true;
  double tenth_ = 0.1, whole_ = 3, endless_ = -std::numeric_limits<double>::infinity();
};

/// A density without a sampler.
template <Scalar T>
class Mute final : public Distribution<T> {
 public:
  explicit Mute(Index dim) : Distribution<T>("Mute", dim), weight_({dim}) {}

 private:
  Column<T> do_log_prob(Pass<T>& pass, Var<T> y) const override { return row_sum(y * pass.parameter(weight_)); }
  Var<T> do_sample(Pass<T>&) const override { throw NotImplemented("Mute::sample: there is none"); }
  void do_fields(Fields<T>& f) override {
    f.type("mute");
    this->dim_field(f);
    f.parameter("weight", weight_, {this->dim()});
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
