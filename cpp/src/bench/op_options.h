// What a benchmark of an op may ask for.
#pragma once

#include "bench/op_case.h"
#include "ttsrt/bench.h"
#include "ttsrt/tensor.h"

namespace ttsrt::bench {

// Throws ConfigError for a field that is out of range or an unknown name; the family is looked up
// elsewhere.
void check_options(const OpBenchOptions& options);

// Throws ConfigError where so many bytes are more than a benchmark may take.
void check_bytes(const char* what, double bytes);

// Types of names that check_options has seen.
DType weight_dtype(const OpBenchOptions& options);
PanelKind panel_kind(const OpBenchOptions& options);
DType cache_dtype(const OpBenchOptions& options);

}  // namespace ttsrt::bench
