#include "cpu/isa.h"

#ifdef TTSRT_CPU_ARM
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <cstdlib>

#include "core/check.h"

namespace ttsrt::cpu {
namespace {

struct Level {
  const char* name;
  bool is_supported;
  const Kernels& (*kernels)();
};

std::vector<Level> levels() {
  std::vector<Level> all = {{"generic", true, kernels_generic}};
#ifdef TTSRT_CPU_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  const bool bf16 = vnni && __builtin_cpu_supports("avx512bf16");
  all.push_back({"avx2", avx2, kernels_avx2});
  all.push_back({"avx512", avx512, kernels_avx512});
  all.push_back({"avx512_vnni", vnni, kernels_avx512_vnni});
  all.push_back({"avx512_bf16", bf16, kernels_avx512_bf16});
#endif
#ifdef TTSRT_CPU_ARM
  const unsigned long has = getauxval(AT_HWCAP);
  all.push_back({"neon", (has & HWCAP_ASIMD) != 0, kernels_neon});
  all.push_back(
      {"neon_dot", (has & HWCAP_ASIMD) != 0 && (has & HWCAP_ASIMDDP) != 0, kernels_neon_dot});
#endif
  return all;
}

std::string known_names() {
  std::string names;
  for (const Level& level : levels())
    names += (names.empty() ? "" : ", ") + std::string(level.name);
  return names;
}

}  // namespace

std::vector<std::string> supported_levels() {
  std::vector<std::string> names;
  for (const Level& level : levels()) {
    if (level.is_supported) names.emplace_back(level.name);
  }
  return names;
}

const Kernels& choose_kernels(const std::string& level) {
  const char* forced = std::getenv("TTSRT_CPU_ISA");
  const std::string name = !level.empty()      ? level
                           : forced != nullptr ? forced
                                               : supported_levels().back();
  for (const Level& known : levels()) {
    if (name != known.name) continue;
    TTSRT_CHECK(ConfigError, known.is_supported, "TTSRT_CPU_ISA: this machine lacks \"", name,
                "\"; it runs up to \"", supported_levels().back(), "\"");
    return known.kernels();
  }
  throw ConfigError(
      message("TTSRT_CPU_ISA: unknown instruction set \"", name, "\", known: ", known_names()));
}

}  // namespace ttsrt::cpu
