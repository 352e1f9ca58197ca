// Bindings of ttsrt/options.h. Python reads the defaults from these classes, so that only options.h
// has them.
#include "ttsrt/options.h"

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "bindings.h"

namespace ttsrt::python {
namespace {

// The shortest double that rounds to a float: 0.1, not 0.10000000149011612.
double as_written(float value) {
  char digits[32];
  for (int precision = 1; precision < 9; ++precision) {
    std::snprintf(digits, sizeof(digits), "%.*g", precision, static_cast<double>(value));
    if (std::strtof(digits, nullptr) == value) break;
  }
  return std::strtod(digits, nullptr);
}

template <typename Class>
void def_float(py::class_<Class>& bound, const char* name, std::optional<float> Class::* field) {
  bound.def_property(
      name,
      [field](const Class& self) -> std::optional<double> {
        if (!(self.*field).has_value()) return std::nullopt;
        return as_written(*(self.*field));
      },
      [field](Class& self, std::optional<float> value) { self.*field = value; });
}

template <typename Class>
void def_float(py::class_<Class>& bound, const char* name, float Class::* field) {
  bound.def_property(
      name, [field](const Class& self) { return as_written(self.*field); },
      [field](Class& self, float value) { self.*field = value; });
}

void register_attention_prior(py::module_& module) {
  py::class_<AttentionPrior> bound(module, "AttentionPrior", "Options of the attention prior.");
  bound.def(py::init<>())
      .def_readwrite("mode", &AttentionPrior::mode)
      .def_readwrite("lookahead", &AttentionPrior::lookahead)
      .def_readwrite("left", &AttentionPrior::left)
      .def_readwrite("right", &AttentionPrior::right)
      .def_readwrite("estimate_layers", &AttentionPrior::estimate_layers)
      .def_readwrite("apply_layers", &AttentionPrior::apply_layers)
      .def_readwrite("start_step", &AttentionPrior::start_step)
      .def_readwrite("skip_after", &AttentionPrior::skip_after)
      .def_readwrite("suppress_after", &AttentionPrior::suppress_after)
      .def_readwrite("suppress", &AttentionPrior::suppress)
      .def_readwrite("short_text", &AttentionPrior::short_text)
      .def_readwrite("end_margin", &AttentionPrior::end_margin)
      .def_readwrite("count_end", &AttentionPrior::count_end)
      .def_readwrite("track_finish", &AttentionPrior::track_finish)
      .def_readwrite("unfinished_grace", &AttentionPrior::unfinished_grace)
      .def_readwrite("force_after", &AttentionPrior::force_after)
      .def_readwrite("end_after", &AttentionPrior::end_after)
      .def_readwrite("recompute", &AttentionPrior::recompute);
  def_float(bound, "epsilon", &AttentionPrior::epsilon);
}

void register_maskgit(py::module_& module) {
  py::class_<MaskGit> bound(module, "MaskGit",
                            "How a MaskGit local transformer unmasks a stack of codes.");
  bound.def(py::init<>())
      .def_readwrite("steps", &MaskGit::steps)
      .def_readwrite("schedule", &MaskGit::schedule)
      .def_readwrite("dynamic_cfg_scale", &MaskGit::dynamic_cfg_scale)
      .def_readwrite("sampling", &MaskGit::sampling);
  def_float(bound, "noise_scale", &MaskGit::noise_scale);
  def_float(bound, "confidence_temperature", &MaskGit::confidence_temperature);
}

}  // namespace

void register_options(py::module_& module) {
  register_attention_prior(module);
  register_maskgit(module);
  py::class_<ExecutorOptions>(module, "ExecutorOptions", "Options of an executor.")
      .def(py::init<>())
      .def_readwrite("device", &ExecutorOptions::device)
      .def_readwrite("num_threads", &ExecutorOptions::num_threads)
      .def_readwrite("pin_threads", &ExecutorOptions::pin_threads)
      .def_readwrite("max_batch_size", &ExecutorOptions::max_batch_size)
      .def_readwrite("max_queue_size", &ExecutorOptions::max_queue_size)
      .def_readwrite("preempt", &ExecutorOptions::preempt)
      .def_readwrite("max_paused_requests", &ExecutorOptions::max_paused_requests)
      .def_readwrite("max_num_tokens", &ExecutorOptions::max_num_tokens)
      .def_readwrite("max_tokens_in_paged_kv_cache", &ExecutorOptions::max_tokens_in_paged_kv_cache)
      .def_readwrite("prefill_slice_seconds", &ExecutorOptions::prefill_slice_seconds)
      .def_readwrite("kv_cache_dtype", &ExecutorOptions::kv_cache_dtype)
      .def_readwrite("iter_stats_max_iterations", &ExecutorOptions::iter_stats_max_iterations)
      .def_readwrite("profile", &ExecutorOptions::profile)
      .def_readwrite("trace", &ExecutorOptions::trace);
  py::class_<BuildOptions>(module, "BuildOptions", "Options of building an engine.")
      .def(py::init<>())
      .def_property(
          "dtype", [](const BuildOptions& self) { return name_of(self.dtype); },
          [](BuildOptions& self, const std::string& name) { self.dtype = dtype_from_name(name); })
      .def_readwrite("quantization", &BuildOptions::quantization)
      .def_readwrite("group_size", &BuildOptions::group_size)
      .def_readwrite("zero_points", &BuildOptions::zero_points)
      .def_readwrite("wide_heads", &BuildOptions::wide_heads)
      .def_readwrite("max_batch_size", &BuildOptions::max_batch_size)
      .def_readwrite("max_seq_len", &BuildOptions::max_seq_len)
      .def_readwrite("max_input_len", &BuildOptions::max_input_len)
      .def_readwrite("max_encoder_input_len", &BuildOptions::max_encoder_input_len)
      .def_readwrite("max_num_tokens", &BuildOptions::max_num_tokens)
      .def_readwrite("overwrite", &BuildOptions::overwrite);
}

}  // namespace ttsrt::python
