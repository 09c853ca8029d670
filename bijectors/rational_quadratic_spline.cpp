#include <pushforward/bijectors/rational_quadratic_spline.hpp>

namespace pushforward {

template class RationalQuadraticSpline<float>;
template class RationalQuadraticSpline<double>;

}  // namespace pushforward
