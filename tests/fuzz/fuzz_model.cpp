// libFuzzer target: any bytes either load as a model or throw IoError, and what loads can be used and saved again.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <pushforward/error.hpp>
#include <pushforward/io/model.hpp>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pushforward;
  static const Registry registry = Registry::standard();
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    const Model<double> model = size % 2 == 0 ? load<double>(bytes, "fuzz", registry)
                                              : Model<double>{cast<double>(*load<float>(bytes, "fuzz", registry)
                                                                                .distribution,
                                                                           registry),
                                                              {}};
    const Distribution<double>& d = *model.distribution;
    const Eigen::MatrixXd y = Eigen::MatrixXd::Constant(1, d.dim(), 0.5);
    const Eigen::MatrixXd context = Eigen::MatrixXd::Constant(d.context_dim() > 0 ? 1 : 0, d.context_dim(), 0.5);
    static_cast<void>(d.log_prob(y, context));
    const auto again = serialize(d, model.info);
    static_cast<void>(load<double>(again, "again", registry));
  } catch (const IoError& error) {
    if (!std::string_view(error.what()).starts_with("fuzz")) std::abort();
  }
  return 0;
}
