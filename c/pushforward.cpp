#include <pushforward.h>

#include <algorithm>
#include <concepts>
#include <deque>
#include <filesystem>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <pushforward/distributions/standardized_context.hpp>
#include <pushforward/distributions/transformed_distribution.hpp>
#include <pushforward/error.hpp>
#include <pushforward/evaluator.hpp>
#include <pushforward/io/model.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace pf = pushforward;
using pf::Index;

struct pf_model {
  std::variant<pf::Evaluator<float>, pf::Evaluator<double>> evaluator;
  pf::ModelInfo info;
  std::string text;
};

struct pf_workspace {
  std::mutex mutex;  // of the memory; an Execution has its own
  pf::Workspace memory;
  std::unique_ptr<pf::Execution> execution;  // of several threads
};

namespace {

// ---------------------------------------------------------------------------------------------------------- errors

/// What the caller did wrong before the library was asked.
class ArgumentError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Where a call writes what went wrong.
class ErrorText {
 public:
  ErrorText(char* text, std::size_t size) : text_(text), size_(text ? size : 0) { write({}); }

  void write(std::string_view text) const noexcept {
    if (size_ == 0) return;
    std::size_t length = std::min(text.size(), size_ - 1);
    // No character is cut in two.
    while (length > 0 && length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
    std::copy_n(text.data(), length, text_);
    text_[length] = '\0';
  }

 private:
  char* text_;
  std::size_t size_;
};

/// f(), with whatever it throws as a status and a text that begins with the call's name.
template <class F>
int guarded(const char* call, char* error, std::size_t error_size, F f) noexcept {
  const ErrorText text(error, error_size);
  const auto failed = [&](int status, const char* what) {
    try {
      text.write(std::string(call) + ": " + what);
    } catch (...) {
      text.write(what);
    }
    return status;
  };
  try {
    f();
    return PF_OK;
  } catch (const ArgumentError& e) {
    return failed(PF_ARGUMENT, e.what());
  } catch (const pf::ShapeError& e) {
    return failed(PF_SHAPE, e.what());
  } catch (const pf::DomainError& e) {
    return failed(PF_DOMAIN, e.what());
  } catch (const pf::NotImplemented& e) {
    return failed(PF_NOT_IMPLEMENTED, e.what());
  } catch (const pf::IoError& e) {
    return failed(PF_IO, e.what());
  } catch (const std::bad_alloc&) {
    return failed(PF_MEMORY, "out of memory");
  } catch (const std::length_error&) {
    return failed(PF_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return failed(PF_ERROR, e.what());
  } catch (...) {
    return failed(PF_ERROR, "unknown error");
  }
}

void check_given(const void* pointer, const char* name) {
  if (!pointer) throw ArgumentError(std::string(name) + " is NULL");
}

// ---------------------------------------------------------------------------------------------------------- arrays

/// Rows of somebody's; `name` stands for them in errors.
template <class V>
pf::MatrixView<V> rows_of(const char* name, V* data, std::int64_t rows, Index columns, std::int64_t stride) {
  if (rows < 0) throw pf::ShapeError(std::string(name) + " has " + std::to_string(rows) + " rows");
  if (rows == 0) return {data, 0, columns, columns, 1};
  check_given(data, name);
  if (rows == 1) return {data, 1, columns, columns, 1};
  if (stride < columns)
    throw pf::ShapeError("the stride of " + std::string(name) + " is " + std::to_string(stride) +
                         ", less than its columns, which are " + std::to_string(columns));
  if (stride > std::numeric_limits<Index>::max() / static_cast<Index>(sizeof(V)) / rows)
    throw pf::ShapeError(std::string(name) + " has " + std::to_string(rows) + " rows with a stride of " +
                         std::to_string(stride) + ", more than there is memory");
  return {data, rows, columns, stride, 1};
}

pf::VectorView<double> numbers_of(const char* name, double* data, std::int64_t rows) {
  if (rows > 0) check_given(data, name);
  return {data, rows};
}

/// A context as C has it.
template <pf::Scalar T>
struct Context {
  const T* data;
  std::int64_t rows, stride;

  pf::MatrixView<const T> view(Index columns) const {
    if (columns == 0 && rows == 0) return {};
    if (columns == 0)
      throw pf::ShapeError("the model takes no context, and " + std::to_string(rows) + " rows of one were given");
    return rows_of("context", data, rows, columns, stride);
  }
};

// ----------------------------------------------------------------------------------------------------------- calls

/// f(evaluator) of a model that computes in T.
template <pf::Scalar T, class F>
void with_model(const pf_model* model, F f) {
  check_given(model, "model");
  const auto* evaluator = std::get_if<pf::Evaluator<T>>(&model->evaluator);
  if (!evaluator)
    throw ArgumentError(sizeof(T) == 8 ? "the model computes in float; call the function that ends in _float, or load "
                                         "it with PF_DOUBLE"
                                       : "the model computes in double; call the function without _float, or load it "
                                         "with PF_FLOAT");
  f(*evaluator);
}

/// On the calling thread f(memory) with a workspace's memory or its own, otherwise f(execution).
template <class F>
void with_place(pf_workspace* workspace, F f) {
  if (!workspace) {
    pf::Workspace memory;
    f(memory);
  } else if (workspace->execution) {
    f(*workspace->execution);
  } else {
    const std::lock_guard lock(workspace->mutex);
    f(workspace->memory);
  }
}

template <pf::Scalar T>
void log_prob(const pf_model* model, pf_workspace* workspace, const T* y, std::int64_t rows, std::int64_t y_stride,
              Context<T> context, double* out) {
  with_model<T>(model, [&](const pf::Evaluator<T>& e) {
    const auto data = rows_of("y", y, rows, e.dim(), y_stride);
    const auto contexts = context.view(e.context_dim());
    const auto result = numbers_of("log_prob", out, rows);
    with_place(workspace, [&]<class P>(P& place) {
      if constexpr (std::same_as<P, pf::Workspace>)
        e.log_prob_into(data, result, place, contexts);
      else
        e.model().log_prob_into(data, result, contexts, place);
    });
  });
}

template <pf::Scalar T>
void gradient(const pf_model* model, pf_workspace* workspace, const T* y, std::int64_t rows, std::int64_t y_stride,
              Context<T> context, double* log_prob, T* by_y, std::int64_t by_y_stride, T* by_context,
              std::int64_t by_context_stride) {
  with_model<T>(model, [&](const pf::Evaluator<T>& e) {
    const auto data = rows_of("y", y, rows, e.dim(), y_stride);
    const auto contexts = context.view(e.context_dim());
    const auto values = numbers_of("log_prob", log_prob, rows);
    const auto gradients = rows_of("gradient", by_y, rows, e.dim(), by_y_stride);
    pf::Matrix<T> unwanted;
    pf::MatrixView<T> context_gradients;
    if (e.context_dim() > 0) {
      if (!by_context) unwanted.resize(rows, e.context_dim());
      context_gradients = by_context ? rows_of("context_gradient", by_context, rows, e.context_dim(), by_context_stride)
                                     : pf::MatrixView<T>(unwanted);
    }
    with_place(workspace, [&](auto& place) {
      e.model().log_prob_and_gradient_into(data, values, gradients, context_gradients, contexts, place);
    });
  });
}

template <pf::Scalar T>
void sample(const pf_model* model, pf_workspace* workspace, std::uint64_t seed, std::uint64_t call, Context<T> context,
            T* samples, std::int64_t rows, std::int64_t samples_stride) {
  with_model<T>(model, [&](const pf::Evaluator<T>& e) {
    const auto out = rows_of("samples", samples, rows, e.dim(), samples_stride);
    const auto contexts = context.view(e.context_dim());
    pf::Engine engine(seed, call);
    with_place(workspace, [&]<class P>(P& place) {
      if (contexts.rows() > 1) {
        if (contexts.rows() != rows)
          throw pf::ShapeError("context has " + std::to_string(contexts.rows()) + " rows; expected one for all, or " +
                               std::to_string(rows) + ", one for each sample");
        const pf::Matrix<T> drawn = e.model().sample_each(contexts, engine, place);
        for (Index c = 0; c < out.cols(); ++c)
          for (Index i = 0; i < out.rows(); ++i) out(i, c) = drawn(i, c);
      } else if constexpr (std::same_as<P, pf::Workspace>) {
        e.sample_into(out, engine, place, contexts);
      } else {
        e.model().sample_into(out, engine, contexts, place);
      }
    });
  });
}

/// The maps that lead from where a flow begins to its data, outermost first: those of a base that is itself a flow are
/// among them.
template <pf::Scalar T>
class FlowMaps {
 public:
  FlowMaps(const pf::Distribution<T>& model, pf::MatrixView<const T> context) {
    for (const pf::Distribution<T>* at = &model;;) {
      if (const auto* standardized = dynamic_cast<const pf::StandardizedContext<T>*>(at)) {
        pf::Matrix<T>& seen = contexts_.emplace_back(context.rows(), context.cols());
        for (Index c = 0; c < seen.cols(); ++c)
          for (Index i = 0; i < seen.rows(); ++i)
            seen(i, c) = (context(i, c) - standardized->shift()[c]) / standardized->scale()[c];
        context = seen;
        at = &standardized->inner();
      } else if (const auto* flow = dynamic_cast<const pf::TransformedDistribution<T>*>(at)) {
        maps_.push_back({&flow->bijector(), flow->bijector().context_dim() > 0 ? context : pf::MatrixView<const T>()});
        at = &flow->base();
      } else {
        return;
      }
    }
  }
  FlowMaps(const FlowMaps&) = delete;
  FlowMaps& operator=(const FlowMaps&) = delete;

  bool empty() const { return maps_.empty(); }
  Index dim() const { return maps_.front().bijector->dim(); }
  Index base_dim() const { return maps_.back().bijector->base_dim(); }

  void run(bool forward, pf::MatrixView<const T> in, pf::MatrixView<T> out, pf::VectorView<double> log_det,
           pf::Run where) const {
    pf::Matrix<T> between;
    Eigen::VectorXd part(in.rows());
    for (std::size_t k = 0; k < maps_.size(); ++k) {
      const Map& map = maps_[forward ? maps_.size() - 1 - k : k];
      const bool last = k + 1 == maps_.size();
      pf::Matrix<T> next;
      if (!last) next.resize(in.rows(), forward ? map.bijector->dim() : map.bijector->base_dim());
      const pf::MatrixView<T> to = last ? out : pf::MatrixView<T>(next);
      const pf::VectorView<double> det = k == 0 ? log_det : pf::VectorView<double>(part);
      if (forward)
        map.bijector->forward_into(in, to, det, map.context, where);
      else
        map.bijector->inverse_into(in, to, det, map.context, where);
      for (Index i = 0; k > 0 && i < part.size(); ++i) log_det[i] += part[i];
      between = std::move(next);
      in = between;
    }
  }

 private:
  struct Map {
    const pf::Bijector<T>* bijector;
    pf::MatrixView<const T> context;
  };
  std::vector<Map> maps_;
  std::deque<pf::Matrix<T>> contexts_;  // standardised ones
};

template <pf::Scalar T>
void map(bool forward, const pf_model* model, pf_workspace* workspace, const T* in, std::int64_t rows,
         std::int64_t in_stride, Context<T> context, T* out, std::int64_t out_stride, double* log_det) {
  with_model<T>(model, [&](const pf::Evaluator<T>& e) {
    const auto contexts = context.view(e.context_dim());
    if (e.context_dim() > 0 && contexts.rows() != 1 && contexts.rows() != rows)
      throw pf::ShapeError("context has " + std::to_string(contexts.rows()) + " rows; expected one for all, or " +
                           std::to_string(rows));
    const FlowMaps<T> maps(e.model(), contexts);
    if (maps.empty()) throw pf::NotImplemented(e.model().name() + " is not a base under a map");
    const Index of_x = maps.base_dim(), of_y = maps.dim();
    const auto from = rows_of(forward ? "x" : "y", in, rows, forward ? of_x : of_y, in_stride);
    const auto to = rows_of(forward ? "y" : "x", out, rows, forward ? of_y : of_x, out_stride);
    const auto log_dets = numbers_of("log_det", log_det, rows);
    with_place(workspace, [&](auto& place) { maps.run(forward, from, to, log_dets, place); });
  });
}

// --------------------------------------------------------------------------------------------------------- loading

/// load<T>() in a scalar type that is asked for, stored() in that of the file.
template <class Load, class Stored>
void load(int scalar, pf_model** model, Load load, Stored stored) {
  if (scalar != PF_AS_STORED && scalar != PF_FLOAT && scalar != PF_DOUBLE)
    throw ArgumentError("scalar is " + std::to_string(scalar) + "; expected PF_AS_STORED, PF_FLOAT or PF_DOUBLE");
  const auto make = [&]<pf::Scalar T>(pf::Model<T> loaded) {
    std::string text = pf::to_text(*loaded.distribution);
    *model = new pf_model{pf::Evaluator<T>(std::move(loaded.distribution)), std::move(loaded.info), std::move(text)};
  };
  if (scalar == PF_AS_STORED)
    std::visit(make, stored());
  else if (scalar == PF_FLOAT)
    make(load.template operator()<float>());
  else
    make(load.template operator()<double>());
}

/// f(evaluator), or nothing.
template <class R, class F>
R ask(const pf_model* model, F f) noexcept {
  return model ? static_cast<R>(std::visit(f, model->evaluator)) : R{};
}

const char* name_of(const std::vector<std::string>& names, std::int64_t column) noexcept {
  return column >= 0 && static_cast<std::uint64_t>(column) < names.size()
             ? names[static_cast<std::size_t>(column)].c_str()
             : nullptr;
}

}  // namespace

extern "C" {

const char* pf_version(void) { return PUSHFORWARD_VERSION; }

int pf_load(const char* path, int scalar, pf_model** model, char* error, size_t error_size) {
  if (model) *model = nullptr;
  return guarded("pf_load", error, error_size, [&] {
    check_given(path, "path");
    check_given(model, "model");
    load(
        scalar, model, [&]<pf::Scalar T> { return pf::load<T>(std::filesystem::path(path)); },
        [&] { return pf::load_stored(std::filesystem::path(path)); });
  });
}

int pf_load_bytes(const void* bytes, size_t size, const char* name, int scalar, pf_model** model, char* error,
                  size_t error_size) {
  if (model) *model = nullptr;
  return guarded("pf_load_bytes", error, error_size, [&] {
    check_given(bytes, "bytes");
    check_given(model, "model");
    const std::span span(static_cast<const std::byte*>(bytes), size);
    const std::string source = name ? name : "model";
    load(
        scalar, model, [&]<pf::Scalar T> { return pf::load<T>(span, source); },
        [&] { return pf::load_stored(span, source); });
  });
}

void pf_model_free(pf_model* model) { delete model; }

int64_t pf_dim(const pf_model* model) {
  return ask<int64_t>(model, [](const auto& e) { return e.dim(); });
}
int64_t pf_base_dim(const pf_model* model) {
  return ask<int64_t>(model, []<class T>(const pf::Evaluator<T>& e) {
    const FlowMaps<T> maps(e.model(), {});
    return maps.empty() ? Index{0} : maps.base_dim();
  });
}
int64_t pf_context_dim(const pf_model* model) {
  return ask<int64_t>(model, [](const auto& e) { return e.context_dim(); });
}
int pf_scalar_type(const pf_model* model) {
  return ask<int>(model, []<class T>(const pf::Evaluator<T>&) { return sizeof(T) == 8 ? PF_DOUBLE : PF_FLOAT; });
}
const char* pf_text(const pf_model* model) { return model ? model->text.c_str() : nullptr; }
const char* pf_column(const pf_model* model, int64_t column) {
  return model ? name_of(model->info.columns, column) : nullptr;
}
const char* pf_context_column(const pf_model* model, int64_t column) {
  return model ? name_of(model->info.context_columns, column) : nullptr;
}

int pf_workspace_new(int threads, pf_workspace** workspace, char* error, size_t error_size) {
  if (workspace) *workspace = nullptr;
  return guarded("pf_workspace_new", error, error_size, [&] {
    check_given(workspace, "workspace");
    auto made = std::make_unique<pf_workspace>();
    if (threads != 1) made->execution = std::make_unique<pf::Execution>(pf::ExecutionOptions{.threads = threads});
    *workspace = made.release();
  });
}

void pf_workspace_free(pf_workspace* workspace) { delete workspace; }

#define PUSHFORWARD_C_CALLS(T, SUFFIX)                                                                                 \
  int pf_log_prob##SUFFIX(const pf_model* model, pf_workspace* workspace, const T* y, int64_t rows, int64_t y_stride,  \
                          const T* context, int64_t context_rows, int64_t context_stride, double* out, char* error,    \
                          size_t error_size) {                                                                         \
    return guarded("pf_log_prob" #SUFFIX, error, error_size, [&] {                                                     \
      log_prob<T>(model, workspace, y, rows, y_stride, {context, context_rows, context_stride}, out);                  \
    });                                                                                                                \
  }                                                                                                                    \
  int pf_gradient##SUFFIX(const pf_model* model, pf_workspace* workspace, const T* y, int64_t rows, int64_t y_stride,  \
                          const T* context, int64_t context_rows, int64_t context_stride, double* out, T* by_y,        \
                          int64_t by_y_stride, T* by_context, int64_t by_context_stride, char* error,                  \
                          size_t error_size) {                                                                         \
    return guarded("pf_gradient" #SUFFIX, error, error_size, [&] {                                                     \
      gradient<T>(model, workspace, y, rows, y_stride, {context, context_rows, context_stride}, out, by_y,             \
                  by_y_stride, by_context, by_context_stride);                                                         \
    });                                                                                                                \
  }                                                                                                                    \
  int pf_sample##SUFFIX(const pf_model* model, pf_workspace* workspace, uint64_t seed, uint64_t call,                  \
                        const T* context, int64_t context_rows, int64_t context_stride, T* samples, int64_t rows,      \
                        int64_t samples_stride, char* error, size_t error_size) {                                      \
    return guarded("pf_sample" #SUFFIX, error, error_size, [&] {                                                       \
      sample<T>(model, workspace, seed, call, {context, context_rows, context_stride}, samples, rows, samples_stride); \
    });                                                                                                                \
  }                                                                                                                    \
  int pf_forward##SUFFIX(const pf_model* model, pf_workspace* workspace, const T* x, int64_t rows, int64_t x_stride,   \
                         const T* context, int64_t context_rows, int64_t context_stride, T* y, int64_t y_stride,       \
                         double* log_det, char* error, size_t error_size) {                                            \
    return guarded("pf_forward" #SUFFIX, error, error_size, [&] {                                                      \
      map<T>(true, model, workspace, x, rows, x_stride, {context, context_rows, context_stride}, y, y_stride,          \
             log_det);                                                                                                 \
    });                                                                                                                \
  }                                                                                                                    \
  int pf_inverse##SUFFIX(const pf_model* model, pf_workspace* workspace, const T* y, int64_t rows, int64_t y_stride,   \
                         const T* context, int64_t context_rows, int64_t context_stride, T* x, int64_t x_stride,       \
                         double* log_det, char* error, size_t error_size) {                                            \
    return guarded("pf_inverse" #SUFFIX, error, error_size, [&] {                                                      \
      map<T>(false, model, workspace, y, rows, y_stride, {context, context_rows, context_stride}, x, x_stride,         \
             log_det);                                                                                                 \
    });                                                                                                                \
  }
PUSHFORWARD_C_CALLS(double, )
PUSHFORWARD_C_CALLS(float, _float)
#undef PUSHFORWARD_C_CALLS
}
