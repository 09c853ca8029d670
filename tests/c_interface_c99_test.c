/* Every function of pushforward.h from C99: c_interface_c99_test <nsf_context.safetensors>. What the numbers are is for
 * c_interface_test; here they must fit each other. */
#include <math.h>
#include <pushforward.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 5
#define DIM 3
#define CONTEXT 2

static int failures = 0;
static char error[1024];

static void check(int holds, const char* what) {
  if (holds) return;
  printf("failed: %s (%s)\n", what, error);
  ++failures;
}
#define CHECK(condition) check(condition, #condition)

static void check_double(const pf_model* model, pf_workspace* workspace) {
  static const double context[CONTEXT] = {0.5, -1};
  double y[ROWS][DIM], again[ROWS][DIM], x[ROWS][DIM], gradient[ROWS][DIM], by_context[ROWS][CONTEXT];
  double log_prob[ROWS], same[ROWS], log_det[ROWS], back[ROWS], moved[ROWS];
  const double step = 1e-6;
  int i, c;

  CHECK(pf_sample(model, workspace, 7, 0, context, 1, CONTEXT, y[0], ROWS, DIM, error, sizeof error) == PF_OK);
  CHECK(pf_sample(model, workspace, 7, 1, context, 1, CONTEXT, again[0], ROWS, DIM, error, sizeof error) == PF_OK);
  CHECK(memcmp(y, again, sizeof y) != 0);
  CHECK(pf_sample(model, NULL, 7, 0, context, 1, CONTEXT, again[0], ROWS, DIM, error, sizeof error) == PF_OK);
  CHECK(memcmp(y, again, sizeof y) == 0);

  CHECK(pf_log_prob(model, workspace, y[0], ROWS, DIM, context, 1, CONTEXT, log_prob, error, sizeof error) == PF_OK);
  CHECK(pf_gradient(model, workspace, y[0], ROWS, DIM, context, 1, CONTEXT, same, gradient[0], DIM, by_context[0],
                    CONTEXT, error, sizeof error) == PF_OK);
  CHECK(memcmp(log_prob, same, sizeof same) == 0);
  for (c = 0; c < DIM; ++c) {
    memcpy(again, y, sizeof y);
    for (i = 0; i < ROWS; ++i) again[i][c] += step;
    CHECK(pf_log_prob(model, workspace, again[0], ROWS, DIM, context, 1, CONTEXT, moved, error, sizeof error) == PF_OK);
    for (i = 0; i < ROWS; ++i)
      CHECK(fabs((moved[i] - log_prob[i]) / step - gradient[i][c]) < 1e-3 * (1 + fabs(gradient[i][c])));
  }
  for (c = 0; c < CONTEXT; ++c) {
    double other[CONTEXT];
    memcpy(other, context, sizeof other);
    other[c] += step;
    CHECK(pf_log_prob(model, workspace, y[0], ROWS, DIM, other, 1, CONTEXT, moved, error, sizeof error) == PF_OK);
    for (i = 0; i < ROWS; ++i)
      CHECK(fabs((moved[i] - log_prob[i]) / step - by_context[i][c]) < 1e-3 * (1 + fabs(by_context[i][c])));
  }

  CHECK(pf_inverse(model, workspace, y[0], ROWS, DIM, context, 1, CONTEXT, x[0], DIM, log_det, error, sizeof error) ==
        PF_OK);
  CHECK(pf_forward(model, workspace, x[0], ROWS, DIM, context, 1, CONTEXT, again[0], DIM, back, error, sizeof error) ==
        PF_OK);
  for (i = 0; i < ROWS; ++i) {
    CHECK(fabs(log_det[i] + back[i]) < 1e-9);
    for (c = 0; c < DIM; ++c) CHECK(fabs(again[i][c] - y[i][c]) < 1e-9);
  }
}

static void check_float(const pf_model* model) {
  static const float context[CONTEXT] = {0.5f, -1};
  float y[ROWS][DIM], x[ROWS][DIM], again[ROWS][DIM], gradient[ROWS][DIM], by_context[ROWS][CONTEXT];
  double log_prob[ROWS], same[ROWS], log_det[ROWS], back[ROWS];
  int i;
  CHECK(pf_sample_float(model, NULL, 7, 0, context, 1, CONTEXT, y[0], ROWS, DIM, error, sizeof error) == PF_OK);
  CHECK(pf_log_prob_float(model, NULL, y[0], ROWS, DIM, context, 1, CONTEXT, log_prob, error, sizeof error) == PF_OK);
  CHECK(pf_gradient_float(model, NULL, y[0], ROWS, DIM, context, 1, CONTEXT, same, gradient[0], DIM, by_context[0],
                          CONTEXT, error, sizeof error) == PF_OK);
  CHECK(memcmp(log_prob, same, sizeof same) == 0);
  CHECK(pf_inverse_float(model, NULL, y[0], ROWS, DIM, context, 1, CONTEXT, x[0], DIM, log_det, error, sizeof error) ==
        PF_OK);
  CHECK(pf_forward_float(model, NULL, x[0], ROWS, DIM, context, 1, CONTEXT, again[0], DIM, back, error, sizeof error) ==
        PF_OK);
  for (i = 0; i < ROWS; ++i) CHECK(fabs(log_det[i] + back[i]) < 1e-3);
}

int main(int argc, char** argv) {
  pf_model* model = NULL;
  pf_workspace *one = NULL, *two = NULL;
  char* bytes = NULL;
  long size = 0;
  FILE* file;
  if (argc != 2) {
    fprintf(stderr, "usage: c_interface_c99_test <model>\n");
    return 2;
  }
  CHECK(strlen(pf_version()) >= 5);

  CHECK(pf_load("no such file", PF_AS_STORED, &model, error, sizeof error) == PF_IO);
  CHECK(model == NULL && strstr(error, "no such file") != NULL);
  CHECK(pf_load(argv[1], PF_AS_STORED, &model, error, sizeof error) == PF_OK);
  if (model == NULL) return 1;
  CHECK(error[0] == '\0');
  CHECK(pf_dim(model) == DIM);
  CHECK(pf_base_dim(model) == DIM);
  CHECK(pf_context_dim(model) == CONTEXT);
  CHECK(pf_scalar_type(model) == PF_DOUBLE);
  CHECK(strstr(pf_text(model), "transformed_distribution") != NULL);
  CHECK(pf_column(model, 0) == NULL && pf_context_column(model, 0) == NULL);
  CHECK(pf_workspace_new(1, &one, error, sizeof error) == PF_OK);
  CHECK(pf_workspace_new(-1, &two, NULL, 0) == PF_DOMAIN && two == NULL);
  CHECK(pf_workspace_new(2, &two, error, sizeof error) == PF_OK);
  check_double(model, one);
  check_double(model, two);
  check_double(model, NULL);
  CHECK(pf_log_prob(model, NULL, NULL, 1, DIM, NULL, 0, 0, NULL, error, sizeof error) == PF_ARGUMENT);
  pf_model_free(model);

  file = fopen(argv[1], "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) <= 0) return 1;
  rewind(file);
  bytes = malloc((size_t)size);
  if (bytes == NULL || fread(bytes, 1, (size_t)size, file) != (size_t)size) return 1;
  fclose(file);
  CHECK(pf_load_bytes(bytes, (size_t)size / 2, "half", PF_FLOAT, &model, error, sizeof error) == PF_IO);
  CHECK(strstr(error, "half") != NULL);
  CHECK(pf_load_bytes(bytes, (size_t)size, NULL, PF_FLOAT, &model, error, sizeof error) == PF_OK);
  free(bytes);
  CHECK(pf_scalar_type(model) == PF_FLOAT);
  check_float(model);
  pf_model_free(model);
  pf_workspace_free(one);
  pf_workspace_free(two);
  if (failures == 0) puts("all checks passed");
  return failures != 0;
}
