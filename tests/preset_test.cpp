// The table of builders: sizes, and that naming one option leaves the others alone.

#include <pushforward/bijectors/lu_linear.hpp>
#include <pushforward/error.hpp>
#include <pushforward/flows/builders.hpp>

#include "tests/catch.hpp"

using namespace pushforward;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("presets: sizes") {
  const auto count = [](std::string_view name, const FlowOptions& options = {}) {
    return count_parameters(flow_preset(name).build<double>(4, options));
  };
  // By hand: a MADE of 4 columns with hidden layers 64, 64 and two outputs a column has 4 64 + 64, 64 64 + 64, 64 8 + 8
  // weights where nothing is masked away; a coupling from 2 columns to 2 pairs 2 64 + 64, 64 64 + 64, 64 4 + 4.
  CHECK(count("maf") <= 5 * (4 * 64 + 64 + 64 * 64 + 64 + 64 * 8 + 8));
  CHECK(count("iaf") == count("maf"));
  CHECK(count("real_nvp") == 10 * (2 * 64 + 64 + 64 * 64 + 64 + 64 * 4 + 4));
  CHECK(count("nice") == 4 * (2 * 64 + 64 + 4 * (64 * 64 + 64) + 64 * 2 + 2) + 2 * 4 +
                             count_parameters(LULinear<double>(4)) + 4 + 2 * 4);
  // A residual network from 2 columns to 2 splines of 8 bins (23 numbers each), a spline for each of the other two, and
  // an LU linear map at both ends and between the layers.
  CHECK(count("nsf") == 5 * (2 * 64 + 64 + 4 * (64 * 64 + 64) + 64 * 46 + 46 + 46) +
                            6 * count_parameters(LULinear<double>(4)));
  CHECK(count("nsf") < 200000);
  CHECK(count("nsf_ar") < 200000);
}

TEST_CASE("naming one option of a builder leaves its other defaults alone") {
  for (const FlowPreset& preset : flow_presets()) {
    INFO(preset.name);
    const Description whole = preset.build<double>(4).describe();
    FlowOptions one;
    CHECK(preset.build<double>(4, one).describe() == whole);
    one.layers = preset.layers;
    CHECK(preset.build<double>(4, one).describe() == whole);
    one = {.hidden = preset.hidden};
    CHECK(preset.build<double>(4, one).describe() == whole);
    one = {.activation = preset.activation};
    CHECK(preset.build<double>(4, one).describe() == whole);
    one = {.tail = preset.tail};
    CHECK(preset.build<double>(4, one).describe() == whole);
    one = {.input_bound = preset.input_bound};
    CHECK(preset.build<double>(4, one).describe() == whole);
    one = {.mixing = preset.mixing};
    CHECK(preset.build<double>(4, one).describe() == whole);
    one = {.residual = preset.residual};
    CHECK(preset.build<double>(4, one).describe() == whole);
    one = {.blocks = preset.blocks};
    CHECK(preset.build<double>(4, one).describe() == whole);
    // And it is heard.
    CHECK_FALSE(preset.build<double>(4, {.layers = preset.layers + 1}).describe() == whole);
    CHECK_FALSE(preset.build<double>(4, {.hidden = preset.hidden + 1}).describe() == whole);
    CHECK_FALSE(preset.build<double>(4, {.activation = Activation::softplus}).describe() == whole);
    CHECK_FALSE(preset.build<double>(4, {.residual = !preset.residual}).describe() == whole);
  }
}

TEST_CASE("a preset is the builder of its name") {
  CHECK(flow_preset("maf").build<double>(3).describe() == maf<double>(3).describe());
  CHECK(flow_preset("iaf").build<double>(3).describe() == iaf<double>(3).describe());
  CHECK(flow_preset("real_nvp").build<double>(3).describe() == real_nvp<double>(3).describe());
  CHECK(flow_preset("nice").build<float>(3).describe() == nice<float>(3).describe());
  CHECK(flow_preset("nsf").build<double>(3).describe() == nsf<double>(3).describe());
  CHECK(flow_preset("nsf_ar").build<float>(3).describe() == nsf_ar<float>(3).describe());
  CHECK(flow_preset("sospf").build<double>(3).describe() == sospf<double>(3).describe());
  CHECK(flow_preset("bpf").build<double>(3).describe() == bpf<double>(3).describe());
  CHECK(flow_preset("naf").build<float>(3).describe() == naf<float>(3).describe());
  CHECK(flow_preset("unaf").build<double>(3).describe() == unaf<double>(3).describe());
  CHECK_THROWS_WITH(flow_preset("nfs"), ContainsSubstring("'nfs'") && ContainsSubstring("real_nvp"));
}
