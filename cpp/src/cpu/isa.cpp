#include "cpu/isa.h"

#ifdef TTSRT_CPU_ARM
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#ifdef TTSRT_CPU_X86
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
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

#ifdef TTSRT_CPU_X86
// Whether this process may use tiles of bfloat16 and of bytes. Linux has to be asked, as their
// state is large.
bool has_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  const unsigned needed = 1U << 24 | 1U << 22 | 1U << 25;  // AMX-TILE, AMX-BF16, AMX-INT8
  return (d & needed) == needed && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

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
  static const bool kHasTiles = bf16 && has_tiles();
  all.push_back({"avx512_amx", kHasTiles, kernels_avx512_amx});
#endif
#ifdef TTSRT_CPU_ARM
  const unsigned long has = getauxval(AT_HWCAP);
  all.push_back({"neon", (has & HWCAP_ASIMD) != 0, kernels_neon});
  all.push_back(
      {"neon_dot", (has & HWCAP_ASIMD) != 0 && (has & HWCAP_ASIMDDP) != 0, kernels_neon_dot});
#endif
  return all;
}

#ifdef TTSRT_CPU_X86
// avx512_bf16 as Intel's processors run it best. They start a vdpbf16ps only every second cycle,
// half as fast as two multiply-adds of widened pairs, and quantized weights have to be unpacked for
// either. bfloat16 weights stay with it, because a product of one row is faster so.
Kernels for_intel(Kernels table) {
  table.a16 = &kernels_avx512_vnni();
  return table;
}
const Kernels& kernels_intel_bf16() {
  static const Kernels kTable = for_intel(kernels_avx512_bf16());
  return kTable;
}
const Kernels& kernels_intel_amx() {
  static const Kernels kTable = for_intel(kernels_avx512_amx());
  return kTable;
}
#endif

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
  const bool is_asked = !level.empty() || forced != nullptr;
  const std::string name = !level.empty()      ? level
                           : forced != nullptr ? forced
                                               : supported_levels().back();
#ifdef TTSRT_CPU_X86
  if (!is_asked && name == "avx512_bf16" && __builtin_cpu_is("intel") != 0)
    return kernels_intel_bf16();
  if (!is_asked && name == "avx512_amx") return kernels_intel_amx();
#else
  static_cast<void>(is_asked);
#endif
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
