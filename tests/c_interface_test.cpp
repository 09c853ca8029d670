// The C interface against the library: the same bits and the same errors, from one shared library that shares no symbol
// with this program's own copy.

#include <pushforward.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <pushforward/io/model.hpp>
#include <pushforward/latents.hpp>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "tests/catch.hpp"
#include "tests/files.hpp"
#include "tests/models.hpp"

using namespace pushforward;

namespace {

struct Free {
  void operator()(pf_model* model) const { pf_model_free(model); }
  void operator()(pf_workspace* workspace) const { pf_workspace_free(workspace); }
};
using ModelHandle = std::unique_ptr<pf_model, Free>;
using WorkspaceHandle = std::unique_ptr<pf_workspace, Free>;

/// What a call gave: its status, and the text of its error.
struct Answer {
  int status = -1;
  char text[2048] = "not written";
  char* begin() { return text; }
};

ModelHandle loaded(const std::vector<std::byte>& bytes, int scalar = PF_AS_STORED) {
  pf_model* model = nullptr;
  Answer answer;
  answer.status = pf_load_bytes(bytes.data(), bytes.size(), "bytes", scalar, &model, answer.text, sizeof answer.text);
  INFO(answer.text);
  REQUIRE(answer.status == PF_OK);
  CHECK(answer.text == std::string());
  return ModelHandle(model);
}

WorkspaceHandle workspace_of(int threads) {
  pf_workspace* workspace = nullptr;
  REQUIRE(pf_workspace_new(threads, &workspace, nullptr, 0) == PF_OK);
  return WorkspaceHandle(workspace);
}

/// Both types by one name.
struct Calls {
  template <class... A>
  static int log_prob(const pf_model* m, pf_workspace* w, const double* y, A... a) {
    return pf_log_prob(m, w, y, a...);
  }
  template <class... A>
  static int log_prob(const pf_model* m, pf_workspace* w, const float* y, A... a) {
    return pf_log_prob_float(m, w, y, a...);
  }
  template <class... A>
  static int gradient(const pf_model* m, pf_workspace* w, const double* y, A... a) {
    return pf_gradient(m, w, y, a...);
  }
  template <class... A>
  static int gradient(const pf_model* m, pf_workspace* w, const float* y, A... a) {
    return pf_gradient_float(m, w, y, a...);
  }
  template <class T, class... A>
  static int sample(const pf_model* m, pf_workspace* w, std::uint64_t seed, std::uint64_t call, const T* c, A... a) {
    if constexpr (std::is_same_v<T, double>)
      return pf_sample(m, w, seed, call, c, a...);
    else
      return pf_sample_float(m, w, seed, call, c, a...);
  }
  template <class T, class... A>
  static int map(bool forward, const pf_model* m, pf_workspace* w, const T* x, A... a) {
    if constexpr (std::is_same_v<T, double>)
      return (forward ? pf_forward : pf_inverse)(m, w, x, a...);
    else
      return (forward ? pf_forward_float : pf_inverse_float)(m, w, x, a...);
  }
};

/// Rows as C has them, with a gap after each that nobody may touch.
template <class T>
struct Rows {
  static constexpr T untouched = T(-77);
  Rows(Index rows, Index columns)
      : stride(columns + 2), columns(columns), values(static_cast<std::size_t>(rows * stride), untouched) {}
  explicit Rows(const Matrix<T>& m) : Rows(m.rows(), m.cols()) {
    for (Index i = 0; i < m.rows(); ++i)
      for (Index c = 0; c < m.cols(); ++c) at(i, c) = m(i, c);
  }
  T& at(Index row, Index column) { return values[static_cast<std::size_t>(row * stride + column)]; }
  T at(Index row, Index column) const { return values[static_cast<std::size_t>(row * stride + column)]; }
  Matrix<T> matrix() const {
    Matrix<T> m(static_cast<Index>(values.size()) / stride, columns);
    for (Index i = 0; i < m.rows(); ++i) {
      for (Index c = 0; c < columns; ++c) m(i, c) = at(i, c);
      for (Index c = columns; c < stride; ++c) CHECK(at(i, c) == untouched);
    }
    return m;
  }
  const T* data_or_null() const { return columns == 0 || values.empty() ? nullptr : values.data(); }
  Index stride, columns;
  std::vector<T> values;
};

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (Index i = 0; i < a.rows(); ++i)
    for (Index c = 0; c < a.cols(); ++c) {
      const auto x = a(i, c), y = b(i, c);
      if (std::memcmp(&x, &y, sizeof x) != 0) return false;
    }
  return true;
}

/// f(), or what it throws as the C interface would say it.
template <class F>
void expect(const char* call, const Answer& answer, F f) {
  try {
    f();
    INFO(answer.text);
    CHECK(answer.status == PF_OK);
    CHECK(answer.text == std::string());
  } catch (const Error& e) {
    const int status = dynamic_cast<const ShapeError*>(&e)       ? PF_SHAPE
                       : dynamic_cast<const DomainError*>(&e)    ? PF_DOMAIN
                       : dynamic_cast<const NotImplemented*>(&e) ? PF_NOT_IMPLEMENTED
                                                                 : PF_ERROR;
    CHECK(answer.status == status);
    CHECK(answer.text == std::string(call) + ": " + e.what());
  }
}

}  // namespace

TEMPLATE_TEST_CASE("the C interface gives the bits and the errors of the library", "[c]", float, double) {
  using T = TestType;
  const std::string suffix = std::is_same_v<T, float> ? "_float" : "";
  const WorkspaceHandle one = workspace_of(1), three = workspace_of(3);
  constexpr Index n = 300;
  for (const auto& [name, distribution] : models::all<T>()) {
    INFO(name);
    const Distribution<T>& d = *distribution;
    const ModelHandle model = loaded(serialize(d));
    CHECK(pf_dim(model.get()) == d.dim());
    CHECK(pf_context_dim(model.get()) == d.context_dim());
    CHECK(pf_scalar_type(model.get()) == (std::is_same_v<T, float> ? PF_FLOAT : PF_DOUBLE));
    CHECK(pf_text(model.get()) == to_text(d));

    Matrix<T> context(d.context_dim() > 0 ? n : 0, d.context_dim());
    for (Index c = 0; c < context.cols(); ++c)
      for (Index i = 0; i < n; ++i) context(i, c) = static_cast<T>(std::sin(static_cast<double>(7 * i + 3 * c)));
    const Matrix<T> row = context.topRows(context.rows() > 0 ? 1 : 0);
    const Rows<T> contexts(context);
    const Index context_rows = context.rows(), stride = contexts.stride;

    Answer answer;
    const auto check_sample = [&](pf_workspace* workspace, Index rows_of_context) {
      Rows<T> drawn(n, d.dim());
      answer.status = Calls::sample(model.get(), workspace, 5, 2, contexts.data_or_null(), rows_of_context, stride,
                                    drawn.values.data(), n, drawn.stride, answer.text, sizeof answer.text);
      Matrix<T> expected;
      expect(("pf_sample" + suffix).c_str(), answer, [&] {
        Engine engine(5, 2);
        expected = rows_of_context > 1 ? d.sample_each(context, engine) : d.sample(n, engine, row);
        CHECK(same_bits(drawn.matrix(), expected));
      });
      return expected;
    };
    check_sample(three.get(), context_rows);
    check_sample(nullptr, context_rows > 0 ? 1 : 0);
    Matrix<T> y = check_sample(one.get(), context_rows);
    if (y.rows() == 0) y = Matrix<T>::Constant(n, d.dim(), T(0.3));
    y(3, 0) = std::numeric_limits<T>::quiet_NaN();
    y(4, 0) = T(1e6);
    const Rows<T> data(y);

    for (pf_workspace* workspace : {static_cast<pf_workspace*>(nullptr), one.get(), three.get()}) {
      Eigen::VectorXd log_prob(n);
      answer.status =
          Calls::log_prob(model.get(), workspace, data.values.data(), n, data.stride, contexts.data_or_null(),
                          context_rows, stride, log_prob.data(), answer.text, sizeof answer.text);
      expect(("pf_log_prob" + suffix).c_str(), answer, [&] { CHECK(same_bits(log_prob, d.log_prob(y, context))); });

      Rows<T> by_y(n, d.dim()), by_context(context_rows, d.context_dim());
      answer.status =
          Calls::gradient(model.get(), workspace, data.values.data(), n, data.stride, contexts.data_or_null(),
                          context_rows, stride, log_prob.data(), by_y.values.data(), by_y.stride,
                          by_context.values.data(), by_context.stride, answer.text, sizeof answer.text);
      expect(("pf_gradient" + suffix).c_str(), answer, [&] {
        const LogProbAndGradient<T> expected = d.log_prob_and_gradient(y, context);
        CHECK(same_bits(log_prob, expected.log_prob));
        CHECK(same_bits(by_y.matrix(), expected.gradient));
        CHECK(same_bits(by_context.matrix(), expected.context_gradient));
      });
      if (answer.status == PF_OK && context_rows > 0) {  // the gradient by the context is not asked for
        Rows<T> again(n, d.dim());
        CHECK(Calls::gradient(model.get(), workspace, data.values.data(), n, data.stride, contexts.data_or_null(),
                              context_rows, stride, log_prob.data(), again.values.data(), again.stride,
                              static_cast<T*>(nullptr), Index{0}, nullptr, std::size_t{0}) == PF_OK);
        CHECK(same_bits(by_y.matrix(), again.matrix()));
      }
    }
  }
}

TEMPLATE_TEST_CASE("the map of a flow in C goes all the way to its base", "[c]", float, double) {
  using T = TestType;
  const WorkspaceHandle one = workspace_of(1), two = workspace_of(2);
  constexpr Index n = 50;
  Index with_maps = 0, nested = 0;
  for (const auto& [name, distribution] : models::all<T>()) {
    INFO(name);
    const Distribution<T>& d = *distribution;
    const ModelHandle model = loaded(serialize(d));
    Matrix<T> context(d.context_dim() > 0 ? n : 0, d.context_dim());
    for (Index c = 0; c < context.cols(); ++c)
      for (Index i = 0; i < n; ++i) context(i, c) = static_cast<T>(std::cos(static_cast<double>(5 * i + 2 * c)));
    const Rows<T> contexts(context);
    Engine engine(8);
    const Matrix<T> y = context.rows() > 0 ? d.sample_each(context, engine) : d.sample(n, engine);
    const Rows<T> data(y);
    const Index base_dim = pf_base_dim(model.get());
    Answer answer;
    Rows<T> x(n, std::max<Index>(base_dim, 1));
    Eigen::VectorXd log_det(n), back_log_det(n);
    const auto map = [&](bool forward, pf_workspace* workspace, const Rows<T>& from, Rows<T>& to, double* det) {
      answer.status = Calls::map(forward, model.get(), workspace, from.values.data(), n, from.stride,
                                 contexts.data_or_null(), context.rows(), contexts.stride, to.values.data(), to.stride,
                                 det, answer.text, sizeof answer.text);
    };
    map(false, one.get(), data, x, log_det.data());
    if (base_dim == 0) {
      CHECK(answer.status == PF_NOT_IMPLEMENTED);
      CHECK_THAT(answer.text, Catch::Matchers::Contains("is not a base under a map"));
      continue;
    }
    INFO(answer.text);
    REQUIRE(answer.status == PF_OK);
    ++with_maps;
    // log_prob is the base's plus log_det; x is what latent_into calls the latent values.
    const Distribution<T>* base = latent_base(d);
    REQUIRE(base);
    CHECK(base->dim() == base_dim);
    if (const auto* flow = dynamic_cast<const TransformedDistribution<T>*>(&d); flow && &flow->base() == base) {
      const MappedRows<T> expected =
          flow->bijector().inverse(y, flow->bijector().context_dim() ? context : Matrix<T>());
      CHECK(same_bits(x.matrix(), expected.value));
      CHECK(same_bits(log_det, expected.log_det));
    } else {
      ++nested;
      Matrix<T> latent(n, base_dim);
      latent_into(d, y, latent, context);
      CHECK(same_bits(x.matrix(), latent));
      const Eigen::VectorXd log_prob = d.log_prob(y, context);
      const Eigen::VectorXd sum = base->log_prob(x.matrix(), base->context_dim() ? context : Matrix<T>()) + log_det;
      CHECK((log_prob - sum).cwiseAbs().maxCoeff() <
            (sizeof(T) == 8 ? 1e-12 : 1e-4) * (1 + log_prob.cwiseAbs().maxCoeff()));
    }
    Rows<T> there(n, d.dim());
    map(true, two.get(), x, there, back_log_det.data());
    REQUIRE(answer.status == PF_OK);
    const double error = (there.matrix() - y).template cast<double>().cwiseAbs().maxCoeff();
    CHECK(error < (sizeof(T) == 8 ? 1e-6 : 5e-2) * (1 + static_cast<double>(y.cwiseAbs().maxCoeff())));
  }
  CHECK(with_maps > 60);
  CHECK(nested > 0);
}

TEST_CASE("a file says its type and its columns, and may be loaded in the other type", "[c]") {
  const TransformedDistribution<float> flow = maf<float>(2, {.layers = 2, .hidden = 6, .context_dim = 1});
  const std::vector<std::byte> bytes =
      serialize<float>(flow, {.columns = {"mass", "größe"}, .context_columns = {"z"}});
  const ModelHandle model = loaded(bytes), same = loaded(bytes, PF_FLOAT), wide = loaded(bytes, PF_DOUBLE);
  CHECK(pf_scalar_type(model.get()) == PF_FLOAT);
  CHECK(pf_scalar_type(same.get()) == PF_FLOAT);
  CHECK(pf_scalar_type(wide.get()) == PF_DOUBLE);
  CHECK(pf_column(model.get(), 0) == std::string("mass"));
  CHECK(pf_column(model.get(), 1) == std::string("größe"));
  CHECK(pf_column(model.get(), 2) == nullptr);
  CHECK(pf_column(model.get(), -1) == nullptr);
  CHECK(pf_context_column(model.get(), 0) == std::string("z"));
  CHECK(pf_context_column(model.get(), 1) == nullptr);
  CHECK(pf_column(loaded(serialize<float>(flow)).get(), 0) == nullptr);

  const double y[] = {0.5, -1}, z = 0.25;
  const float y_float[] = {0.5f, -1}, z_float = 0.25f;
  double log_prob = 0, expected = 0;
  Answer answer;
  CHECK(pf_log_prob(model.get(), nullptr, y, 1, 2, &z, 1, 1, &log_prob, answer.text, sizeof answer.text) ==
        PF_ARGUMENT);
  CHECK_THAT(answer.text,
             Catch::Matchers::Contains("the model computes in float; call the function that ends in _float"));
  CHECK(pf_log_prob_float(wide.get(), nullptr, y_float, 1, 2, &z_float, 1, 1, &log_prob, answer.text,
                          sizeof answer.text) == PF_ARGUMENT);
  CHECK_THAT(answer.text, Catch::Matchers::Contains("the model computes in double"));
  CHECK(pf_log_prob(wide.get(), nullptr, y, 1, 2, &z, 1, 1, &log_prob, nullptr, 0) == PF_OK);
  const Poly<Distribution<double>> in_double = cast<double>(flow);
  expected = in_double->log_prob(Eigen::RowVector2d(0.5, -1), Matrix<double>(Matrix<double>::Constant(1, 1, z)))[0];
  CHECK(log_prob == expected);
}

TEST_CASE("pf_load says what is wrong with a file", "[c]") {
  const file_tests::Folder folder;
  const Normal<double> normal(2);
  const std::filesystem::path path = folder.path / "model.safetensors";
  save<double>(path, normal);
  const auto failed = [](const std::filesystem::path& file, int status) {
    pf_model* model = reinterpret_cast<pf_model*>(1);
    Answer answer;
    CHECK(pf_load(file.c_str(), PF_AS_STORED, &model, answer.text, sizeof answer.text) == status);
    CHECK(model == nullptr);
    return std::string(answer.text);
  };
  pf_model* model = nullptr;
  CHECK(pf_load(path.c_str(), PF_AS_STORED, &model, nullptr, 0) == PF_OK);
  pf_model_free(model);

  const std::string whole = folder.text_of("model.safetensors");
  for (std::size_t size = 0; size < whole.size(); size += 7)  // cut anywhere
    CHECK_THAT(failed(folder.put("cut", std::string_view(whole).substr(0, size)), PF_IO),
               Catch::Matchers::StartsWith("pf_load: " + (folder.path / "cut").string()));
  std::string flipped = whole;
  flipped[whole.size() - 3] ^= 1;
  CHECK_THAT(failed(folder.put("flipped", flipped), PF_IO), Catch::Matchers::Contains("the checksum is"));
  CHECK(failed(folder.path / "none", PF_IO) ==
        "pf_load: " + file_tests::io_error([&] { load<double>(folder.path / "none"); }));
  CHECK_THAT(failed(folder.path, PF_IO), Catch::Matchers::StartsWith("pf_load: " + folder.path.string()));

  Answer answer;
  CHECK(pf_load_bytes(whole.data(), 10, nullptr, PF_AS_STORED, &model, answer.text, sizeof answer.text) == PF_IO);
  CHECK_THAT(answer.text, Catch::Matchers::StartsWith("pf_load_bytes: model: "));
  CHECK(pf_load_bytes(whole.data(), 10, "my bytes", PF_AS_STORED, &model, answer.text, sizeof answer.text) == PF_IO);
  CHECK_THAT(answer.text, Catch::Matchers::StartsWith("pf_load_bytes: my bytes: "));
  CHECK(pf_load(path.c_str(), 16, &model, answer.text, sizeof answer.text) == PF_ARGUMENT);
  CHECK_THAT(answer.text, Catch::Matchers::StartsWith("pf_load: scalar is 16; expected"));
}

TEST_CASE("the C interface looks at pointers and sizes before it uses them", "[c]") {
  const ModelHandle plain = loaded(serialize<double>(Normal<double>(2)));
  const ModelHandle model = loaded(serialize<double>(maf<double>(2, {.layers = 1, .hidden = 4, .context_dim = 1})));
  const WorkspaceHandle workspace = workspace_of(1);
  Answer answer;
  double y[8] = {}, z[4] = {}, out[4] = {}, x[8] = {};
  const auto log_prob = [&](const pf_model* m, const double* rows_of_y, std::int64_t rows, std::int64_t stride,
                            const double* context, std::int64_t context_rows, std::int64_t context_stride, double* to) {
    answer.status = pf_log_prob(m, workspace.get(), rows_of_y, rows, stride, context, context_rows, context_stride, to,
                                answer.text, sizeof answer.text);
    return std::string(answer.text);
  };
  const auto is = [&](int status, const std::string& got, const std::string& text) {
    CHECK(answer.status == status);
    CHECK_THAT(got, Catch::Matchers::Contains(text));
  };
  is(PF_ARGUMENT, log_prob(nullptr, y, 2, 2, z, 2, 1, out), "pf_log_prob: model is NULL");
  is(PF_ARGUMENT, log_prob(model.get(), nullptr, 2, 2, z, 2, 1, out), "pf_log_prob: y is NULL");
  is(PF_ARGUMENT, log_prob(model.get(), y, 2, 2, nullptr, 2, 1, out), "pf_log_prob: context is NULL");
  is(PF_ARGUMENT, log_prob(model.get(), y, 2, 2, z, 2, 1, nullptr), "pf_log_prob: log_prob is NULL");
  is(PF_SHAPE, log_prob(model.get(), y, -1, 2, z, 1, 1, out), "y has -1 rows");
  is(PF_SHAPE, log_prob(model.get(), y, 2, 1, z, 2, 1, out),
     "the stride of y is 1, less than its columns, which are 2");
  is(PF_SHAPE, log_prob(model.get(), y, 2, -2, z, 2, 1, out), "the stride of y is -2");
  is(PF_SHAPE, log_prob(model.get(), y, 2, std::numeric_limits<std::int64_t>::max(), z, 2, 1, out),
     "more than there is");
  is(PF_SHAPE, log_prob(model.get(), y, 2, 2, z, 2, 0, out), "the stride of context is 0");
  is(PF_SHAPE, log_prob(model.get(), y, 2, 2, z, -1, 1, out), "context has -1 rows");
  is(PF_SHAPE, log_prob(model.get(), y, 3, 2, z, 2, 1, out), "context");
  is(PF_SHAPE, log_prob(model.get(), y, 2, 2, nullptr, 0, 0, out), "context");
  is(PF_SHAPE, log_prob(plain.get(), y, 2, 2, z, 2, 1, out), "the model takes no context");
  is(PF_OK, log_prob(model.get(), nullptr, 0, 0, nullptr, 0, 0, nullptr), "");
  is(PF_OK, log_prob(model.get(), y, 1, 0, z, 1, 0, out), "");  // strides of one row
  is(PF_OK, log_prob(plain.get(), y, 2, 2, nullptr, 0, 0, out), "");

  const auto text = [&](int status) {
    answer.status = status;
    return std::string(answer.text);
  };
  const std::size_t size = sizeof answer.text;
  char* const error = answer.begin();
  is(PF_ARGUMENT,
     text(pf_gradient(plain.get(), nullptr, y, 2, 2, nullptr, 0, 0, out, nullptr, 2, nullptr, 0, error, size)),
     "pf_gradient: gradient is NULL");
  is(PF_SHAPE, text(pf_gradient(plain.get(), nullptr, y, 2, 2, nullptr, 0, 0, out, x, 1, nullptr, 0, error, size)),
     "the stride of gradient is 1");
  is(PF_ARGUMENT, text(pf_sample(plain.get(), nullptr, 1, 0, nullptr, 0, 0, nullptr, 2, 2, error, size)),
     "pf_sample: samples is NULL");
  is(PF_SHAPE, text(pf_sample(model.get(), nullptr, 1, 0, z, 2, 1, x, 3, 2, error, size)),
     "context has 2 rows; expected one for all, or 3");
  is(PF_SHAPE, text(pf_sample(model.get(), nullptr, 1, 0, nullptr, 0, 0, x, 3, 2, error, size)), "one context row");
  is(PF_SHAPE, text(pf_inverse(model.get(), nullptr, y, 3, 2, z, 2, 1, x, 2, out, error, size)), "context has 2 rows");
  is(PF_ARGUMENT, text(pf_forward(model.get(), nullptr, y, 2, 2, z, 2, 1, nullptr, 2, out, error, size)),
     "pf_forward: y is NULL");
  is(PF_ARGUMENT, text(pf_inverse(model.get(), nullptr, y, 2, 2, z, 2, 1, x, 2, nullptr, error, size)),
     "pf_inverse: log_det is NULL");
  const ModelHandle positive =
      loaded(serialize<double>(TransformedDistribution<double>(Normal<double>(2), Exp<double>(2))));
  y[3] = -1;
  is(PF_DOMAIN, text(pf_inverse(positive.get(), nullptr, y, 2, 2, nullptr, 0, 0, x, 2, out, error, size)), "row 0");

  pf_workspace* made = nullptr;
  is(PF_DOMAIN, text(pf_workspace_new(0, &made, error, size)), "threads");
  is(PF_DOMAIN, text(pf_workspace_new(1025, &made, error, size)), "threads");
  is(PF_ARGUMENT, text(pf_workspace_new(1, nullptr, error, size)), "workspace is NULL");
  is(PF_ARGUMENT, text(pf_load(nullptr, PF_AS_STORED, nullptr, error, size)), "path is NULL");
  is(PF_ARGUMENT, text(pf_load("x", PF_AS_STORED, nullptr, error, size)), "model is NULL");
  is(PF_ARGUMENT, text(pf_load_bytes(nullptr, 5, nullptr, PF_AS_STORED, nullptr, error, size)), "bytes is NULL");
  CHECK(pf_dim(nullptr) == 0);
  CHECK(pf_base_dim(nullptr) == 0);
  CHECK(pf_context_dim(nullptr) == 0);
  CHECK(pf_scalar_type(nullptr) == 0);
  CHECK(pf_text(nullptr) == nullptr);
  CHECK(pf_column(nullptr, 0) == nullptr);
  CHECK(pf_context_column(nullptr, 0) == nullptr);
  pf_model_free(nullptr);
  pf_workspace_free(nullptr);
}

TEST_CASE("texts of errors are cut where the buffer ends, between characters", "[c]") {
  pf_model* model = nullptr;
  const std::string whole = "pf_load: /äöü/none";
  for (const std::size_t size : {1u, 2u, 11u, 12u, 13u, 14u, 19u}) {
    std::vector<char> text(size + 1, 'x');
    CHECK(pf_load("/äöü/none", PF_AS_STORED, &model, text.data(), size) == PF_IO);
    CHECK(text[size] == 'x');
    const std::string got = text.data();
    CHECK(got.size() < size);
    CHECK(got.size() + 2 >= size);
    CHECK(whole.starts_with(got));
    CHECK((got.empty() || (whole[got.size()] & 0xC0) != 0x80));
  }
  CHECK(pf_load("/äöü/none", PF_AS_STORED, &model, nullptr, 50) == PF_IO);
}

TEST_CASE("many threads use one model, with workspaces of their own and with one for all", "[c]") {
  const TransformedDistribution<double> flow = nsf_ar<double>(3, {.layers = 2, .hidden = 8, .context_dim = 1});
  const ModelHandle model = loaded(serialize<double>(flow));
  const WorkspaceHandle shared = workspace_of(1), pool = workspace_of(2);
  constexpr Index n = 40;
  Engine engine(2);
  const Matrix<double> context = Normal<double>(1).sample(n, engine), y = flow.sample_each(context, engine);
  const LogProbAndGradient<double> expected = flow.log_prob_and_gradient(y, context);
  const Rows<double> data(y), contexts(context);
  std::vector<int> wrong(8);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      const WorkspaceHandle own = workspace_of(1);
      for (int round = 0; round < 30; ++round)
        for (pf_workspace* workspace : {static_cast<pf_workspace*>(nullptr), own.get(), shared.get(), pool.get()}) {
          Eigen::VectorXd log_prob(n), of_one(1);
          Rows<double> gradient(n, 3);
          wrong[t] += pf_log_prob(model.get(), workspace, data.values.data(), n, data.stride, contexts.values.data(), n,
                                  contexts.stride, log_prob.data(), nullptr, 0) != PF_OK;
          wrong[t] += !same_bits(log_prob, expected.log_prob);
          const Index row = (round + static_cast<Index>(t)) % n;
          wrong[t] +=
              pf_log_prob(model.get(), workspace, data.values.data() + row * data.stride, 1, 3,
                          contexts.values.data() + row * contexts.stride, 1, 1, of_one.data(), nullptr, 0) != PF_OK;
          wrong[t] += of_one[0] != expected.log_prob[row];
          wrong[t] += pf_gradient(model.get(), workspace, data.values.data(), n, data.stride, contexts.values.data(), n,
                                  contexts.stride, log_prob.data(), gradient.values.data(), gradient.stride, nullptr, 0,
                                  nullptr, 0) != PF_OK;
          wrong[t] += gradient.values[0] != expected.gradient(0, 0);
        }
    });
  for (std::thread& thread : threads) thread.join();
  for (const int w : wrong) CHECK(w == 0);
}
