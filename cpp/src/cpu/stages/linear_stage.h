// Linear on the CPU: inputs packed into tiles (normalised on the way where a Norm stands
// before), then the product.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cpu/stages/stage.h"
#include "ops/program.h"

namespace ttsrt::cpu {

struct LinearPlan {
  const char* owner = "";  // begins the stage's label: "local: "
  Rows x;
  Rows out;
  const std::int32_t* rows = nullptr;  // how many, at run time
  std::int32_t max_rows = 0;
  const ops::Weight* weight = nullptr;  // [N, K] panel16
  const float* bias = nullptr;          // [N] or null
  NormArgs norm = {};                   // of x before the product; no weight: x as it is
  Activation activation = Activation::none;
  bool accumulate = false;
  Rows addend;  // no data: none
};

// Bytes that packed inputs of a plan take; one buffer serves all Linears of a Program.
std::size_t packed_bytes(const Kernels& kernels, const LinearPlan& plan);

// How weights of a dtype and quantization are multiplied, for people.
std::string describe_products(const Kernels& kernels, DType dtype, ops::Quantization quantization);

// Adds the stages of a Linear. `packed` is read when the stages run, so that it may be allocated
// after all are planned.
void add_linear(const Site& site, const LinearPlan& plan, std::uint32_t* const* packed,
                std::vector<std::unique_ptr<Stage>>& stages);

}  // namespace ttsrt::cpu
