#include "decode/maskgit_schedule.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/quote.h"
#include "decode/options_check.h"

namespace ttsrt::decode {
namespace {

using rules::kMaxMaskGitSteps;
using rules::MaskGitSampling;

MaskGitSampling parse_sampling(const std::string& name) {
  if (name == "default") return MaskGitSampling::standard;
  if (name == "causal") return MaskGitSampling::causal;
  if (name == "purity_default") return MaskGitSampling::purity;
  if (name == "purity_causal") return MaskGitSampling::purity_causal;
  throw ConfigError(
      message("maskgit.sampling: expected default, causal, purity_default or purity_causal, got ",
              in_quotes(name)));
}

}  // namespace

rules::MaskGitRules compile_maskgit(const MaskGit& options, std::int32_t codes) {
  rules::MaskGitRules rules;
  const bool has_schedule = !options.schedule.empty();
  TTSRT_CHECK(ConfigError, options.schedule.size() <= kMaxMaskGitSteps,
              "maskgit.schedule: expected at most ", kMaxMaskGitSteps, " passes, got ",
              options.schedule.size());
  rules.steps = has_schedule ? static_cast<std::int32_t>(options.schedule.size())
                             : checked_int("maskgit.steps", options.steps, 1, kMaxMaskGitSteps);
  rules.noise_scale = checked_float("maskgit.noise_scale", options.noise_scale, 0.0F, 4.0F);
  rules.dynamic_cfg_scale = options.dynamic_cfg_scale;
  TTSRT_CHECK(ConfigError, !rules.dynamic_cfg_scale || rules.steps > 1,
              "maskgit.dynamic_cfg_scale: needs at least 2 passes");
  rules.sampling = parse_sampling(options.sampling);
  const bool is_linear =
      rules.sampling == MaskGitSampling::causal || rules.sampling == MaskGitSampling::purity_causal;
  for (std::int32_t pass = 0; pass < rules.steps; ++pass) {
    if (has_schedule) {
      rules.num_unmasked[pass] = checked_int(
          "maskgit.schedule", options.schedule[static_cast<std::size_t>(pass)], 0, codes);
      continue;
    }
    // In float32 like torch.cos in the original, so that the ceiling gives the same integer.
    const double progress = static_cast<double>(pass) / rules.steps;
    const float masked =
        is_linear ? static_cast<float>(1.0 - progress)
                  : std::cos(static_cast<float>(progress) * static_cast<float>(M_PI) * 0.5F);
    rules.num_unmasked[pass] =
        codes - static_cast<std::int32_t>(std::ceil(static_cast<float>(codes) * masked));
  }
  return rules;
}

}  // namespace ttsrt::decode
