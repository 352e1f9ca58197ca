#include "executor/voices.h"

#include <algorithm>

#include "core/check.h"
#include "core/voice_name.h"

namespace ttsrt::executor {

namespace {

std::size_t bytes_of(const std::string& name, const model::Voice& voice) {
  std::size_t bytes = name.size() + sizeof(model::Voice);
  for (const step::RowSource& part : voice.parts) {
    bytes += sizeof(part);
    if (part.vectors) bytes += part.vectors->size() * sizeof(float);
    if (part.ids) bytes += part.ids->size() * sizeof(std::int32_t);
  }
  if (voice.sound != nullptr) bytes += bytes_of("", *voice.sound);
  return bytes;
}

void check_name(const std::string& name) {
  TTSRT_CHECK(ConfigError, is_voice_name(name), "add_voice: name: expected ", kVoiceNameRule,
              ", got ", shown_name(name));
}

}  // namespace

VoiceBook::VoiceBook(const model::Itineraries& itineraries, model::StoredVoices stored)
    : itineraries_(itineraries), stored_(std::move(stored.voices)) {
  for (const auto& [name, index] : stored.names)
    by_name_[name] = stored_[static_cast<std::size_t>(index)];
}

std::string VoiceBook::known() const {
  std::string names;
  for (const auto& [name, source] : by_name_) {
    if (names.size() > 200) return names + ", ...";
    names += names.empty() ? name : ", " + name;
  }
  return names;
}

std::string VoiceBook::choices() const {
  const std::string names = known();
  if (stored_.empty())
    return names.empty() ? "no voice, as there is none" : message("one of: ", names);
  const std::string indices = message("an index from 0 to ", stored_.size() - 1);
  return names.empty() ? message(indices, ", as no voice has a name")
                       : message("one of: ", names, "; or ", indices);
}

std::shared_ptr<const model::Voice> VoiceBook::find(const VoiceRef& voice) const {
  if (const auto* index = std::get_if<std::int32_t>(&voice)) {
    const auto count = static_cast<std::int32_t>(stored_.size());
    TTSRT_CHECK(
        ConfigError, count > 0,
        "voice: expected a name, as this engine stores no voices by index; add one with add_voice, "
        "or give a context");
    TTSRT_CHECK(ConfigError, *index >= 0 && *index < count, "voice: expected an index in [0, ",
                count - 1, "], got ", *index);
    return stored_[static_cast<std::size_t>(*index)];
  }
  const auto& name = std::get<std::string>(voice);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_name_.find(name);
  TTSRT_CHECK(ConfigError, found != by_name_.end(), "voice: expected ", choices(), "; got ",
              shown_name(name));
  return found->second;
}

void VoiceBook::add(const std::string& name, Matrix<float> embeddings) {
  check_name(name);
  keep(name, itineraries_.voice_of_vectors(std::move(embeddings)));
}

void VoiceBook::add_codes(const std::string& name, Matrix<std::int32_t> codes) {
  check_name(name);
  keep(name, itineraries_.voice_of_codes(std::move(codes)));
}

void VoiceBook::add_speaker(const std::string& name, Speaker speaker) {
  check_name(name);
  keep(name, itineraries_.voice_of_speaker(std::move(speaker)));
}

void VoiceBook::keep(const std::string& name, model::Voice&& made) {
  const std::size_t bytes = bytes_of(name, made);
  auto voice = std::make_shared<const model::Voice>(std::move(made));
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool is_new = by_name_.emplace(name, std::move(voice)).second;
  TTSRT_CHECK(ConfigError, is_new, "add_voice: ", shown_name(name), " is in use; remove it first");
  bytes_ += bytes;
}

void VoiceBook::remove(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_name_.find(name);
  TTSRT_CHECK(ConfigError, found != by_name_.end(), "remove_voice: expected ",
              by_name_.empty() ? "a voice that was added" : "one of: ", known(), "; got ",
              shown_name(name));
  const bool is_stored = std::find(stored_.begin(), stored_.end(), found->second) != stored_.end();
  if (!is_stored) bytes_ -= bytes_of(name, *found->second);
  by_name_.erase(found);
}

std::vector<std::string> VoiceBook::names() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::string> names;
  names.reserve(by_name_.size());
  for (const auto& [name, source] : by_name_) names.push_back(name);
  return names;
}

std::int32_t VoiceBook::count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<std::int32_t>(by_name_.size());
}

std::size_t VoiceBook::bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return bytes_;
}

}  // namespace ttsrt::executor
