// Lowering of the ops with rates (ops/rate_ops.h).
#include "core/check.h"
#include "cpu/compile.h"

namespace ttsrt::cpu {
namespace {

[[noreturn]] void refuse(const char* op) {
  throw InternalError(message("cpu backend: can't run ", op));
}

}  // namespace

void Lowering::lower(const ops::DequantizeCodes& /*op*/) { refuse("DequantizeCodes"); }

void Lowering::lower(const ops::HalfSnake& /*op*/) { refuse("HalfSnake"); }

void Lowering::lower(const ops::TimeConv& /*op*/) { refuse("TimeConv"); }

void Lowering::lower(const ops::Upsample& /*op*/) { refuse("Upsample"); }

void Lowering::lower(const ops::Clamp& /*op*/) { refuse("Clamp"); }

void Lowering::lower(const ops::SplitRows& /*op*/) { refuse("SplitRows"); }

void Lowering::lower(const ops::QuantizeRows& /*op*/) { refuse("QuantizeRows"); }

}  // namespace ttsrt::cpu
