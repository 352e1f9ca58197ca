// Linear on the CPU: inputs are packed into tiles (and normalised, if a Norm is fused into the
// packing), and then multiplied.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cpu/stages/stage.h"
#include "ops/program.h"

namespace ttsrt::cpu {

// A norm of rows that takes its weights from the schedule of each row.
struct Modulation {
  std::int64_t width = 0;  // 0: there is none
  std::int64_t scale = 0;
  std::int64_t shift = 0;
  float epsilon = 0.0F;

  // The arguments of a row whose schedule's row is `columns`.
  NormArgs args(const float* columns) const {
    return {columns + scale, columns + shift, width, epsilon, true, true};
  }
};

struct LinearSpec {
  const char* owner = "";  // prefix of the stage's label: "local: "
  Rows x;
  Rows out;
  const std::int32_t* rows = nullptr;  // number of rows, read at run time
  std::int32_t max_rows = 0;
  const ops::Weight* weight = nullptr;  // [N, K] panel16
  const float* bias = nullptr;          // [N] or null
  NormArgs norm = {};                   // norm of x before the product; without a weight: none
  Modulation modulation;                // or a norm whose weights each row's schedule has
  std::int64_t factor = -1;  // column of the schedule by which outputs are multiplied; -1: none
  Activation activation = Activation::none;
  bool accumulate = false;
  Rows addend;                  // without data: none
  bool leaves_settled = false;  // rows that nobody needs (Launch::needed_rows) aren't written
};

// Of these rows, those that a Linear computes.
inline Range needed_rows(const Site& site, const LinearSpec& plan, const Range& rows) {
  return plan.leaves_settled ? site.launch->needed_rows(rows) : rows;
}

// Returns the bytes of the packed inputs; one buffer serves all Linears of a Program.
std::size_t packed_bytes(const Kernels& kernels, const LinearSpec& plan);

// Describes how weights of a dtype and quantization are multiplied, for people.
std::string describe_products(const Kernels& kernels, DType dtype, ops::Quantization quantization);

// Adds the stages of a Linear. `packed` is read when the stages run, so that it may be allocated
// after all stages were added.
void add_linear(const Site& site, const LinearSpec& plan, std::uint32_t* const* packed,
                std::vector<std::unique_ptr<Stage>>& stages);

}  // namespace ttsrt::cpu
