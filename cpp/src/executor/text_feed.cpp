#include "executor/text_feed.h"

#include <utility>

#include "core/check.h"

namespace ttsrt::executor {

void TextFeed::add(std::vector<std::int32_t> ids) {
  for (std::size_t i = 0; i < ids.size(); ++i)
    TTSRT_CHECK(ConfigError, ids[i] >= 0 && ids[i] < vocab_, "add_text: text_ids[", i,
                "]: expected 0 to ", vocab_ - 1, ", got ", ids[i]);
  const std::lock_guard<std::mutex> lock(mutex_);
  TTSRT_CHECK(ConfigError, later_ > 0, "add_text: expected no more chunks than later_chunks said");
  Chunk chunk;
  if (!ids.empty()) {
    chunk.round = decode::round_behind(last_, static_cast<std::int32_t>(ids.size()), reached_,
                                       limits_, "add_text: text_ids");
    chunk.round.goes_on = later_ > 1;
    reached_ += static_cast<std::int32_t>(ids.size());
    last_ = chunk.round;
  }
  chunk.ids = std::move(ids);
  chunks_.push_back(std::move(chunk));
  --later_;
}

void TextFeed::fail(const std::string& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!failure_.has_value()) failure_ = why;
}

std::optional<TextFeed::Chunk> TextFeed::take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (chunks_.empty()) return std::nullopt;
  Chunk chunk = std::move(chunks_.front());
  chunks_.pop_front();
  return chunk;
}

std::optional<std::string> TextFeed::failure() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failure_;
}

}  // namespace ttsrt::executor
