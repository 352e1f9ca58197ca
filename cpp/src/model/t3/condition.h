// What a voice is made of becomes the rows of its prefix (the original's T3CondEnc and Perceiver):
//
//   speaker row    W e + b of the speaker embedding e
//   prompt rows    E[j] = speech_embedding[token j], plus speech position j where a perceiver makes
//                  `queries` rows of them; else as they are
//   emotion row    emotion * emotion_weight, where the model has one: always the last
//
// The perceiver is one attention block with one set of weights, applied twice, first to its learned
// queries with E as memory, then to what came out with itself as memory:
//   y = a + out(attention(q(norm a), k(norm b), v(norm b))), without masks
//
// It runs once per voice, so it is plain float32 on the caller's thread, whatever the engine's
// types and device.
#pragma once

#include <vector>

#include "model/held_weights.h"
#include "model/t3/config.h"
#include "ttsrt/request.h"

namespace ttsrt::model::t3 {

// Keeps the weights that it needs. Its methods throw nothing but what the system does.
class Conditioner {
 public:
  // Reads them from the engine's file; throws FormatError if that has changed since it was opened.
  Conditioner(const Config& config, const Weights& weights);

  std::vector<float> speaker_row(const std::vector<float>& embedding) const;  // [dim]
  std::vector<float> emotion_row(float emotion) const;                        // [dim]
  // Rows of speech tokens as the model embeds them, [tokens, dim].
  std::vector<float> prompt_rows(const std::vector<std::int32_t>& tokens) const;
  // [queries, dim], of prompt rows.
  std::vector<float> perceive(const std::vector<float>& prompt) const;

 private:
  const Config& config_;
  const HeldWeights weights_;
};

// out[r] = x[r] W^T + bias, of x [rows, inputs] and `outputs` rows of W: the plain product that
// the rows of a prefix need.
void multiply(const std::vector<float>& x, std::int64_t inputs, const float* weight,
              const float* bias, std::int64_t outputs, std::vector<float>& out);

}  // namespace ttsrt::model::t3
