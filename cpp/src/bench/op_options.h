// Checks the options of op benchmarks.
#pragma once

#include "bench/op_case.h"
#include "ttsrt/bench.h"
#include "ttsrt/tensor.h"

namespace ttsrt::bench {

// Throws ConfigError if a field is out of range or a name is unknown. It does not check the family.
void check_options(const OpBenchOptions& options);

// Throws ConfigError if `bytes` is more than a benchmark may use.
void check_bytes(const char* what, double bytes);

// Return the types of names that check_options accepted.
DType weight_dtype(const OpBenchOptions& options);
PanelKind panel_kind(const OpBenchOptions& options);
DType cache_dtype(const OpBenchOptions& options);

}  // namespace ttsrt::bench
