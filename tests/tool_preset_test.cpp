// The tool's models are the library's: same parts, sizes and activations for every preset.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/flows/builders.hpp>
#include <pushforward/io/model.hpp>

#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

using namespace pushforward;

TEST_CASE("fit --model NAME makes what the builder NAME makes") {
  const TemporaryFolder folder;
  const std::filesystem::path& path = folder.path;
  {
    std::ofstream data(path / "data.csv");
    data << "a,b,c\n";
    Matrix<double> z(60, 3);
    Engine(1).next_call().normal(0, 60, 3, z.data(), 60);
    for (Index i = 0; i < 60; ++i) data << z(i, 0) << ',' << z(i, 1) << ',' << z(i, 2) << '\n';
  }
  const auto made_by_tool = [&](const std::string& arguments) {
    const std::string out = (path / "m.safetensors").string();
    const std::string command = std::string(PUSHFORWARD_TOOL) + " fit " + (path / "data.csv").string() + " -o " + out +
                                " --epochs 1 --threads 1 " + arguments + " > " + (path / "log").string() + " 2>&1";
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
    // Around the flow stands what `prepare_and_fit` put there.
    const Model<double> model = load<double>(out);
    return dynamic_cast<const TransformedDistribution<double>&>(*model.distribution).base().describe();
  };
  for (const FlowPreset& preset : flow_presets()) {
    INFO(preset.name);
    const std::string model = "--model " + std::string(preset.name);
    CHECK(made_by_tool(model) == preset.build<double>(3).describe());
    CHECK(made_by_tool(model + " --layers 3") == preset.build<double>(3, {.layers = 3}).describe());
    CHECK(made_by_tool(model + " --input-bound 2") == preset.build<double>(3, {.input_bound = 2}).describe());
    if (!preset.splines)
      CHECK(made_by_tool(model + " --scale-bound 2 --tail inf") ==
            preset.build<double>(3, {.scale_bound = 2, .tail = std::numeric_limits<double>::infinity()}).describe());
    CHECK(made_by_tool(model + " --residual --activation elu") ==
          preset.build<double>(3, {.residual = true, .activation = Activation::elu}).describe());
  }
}
