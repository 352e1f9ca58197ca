#include "model/t3/prompt.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "core/check.h"
#include "core/sha256.h"
#include "model/block_decoder.h"
#include "model/request_rows.h"

namespace ttsrt::model::t3 {
namespace {

using step::Branch;
using step::Input;
using step::RowSource;
using step::Stop;

// Position tables of models whose learned positions restart.
constexpr std::int32_t kTextPositions = 0;
constexpr std::int32_t kSpeechPositions = 1;

constexpr std::int32_t kFeatureId = -1;  // stands for a row of text_features
// Unconditional texts of up to so many more tokens share their rows.
constexpr std::int32_t kTextStep = 64;

std::int32_t count_rows(const std::vector<RowSource>& sources) {
  std::int32_t rows = 0;
  for (const RowSource& source : sources) rows += source.rows;
  return rows;
}

// Nobody has looked at rows on a device, so nobody knows whose rows they equal.
bool is_on_device(const std::vector<RowSource>& sources) {
  return std::any_of(sources.begin(), sources.end(),
                     [](const RowSource& source) { return source.device_vectors != nullptr; });
}

// Equal rows give equal keys and values, whoever sends them and whichever branch they stand in.
step::PrefixKey key_of(const std::string& kind, const std::vector<RowSource>& sources) {
  std::string content = kind;
  for (const RowSource& source : sources) {
    const auto add = [&content](const auto& values) {
      const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
      content += " " + sha256_hex(bytes, values.size() * sizeof(values[0]));
    };
    if (source.vectors != nullptr) add(*source.vectors);
    if (source.ids != nullptr) add(*source.ids);
    content += " " + std::to_string(source.rows);
  }
  return {content, count_rows(sources)};
}

// Ids and rows in turn, as they follow each other.
std::vector<RowSource> mixed_text(Request& request, const Config& config, const Limits& limits) {
  const std::vector<std::int32_t>& ids = request.text_ids;
  const auto wanted = static_cast<std::int64_t>(std::count(ids.begin(), ids.end(), kFeatureId));
  TTSRT_CHECK(ConfigError, request.text_features.rows == wanted, "text_features: expected ", wanted,
              " rows, one for each id ", kFeatureId, " of text_ids, got ",
              request.text_features.rows);
  const RowSource features = rows_of_vectors("text_features", std::move(request.text_features),
                                             config.decoder.dim, limits.max_encoder_input_len);
  std::vector<RowSource> text;
  std::int32_t next_feature = 0;
  for (auto begin = ids.begin(); begin != ids.end();) {
    const bool is_feature = *begin == kFeatureId;
    const auto end = std::find_if(
        begin, ids.end(), [&](std::int32_t id) { return (id == kFeatureId) != is_feature; });
    const auto rows = static_cast<std::int32_t>(end - begin);
    if (is_feature) {
      text.push_back(slice(features, next_feature, rows));
      next_feature += rows;
    } else {
      text.push_back(rows_of_ids("text_ids", {begin, end}, config.text_vocab, rows));
    }
    begin = end;
  }
  return text;
}

}  // namespace

std::vector<RowSource> text_of(Request& request, const Config& config, const Limits& limits) {
  const std::int32_t most = limits.max_encoder_input_len;
  std::vector<RowSource> text;
  if (request.text_ids.empty()) {
    TTSRT_CHECK(ConfigError, is_given(request.text_features),
                "text_ids: expected at least one id, or rows of text_features");
    text = {rows_of_vectors("text_features", std::move(request.text_features), config.decoder.dim,
                            most)};
  } else {
    TTSRT_CHECK(ConfigError, request.text_ids.size() <= static_cast<std::size_t>(most),
                "text_ids: expected at most ", most, " ids, got ", request.text_ids.size());
    const auto& ids = request.text_ids;
    if (is_given(request.text_features) ||
        std::find(ids.begin(), ids.end(), kFeatureId) != ids.end()) {
      text = mixed_text(request, config, limits);
    } else {
      text = {rows_of_ids("text_ids", std::move(request.text_ids), config.text_vocab, most)};
    }
  }
  std::int32_t position = 0;
  for (RowSource& source : text) {
    if (config.restarts_positions()) source.position_table = kTextPositions;
    source.first_position = position;
    position += source.rows;
  }
  return text;
}

RowSource start_rows(const Config& config, std::int32_t rows) {
  RowSource source;
  source.input = Input::codes;
  source.rows = rows;
  source.ids = std::make_shared<const std::vector<std::int32_t>>(static_cast<std::size_t>(rows),
                                                                 config.bos_id);
  if (config.restarts_positions()) source.position_table = kSpeechPositions;
  return source;
}

Prompt::Prompt(const Config& config, const Limits& limits, const Voice& voice,
               std::vector<RowSource>&& text)
    : config_(config), limits_(limits), shared_(voice.parts), text_(std::move(text)) {
  if (config.conditioning.has_emotion && shared_.size() > 1) {
    emotion_ = {shared_.back()};
    shared_.pop_back();
  }
  text_begin_ = voice.rows();
  text_end_ = text_begin_ + count_rows(text_);
}

Stop Prompt::stop_at(std::int32_t position, Branch branch) const {
  Stop stop;
  stop.program = kPrefillProgram;
  stop.branch = branch;
  stop.position = position;
  return stop;
}

// Where the decoder has learned positions of its own, they count every row.
void Prompt::add(Stop& stop, RowSource source) const {
  if (config_.decoder.has_positions) {
    source.position_table = 0;
    source.first_position = stop.position + count_rows(stop.rows);
  }
  stop.rows.push_back(std::move(source));
}

Stop Prompt::voice() const {
  Stop stop = stop_at(0, Branch::conditional);
  for (const RowSource& source : shared_) add(stop, source);
  if (!is_on_device(shared_)) stop.shared = key_of("voice", shared_);
  return stop;
}

Stop Prompt::text() const {
  Stop stop = stop_at(count_rows(shared_), Branch::conditional);
  for (const RowSource& source : emotion_) add(stop, source);
  for (const RowSource& source : text_) add(stop, source);
  if (config_.start_rows > 1) add(stop, start_rows(config_, config_.start_rows - 1));
  return stop;
}

// Text rows of the shared prefix: enough for this text, in steps, so that texts of many lengths
// need few prefixes.
std::int32_t Prompt::shared_text() const {
  const std::int32_t rows = text_end_ - text_begin_;
  const std::int32_t rounded = (rows + kTextStep - 1) / kTextStep * kTextStep;
  const std::int32_t most =
      std::min(limits_.max_encoder_input_len, limits_.max_seq_len - text_begin_);
  return std::max(rows, std::min(rounded, most));
}

Stop Prompt::unconditional(bool may_share) const {
  Stop stop = stop_at(0, Branch::unconditional);
  for (const RowSource& source : shared_) add(stop, source);
  for (const RowSource& source : emotion_) add(stop, source);
  RowSource zeros;
  std::vector<RowSource> content = shared_;
  content.insert(content.end(), emotion_.begin(), emotion_.end());
  const bool is_shared = may_share && !is_on_device(content);
  zeros.rows = is_shared ? shared_text() : text_rows();
  if (config_.restarts_positions()) zeros.position_table = kTextPositions;
  content.push_back(zeros);
  add(stop, zeros);
  if (!is_shared) return stop;
  stop.shared = key_of("unconditional", content);
  stop.forked_rows = text_end_;
  return stop;
}

Stop Prompt::unconditional_start(std::int32_t prefix) const {
  Stop stop = stop_at(text_end_, Branch::unconditional);
  add(stop, start_rows(config_, config_.start_rows - 1));
  stop.follows = {prefix};
  return stop;
}

// The unconditional branch of blocks: as many zeros as the voice and the text have rows, without
// positions, whoever speaks.
Stop Prompt::zeros() const {
  Stop stop = stop_at(0, Branch::unconditional);
  RowSource zeros;
  zeros.rows = text_begin_ + shared_text();
  add(stop, zeros);
  stop.shared = key_of("zeros", {zeros});
  stop.forked_rows = text_end_;
  return stop;
}

// The row whose hidden state gives the first logits of the first block.
Stop Prompt::start(Branch branch) const {
  Stop stop = stop_at(text_end_, branch);
  stop.program = kStartProgram;
  RowSource source = start_rows(config_, 1);
  source.kept_offset = static_cast<std::int32_t>(branch);
  add(stop, source);
  return stop;
}

std::vector<Stop> Prompt::stops_of_blocks(const decode::CompiledRules& rules) const {
  std::vector<Stop> stops = {voice(), text(), start(Branch::conditional)};
  stops[1].follows = {0};
  stops[2].follows = {0, 1};
  if (rules.is_guided) {
    stops.push_back(zeros());
    stops.push_back(start(Branch::unconditional));
    stops.back().follows = {3};
  }
  Stop blocks = stop_at(decode_begin(), Branch::conditional);
  blocks.program = kBlocksProgram;
  RowSource source;
  source.input = Input::block_codes;
  source.rows = config_.block_rows;
  source.position_table = kSpeechPositions;
  add(blocks, source);
  blocks.num_branches = rules.is_guided ? 2 : 1;
  blocks.block_rows = config_.block_rows;
  blocks.block_frames = rules.max_steps;
  const std::int32_t count = (rules.max_steps + config_.block_rows - 1) / config_.block_rows;
  blocks.repeats = count * (rules::kMaxBlockSteps + 1);  // their codes end them before
  for (std::size_t i = 0; i < stops.size(); ++i)
    blocks.follows.push_back(static_cast<std::int32_t>(i));
  stops.push_back(std::move(blocks));
  return stops;
}

std::vector<Stop> Prompt::stops(const decode::CompiledRules& rules,
                                bool shares_unconditional) const {
  if (config_.has_blocks()) return stops_of_blocks(rules);
  std::vector<Stop> stops = {voice(), text()};
  stops[1].follows = {0};
  if (rules.is_guided) {
    stops.push_back(unconditional(shares_unconditional));
    if (config_.start_rows > 1) stops.push_back(unconditional_start(2));
  }
  Stop decode = stop_at(decode_begin(), Branch::conditional);
  decode.program = kDecodeProgram;
  add(decode, start_rows(config_, 1));
  decode.num_branches = rules.is_guided ? 2 : 1;
  decode.repeats = rules.max_steps;
  for (std::size_t i = 0; i < stops.size(); ++i)
    decode.follows.push_back(static_cast<std::int32_t>(i));
  stops.push_back(std::move(decode));
  return stops;
}

std::vector<Stop> stops_of_embeddings(Request& request, const Config& config, const Limits& limits,
                                      const decode::CompiledRules& rules) {
  const std::int64_t rows = request.prompt_embeddings.rows;
  TTSRT_CHECK(
      ConfigError,
      rules.is_guided ? request.unconditional_embeddings.rows == rows
                      : !is_given(request.unconditional_embeddings),
      "unconditional_embeddings: expected ",
      rules.is_guided ? message(rows, " rows, as prompt_embeddings has") : "none without guidance",
      ", got ", request.unconditional_embeddings.rows);
  std::vector<RowSource> prompts = {rows_of_vectors("prompt_embeddings",
                                                    std::move(request.prompt_embeddings),
                                                    config.decoder.dim, limits.max_seq_len)};
  if (rules.is_guided) {
    prompts.push_back(rows_of_vectors("unconditional_embeddings",
                                      std::move(request.unconditional_embeddings),
                                      config.decoder.dim, limits.max_seq_len));
  }
  const std::int32_t last = prompts.front().rows - 1;
  Stop decode;
  decode.program = kDecodeProgram;
  decode.position = last;
  decode.num_branches = static_cast<std::int32_t>(prompts.size());
  decode.repeats = rules.max_steps;
  std::vector<Stop> stops;
  for (std::size_t branch = 0; branch < prompts.size(); ++branch) {
    RowSource& prompt = prompts[branch];
    if (config.decoder.has_positions) prompt.position_table = 0;
    decode.rows.push_back(slice(prompt, last, 1));
    decode.rows.back().first_position = config.decoder.has_positions ? last : 0;
    if (last == 0) continue;
    Stop stop;
    stop.program = kPrefillProgram;
    stop.branch = static_cast<Branch>(branch);
    stop.rows = {slice(prompt, 0, last)};
    decode.follows.push_back(static_cast<std::int32_t>(stops.size()));
    stops.push_back(std::move(stop));
  }
  RowSource later = start_rows(config, 1);
  if (config.decoder.has_positions) {
    later.position_table = 0;
    later.first_position = last;
  }
  decode.rows.push_back(std::move(later));
  stops.push_back(std::move(decode));
  return stops;
}

}  // namespace ttsrt::model::t3
