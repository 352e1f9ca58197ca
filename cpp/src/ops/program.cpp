#include "ops/program.h"

#include <iterator>
#include <variant>

namespace ttsrt::ops {
namespace {

// In the order of Op.
constexpr const char* kOpNames[] = {
    "EmbedRows",        "Norm",          "Linear",       "Gate",
    "Unfold",           "SelfAttention", "StoreMemory",  "CrossAttention",
    "StoreContext",     "ClearScores",   "UpdatePrior",  "SampleCodes",
    "PickCodes",        "FinishStep",    "ShiftBlock",   "GuessBlock",
    "FinishBlock",      "LoadRows",      "SaveRows",     "StoreSchedule",
    "ModulatedNorm",    "AddModulated",  "ClearFiller",  "StretchText",
    "DepthwiseConv",    "GroupedConv",   "ResponseNorm", "FlowStep",
    "PolarSpectrum",    "OverlapAdd",    "EmitRows",     "DequantizeCodes",
    "HalfSnake",        "TimeConv",      "Upsample",     "Clamp",
    "SplitRows",        "QuantizeRows",  "ShiftRows",    "FadeIn",
    "HarmonicSource",   "JoinColumns",   "ActivateRows", "DistanceRows",
    "RelativeAttention"};
static_assert(std::size(kOpNames) == std::variant_size_v<Op>);

}  // namespace

const char* name_of(const Op& op) { return kOpNames[op.index()]; }

}  // namespace ttsrt::ops
