// What makes voices of recordings, as a folder of an engine: a checkpoint of those parts of an
// S3Gen alone. No Program reads it; Python opens it when the first recording comes
// (python/ttsrt_rt/voice_from_audio).
#pragma once

#include <string>

#include "model/checkpoint.h"

namespace ttsrt::model {

constexpr const char* kVoiceModel = "voice_model";

// Writes the folder, with tensors as they are in the checkpoint, if the checkpoint, or that of its
// codec, has all parts that make a voice; nothing otherwise. Throws FormatError for a damaged
// checkpoint, and as throw_write_error.
void copy_voice_model(const Checkpoint& checkpoint, const std::string& engine_dir);

}  // namespace ttsrt::model
