// What a trace hears of a tape, and what exporters make of models that do not consist of operations. export_test.sh
// compares what they write with the library.

#include <pushforward/bijectors/affine.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/error.hpp>
#include <pushforward/execution.hpp>
#include <pushforward/export/c_header.hpp>
#include <pushforward/export/onnx.hpp>
#include <pushforward/ops.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

namespace {

/// A step as plain values.
struct Heard {
  Operation operation;
  std::vector<Operand> outputs, inputs;
  std::vector<double> numbers;
};

class Listener final : public Trace {
 public:
  void note(const Step& s) override {
    steps.push_back({s.operation,
                     {s.outputs.begin(), s.outputs.end()},
                     {s.inputs.begin(), s.inputs.end()},
                     {s.numbers.begin(), s.numbers.end()}});
  }
  void exposed() override { ++exposures; }
  void enter(const std::string& part) override { parts.push_back(part); }
  void leave() override { parts.emplace_back(); }

  std::vector<Heard> steps;
  std::vector<std::string> parts;  // an empty one where a part ends
  int exposures = 0;
};

struct Taped {
  Workspace memory;
  Tape<double> tape{Tape<double>::Mode::evaluate, {memory.batch, memory.local}, 1};
  Listener listener;
  Var<double> x = tape.matrix(3, false);

  Taped() {
    for (Index c = 0; c < 3; ++c) tape.value(x, c)[0] = 0.25 * static_cast<double>(c);
    tape.set_trace(&listener);
  }
};

/// y = x + 1, written on the rows themselves.
class ByHand final : public Bijector<double> {
 public:
  ByHand() : Bijector("ByHand", 2) {}

 private:
  static Mapped<double> moved(Pass<double>& pass, Var<double> x, double by) {
    const Var<double> y = pass.tape().matrix(2, false);
    for (Index c = 0; c < 2; ++c)
      for (Index i = 0; i < pass.tape().padded_rows(); ++i) pass.tape().value(y, c)[i] = pass.tape().value(x, c)[i] + by;
    return {y, {}};
  }
  Mapped<double> do_forward(Pass<double>& pass, Var<double> x) const override { return moved(pass, x, 1); }
  Mapped<double> do_inverse(Pass<double>& pass, Var<double> y) const override { return moved(pass, y, -1); }
  void do_fields(Fields<double>& f) override { f.type("by_hand"); }
};

}  // namespace

TEST_CASE("operations on rows are steps, those on constants alone are none", "[trace]") {
  Taped t;
  const Tensor<double> weights({3}, 2.0);
  const Var<double> doubled = exp(t.tape.parameter(weights)) * 2.0;
  CHECK(t.listener.steps.empty());
  const Var<double> y = t.x * doubled;
  const Column<double> sum = row_sum(columns(y, 1, 2));
  t.tape.set_trace(nullptr);
  REQUIRE(t.listener.steps.size() == 2);

  const Heard& product = t.listener.steps[0];
  CHECK(product.operation == Operation::multiply);
  CHECK(product.inputs[0].kind == Operand::Kind::batch);
  CHECK(product.inputs[0].values == t.tape.value(t.x, 0));
  CHECK(product.inputs[1].kind == Operand::Kind::shared);
  CHECK(product.inputs[1].cols == 3);
  CHECK(static_cast<const double*>(product.inputs[1].values)[2] == 2 * std::exp(2.0));
  CHECK(product.outputs[0].values == t.tape.value(y, 0));

  const Heard& total = t.listener.steps[1];
  CHECK(total.operation == Operation::row_sum);
  CHECK(total.inputs[0].values == t.tape.value(y, 1));
  CHECK(total.inputs[0].root == t.tape.value(y, 0));
  CHECK(total.inputs[0].cols == 2);
  CHECK(total.inputs[0].root_cols == 3);
  CHECK(total.outputs[0].kind == Operand::Kind::column);
  CHECK(total.outputs[0].values == t.tape.value(sum));
}

TEST_CASE("each function of an element, or of a row's number, is noted by its own name", "[trace]") {
  using F = Var<double> (*)(Var<double>);
  const std::pair<Operation, F> functions[] = {{Operation::exp, exp},
                                               {Operation::log, log},
                                               {Operation::log1p, log1p},
                                               {Operation::expm1, expm1},
                                               {Operation::erf, erf},
                                               {Operation::erfinv, erfinv},
                                               {Operation::sqrt, sqrt},
                                               {Operation::square, square},
                                               {Operation::abs, abs},
                                               {Operation::sin, sin},
                                               {Operation::cos, cos},
                                               {Operation::atan, atan},
                                               {Operation::asinh, asinh},
                                               {Operation::lgamma, lgamma},
                                               {Operation::log1p_square, log1p_square},
                                               {Operation::log_ndtr, log_ndtr},
                                               {Operation::ndtri_exp, ndtri_exp},
                                               {Operation::lambert_w, lambert_w}};
  for (const auto& [operation, function] : functions) {
    INFO(static_cast<int>(operation));
    Taped t;
    (void)function(t.x);
    t.tape.set_trace(nullptr);
    REQUIRE(t.listener.steps.size() == 1);
    CHECK(t.listener.steps[0].operation == operation);
    CHECK(t.listener.exposures == 0);
  }
  Taped t;
  const Column<double> column = row_sum(t.x);
  (void)exp(column);
  (void)log1p(column);
  t.tape.set_trace(nullptr);
  REQUIRE(t.listener.steps.size() == 3);
  CHECK(t.listener.steps[1].operation == Operation::exp);
  CHECK(t.listener.steps[2].operation == Operation::log1p);
}

TEST_CASE("whoever takes the address of rows is heard of", "[trace]") {
  Taped t;
  Pass<double> pass(t.tape, {});
  const Column<double> sum = row_sum(t.x);
  const Tensor<double> weights({3}, 2.0);
  CHECK(t.tape.parameter(weights).values()[0] == 2.0);  // constants are no rows
  CHECK(t.listener.exposures == 0);
  CHECK(t.tape.value(t.x, 1)[0] == 0.25);
  CHECK(t.listener.exposures == 1);
  CHECK(t.x.values(2)[0] == 0.5);
  CHECK(t.listener.exposures == 2);
  CHECK(sum.values()[0] == 0.75);
  CHECK(t.listener.exposures == 3);
  CHECK(pass.outside()[0] == 0);
  CHECK(t.listener.exposures == 4);
  batch_sum(sum);  // has no step
  CHECK(t.listener.exposures > 4);
}

TEST_CASE("places stay what they are while a trace listens", "[trace]") {
  Taped t;
  const double* inside = nullptr;
  {
    const Tape<double>::Scope scope(t.tape, Tape<double>::Mode::evaluate);
    inside = static_cast<const double*>((exp(t.x), t.listener.steps.back().outputs[0].values));
  }
  exp(t.x);
  CHECK(t.listener.steps.back().outputs[0].values != inside);
  const auto mark = t.tape.mark();
  Var<double> y = t.x * 3.0;
  Column<double> none;
  const detail::Node<double>* node = y.node();
  t.tape.release(mark, y, none);
  CHECK(y.node() == node);
}

TEST_CASE("parts are heard to begin and end", "[trace]") {
  Taped t;
  const TransformedDistribution<double> model(Normal<double>(3), Affine<double>(3));
  Pass<double> pass(t.tape, {});
  model.log_prob(pass, t.x);
  CHECK(t.listener.parts == std::vector<std::string>{model.name(), "Affine", "", "Normal", "", ""});
}

TEST_CASE("what works on rows by itself is refused by name", "[export]") {
  const TransformedDistribution<double> model(Normal<double>(2), ByHand());
  const std::string reasons =
      "log_prob: ByHand works on the values of rows itself, so its steps are not known; "
      "sample: ByHand works on the values of rows itself, so its steps are not known";
  CHECK_THROWS_MATCHES(c_header<double>(model), NotImplemented, Catch::Matchers::Message("c_header: " + reasons));
  CHECK_THROWS_MATCHES(
      onnx_log_prob<double>(model), NotImplemented,
      Catch::Matchers::Message("log_prob: ByHand works on the values of rows itself, so its steps are not known"));
}

TEST_CASE("names and comments of a header", "[export]") {
  const Normal<double> model(2);
  for (const char* name : {"", "1st", "a-b", "a b", "\xc3\xa4"})
    CHECK_THROWS_MATCHES(c_header<double>(model, {}, name), DomainError,
                         Catch::Matchers::Message(std::string("c_header: expected a name of letters, digits and "
                                                              "underscores, got '") + name + "'"));
  const CHeader header = c_header<double>(model, {.columns = {"a */ b", "c /* d"}, .notes = {{"by", "me\t\\"}}}, "own");
  CHECK_THAT(header.text, ContainsSubstring("/* own.h: Normal of a * / b, c / * d\n"));
  CHECK_THAT(header.text, ContainsSubstring("by: me?\\\n"));
  CHECK_THAT(header.text, ContainsSubstring("enum { own_dim = 2, own_context_dim = 0, own_noise_dim = 2 };"));
  CHECK_THAT(header.text, ContainsSubstring("static inline double own_log_prob(const double *y) {"));
  CHECK(header.no_log_prob.empty());
  CHECK(header.no_sample.empty());
}
