#include <pushforward/bijectors/log.hpp>

namespace pushforward {

template struct LogMap<float>;
template struct LogMap<double>;

}  // namespace pushforward
