/* The C interface of pushforward: scores, samples and gradients of models that were fitted and saved elsewhere, for
 * every language that can call C. docs/c.md has programs in C, Python, Fortran, Rust and Julia.
 *
 * Results    Functions that can fail return 0 (PF_OK) or another pf_status, and write what went wrong into `error`, a
 *            buffer of `error_size` bytes of the caller's: a text in UTF-8 that ends with 0, cut where the buffer ends,
 *            empty after success. 1024 bytes hold nearly every text; NULL with size 0 asks for none. After an error the
 *            outputs hold nothing of use. Nothing is thrown.
 * Rows       A row is one event, its values stand side by side: value c of row i is `data[i * stride + c]`, strides
 *            counted in values. A stride is at least the number of columns; of a single row it is not looked at.
 *            Arrays that are contiguous by columns (Fortran's, Julia's) hold rows as their columns.
 * Context    pf_context_dim() values for each row, or one row of them for all; NULL with 0 rows where the model takes
 *            none.
 * Types      A model computes in float or in double, see pf_load. Functions that end in _float are for the former, the
 *            others for the latter; the wrong one is PF_ARGUMENT. log_prob and log_det are double for both, in nats.
 * Values     Outside the support log_prob is -infinity; a row with NaN has NaN. Neither is an error.
 * Ownership  What a function hands out through a pointer to a pointer is the caller's, to be given back to
 *            pf_model_free or pf_workspace_free. Texts belong to the model and live as long. Arrays stay the caller's:
 *            they are read or written during the call and not kept. Outputs must not overlap inputs or each other.
 * Threads    A model never changes: any number of threads may use one at the same time. A workspace serves one call at
 *            a time; a second one waits. Freeing is for one thread, when nobody uses the thing any more. There is no
 *            state besides. The same inputs give the same bits with any workspace and any number of threads. */
#ifndef PUSHFORWARD_H
#define PUSHFORWARD_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PF_API __attribute__((visibility("default")))
#else
#define PF_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Kinds of results. */
enum pf_status {
  PF_OK = 0,
  PF_ARGUMENT = 1,        /* NULL where something must be, an unknown scalar type, a function of the other type */
  PF_SHAPE = 2,           /* numbers of rows, or strides, that do not fit */
  PF_DOMAIN = 3,          /* a value outside the range where the operation is defined */
  PF_NOT_IMPLEMENTED = 4, /* what the model cannot give; the text says why */
  PF_IO = 5,              /* a file that cannot be read or is damaged */
  PF_MEMORY = 6,          /* out of memory */
  PF_ERROR = 7            /* anything else: the system refuses a thread, a pool is used after a fork */
};

/* Scalar types by their size in bytes. */
enum pf_scalar {
  PF_AS_STORED = 0,
  PF_FLOAT = 4,
  PF_DOUBLE = 8
};

typedef struct pf_model pf_model;
typedef struct pf_workspace pf_workspace;

/* "0.2.0". */
PF_API const char* pf_version(void);

/* Reads a model file, checks it with the reference rows that it brings, and makes it ready for single rows. `scalar` is
 * a pf_scalar: the type in which the model shall compute. Files are untrusted input.
 * Errors: PF_IO names the file and what is wrong with it. */
PF_API int pf_load(const char* path, int scalar, pf_model** model, char* error, size_t error_size);
/* The same from memory, which is not needed afterwards. `name` stands for the file in errors; NULL: "model". */
PF_API int pf_load_bytes(const void* bytes, size_t size, const char* name, int scalar, pf_model** model, char* error,
                         size_t error_size);
/* NULL is let go. */
PF_API void pf_model_free(pf_model* model);

/* What a model is; 0 or NULL for a model that is NULL. */
PF_API int64_t pf_dim(const pf_model* model);         /* columns of data */
PF_API int64_t pf_base_dim(const pf_model* model);    /* columns of pf_forward's x; 0 where there is no such map */
PF_API int64_t pf_context_dim(const pf_model* model); /* columns of context, 0 for none */
PF_API int pf_scalar_type(const pf_model* model);     /* PF_FLOAT or PF_DOUBLE: the type in which it computes */
/* The tree of its parts, a line for each, with constants and numbers of parameters. */
PF_API const char* pf_text(const pf_model* model);
/* The name of a column of data or of context; NULL where the file has none or there is no such column. */
PF_API const char* pf_column(const pf_model* model, int64_t column);
PF_API const char* pf_context_column(const pf_model* model, int64_t column);

/* Memory, and threads beyond one, that calls run in. Every call takes one or NULL. With NULL it runs on the calling
 * thread and takes its memory from the heap. With one of a single thread, pf_log_prob does not touch the heap once it is
 * warm, nor does pf_sample but with a context of its own for each row: for single rows give each thread its own. With
 * `threads` > 1, 1024 at most, the rows of a call are shared out; such a workspace is not for a child process after a
 * fork.
 * Errors: PF_DOMAIN for another number of threads. */
PF_API int pf_workspace_new(int threads, pf_workspace** workspace, char* error, size_t error_size);
/* NULL is let go. */
PF_API void pf_workspace_free(pf_workspace* workspace);

/* log_prob[i] of each row of y, (rows, dim).
 * Errors: PF_SHAPE; PF_ERROR for a density that is itself drawn. */
PF_API int pf_log_prob(const pf_model* model, pf_workspace* workspace, const double* y, int64_t rows, int64_t y_stride,
                       const double* context, int64_t context_rows, int64_t context_stride, double* log_prob,
                       char* error, size_t error_size);
PF_API int pf_log_prob_float(const pf_model* model, pf_workspace* workspace, const float* y, int64_t rows,
                             int64_t y_stride, const float* context, int64_t context_rows, int64_t context_stride,
                             double* log_prob, char* error, size_t error_size);

/* log_prob, its derivatives by y into `gradient`, (rows, dim), and those by the context into `context_gradient`,
 * (rows, context_dim) also where one row of context serves all; NULL where these are not wanted. */
PF_API int pf_gradient(const pf_model* model, pf_workspace* workspace, const double* y, int64_t rows, int64_t y_stride,
                       const double* context, int64_t context_rows, int64_t context_stride, double* log_prob,
                       double* gradient, int64_t gradient_stride, double* context_gradient,
                       int64_t context_gradient_stride, char* error, size_t error_size);
PF_API int pf_gradient_float(const pf_model* model, pf_workspace* workspace, const float* y, int64_t rows,
                             int64_t y_stride, const float* context, int64_t context_rows, int64_t context_stride,
                             double* log_prob, float* gradient, int64_t gradient_stride, float* context_gradient,
                             int64_t context_gradient_stride, char* error, size_t error_size);

/* Draws (rows, dim) into `samples`: with one row of context all given it, with `rows` of them each given its own. Row i
 * depends on seed, call, i and its context alone: for further draws of one seed count `call` up from 0.
 * Errors: PF_SHAPE, PF_NOT_IMPLEMENTED for a density that has no sampler. */
PF_API int pf_sample(const pf_model* model, pf_workspace* workspace, uint64_t seed, uint64_t call,
                     const double* context, int64_t context_rows, int64_t context_stride, double* samples,
                     int64_t rows, int64_t samples_stride, char* error, size_t error_size);
PF_API int pf_sample_float(const pf_model* model, pf_workspace* workspace, uint64_t seed, uint64_t call,
                           const float* context, int64_t context_rows, int64_t context_stride, float* samples,
                           int64_t rows, int64_t samples_stride, char* error, size_t error_size);

/* The map of a flow, from the base side x, (rows, base_dim), where all its parts begin, to the data side y,
 * (rows, dim), and back, with the log|det| of the map just applied.
 * Errors: PF_DOMAIN naming the first row outside the domain; PF_NOT_IMPLEMENTED for a model that is no base under a
 * map (a mixture, counts), or whose map has no such direction. */
PF_API int pf_forward(const pf_model* model, pf_workspace* workspace, const double* x, int64_t rows, int64_t x_stride,
                      const double* context, int64_t context_rows, int64_t context_stride, double* y, int64_t y_stride,
                      double* log_det, char* error, size_t error_size);
PF_API int pf_forward_float(const pf_model* model, pf_workspace* workspace, const float* x, int64_t rows,
                            int64_t x_stride, const float* context, int64_t context_rows, int64_t context_stride,
                            float* y, int64_t y_stride, double* log_det, char* error, size_t error_size);
PF_API int pf_inverse(const pf_model* model, pf_workspace* workspace, const double* y, int64_t rows, int64_t y_stride,
                      const double* context, int64_t context_rows, int64_t context_stride, double* x, int64_t x_stride,
                      double* log_det, char* error, size_t error_size);
PF_API int pf_inverse_float(const pf_model* model, pf_workspace* workspace, const float* y, int64_t rows,
                            int64_t y_stride, const float* context, int64_t context_rows, int64_t context_stride,
                            float* x, int64_t x_stride, double* log_det, char* error, size_t error_size);

#ifdef __cplusplus
}
#endif

#endif
