#include <pushforward/bijectors/act_norm.hpp>
#include <pushforward/bijectors/affine.hpp>
#include <pushforward/bijectors/affine_transformer.hpp>
#include <pushforward/bijectors/batch_normalization.hpp>
#include <pushforward/bijectors/chain.hpp>
#include <pushforward/bijectors/column_supports.hpp>
#include <pushforward/bijectors/coupling.hpp>
#include <pushforward/bijectors/exp.hpp>
#include <pushforward/bijectors/identity.hpp>
#include <pushforward/bijectors/invert.hpp>
#include <pushforward/bijectors/log.hpp>
#include <pushforward/bijectors/lu_linear.hpp>
#include <pushforward/bijectors/masked_autoregressive.hpp>
#include <pushforward/bijectors/permute.hpp>
#include <pushforward/bijectors/rational_quadratic_spline.hpp>
#include <pushforward/bijectors/rational_quadratic_transformer.hpp>
#include <pushforward/bijectors/scale.hpp>
#include <pushforward/bijectors/shift.hpp>
#include <pushforward/bijectors/sigmoid.hpp>
#include <pushforward/bijectors/softplus.hpp>
#include <pushforward/bijectors/standardize.hpp>
#include <pushforward/bijectors/tanh.hpp>
#include <pushforward/distributions/beta.hpp>
#include <pushforward/distributions/cauchy.hpp>
#include <pushforward/distributions/gamma.hpp>
#include <pushforward/distributions/laplace.hpp>
#include <pushforward/distributions/logistic.hpp>
#include <pushforward/distributions/mixture.hpp>
#include <pushforward/distributions/multivariate_normal_diag.hpp>
#include <pushforward/distributions/multivariate_normal_tril.hpp>
#include <pushforward/distributions/multivariate_student_t.hpp>
#include <pushforward/distributions/normal.hpp>
#include <pushforward/distributions/standardized_context.hpp>
#include <pushforward/distributions/student_t.hpp>
#include <pushforward/distributions/uniform.hpp>
#include <pushforward/nn/constant.hpp>
#include <pushforward/nn/made.hpp>
#include <pushforward/nn/mlp.hpp>
#include <pushforward/nn/residual_network.hpp>
#include <pushforward/registry.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>

namespace pushforward {

Registry Registry::standard() {
  Registry registry;
  registry.add<ActNorm>("act_norm")
      .add<Affine>("affine")
      .add<BatchNormalization>("batch_normalization")
      .add<Chain>("chain")
      .add<ColumnSupports>("column_supports")
      .add<Coupling>("coupling")
      .add<Exp>("exp")
      .add<Identity>("identity")
      .add<Invert>("invert")
      .add<Log>("log")
      .add<LULinear>("lu_linear")
      .add<MaskedAutoregressive>("masked_autoregressive")
      .add<Permute>("permute")
      .add<RationalQuadraticSpline>("rational_quadratic_spline")
      .add<Scale>("scale")
      .add<Shift>("shift")
      .add<Sigmoid>("sigmoid")
      .add<Softplus>("softplus")
      .add<Standardize>("standardize")
      .add<Tanh>("tanh");
  registry.add<AffineTransformer>("affine_transformer")
      .add<AdditiveTransformer>("additive_transformer")
      .add<RationalQuadraticTransformer>("rational_quadratic_transformer");
  registry.add<Beta>("beta")
      .add<Cauchy>("cauchy")
      .add<Gamma>("gamma")
      .add<Laplace>("laplace")
      .add<Logistic>("logistic")
      .add<Mixture>("mixture")
      .add<MultivariateNormalDiag>("multivariate_normal_diag")
      .add<MultivariateNormalTriL>("multivariate_normal_tril")
      .add<MultivariateStudentT>("multivariate_student_t")
      .add<Normal>("normal")
      .add<StandardizedContext>("standardized_context")
      .add<StudentT>("student_t")
      .add<TransformedDistribution>("transformed_distribution")
      .add<Uniform>("uniform");
  registry.add<Constant>("constant").add<Made>("made").add<Mlp>("mlp").add<ResidualNetwork>("residual_network");
  return registry;
}

}  // namespace pushforward
