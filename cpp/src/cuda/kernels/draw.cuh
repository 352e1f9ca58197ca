// Draws a code from a row of masked logits by all threads of a block: the filter chain of
// rules/filter_chain.h, with its results.
//
// Each thread has a share of the ids (own_ids) and keeps its survivors at the front of its share of
// `weights` and `offsets`, so that survivors are in index order without any exchange. Threads only
// exchange sums, maxima and counts. Probabilities are summed in fixed point (cooperate.cuh), where
// the host sums floats in index order. Apart from such rounding, both draw the same.
//
// The logits must be written and synchronized before. All threads get the outcome.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/kernels/cooperate.cuh"
#include "cuda/kernels/draw_searches.cuh"
#include "rules/filter_chain.h"

namespace ttsrt::cuda {

struct BlockRow {
  float* logits = nullptr;           // [vocab], after masks; the penalty changes them
  float* weights = nullptr;          // [vocab] of survivors
  std::uint16_t* offsets = nullptr;  // [vocab] of survivors, from the first id of the share
  std::int32_t vocab = 0;
  const std::uint32_t* seen = nullptr;  // ids that the penalty counts, or null
};

// The state of a chain while it runs, as rules::FilterChain.
template <typename Block>
struct BlockChain {
  Block& block;
  const rules::SamplerRules& sampler;
  BlockRow row;
  float temperature;
  std::uint64_t best;  // the packed argmax of the row, or 0: not known
  IdRange ids;
  float threshold = rules::kNever;  // of logits that will be gathered
  float inverse_temperature = 1.0F;
  std::int32_t count = -1;      // this thread's survivors; -1: not gathered yet
  std::uint64_t own_sum = 0;    // of their weights
  std::uint64_t fixed_sum = 0;  // of all threads
  float sum = 0.0F;
  rules::DrawFault fault = rules::DrawFault::none;  // as this thread knows it

  TTSRT_DEVICE BlockChain(Block& of_block, const rules::SamplerRules& of_sampler,
                          const BlockRow& of_row, float at_temperature, std::uint64_t known_best)
      : block(of_block),
        sampler(of_sampler),
        row(of_row),
        temperature(at_temperature),
        best(known_best),
        ids(own_ids(of_block, of_row.vocab)) {
    row.weights += ids.begin;
    row.offsets += ids.begin;
  }

  TTSRT_DEVICE std::int32_t id_of(std::int32_t survivor) const {
    return ids.begin + row.offsets[survivor];
  }

  TTSRT_DEVICE void add_up() {
    own_sum = 0;
    for (std::int32_t i = 0; i < count; ++i) own_sum += to_fixed(row.weights[i]);
    fixed_sum = block.sum(own_sum);
    sum = from_fixed(fixed_sum);
  }

  TTSRT_DEVICE void find_fault(float largest) {
    if (fault == rules::DrawFault::none) fault = rules::fault_of_largest(largest);
  }

  TTSRT_DEVICE void gather() {
    if (count >= 0) return;
    if (best == 0) best = largest_of(block, row.logits, row.vocab);
    const float largest = best_value(best);
    find_fault(largest);
    count = 0;
    for (std::int32_t id = ids.begin; id < ids.end; ++id) {
      const float logit = row.logits[id];
      if (!(logit >= threshold)) continue;
      row.weights[count] = expf((logit - largest) * inverse_temperature);
      row.offsets[count++] = static_cast<std::uint16_t>(id - ids.begin);
    }
    add_up();
  }

  // Computes the weights of the survivors again, after their logits or the temperature changed.
  TTSRT_DEVICE void weigh() {
    float own_largest = rules::kNever;
    for (std::int32_t i = 0; i < count; ++i) {
      const float logit = row.logits[id_of(i)];
      own_largest = logit > own_largest ? logit : own_largest;
    }
    const float largest = best_value(block.max(pack_best(own_largest, 0)));
    find_fault(largest);
    for (std::int32_t i = 0; i < count; ++i)
      row.weights[i] = expf((row.logits[id_of(i)] - largest) * inverse_temperature);
    add_up();
  }

  // Drops survivors below `least`. Of this thread's survivors equal to it, keeps the first
  // `num_equal`.
  TTSRT_DEVICE void drop_below(float least, std::int32_t num_equal) {
    std::int32_t kept = 0;
    for (std::int32_t i = 0; i < count; ++i) {
      const float weight = row.weights[i];
      if (weight < least || (weight == least && num_equal-- <= 0)) continue;
      row.weights[kept] = weight;
      row.offsets[kept++] = row.offsets[i];
    }
    count = kept;
    add_up();
  }

  TTSRT_DEVICE void keep_top_k() {
    if (sampler.top_k <= 0) return;
    const auto k = static_cast<std::uint32_t>(sampler.top_k);
    if (count >= 0) {  // ties with the k-th survive
      if (k >= block.sum(static_cast<std::uint64_t>(count))) return;
      drop_below(kth_largest(block, row.weights, count, k), count);
    } else if (sampler.top_k < row.vocab) {
      const float kth = kth_largest(block, row.logits + ids.begin, ids.end - ids.begin, k);
      threshold = kth > threshold ? kth : threshold;
    }
  }

  // Keeps the smallest set of the most likely codes with at least the mass; among codes with the
  // smallest kept probability, those with the lowest ids.
  TTSRT_DEVICE void keep_top_p() {
    if (sampler.top_p >= 1.0F) return;
    gather();
    const float mass = sampler.top_p * sum;
    const float least = nucleus_threshold(block, row.weights, count, mass);
    std::uint64_t own_held = 0;
    std::uint64_t own_equal = 0;
    for (std::int32_t i = 0; i < count; ++i) {
      own_held += row.weights[i] > least ? to_fixed(row.weights[i]) : 0;
      own_equal += row.weights[i] == least ? 1 : 0;
    }
    const std::uint64_t held = block.sum(own_held);
    const Prefix equal = block.before(own_equal);
    const std::uint64_t kept = equals_of_nucleus(held, to_fixed(least), mass, equal.total);
    const std::uint64_t own_kept = kept > equal.before ? kept - equal.before : 0;
    drop_below(least, static_cast<std::int32_t>(own_kept));
  }

  TTSRT_DEVICE void keep_min_p() {
    if (sampler.min_p <= 0.0F) return;
    gather();
    drop_below(sampler.min_p, row.vocab);  // the largest weight is 1
  }

  TTSRT_DEVICE bool penalises() const { return row.seen != nullptr && rules::counts_seen(sampler); }

  TTSRT_DEVICE void penalise_id(std::int32_t id) {
    if (!rules::is_seen(row.seen, id)) return;
    const float score = row.logits[id];
    const float changed = rules::penalise(score, sampler.repetition_penalty);
    row.logits[id] = changed;
    if (!rules::stays_finite(score, changed)) fault = rules::DrawFault::not_finite;
  }

  TTSRT_DEVICE void penalise_row() {
    for (std::int32_t id = ids.begin; id < ids.end; ++id) penalise_id(id);
    best = 0;
  }

  // As rules::FilterChain::penalise_seen, which has the reasons.
  TTSRT_DEVICE void penalise_seen() {
    if (!penalises()) return;
    if (count < 0 && threshold > rules::kNever) gather();
    if (count < 0) {
      penalise_row();
      return;
    }
    for (std::int32_t i = 0; i < count; ++i) penalise_id(id_of(i));
    weigh();
  }

  TTSRT_DEVICE void heat() {
    inverse_temperature = 1.0F / temperature;
    if (count >= 0) weigh();
  }

  TTSRT_DEVICE void run() {
    using rules::Processor;
    for (std::int32_t i = 0; i < rules::kMaxProcessors; ++i) {
      const Processor processor = sampler.order[i];
      if (processor == Processor::repetition_penalty) penalise_seen();
      if (processor == Processor::temperature) heat();
      if (processor == Processor::top_k) keep_top_k();
      if (processor == Processor::top_p) keep_top_p();
      if (processor == Processor::min_p) keep_min_p();
    }
    gather();
  }

  // Returns what is wrong, after all threads said what they know.
  TTSRT_DEVICE rules::DrawFault common_fault() {
    if (!penalises()) return fault;  // all threads know the same
    const bool is_bad = fault == rules::DrawFault::not_finite;
    return block.max(is_bad ? 1 : 0) != 0 ? rules::DrawFault::not_finite : fault;
  }

  // Draws a survivor as rules::draw_index.
  TTSRT_DEVICE void draw(float uniform_number, rules::DrawOutcome& outcome) {
    constexpr std::uint64_t kReached = 1ULL << 63;  // before any survivor that is only the last one
    const float target = uniform_number * sum;
    std::uint64_t reached = block.before(own_sum).before;
    std::uint64_t found = 0;
    for (std::int32_t i = 0; i < count && (found & kReached) == 0; ++i) {
      const std::uint64_t weight = to_fixed(row.weights[i]);
      if (weight == 0) continue;
      reached += weight;
      const auto id = static_cast<std::uint64_t>(id_of(i));
      const bool is_reached = from_fixed(reached) > target;
      const std::uint64_t place = is_reached ? 0x7FFFFFFFU - id : id + 1;
      found = (is_reached ? kReached : 0) | (place << 32) | bits_of(row.weights[i]);
    }
    found = block.max(found);
    if (found == 0) return;  // no weight is above 0: the row is a fault
    const auto place = static_cast<std::int32_t>((found >> 32) & 0x7FFFFFFFU);
    outcome.code = (found & kReached) != 0 ? 0x7FFFFFFF - place : place - 1;
    outcome.probability = from_bits(static_cast<std::uint32_t>(found)) / sum;
    outcome.max_probability = 1.0F / sum;
  }
};

// Draws at a temperature above 0. `best` is the packed argmax of the row, or 0.
template <typename Block>
TTSRT_DEVICE rules::DrawOutcome draw_warm(Block& block, const rules::SamplerRules& sampler,
                                          const BlockRow& row, float temperature,
                                          float uniform_number, std::uint64_t best) {
  BlockChain<Block> chain(block, sampler, row, temperature, best);
  chain.run();
  rules::DrawOutcome outcome;
  outcome.fault = chain.common_fault();
  chain.draw(uniform_number, outcome);
  return outcome;
}

// As rules::draw_code.
template <typename Block>
TTSRT_DEVICE rules::DrawOutcome draw_code(Block& block, const rules::SamplerRules& sampler,
                                          const BlockRow& row, float uniform_number,
                                          std::uint64_t best) {
  if (sampler.temperature > 0.0F)
    return draw_warm(block, sampler, row, sampler.temperature, uniform_number, best);
  BlockChain<Block> chain(block, sampler, row, 0.0F, best);
  if (chain.penalises()) chain.penalise_row();
  if (chain.best == 0) chain.best = largest_of(block, row.logits, row.vocab);
  chain.find_fault(best_value(chain.best));
  rules::DrawOutcome outcome;
  outcome.fault = chain.common_fault();
  outcome.code = best_index(chain.best);
  return outcome;
}

// As rules::weigh_code.
template <typename Block>
TTSRT_DEVICE rules::DrawOutcome weigh_code(Block& block, const rules::SamplerRules& sampler,
                                           const BlockRow& row, float temperature,
                                           std::int32_t code, std::uint64_t best) {
  BlockChain<Block> chain(block, sampler, row, temperature, best);
  chain.run();
  std::uint64_t found = 0;
  for (std::int32_t i = 0; i < chain.count; ++i) {
    if (chain.id_of(i) == code) found = bits_of(chain.row.weights[i]);
  }
  rules::DrawOutcome outcome;
  outcome.fault = chain.fault;
  outcome.code = code;
  outcome.probability = from_bits(static_cast<std::uint32_t>(block.max(found))) / chain.sum;
  outcome.max_probability = 1.0F / chain.sum;
  return outcome;
}

// As rules::draw_guess.
template <typename Block>
TTSRT_DEVICE rules::DrawOutcome draw_guess(Block& block, const rules::SamplerRules& sampler,
                                           BlockRow row, float uniform_number, std::uint64_t best) {
  row.seen = nullptr;
  const float warm = sampler.confidence_temperature;
  if (sampler.temperature > 0.0F) {
    const rules::DrawOutcome drawn =
        draw_warm(block, sampler, row, sampler.temperature, uniform_number, best);
    const bool is_final = !sampler.ranks_apart || drawn.fault != rules::DrawFault::none;
    return is_final ? drawn : weigh_code(block, sampler, row, warm, drawn.code, best);
  }
  if (best == 0) best = largest_of(block, row.logits, row.vocab);
  rules::DrawOutcome outcome = draw_warm(block, sampler, row, warm, 0.0F, best);
  outcome.code = best_index(best);
  outcome.probability = outcome.max_probability;
  return outcome;
}

}  // namespace ttsrt::cuda
