#include <pushforward/nn/made.hpp>

#include <algorithm>
#include <numeric>

#include <pushforward/random.hpp>

#include "nn/initialise.hpp"

namespace pushforward {

namespace {

/// Original indices, sorted by degree; units of one degree keep their order.
std::vector<Index> sorted_by_degree(const std::vector<std::int64_t>& degrees) {
  std::vector<Index> order(degrees.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
    return degrees[static_cast<std::size_t>(a)] < degrees[static_cast<std::size_t>(b)];
  });
  return order;
}

}  // namespace

// --------------------------------------------------------------------------------------------------- MaskedDense

template <Scalar T>
MaskedDense<T>::MaskedDense(std::vector<std::int64_t> input_degrees, std::vector<std::int64_t> output_degrees,
                            bool strict, Initialisation start, std::uint64_t seed, std::string_view stream) {
  arrange(std::move(input_degrees), output_degrees, strict);
  // Drawn dense and in the original order, so that the start does not depend on how units are stored.
  Tensor<T> dense(weight_form_.shape()), bias(bias_form_.shape());
  initialise(dense, bias, dense.extent(1), dense.extent(0), start, seed, stream);
  weight_form_.from_file(dense, weight_);
  bias_form_.from_file(bias, bias_);
}

template <Scalar T>
void MaskedDense<T>::arrange(std::vector<std::int64_t> input_degrees, const std::vector<std::int64_t>& output_degrees,
                             bool strict) {
  const std::size_t outputs = output_degrees.size();
  weight_form_.cols = sorted_by_degree(input_degrees);
  // The outputs of a network keep their order: parameter by parameter, each group sorted on its own already.
  if (strict) {
    weight_form_.rows.resize(outputs);
    std::iota(weight_form_.rows.begin(), weight_form_.rows.end(), Index{0});
  } else {
    weight_form_.rows = sorted_by_degree(output_degrees);
  }
  std::sort(input_degrees.begin(), input_degrees.end());
  Index offset = 0;
  for (std::size_t o = 0; o < outputs; ++o) {
    const std::int64_t degree = output_degrees[static_cast<std::size_t>(weight_form_.rows[o])];
    const auto end = strict ? std::lower_bound(input_degrees.begin(), input_degrees.end(), degree)
                            : std::upper_bound(input_degrees.begin(), input_degrees.end(), degree);
    prefix_.push_back(static_cast<Index>(end - input_degrees.begin()));
    offset_.push_back(offset);
    offset += prefix_.back();
  }
  weight_form_.prefix = prefix_;
  weight_form_.offset = offset_;
  bias_form_.rows = weight_form_.rows;
  weight_ = Tensor<T>({offset});
  bias_ = Tensor<T>({static_cast<Index>(outputs)});
}

template <Scalar T>
void MaskedDense<T>::fields(Fields<T>& f, const std::vector<std::int64_t>& input_degrees,
                            const std::vector<std::int64_t>& output_degrees, bool strict) {
  const auto inputs = static_cast<Index>(input_degrees.size()), outputs = static_cast<Index>(output_degrees.size());
  if (f.restoring()) {
    f.expect("weight", {outputs, inputs});
    arrange(input_degrees, output_degrees, strict);
  }
  f.parameter("weight", weight_, {outputs, inputs}, {.form = &weight_form_});
  f.parameter("bias", bias_, {outputs}, {.decay = false, .form = &bias_form_});
}

template <Scalar T>
std::vector<Index> MaskedDense<T>::WeightForm::shape() const {
  return {static_cast<Index>(rows.size()), static_cast<Index>(cols.size())};
}

template <Scalar T>
Tensor<T> MaskedDense<T>::WeightForm::to_file(const Tensor<T>& packed) const {
  Tensor<T> dense(shape());
  for (std::size_t o = 0; o < rows.size(); ++o)
    for (Index k = 0; k < prefix[o]; ++k) dense(rows[o], cols[static_cast<std::size_t>(k)]) = packed[offset[o] + k];
  return dense;
}

template <Scalar T>
void MaskedDense<T>::WeightForm::from_file(const Tensor<T>& dense, Tensor<T>& packed) const {
  for (std::size_t o = 0; o < rows.size(); ++o)
    for (Index k = 0; k < prefix[o]; ++k) packed[offset[o] + k] = dense(rows[o], cols[static_cast<std::size_t>(k)]);
}

template <Scalar T>
std::vector<Index> MaskedDense<T>::BiasForm::shape() const {
  return {static_cast<Index>(rows.size())};
}
template <Scalar T>
Tensor<T> MaskedDense<T>::BiasForm::to_file(const Tensor<T>& packed) const {
  Tensor<T> dense(shape());
  for (std::size_t o = 0; o < rows.size(); ++o) dense[rows[o]] = packed[static_cast<Index>(o)];
  return dense;
}
template <Scalar T>
void MaskedDense<T>::BiasForm::from_file(const Tensor<T>& dense, Tensor<T>& packed) const {
  for (std::size_t o = 0; o < rows.size(); ++o) packed[static_cast<Index>(o)] = dense[rows[o]];
}

template <Scalar T>
Var<T> MaskedDense<T>::operator()(Pass<T>& pass, Var<T> x) const {
  return linear(x, pass.parameter(weight_), pass.parameter(bias_), layout());
}

template <Scalar T>
Dual<T> MaskedDense<T>::operator()(Pass<T>& pass, Dual<T> x) const {
  return {(*this)(pass, x.value), linear(x.tangent, pass.parameter(weight_), Var<T>(), layout())};
}

template <Scalar T>
void MaskedDense<T>::into(Pass<T>& pass, Var<T> y, Var<T> x, Index begin) const {
  linear_into(y, x, pass.parameter(weight_), pass.parameter(bias_), layout(), begin);
}

template <Scalar T>
void MaskedDense<T>::into(Pass<T>& pass, Var<T> y, Var<T> x, const LinearLayout& layout, Var<T> bias,
                          Index begin) const {
  linear_into(y, x, pass.parameter(weight_), bias, layout, begin);
}

template <Scalar T>
void MaskedDense<T>::shrink(T factor) {
  scale_start(factor);
  for (T& b : bias_.values()) b = 0;
}

template <Scalar T>
void MaskedDense<T>::scale_start(T factor) {
  for (T& w : weight_.values()) w *= factor;
  for (T& b : bias_.values()) b *= factor;
}

// ---------------------------------------------------------------------------------------------------------- Made

namespace {

constexpr Choice<ContextForm> context_forms[] = {{ContextForm::activated, "activated"},
                                                {ContextForm::linear, "linear"},
                                                {ContextForm::gated, "gated"},
                                                {ContextForm::every_layer, "every_layer"}};

void check_form(const MadeOptions& options) {
  if (options.residual && options.context_form == ContextForm::every_layer)
    throw ShapeError("Made: a context in every layer has no residual form");
  if (options.widths.empty()) return;
  if (options.residual) throw ShapeError("Made: layers of different widths have no residual form");
  const auto given = static_cast<Index>(options.widths.size());
  if (given != options.blocks + 1)
    throw ShapeError("Made: expected " + std::to_string(options.blocks + 1) + " widths, one more than blocks, got " +
                     std::to_string(given));
}

std::vector<std::int64_t> make_degrees(Index dim, const MadeOptions& options) {
  check_form(options);
  std::vector<Index> widths = options.widths;
  if (widths.empty()) widths = {options.hidden};
  for (const Index width : widths)
    if (width < 1 || width > (1 << 20) || options.blocks < 0)
      throw ShapeError("Made: expected 1 to 2^20 hidden units and at least 0 blocks, got " + std::to_string(width) +
                       " and " + std::to_string(options.blocks));
  const std::int64_t highest = std::max<std::int64_t>(1, dim - 1), lowest = std::min<std::int64_t>(1, dim - 1);
  std::vector<std::int64_t> degrees;
  for (const Index width : widths)
    for (Index i = 0; i < width; ++i) degrees.push_back(i % highest + lowest);
  if (options.random_degrees) {
    std::vector<double> u(degrees.size());
    const auto n = static_cast<Index>(u.size());
    Engine(options.seed).stream("degrees").next_call().uniform(0, n, 1, u.data(), n, 0);
    for (std::size_t i = 0; i < u.size(); ++i)
      degrees[i] = lowest + static_cast<std::int64_t>(u[i] * static_cast<double>(highest));
  }
  return degrees;
}

/// Of the inputs, and of the outputs: `multiplier` for each input.
std::vector<std::int64_t> input_degrees(Index dim) {
  std::vector<std::int64_t> degrees(static_cast<std::size_t>(dim));
  std::iota(degrees.begin(), degrees.end(), std::int64_t{1});
  return degrees;
}
std::vector<std::int64_t> output_degrees(Index dim, Index multiplier) {
  const std::vector<std::int64_t> inputs = input_degrees(dim);
  std::vector<std::int64_t> degrees;
  for (Index p = 0; p < multiplier; ++p) degrees.insert(degrees.end(), inputs.begin(), inputs.end());
  return degrees;
}

}  // namespace

template <Scalar T>
Made<T>::Made(Index dim, Index multiplier, MadeOptions options)
    : Made(dim, multiplier, options, make_degrees(dim, options)) {}

template <Scalar T>
Made<T>::Made(Index dim, Index multiplier, MadeOptions options, std::vector<std::int64_t> hidden_degrees)
    : Network<T>("Made", dim, multiplier * dim, options.context_dim),
      options_(options),
      hidden_degrees_(std::move(hidden_degrees)) {
  check_dropout("Made", options.dropout);
  sort_units();
  const std::vector<std::int64_t> inputs = input_degrees(dim), outputs = output_degrees(dim, multiplier);
  const auto masked = [&](const auto& in, const auto& out, bool strict, const std::string& name) {
    return MaskedDense<T>(in, out, strict, options.initialisation, options.seed, name);
  };
  std::vector<std::int64_t> degrees = layer_degrees(0);
  const auto hidden = static_cast<Index>(degrees.size());
  initial_ = masked(inputs, degrees, false, "initial");
  const auto from_context = [&](Index units, const std::string& name) {
    return Dense<T>(options.context_dim, units, options.initialisation, options.seed, name);
  };
  if (options.context_dim > 0) context_ = from_context(hidden, "context");
  for (Index i = 0; i < options.blocks; ++i) {
    const std::string name = (options.residual ? "block" : "layer") + std::to_string(i);
    Block block;
    const std::vector<std::int64_t> next = layer_degrees(static_cast<std::size_t>(i) + 1);
    block.linear0 = masked(degrees, next, false, name + ".linear0");
    degrees = next;
    if (options.residual) {
      block.linear1 = masked(degrees, degrees, false, name + ".linear1");
      // As published: uniform in +-1e-3 where `paper` gives +-1/sqrt(hidden), so that a block starts near zero.
      block.linear1.scale_start(static_cast<T>(1e-3 * std::sqrt(static_cast<double>(hidden))));
    }
    if (block_contexts()) block.context = from_context(static_cast<Index>(degrees.size()), name + ".context");
    blocks_.push_back(std::move(block));
  }
  final_ = masked(degrees, outputs, true, "final");
  if (output_context()) final_context_ = from_context(this->outputs(), "final.context");
  put_together();
  if (options.final_scale != 1) {
    final_.shrink(static_cast<T>(options.final_scale));
    if (output_context()) final_context_.shrink(static_cast<T>(options.final_scale));
  }
}

template <Scalar T>
template <class V, class Steps>
V Made<T>::hidden_values(const Steps& steps, V x) const {
  const Activation a = options_.activation;
  const bool with_context = this->context_dim() > 0;
  const bool gated = block_contexts() && options_.context_form == ContextForm::gated;
  const bool added = block_contexts() && !gated;
  std::size_t k = 0;
  V h = steps.layer(k++, initial_, x);
  if (with_context) h = h + steps.context(0);
  if (!options_.residual) h = activation_in_place(a, h);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    if (options_.residual) {
      V t = steps.layer(k++, block.linear0, options_.pre_activation ? activation(a, h) : h);
      if (added) t = t + steps.context(i + 1);
      const V change = steps.layer(k++, block.linear1, steps.dropout(activation_in_place(a, t)));
      h = h + (gated ? change * steps.context(i + 1) : change);
    } else {
      V t = steps.layer(k++, block.linear0, h);
      if (added) t = t + steps.context(i + 1);
      h = steps.dropout(activation_in_place(a, t));
    }
  }
  return h;
}

template <Scalar T>
struct Made<T>::Rows {
  const Made& made;
  Pass<T>& pass;

  template <class V>
  V layer(std::size_t, const MaskedDense<T>& linear, V h) const {
    return linear(pass, h);
  }
  /// Of the first layer, and of each block, or layer after the first one.
  Var<T> context(std::size_t i) const {
    const Dense<T>& layer = i == 0 ? made.context_ : made.blocks_[i - 1].context;
    const Var<T> c = gather_columns<T>(layer(pass, pass.context()), made.sorted(i).units);
    const ContextForm form = made.options_.context_form;
    if (i > 0) return form == ContextForm::gated ? sigmoid(c) : c;
    return form == ContextForm::activated ? activation(made.options_.activation, c) : c;
  }
  template <class V>
  V dropout(V h) const {
    return pass.dropout(h, made.options_.dropout);
  }
};

template <Scalar T>
template <class V>
V Made<T>::compute(Pass<T>& pass, V x) const {
  const V y = final_(pass, hidden_values(Rows{*this, pass}, x));
  return output_context() ? y + final_context_(pass, pass.context()) : y;
}

template <Scalar T>
std::pair<Index, Index> Made<T>::Sorted::range(Index degree) const {
  const auto [first, last] = std::equal_range(degrees.begin(), degrees.end(), degree);
  return {first - degrees.begin(), last - degrees.begin()};
}

template <Scalar T>
bool Made<T>::block_contexts() const {
  if (!options_.residual) return output_context();
  return this->context_dim() > 0 && options_.context_form != ContextForm::linear;
}

template <Scalar T>
bool Made<T>::output_context() const {
  return this->context_dim() > 0 && options_.context_form == ContextForm::every_layer;
}

template <Scalar T>
Made<T>::Sequence::Sequence(const Made& made, Pass<T>& pass) : made_(made), pass_(pass) {
  const bool wanted = pass.recording();
  const auto width = [&](std::size_t layer) { return static_cast<Index>(made.sorted(layer).units.size()); };
  const auto buffer = [&](Index cols) { return pass.tape().matrix(cols, wanted); };
  const auto list = [&](std::size_t count, const auto& make) {
    Var<T>* const vars = pass.tape().template scratch<Var<T>>(static_cast<Index>(count));
    for (std::size_t i = 0; i < count; ++i) new (vars + i) Var<T>(make(i));
    return std::span<Var<T>>(vars, count);
  };
  known_ = list(made.hidden_layers() + 1, [&](std::size_t i) { return buffer(i == 0 ? made.dim() : width(i - 1)); });
  if (made.context_dim() > 0)
    contexts_ = list(made.block_contexts() ? made.blocks_.size() + 1 : 1,
                     [&](std::size_t i) { return Rows{made, pass}.context(i); });
  outputs_ = buffer(made.outputs());
  const std::vector<std::int64_t>& order = made.together_.outputs;
  if (made.output_context()) output_context_ = gather_columns<T>(made.final_context_(pass, pass.context()), order);
  if (!wanted) {
    bias_ = pass.tape().shared(1, made.outputs(), false);
    for (std::size_t i = 0; i < order.size(); ++i)
      bias_.node()->value[static_cast<Index>(i)] = made.final_.bias()[order[i]];
  }
  extend(0);
}

template <Scalar T>
std::span<const Var<T>> Made<T>::Sequence::outputs(Index d) {
  const Index multiplier = made_.multiplier();
  Var<T>* result = pass_.tape().template scratch<Var<T>>(multiplier);
  const auto with_context = [&](Var<T> out, Index begin, Index count) {
    return output_context_ ? out + columns(output_context_, begin, count) : out;
  };
  if (bias_) {
    // In one product, which recording may not do: reductions number the outputs of a layer in one way only.
    Var<T> out = columns(outputs_, d * multiplier, multiplier);
    const Index known = made_.final_.prefix(d);
    made_.final_.into(pass_, out, columns(known_.back(), 0, known),
                      {made_.together_.prefix, made_.together_.offset}, bias_, d * multiplier);
    out = with_context(out, d * multiplier, multiplier);
    for (Index p = 0; p < multiplier; ++p) new (result + p) Var<T>(columns(out, p, 1));
    return {result, static_cast<std::size_t>(multiplier)};
  }
  for (Index p = 0; p < multiplier; ++p) {
    const Index column = p * made_.dim() + d;
    const Var<T> out = columns(outputs_, column, 1);
    const Index known = made_.final_.prefix(column);
    made_.final_.into(pass_, out, columns(known_.back(), 0, known), column);
    new (result + p) Var<T>(with_context(out, d * multiplier + p, 1));
  }
  return {result, static_cast<std::size_t>(multiplier)};
}

template <Scalar T>
void Made<T>::Sequence::set_input(Index d, Var<T> x) {
  assign(columns(known_.front(), d, 1), x);
  extend(d + 1);
}

template <Scalar T>
struct Made<T>::Units {
  Pass<T>& pass;
  std::span<const Var<T>> known, contexts;
  /// [begin, end) of them in each layer; one for all layers that have the same units.
  std::span<const std::pair<Index, Index>> ranges;

  std::pair<Index, Index> range(std::size_t hidden_layer) const {
    return ranges[std::min(hidden_layer, ranges.size() - 1)];
  }
  Var<T> layer(std::size_t k, const MaskedDense<T>& linear, Var<T> h) const {
    if (k > 0) keep(k, h);
    const auto [begin, end] = range(k);
    const Var<T> out = pass.tape().matrix(end - begin, pass.recording());
    if (begin < end) linear.into(pass, out, columns(known[k], 0, linear.prefix(end - 1)), begin);
    return out;
  }
  /// What layer `k` reads, for the units of higher degrees.
  void keep(std::size_t k, Var<T> h) const { assign(of_degree(known[k], k - 1), h); }
  Var<T> context(std::size_t i) const { return of_degree(contexts[i], i); }
  Var<T> of_degree(Var<T> x, std::size_t hidden_layer) const {
    const auto [begin, end] = range(hidden_layer);
    return columns(x, begin, end - begin);
  }
  Var<T> dropout(Var<T> h) const { return h; }
};

// Computes the hidden units of one degree, layer by layer; their inputs are complete.
template <Scalar T>
void Made<T>::Sequence::extend(Index degree) {
  const std::size_t count = made_.sorted_.size();
  auto* const ranges = pass_.tape().template scratch<std::pair<Index, Index>>(static_cast<Index>(count));
  bool any = false;
  for (std::size_t i = 0; i < count; ++i) {
    new (ranges + i) std::pair(made_.sorted_[i].range(degree));
    any = any || ranges[i].first < ranges[i].second;
  }
  if (!any) return;
  const Units units{pass_, known_, contexts_, {ranges, count}};
  units.keep(known_.size() - 1, made_.hidden_values(units, known_.front()));
}

template <Scalar T>
void Made<T>::do_fields(Fields<T>& f) {
  f.type("made");
  Index dim = this->inputs(), multiplier = dim == 0 ? 0 : this->multiplier(), context_dim = this->context_dim();
  f.constant("dim", dim, 1, 1 << 20);
  f.constant("multiplier", multiplier, 1, 1 << 12);
  f.constant("hidden_degrees", hidden_degrees_);
  f.constant("blocks", options_.blocks, 0, 10000);
  f.constant("residual", options_.residual);
  f.constant("activation", options_.activation, activation_choices());
  f.constant("dropout", options_.dropout);
  f.constant("context_dim", context_dim, 0, 1 << 20);
  f.optional("context_form", options_.context_form, ContextForm::activated, context_forms);
  f.optional("pre_activation", options_.pre_activation, true);
  std::vector<std::int64_t> widths(options_.widths.begin(), options_.widths.end());
  f.optional("widths", widths, std::vector<std::int64_t>());
  if (f.restoring()) {
    if (hidden_degrees_.empty()) throw IoError("made: hidden_degrees is empty");
    options_.widths.assign(widths.begin(), widths.end());
    check_form(options_);
    std::int64_t units = 0;
    for (const std::int64_t width : widths) {
      if (width < 1 || width > (1 << 20))
        throw IoError("made: a width must lie in [1, 1048576], got " + std::to_string(width));
      units += width;
    }
    if (!widths.empty() && units != static_cast<std::int64_t>(hidden_degrees_.size()))
      throw IoError("made: the widths are those of " + std::to_string(units) + " units, hidden_degrees has " +
                    std::to_string(hidden_degrees_.size()));
    for (const std::int64_t degree : hidden_degrees_)
      if (degree < 0 || degree > std::max<std::int64_t>(dim - 1, 0))
        throw IoError("made: hidden degree " + std::to_string(degree) + " does not lie in [0, " +
                      std::to_string(dim - 1) + "]");
    this->set_sizes(dim, multiplier * dim, context_dim);
    options_.hidden = static_cast<Index>(layer_degrees(0).size());
    options_.context_dim = context_dim;
    check_dropout("Made", options_.dropout);
    // Before lists of its sizes are made.
    const auto last = static_cast<std::size_t>(options_.blocks);
    f.expect("initial.weight", {options_.hidden, dim});
    f.expect("final.weight", {multiplier * dim, static_cast<Index>(layer_degrees(last).size())});
    sort_units();
  }
  const std::vector<std::int64_t> inputs = input_degrees(dim), outputs = output_degrees(dim, multiplier);
  std::vector<std::int64_t> degrees = layer_degrees(0);
  const auto layer = [&](const std::string& name, MaskedDense<T>& l, const std::vector<std::int64_t>& next) {
    f.block(name, [&] { l.fields(f, degrees, next, false); });
    degrees = next;
  };
  const auto from_context = [&](const std::string& name, Dense<T>& l, std::size_t units) {
    f.block(name, [&] { l.fields(f, context_dim, static_cast<Index>(units)); });
  };
  f.block("initial", [&] { initial_.fields(f, inputs, degrees, false); });
  if (context_dim > 0) from_context("context", context_, degrees.size());
  for (std::size_t i = 0; i < static_cast<std::size_t>(options_.blocks); ++i) {
    if (f.restoring()) blocks_.emplace_back();  // one after another, as the file has them
    const std::string name = (options_.residual ? "block" : "layer") + std::to_string(i);
    const std::vector<std::int64_t> next = layer_degrees(i + 1);
    layer(options_.residual ? name + ".linear0" : name, blocks_[i].linear0, next);
    if (options_.residual) layer(name + ".linear1", blocks_[i].linear1, next);
    if (block_contexts()) from_context(name + ".context", blocks_[i].context, next.size());
  }
  f.block("final", [&] { final_.fields(f, degrees, outputs, true); });
  if (output_context()) from_context("final.context", final_context_, outputs.size());
  if (f.restoring()) put_together();
}

template <Scalar T>
std::vector<std::int64_t> Made<T>::layer_degrees(std::size_t i) const {
  if (options_.widths.empty()) return hidden_degrees_;
  const auto first = options_.widths.begin(), own = first + static_cast<std::ptrdiff_t>(i);
  const auto begin = hidden_degrees_.begin() + std::accumulate(first, own, Index{0});
  return {begin, begin + *own};
}

template <Scalar T>
void Made<T>::sort_units() {
  for (std::size_t i = 0; i < std::max<std::size_t>(options_.widths.size(), 1); ++i) {
    const std::vector<std::int64_t> degrees = layer_degrees(i);
    Sorted& layer = sorted_.emplace_back();
    for (const Index unit : sorted_by_degree(degrees)) {
      layer.units.push_back(unit);
      layer.degrees.push_back(degrees[static_cast<std::size_t>(unit)]);
    }
  }
}

template <Scalar T>
void Made<T>::put_together() {
  const LinearLayout layout = final_.layout();
  for (Index d = 0; d < dim(); ++d)
    for (Index p = 0; p < multiplier(); ++p) {
      const auto o = static_cast<std::size_t>(p * dim() + d);
      together_.prefix.push_back(layout.prefix[o]);
      together_.offset.push_back(layout.offset[o]);
      together_.outputs.push_back(p * dim() + d);
    }
}

template class MaskedDense<float>;
template class MaskedDense<double>;
template class Made<float>;
template class Made<double>;

}  // namespace pushforward
