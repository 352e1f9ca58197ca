#include "tensorrt/plan_options.h"

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt {

void tensorrt::check_plan_options(const PlanOptions& options) {
  TTSRT_CHECK(ConfigError,
              options.tensorrt == 0 || options.tensorrt == 8 || options.tensorrt == 10 ||
                  options.tensorrt == 11,
              "tensorrt: expected the major version 8, 10 or 11, or 0, got ", options.tensorrt);
  TTSRT_CHECK(ConfigError, options.builder_opt >= 0 && options.builder_opt <= 5,
              "builder_opt: expected 0 to 5, got ", options.builder_opt);
  TTSRT_CHECK(ConfigError, options.opt_num_tokens >= 0, "opt_num_tokens: expected 0 (", kUsualRows,
              ") or more, got ", options.opt_num_tokens);
  TTSRT_CHECK(ConfigError, options.products == "matrix" || options.products == "convolution",
              "products: expected \"matrix\" or \"convolution\", got ",
              in_quotes(options.products));
  TTSRT_CHECK(ConfigError, options.workspace_mib >= 0,
              "workspace_mib: expected 0 (no limit) or more, got ", options.workspace_mib);
}

}  // namespace ttsrt
