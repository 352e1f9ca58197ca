#include "executor/silence.h"

#include <algorithm>

namespace ttsrt::executor {
namespace {

// Adds what stands behind the samples so far.
void fill(Sequence& sequence) {
  for (; sequence.next_silence < sequence.silences.size(); ++sequence.next_silence) {
    const Silence& next = sequence.silences[sequence.next_silence];
    if (next.frame > sequence.sound_rows) return;
    sequence.samples.insert(sequence.samples.end(), static_cast<std::size_t>(next.samples), 0.0F);
    sequence.has_new_silence |= next.samples > 0 && sequence.sound_rows > 0;
  }
}

void add(Sequence& sequence, std::size_t index) {
  const std::vector<std::int32_t>& all = sequence.request.itinerary.silences;
  if (all.empty()) return;
  sequence.silences.push_back({sequence.frames, all[index]});
  fill(sequence);
}

}  // namespace

void take_samples(Sequence& sequence, const step::RowsOutput& rows, std::int32_t first,
                  std::int32_t count) {
  auto from = rows.values.begin() + first * rows.width;
  fill(sequence);
  while (count > 0) {
    std::int32_t taken = count;
    if (sequence.next_silence < sequence.silences.size()) {
      const Silence& next = sequence.silences[sequence.next_silence];
      taken = std::min(count, next.frame - sequence.sound_rows);
    }
    sequence.samples.insert(sequence.samples.end(), from, from + taken * rows.width);
    from += taken * rows.width;
    sequence.sound_rows += taken;
    count -= taken;
    fill(sequence);
  }
}

void begin_silence(Sequence& sequence) { add(sequence, static_cast<std::size_t>(sequence.round)); }

void end_silence(Sequence& sequence) {
  if (sequence.request.itinerary.silences.empty()) return;
  add(sequence, sequence.request.itinerary.silences.size() - 1);
}

}  // namespace ttsrt::executor
