// Opens an engine on disk. Opening reads descriptions; executors read the weights.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ttsrt/export.h"
#include "ttsrt/options.h"
#include "ttsrt/tensor.h"

namespace ttsrt {

struct EngineData;
class TextFrontEnd;

/// The properties of an engine that callers need to make requests.
struct EngineInfo {
  std::string family;
  DType dtype = DType::float32;
  std::string quantization = "none";  ///< quantization of the matrices
  std::int32_t group_size = 0;        ///< inputs that share a scale; 0: no groups
  std::int32_t dim = 0;
  std::int32_t codebooks = 0;
  std::int32_t codebook_vocab = 0;
  std::int32_t frame_stacking = 1;
  std::int32_t text_vocab = 0;
  double frame_rate = 0.0;  ///< codec frames per second of audio
  /// Ids with a meaning of their own, by their names in engine.json: "audio_eos", "text_eos" and so
  /// on. Which there are depends on the family.
  std::map<std::string, std::int32_t> special_ids;
  std::vector<std::int32_t> forbidden_ids;  ///< codes that are never sampled
  std::int32_t eos_id = -1;                 ///< the code that ends the speech
  std::string codec;             ///< the codec as the checkpoint names it; empty: it doesn't
  std::int32_t sample_rate = 0;  ///< of the codec's audio, in Hz; 0: the checkpoint doesn't say
  bool has_vocoder = false;      ///< whether results have audio
  std::int32_t samples_per_frame = 0;  ///< that a codec frame becomes; 0: there is no codec
  bool has_encoder = false;            ///< a codec: whether it makes codes of samples
  std::int32_t mel_bins = 0;           ///< columns of spectrograms; 0: the model has none
  std::int32_t max_batch_size = 0;
  std::int32_t max_seq_len = 0;
  std::int32_t max_input_len = 0;
  std::int32_t max_encoder_input_len = 0;
  std::int32_t max_num_tokens = 0;
  /// The prior of requests that ask for no other, with every option that its mode has. Copy it to
  /// change single options. Absent: the checkpoint has none.
  std::optional<AttentionPrior> default_prior;
  std::int32_t num_voices = 0;
  std::vector<std::string> voice_names;
  std::uint64_t weight_bytes = 0;
};

/// One stored tensor, for inspection.
struct EngineTensor {
  std::string name;
  std::string dtype;  ///< "float32", "int8" and so on
  std::vector<std::int64_t> shape;
  std::string layout;  ///< "dense", "panel16", or "panel16_w8a16" and the like
  std::uint64_t bytes = 0;
  std::string sha256;
};

/// A handle of an opened engine; copies share it. Thread safe.
class TTSRT_API Engine {
 public:
  /// Reads the folder's descriptions, not its weights: the first executor of this engine reads
  /// those, all of its executors share them, and from then on changes of the files have no effect.
  /// Throws FormatError with the file and what is wrong with it.
  static Engine open(const std::string& path);

  const EngineInfo& info() const;
  const std::string& path() const;
  /// Returns engine.json as text.
  const std::string& description() const;
  std::vector<EngineTensor> tensors() const;
  /// Reads every weight and compares it with its recorded hash; throws FormatError with the name of
  /// the first weight that differs.
  void verify() const;

  /// What turns text into ids for this engine (ttsrt/text.h); null if the engine carries nothing of
  /// the kind, or something that only Python knows.
  std::shared_ptr<const TextFrontEnd> front_end() const;

  const std::shared_ptr<const EngineData>& data() const { return data_; }

 private:
  explicit Engine(std::shared_ptr<const EngineData> data) : data_(std::move(data)) {}
  std::shared_ptr<const EngineData> data_;
};

}  // namespace ttsrt
