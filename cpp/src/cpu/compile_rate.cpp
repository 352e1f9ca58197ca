// Lowering of the ops with rates (ops/rate_ops.h).
#include <variant>

#include "cpu/compile.h"
#include "cpu/stages/rate_stages.h"
#include "cpu/stages/source_stages.h"
#include "cpu/stages/time_conv.h"

namespace ttsrt::cpu {

std::int64_t Lowering::rate_of(ops::BufferId buffer) const {
  return program_.activations[static_cast<std::size_t>(buffer)].rate;
}

std::int64_t Lowering::beyond_of(ops::BufferId buffer) const {
  return program_.activations[static_cast<std::size_t>(buffer)].beyond;
}

void Lowering::lower(const ops::DequantizeCodes& op) {
  add_dequantize(list_.site, op, rows_of(op.out), stages_);
}

void Lowering::lower(const ops::HalfSnake& op) {
  const Rows x = rows_of(op.x);
  add_half_snake(list_.site, snake_of(list_, op, x.width), x, rows_of(op.out), rate_of(op.x),
                 stages_);
}

void Lowering::lower(const ops::TimeConv& op) { add_conv(op, nullptr, false); }

const ops::HalfSnake* Lowering::snake_behind(std::size_t index) const {
  const auto* conv = std::get_if<ops::TimeConv>(&program_.ops[index]);
  if (conv == nullptr || index + 1 >= program_.ops.size() || begins_part(index + 1)) return nullptr;
  const auto* snake = std::get_if<ops::HalfSnake>(&program_.ops[index + 1]);
  if (snake == nullptr || snake->x != conv->out) return nullptr;
  // Other threads may still read the inputs of the convolution.
  return snake->out == conv->x || snake->out == conv->addend ? nullptr : snake;
}

// Without another reader, outputs that are activated needn't be stored before.
void Lowering::add_conv(const ops::TimeConv& op, const ops::HalfSnake* snake, bool is_for_snake) {
  TimeConvSpec spec;
  spec.op = &op;
  spec.x = rows_of(op.x);
  spec.out = rows_of(is_for_snake ? snake->out : op.out);
  spec.addend = optional(op.addend, ops::RowSpace::rows);
  spec.rate = rate_of(op.x);
  spec.beyond = beyond_of(op.x);
  spec.out_beyond = beyond_of(op.out);
  if (snake != nullptr) {
    spec.snake = snake_of(list_, *snake, spec.out.width);
    spec.activated = rows_of(snake->out);
  }
  add_time_conv(list_, spec, stages_);
}

void Lowering::lower(const ops::Upsample& op) {
  add_upsample(list_, op, rows_of(op.x), rows_of(op.out), rate_of(op.x), stages_);
}

void Lowering::lower(const ops::Clamp& op) {
  add_clamp(list_.site, op, rows_of(op.x), rate_of(op.x), stages_);
}

void Lowering::lower(const ops::SplitRows& op) {
  const Rows x = rows_of(op.x);
  add_split_rows(list_.site, x, rows_of(op.out), x.width * rate_of(op.x), stages_);
}

void Lowering::lower(const ops::ShiftRows& op) {
  add_shift_rows(list_.site, op, rows_of(op.x), rows_of(op.out), rate_of(op.x), stages_);
}

void Lowering::lower(const ops::HarmonicSource& op) {
  add_harmonic_source(list_, op,
                      {rows_of(op.pitch), rows_of(op.noise), rows_of(op.out),
                       static_cast<std::int32_t>(beyond_of(op.pitch))},
                      stages_);
}

void Lowering::lower(const ops::FadeIn& op) {
  add_fade_in(list_.site, op, rows_of(op.x), rate_of(op.x), stages_);
}

void Lowering::lower(const ops::QuantizeRows& op) {
  add_quantize_rows(list_.site, op, rows_of(op.x), rows_of(op.out), stages_);
}

}  // namespace ttsrt::cpu
