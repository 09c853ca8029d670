// The example of the header and of docs/processes.md.

#include <pushforward/mpi/reducer.hpp>
#include <pushforward/pushforward.hpp>

const pushforward::Matrix<double> data = [] {
  pushforward::Engine engine(1);
  return pushforward::Normal<double>(8).sample(1000, engine);
}();

int main(int argc, char** argv) {
  return pushforward::mpi_run(&argc, &argv, [](pushforward::MpiReducer& ranks) {
    auto flow = pushforward::maf<double>(8);
    fit(flow, data, {.epochs = 2, .shards = 8, .reducer = &ranks});
    if (ranks.rank() == 0) pushforward::save("flow.safetensors", flow);
  });
}
