#include "bench/op_options.h"

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt::bench {
namespace {

constexpr double kMaxBytes = 2147483648.0;

void check_range(const char* what, std::int32_t got, std::int32_t least, std::int32_t most) {
  TTSRT_CHECK(ConfigError, got >= least && got <= most, what, ": expected ", least, " to ", most,
              ", got ", got);
}

DType dtype_of(const char* what, const std::string& name, bool has_int8) {
  for (const DType known : {DType::float32, DType::bfloat16, DType::float16}) {
    if (name == name_of(known)) return known;
  }
  if (has_int8 && name == name_of(DType::int8)) return DType::int8;
  throw ConfigError(message(what, ": expected float32, bfloat16", has_int8 ? ", float16" : "",
                            has_int8 ? " or int8" : " or float16", ", got ", in_quotes(name)));
}

}  // namespace

void check_options(const OpBenchOptions& options) {
  check_range("rows", options.rows, 1, 4096);
  check_range("outputs", options.outputs, 1, 65536);
  check_range("inputs", options.inputs, 1, 16384);
  check_range("heads", options.heads, 1, 128);
  check_range("head_dim", options.head_dim, 1, 512);
  check_range("length", options.length, 1, 8192);
  check_range("layers", options.layers, 1, 16);
  check_range("codebooks", options.codebooks, 1, 64);
  check_range("vocab", options.vocab, 2, 65536);
  weight_dtype(options);
  cache_dtype(options);
  panel_kind(options);
}

void check_bytes(const char* what, double bytes) {
  TTSRT_CHECK(ConfigError, bytes <= kMaxBytes, what, ": expected at most ", kMaxBytes / 1e9,
              " GB for one op, got ", bytes / 1e9, " GB");
}

DType weight_dtype(const OpBenchOptions& options) {
  return dtype_of("dtype", options.dtype, false);
}

PanelKind panel_kind(const OpBenchOptions& options) {
  return {weight_dtype(options),
          model::resolve_quantization(options.quantization, options.group_size)};
}

DType cache_dtype(const OpBenchOptions& options) {
  return dtype_of("cache_dtype", options.cache_dtype, true);
}

}  // namespace ttsrt::bench
