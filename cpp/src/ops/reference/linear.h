// Products and norms over plain rows, shared by the ops and the local transformer.
#pragma once

#include <cstdint>

#include "ops/program.h"

namespace ttsrt::ops::reference {

// Computes out [rows, N] = activate(x [rows, K] W^T + bias) + addend, or adds that to out.
struct Product {
  const Weight& weight;         // [N, K]
  const float* bias = nullptr;  // [N] or none
  Activate activate = Activate::none;
  bool accumulate = false;
  const float* addend = nullptr;  // [rows, N] or none
};
void multiply(const Product& product, const float* x, std::int64_t rows, float* out);

// The statistics by which a row is normalised; RMS norms subtract no mean. The inverse deviation is
// NaN, and so is every output, where statistics are beyond the range of float32, as elsewhere.
struct RowMoments {
  double mean = 0.0;
  double inverse = 0.0;

  RowMoments(const float* row, std::int64_t width, NormKind kind, double epsilon);
};

// Normalises by the norm's kind, weights and epsilon; out may be x.
void normalize(const Norm& norm, const float* x, std::int64_t rows, float* out);

// Computes an activation.
double activated(Activate activate, double x);

// Returns the values of a float32 vector of this size, or null if it is absent.
const float* vector_values(const Weight& weight, std::int64_t size);

}  // namespace ttsrt::ops::reference
