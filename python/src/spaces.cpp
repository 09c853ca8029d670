// pushforward.Space, where rows of a kind live, and the usual map onto one.
#include <pushforward/bijectors/bijector_to.hpp>
#include <pushforward/space.hpp>

#include "options.hpp"

namespace binding {

namespace {

using namespace nb::literals;

/// Space.name(n)
template <class Class>
void of_number(Class& c, const char* name, pf::Space (*make)(pf::Index), const char* number, const char* doc) {
  c.def_static(name, make, nb::arg(number), doc);
}

}  // namespace

void bind_spaces(nb::module_& m) {
  nb::class_<pf::Space> c(m, "Space", docs::Space);
  of_number(c, "real", &pf::Space::real, "columns", "The real line in each column.");
  c.def_static(
      "box",
      [](const nb::object& supports) { return pf::Space::box(intervals_of("Space.box", supports)); }, "supports"_a,
      nb::sig("def box(supports: collections.abc.Sequence) -> Space"),
      "supports: for each column None (the real line), \"positive\", \"unit\" or (low, high) with None for no end.");
  c.def_static(
      "circle", [](pf::Index columns, double low, double high) { return pf::Space::circle(columns, {low, high}); },
      "columns"_a, "low"_a, "high"_a, "Angles, [low, high) with the ends glued together.");
  of_number(c, "simplex", &pf::Space::simplex, "columns", "Positive numbers of sum 1.");
  of_number(c, "zero_sum", &pf::Space::zero_sum, "columns", "Numbers of sum 0.");
  of_number(c, "ordered", &pf::Space::ordered, "columns", "Increasing numbers.");
  of_number(c, "ball", &pf::Space::ball, "columns", "Numbers whose squares add up to less than 1.");
  of_number(c, "l1_ball", &pf::Space::l1_ball, "columns", "Numbers whose sizes add up to less than 1.");
  of_number(c, "sphere", &pf::Space::sphere, "columns", "Numbers whose squares add up to 1.");
  of_number(c, "lower_triangular", &pf::Space::lower_triangular, "n",
            "n x n matrices, row-major, with a positive diagonal and zeros above it.");
  of_number(c, "positive_definite", &pf::Space::positive_definite, "n", "Symmetric n x n matrices, row-major.");
  of_number(c, "correlation", &pf::Space::correlation, "n",
            "Lower Cholesky factors of n x n correlation matrices, row-major.");
  c.def("__mul__", [](const pf::Space& a, const pf::Space& b) { return a * b; }, nb::is_operator(), "Side by side.");
  c.def("__eq__", [](const pf::Space& a, const pf::Space& b) { return a == b; }, nb::is_operator());
  c.def("__repr__", &pf::Space::to_text);
  c.def_prop_ro("columns", &pf::Space::columns);
  c.def_prop_ro("dimensions", &pf::Space::dimensions, "Numbers that it takes to say where in it a point lies.");
  c.def(
      "misfit",
      [](const pf::Space& space, const std::vector<double>& row, double tolerance) {
        if (static_cast<pf::Index>(row.size()) != space.columns())
          throw nb::value_error(("misfit: expected a row of " + std::to_string(space.columns()) + " columns, got " +
                                 std::to_string(row.size()))
                                    .c_str());
        return space.misfit(pf::VectorView<const double>(row), {}, tolerance);
      },
      "row"_a, "tolerance"_a = 1e-9, "Why a row does not lie in it; \"\" if it does.");
  m.def(
      "bijector_to",
      [](const pf::Space& space, const DtypeLike& dtype) {
        return Dtype(dtype).is_single() ? wrap(Bijector::of<float>(pf::bijector_to<float>(space)))
                                        : wrap(Bijector::of<double>(pf::bijector_to<double>(space)));
      },
      "space"_a, nb::kw_only(), "dtype"_a = nb::none(),
      nb::sig("def bijector_to(space: Space, *, dtype: numpy.typing.DTypeLike = None) -> Bijector"), docs::bijector_to);
}

}  // namespace binding
