#include "executor/ending.h"

#include <algorithm>
#include <utility>

#include "executor/commit.h"
#include "executor/request_text.h"
#include "executor/rounds.h"

namespace ttsrt::executor {
namespace {

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// Codec frames, or the time of as many that sound or a spectrogram takes.
double frames_made(const Sequence& sequence, const step::Facts& facts) {
  if (sequence.frames > 0) return sequence.frames;
  const auto samples = static_cast<double>(sequence.samples.size());
  if (samples > 0.0) return samples / std::max(facts.sample_rate, 1) * facts.frame_rate;
  return static_cast<double>(sequence.spectrogram.size()) /
         static_cast<double>(std::max<std::int64_t>(sequence.bands, 1));
}

Metrics measure(const Sequence& sequence, const step::Facts& facts) {
  const Clock::time_point now = Clock::now();
  Metrics metrics;
  metrics.queue_seconds = seconds_between(sequence.submitted, sequence.started);
  if (sequence.first_frame != Clock::time_point{})
    metrics.first_frame_seconds = seconds_between(sequence.submitted, sequence.first_frame);
  if (sequence.first_audio != Clock::time_point{})
    metrics.first_audio_seconds = seconds_between(sequence.submitted, sequence.first_audio);
  metrics.total_seconds = seconds_between(sequence.submitted, now);
  const double frames = frames_made(sequence, facts);
  metrics.frames_per_second = frames / std::max(metrics.total_seconds, 1e-9);
  metrics.x_real_time = metrics.frames_per_second / facts.frame_rate;
  if (frames > 0.0) metrics.rtf = metrics.total_seconds * facts.frame_rate / frames;
  metrics.steps = sequence.steps();
  if (sequence.drafting != nullptr) metrics.speculation = sequence.drafting->stats();
  return metrics;
}

Result result_of(Sequence& sequence, FinishReason reason, const std::string& error,
                 const step::Facts& facts) {
  const std::int32_t text_len = sequence.request.itinerary.text_len;
  Result result;
  result.metrics = measure(sequence, facts);  // before the rows are moved
  result.codes = frames_of(sequence, facts.codebooks, 0, sequence.frames);
  result.finish_reason = reason;
  result.error = error;
  result.alignment.cols = text_len;
  result.alignment.rows =
      static_cast<std::int64_t>(sequence.alignment.size()) / std::max(text_len, 1);
  result.alignment.values = std::move(sequence.alignment);
  result.focus = std::move(sequence.focus);
  result.text_positions = std::move(sequence.text_positions);
  if (sequence.stepwise >= 0) tell_rounds(sequence, result);
  result.audio = std::move(sequence.samples);
  result.sample_rate = facts.sample_rate;
  result.spectrogram.cols = sequence.bands;
  if (sequence.bands > 0)
    result.spectrogram.rows =
        static_cast<std::int64_t>(sequence.spectrogram.size()) / sequence.bands;
  result.spectrogram.values = std::move(sequence.spectrogram);
  result.trace = std::move(sequence.trace);
  tell_text(std::move(sequence.request.spoken), result);
  if (sequence.request.itinerary.tokens != nullptr) result.logprobs = logprobs_of(sequence, 0);
  result.stop_id = sequence.stop_id;
  result.nll = std::move(sequence.nll);
  return result;
}

}  // namespace

void end(Sequence& sequence, FinishReason reason, const std::string& error,
         const step::Facts& facts) noexcept {
  try {
    Event last = next_event(sequence, facts);
    last.is_last = true;
    last.finish_reason = reason;
    last.stop_id = sequence.stop_id;
    sequence.channel->finish(std::move(last), result_of(sequence, reason, error, facts));
  } catch (const std::exception&) {  // no memory for the result
    sequence.channel->abandon();
  }
}

void end(Pending&& pending, FinishReason reason, const std::string& error,
         const step::Facts& facts) noexcept {
  const std::shared_ptr<Channel> channel = std::move(pending.channel);
  try {
    Event last;
    last.is_last = true;
    last.finish_reason = reason;
    last.codes.cols = facts.codebooks;
    Result result;
    result.finish_reason = reason;
    result.error = error;
    result.codes.cols = facts.codebooks;
    result.alignment.cols = pending.request.itinerary.text_len;
    result.sample_rate = facts.sample_rate;
    const double waited = seconds_between(pending.submitted, Clock::now());
    result.metrics.queue_seconds = waited;
    result.metrics.total_seconds = waited;
    tell_text(std::move(pending.request.spoken), result);
    channel->finish(std::move(last), std::move(result));
  } catch (const std::exception&) {  // no memory for the result
    channel->abandon();
  }
}

}  // namespace ttsrt::executor
