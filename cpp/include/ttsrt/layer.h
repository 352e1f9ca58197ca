// One layer of a language model by itself, for tools that make or judge its weights.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ttsrt/export.h"
#include "ttsrt/tensor.h"

namespace ttsrt {

/// Values of one buffer of a layer.
struct LayerValues {
  std::string name;      ///< "attn_in", ..., "out"
  Matrix<float> values;  ///< [rows, width]
};

/// Runs a layer, or a part of it, over the rows of one text, by the Programs and kernels of
/// engines, in float32. A row's values depend neither on how many rows come behind it nor on the
/// number of threads. The class is not thread safe. In a forked child run() throws ClosedError.
class TTSRT_API LlmLayer {
 public:
  /// `stack` is the object "decoder" of a language model's config.json, as JSON; `max_rows` (1 to
  /// 65536) limits the rows of a text. `device` is "cpu" or "reference", and `num_threads` as in
  /// ExecutorOptions. Throws FormatError for a wrong field and ConfigError for other devices.
  explicit LlmLayer(const std::string& stack, std::int32_t max_rows,
                    const std::string& device = "cpu", std::int32_t num_threads = 0);
  ~LlmLayer();
  LlmLayer(LlmLayer&&) noexcept;
  LlmLayer& operator=(LlmLayer&&) noexcept;

  /// Names of the weights that set() takes: "self_norm", "self_qkv", "self_out", "ffn_norm",
  /// "ffn_in", "ffn_out" and their biases, as far as the stack has them (docs/format.md).
  std::vector<std::string> weights() const;

  /// Replaces a weight: a matrix [outputs, inputs], or a vector as one row [1, size]. Throws
  /// ConfigError for a name or a shape that the stack does not have.
  void set(const std::string& name, const Matrix<float>& values);

  /// Runs a part, whose weights must have been set:
  ///   "layer"      rows [rows, dim] in front of the layer; gives "attn_in" [rows, dim], "attn_out"
  ///                [rows, heads * head_dim], "mlp_in" [rows, dim] if the stack isn't parallel,
  ///                "mlp_out" [rows, ffn_dim], each the input of a product, and "out" [rows, dim]
  ///   "attention"  normed rows; gives "out", what the self-attention adds
  ///   "mlp"        normed rows; gives "out", what the feed-forward adds
  ///   "both"       normed rows; gives "out", the sum of the two
  ///   "self_out", "ffn_out"  the inputs of that product; gives "out"
  /// Row r stands at position r. Throws ConfigError for another part, other rows, or a weight that
  /// was never set.
  std::vector<LayerValues> run(const std::string& part, const Matrix<float>& rows);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ttsrt
