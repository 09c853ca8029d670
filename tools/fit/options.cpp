// The command and its options.

#include <limits>
#include <memory>

#include "tools/fit/settings.hpp"

namespace tool {

using namespace fitting;

void add_fit(CLI::App& app) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const CLI::Validator positive = number("above 0", 0, infinity, true, true),
                       not_negative = number("of at least 0", 0, infinity, false, true),
                       positive_or_infinite = number("above 0, or inf", 0, infinity, true, false);
  const CLI::Validator from_one = whole_number(1, 1'000'000'000), from_zero = whole_number(0, 1'000'000'000);
  auto s = std::make_shared<Settings>();
  CLI::App* sub = app.add_subcommand("fit", "Fit a density to the rows of a table.");
  sub->add_option("data", s->data, "Data file; -: CSV from standard input")
      ->required()
      ->check(file_name())
      ->option_text("FILE");
  sub->add_option("-o,--out", s->out, "Model file to write")
      ->required()
      ->check(file_name())
      ->option_text("FILE (required)");

  const std::string columns = "Columns";
  add_list(*sub, "--columns", s->columns, "Data columns a,b,c (default: all others)")
      ->group(columns)
      ->option_text("A,B,...");
  add_list(*sub, "--drop", s->drop, "Columns to leave out, a,b,c")->group(columns)->option_text("A,B,...");
  add_list(*sub, "--context", s->context, "Columns that the density is conditional on, c1,c2")
      ->group(columns)
      ->option_text("A,B,...");
  sub->add_option("--weights", s->weights, "Column with the weights of the rows")
      ->group(columns)
      ->option_text("COLUMN");
  add_list(*sub, "--bounds", s->bounds,
           "Where a column's values lie: x=0:1, x=0: (positive), x=:5, angle=circle:0:360 (both ends are one); repeatable")
      ->group(columns)
      ->option_text("COLUMN=LOW:HIGH");
  add_list(*sub, "--simplex", s->simplex, "Columns that are shares: above 0, and 1 together; repeatable")
      ->group(columns)
      ->option_text("A,B,...");
  add_list(*sub, "--ordered", s->ordered, "Columns whose values increase from one to the next; repeatable")
      ->group(columns)
      ->option_text("A,B,...");
  add_list(*sub, "--sphere", s->sphere, "Columns that are a direction: their squares add up to 1; repeatable")
      ->group(columns)
      ->option_text("A,B,...");
  sub->add_option("--missing", s->missing, "Empty fields, NA, NaN, null, ?: error, or drop for leaving such rows out")
      ->check(one_of({"error", "drop"}))
      ->group(columns)
      ->option_text("error|drop");
  sub->add_option("--array", s->array, "Array of a .npz file")->group(columns)->option_text("NAME");
  add_text_options(*sub, s->text, "Text");

  const std::string model = "Model";
  std::vector<std::string> names;
  for (const pf::FlowPreset& preset : pf::flow_presets()) names.emplace_back(preset.name);
  const std::string flows = joined(names);
  names.push_back("gaussian");
  names.push_back("auto");
  sub->add_option("--model", s->model,
                  "auto: the best of several on rows that they have not seen; or " + flows +
                      ", gaussian (full covariance)")
      ->check(one_of(names))
      ->group(model)
      ->option_text("NAME (auto)");
  sub->add_option("--budget", s->budget, "Steps (of all candidates of auto together), or a time: 90s, 10m, 1h; else a single flow has --epochs")
      ->group(model)
      ->option_text("N (by the rows)");
  sub->add_option("--folds", s->folds,
                  "Judge by so many parts of the rows, each by models of the others, and fit to all; 1: by --validation "
                  "(auto: 5 below 2,000 rows, else 1)")
      ->transform(whole_number(1, 100))
      ->group(model)
      ->option_text("K");
  sub->add_option("--ensemble", s->ensemble, "A mixture of so many fits of the flow, or of auto's choice: better on few rows, and slower")
      ->transform(whole_number(1, 1000))
      ->group(model)
      ->option_text("N (1)");
  sub->add_option("--layers", s->layers,
                  "Layers (default: " +
                      by_preset([](const pf::FlowPreset& p) { return std::to_string(p.layers); }) + ")")
      ->transform(whole_number(1, 1000))
      ->group(model)
      ->option_text("N");
  sub->add_option("--hidden", s->hidden,
                  "Equal widths of the hidden layers of a conditioner (default: " +
                      by_preset([](const pf::FlowPreset& p) {
                        return p.residual      ? std::to_string(p.hidden)
                               : p.blocks == 1 ? fmt::format("{0},{0}", p.hidden)
                                               : fmt::format("{} times {}", p.blocks + 1, p.hidden);
                      }) + ")")
      ->group(model)
      ->option_text("N,N,...");
  sub->add_flag("--residual", s->residual, "Residual conditioners (nsf, nsf_ar: always)")->group(model);
  sub->add_option("--blocks", s->blocks, "Residual blocks of two layers")
      ->transform(whole_number(1, 1000))
      ->group(model)
      ->option_text("N (2)");
  sub->add_option("--bins", s->bins, "nsf, nsf_ar: bins of a spline")
      ->transform(whole_number(2, 64))
      ->group(model)
      ->option_text("N (8)");
  sub->add_option("--bound", s->bound, "nsf, nsf_ar: splines act between -B and B, in standardised units")
      ->check(positive)
      ->group(model)
      ->option_text("B (3)");
  sub->add_option("--scale-bound", s->scale_bound, "Affine flows: |log scale| of a layer stays below it")
      ->check(positive_or_infinite)
      ->group(model)
      ->option_text("B (5)");
  sub->add_option("--tail", s->tail,
                  "Affine flows: beyond it, in units of the base, a layer hardly throws a row out further; inf: it may "
                  "(default: " +
                      by_preset([](const pf::FlowPreset& p) {
                        return p.splines ? std::string() : fmt::format("{}", p.tail);
                      }) + ")")
      ->check(positive_or_infinite)
      ->group(model)
      ->option_text("B");
  sub->add_option("--input-bound", s->input_bound,
                  "Conditioners see columns and context, standardised, bounded by it; inf: as they are (default: " +
                      by_preset([](const pf::FlowPreset& p) { return fmt::format("{}", p.input_bound); }) + ")")
      ->check(positive_or_infinite)
      ->group(model)
      ->option_text("B");
  sub->add_option("--activation", s->activation,
                  "relu, leaky_relu, elu, gelu, silu, tanh, sigmoid, softplus (default: " +
                      by_preset([](const pf::FlowPreset& p) { return pf::activation_name(p.activation); }) + ")")
      ->check(one_of({"relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "softplus", "identity"}))
      ->group(model)
      ->option_text("NAME");
  sub->add_option(
         "--mixing", s->mixing,
         "Between layers: none, reverse, permutation, lu (default: " +
             by_preset([](const pf::FlowPreset& p) { return std::string(name_of(p.mixing, mixings)); }) + ")")
      ->check(one_of(words_of(mixings)))
      ->group(model)
      ->option_text("NAME");
  sub->add_option("--base", s->base,
                  "What a flow starts from: normal, student_t (heavy tails, learned), logistic (default: auto looks at the "
                  "tails; " +
                      by_preset([](const pf::FlowPreset& p) { return std::string(name_of(p.base, bases)); }) + ")")
      ->check(one_of(words_of(bases)))
      ->group(model)
      ->option_text("NAME");
  sub->add_flag("--batch-norm", s->batch_norm, "Batch normalisation between layers")->group(model);
  sub->add_flag("--act-norm", s->act_norm, "ActNorm before each layer")->group(model);
  sub->add_option("--dropout", s->dropout, "In the conditioners")
      ->check(number("from 0 to 0.99", 0, 0.99, false, false))
      ->group(model)
      ->option_text(fmt::format("P ({})", s->dropout));
  sub->add_option("--standardize", s->standardize, "Of data and context: mean_std, median_iqr, none")
      ->check(one_of(words_of(standardizations)))
      ->group(model)
      ->option_text(fmt::format("NAME ({})", s->standardize));
  sub->add_option("--precision", s->precision, "double or float")
      ->check(one_of({"float", "double"}))
      ->group(model)
      ->option_text("NAME (auto: float, else double)");

  const std::string training = "Training";
  sub->add_option("--epochs", s->training.epochs, "At most")
      ->transform(from_one)
      ->group(training)
      ->option_text(fmt::format("N ({})", s->training.epochs));
  sub->add_option("--batch", s->training.batch_size, "Rows of a step")
      ->transform(from_one)
      ->group(training)
      ->option_text(fmt::format("N ({})", s->training.batch_size));
  sub->add_option("--lr", s->training.learning_rate, "Learning rate of Adam")
      ->check(positive)
      ->group(training)
      ->option_text(fmt::format("X ({})", s->training.learning_rate));
  sub->add_option("--schedule", s->schedule, "Of the learning rate: constant, cosine, plateau")
      ->check(one_of({std::begin(schedules), std::end(schedules)}))
      ->group(training)
      ->option_text(fmt::format("NAME ({})", s->schedule));
  sub->add_option("--weight-decay", s->training.weight_decay, "Decoupled (AdamW)")
      ->check(not_negative)
      ->group(training)
      ->option_text(fmt::format("X ({})", s->training.weight_decay));
  sub->add_option("--clip", s->training.clip_norm, "Largest norm of a gradient; 0: any")
      ->check(not_negative)
      ->group(training)
      ->option_text(fmt::format("X ({})", s->training.clip_norm));
  sub->add_option("--validation", s->training.validation_fraction,
                  "Share of the rows that chooses the best epoch; 0: none")
      ->check(number("from 0 to 0.9", 0, 0.9, false, false))
      ->group(training)
      ->option_text(fmt::format("P ({})", s->training.validation_fraction));
  sub->add_option("--patience", s->training.patience, "Epochs without improvement before it stops; 0: never")
      ->transform(from_zero)
      ->group(training)
      ->option_text(fmt::format("N ({})", s->training.patience));
  CLI::Option* dequantize =
      sub->add_flag("--dequantize", s->dequantize,
                    "Columns whose values repeat on a grid (counts, rounded numbers): masses of cells, not densities")
          ->group(training);
  sub->add_flag("--no-dequantize", s->no_dequantize, "Densities there too; auto takes masses by itself")
      ->group(training)
      ->excludes(dequantize);
  sub->add_option("--seed", s->training.seed, "Of weights, split and order; the same seed gives the same model")
      ->transform(seed_number())
      ->group(training)
      ->option_text(fmt::format("N ({})", s->training.seed));
  sub->add_option("--threads", s->threads, "Threads (default: all); the model does not depend on it")
      ->transform(whole_number(1, 1024))
      ->group(training)
      ->option_text("N");
  sub->add_option("--shards", s->shards,
                  "Parts of a batch, whose gradients are summed in one order: the same model by 1, 2, 4, ... processes of mpirun "
                  "(default: as many as processes)")
      ->transform(whole_number(1, 4096))
      ->group(training)
      ->option_text("N");
  sub->add_flag("--sync-batch-norm", s->training.synchronized_statistics,
                "With mpirun, a shard for each process: --batch-norm sees the whole batch, not its shard")
      ->group(training);
  sub->add_option("--checkpoint", s->checkpoint, "File to continue from after an interruption")
      ->check(file_name())
      ->group(training)
      ->option_text("FILE");
  sub->add_flag("--resume", s->training.resume,
                "Continue from the checkpoint if there is one (default file: OUT.checkpoint, removed at the end)")
      ->group(training);
  sub->add_option("--memory", s->memory, "For the rows; what takes more is kept in a file, and shuffled by blocks: 4G")
      ->transform(CLI::AsSizeValue(false))
      ->group(training)
      ->option_text("SIZE (half)");
  sub->add_option("--scratch", s->scratch, "Folder of that file, which has no name and goes with the process")
      ->check(CLI::ExistingDirectory)
      ->group(training)
      ->option_text("DIR (that of --out)");
  sub->add_option("--log", s->log, "A line of JSON for each epoch, as it ends; continued with --resume")
      ->check(file_name())
      ->group(training)
      ->option_text("FILE");
  CLI::Option* json = sub->add_flag("--json", s->json, "Print the result as JSON");
  sub->add_flag("--quiet", s->quiet, "Print nothing but warnings and errors")->excludes(json);
  sub->footer("On a terminal a line shows the progress; Ctrl-C stops at the next step and keeps the best model so far.");
  sub->callback([s, sub] {
    refuse_repeated(*sub);
    for (const CLI::Option* option : sub->get_options())
      if (option->count() > 0) s->given.push_back(option->get_name());
    run(*s);
  });
}

}  // namespace tool
