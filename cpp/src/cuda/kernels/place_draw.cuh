// The blocks of pick_places.cu that draw: each has every n-th pick, waits for the logits of a
// place, draws the code and sends it to the blocks that have weights.
#pragma once

#include "cuda/kernels/linear_products.cuh"
#include "cuda/kernels/pick_block.cuh"
#include "cuda/kernels/tagged.cuh"
#include "cuda/kernels/top_k_draw.cuh"
#include "cuda/places.h"

namespace ttsrt::cuda {

// Shared memory of such a block, in this order: DrawShared, TopKShared, the raw logits of both
// branches, and what draw_row() and copy_seen() place.
struct PlaceDrawRoom {
  DrawShared* shared = nullptr;
  TopKShared* top_k = nullptr;
  float* raw = nullptr;
  std::byte* row = nullptr;

  TTSRT_RULE static std::size_t raw_bytes(std::int32_t vocab) {
    return (static_cast<std::size_t>(vocab) + 3U) / 4U * 4U * 2U * sizeof(float);
  }
  TTSRT_RULE static std::size_t shared_bytes() { return (sizeof(DrawShared) + 15U) / 16U * 16U; }
  TTSRT_RULE static std::size_t top_k_bytes() { return (sizeof(TopKShared) + 15U) / 16U * 16U; }
  TTSRT_RULE static std::size_t bytes(std::int32_t vocab) {
    return shared_bytes() + top_k_bytes() + raw_bytes(vocab) + draw_row_bytes(vocab) +
           seen_bytes(vocab);
  }
  __device__ static PlaceDrawRoom of(std::byte* at, std::int32_t vocab) {
    PlaceDrawRoom room;
    room.shared = reinterpret_cast<DrawShared*>(at);
    room.top_k = reinterpret_cast<TopKShared*>(at + shared_bytes());
    room.raw = reinterpret_cast<float*>(at + shared_bytes() + top_k_bytes());
    room.row = reinterpret_cast<std::byte*>(room.raw) + raw_bytes(vocab);
    return room;
  }
};

// Waits for the logits of a pick's rows and copies them to shared memory.
__device__ inline RawLogits await_logits(const PlacesArgs& args, const PlaceDrawRoom& room,
                                         std::int32_t p, std::uint32_t tag) {
  constexpr int kBatch = 4;
  const RowsView& rows = args.draw.rows;
  const int branches = num_branches(rows, p);
  const int vocab = args.draw.vocab;
  const int pitch = ceil_div(vocab, kTile) * kTile;
  const int pairs = ceil_div(vocab, 2);
  const int raw_pitch = ceil_div(vocab, 4) * 4;
  const TaggedWord* first = args.logits + std::int64_t{rows.pick_first[p]} * pitch;
  const int threads = static_cast<int>(blockDim.x);
  for (int begin = static_cast<int>(threadIdx.x); begin < branches * pairs;
       begin += kBatch * threads) {
    uint4 words[kBatch];
    await_pairs(words, tag, [&](int i) -> const TaggedWord* {
      const int at = begin + i * threads;
      return at < branches * pairs ? first + at / pairs * pitch + at % pairs * 2 : nullptr;
    });
    for (int i = 0; i < kBatch; ++i) {
      const int at = begin + i * threads;
      if (at >= branches * pairs) break;
      float2* to = reinterpret_cast<float2*>(room.raw + at / pairs * raw_pitch + at % pairs * 2);
      *to = {__uint_as_float(words[i].x), __uint_as_float(words[i].z)};
    }
  }
  __syncthreads();
  return {room.raw, branches > 1 ? room.raw + raw_pitch : nullptr, 1.0F};
}

// Waits for the logits of this thread's ids in a pick's rows and mixes them.
__device__ inline void await_mixed(const PlacesArgs& args, const DrawSlot& slot, std::int32_t p,
                                   std::uint32_t tag, float (&mixed)[kTopKValues]) {
  const RowsView& rows = args.draw.rows;
  const int vocab = args.draw.vocab;
  const int pitch = ceil_div(vocab, kTile) * kTile;
  const int branches = num_branches(rows, p);
  const TaggedWord* first = args.logits + rows.pick_first[p] * pitch;
  uint4 words[kTopKValues];  // half of them for each branch
  await_pairs(words, tag, [&](int i) -> const TaggedWord* {
    const int branch = i / (kTopKValues / 2);
    const int id = TopKDraw::first_id() + i % (kTopKValues / 2) * 2;
    return branch < branches && id < vocab ? first + branch * pitch + id : nullptr;
  });
  const rules::SlotRules& of = slot.rules;
#pragma unroll
  for (int i = 0; i < kTopKValues; ++i) {
    const uint4& conditional = words[i / 2];
    const uint4& other = words[kTopKValues / 2 + i / 2];
    const float value = __uint_as_float(i % 2 == 0 ? conditional.x : conditional.z);
    const float unguided = __uint_as_float(i % 2 == 0 ? other.x : other.z);
    mixed[i] = branches > 1 ? guided_logit(of.guidance, value, unguided, of.cfg_scale) : value;
  }
}

__device__ inline void send_code(const PlacesArgs& args, std::int32_t p, std::int32_t place,
                                 std::uint32_t tag, std::int32_t drawn) {
  const PickDrawArgs& draw = args.draw;
  const std::int32_t d = draw.rows.pick_draw[p];
  const std::int32_t code = code_of(draw.rows, d, place, drawn);
  store_word(args.codes + p, static_cast<std::uint32_t>(code), tag);
  draw.outcome.sampled[std::int64_t{d} * draw.slots.codebooks + place] = code;
}

// Any draw, as pick_code_kernel makes it.
__device__ inline void draw_place_slowly(const PlacesArgs& args, const PlaceDrawRoom& room,
                                         const DrawSlot& slot, std::int32_t p, std::int32_t place,
                                         std::uint32_t tag) {
  const PickDrawArgs& draw = args.draw;
  const std::int32_t d = draw.rows.pick_draw[p];
  ThreadBlock block(room.shared->room);
  BlockRow row = draw_row<true>(room.row, nullptr, 0, draw.vocab);
  row.seen = copy_seen<true>(room.row, draw.slots, slot.rules.sampler, draw.rows.draw_slot[d],
                             place, draw.vocab);
  RawLogits raw = await_logits(args, room, p, tag);
  raw.scale = slot.rules.cfg_scale;
  mask_pick(block, draw, slot, p, raw, row);
  const rules::DrawOutcome drawn =
      draw_code(block, slot.rules.sampler, row, room.shared->number, 0);
  if (block.rank() != 0) return;
  add_fault_of(draw.faults, draw.rows.draw_conditional[d], drawn.fault);
  send_code(args, p, place, tag, drawn.code);
}

__device__ inline void draw_place(const PlacesArgs& args, const PlaceDrawRoom& room, std::int32_t p,
                                  std::int32_t place, std::uint32_t tag) {
  const PickDrawArgs& draw = args.draw;
  const DrawSlot slot(*room.shared, draw.slots, draw.rows.draw_slot[draw.rows.pick_draw[p]]);
  slot.write_number(*room.shared, place, 0);
  bool is_drawn = false;
  if (draws_top_k(slot.rules.sampler, draw.vocab)) {
    const TopKDraw fast{*room.top_k, slot, draw.vocab, room.shared->number};
    fast.prepare();
    float mixed[kTopKValues];
    await_mixed(args, slot, p, tag, mixed);
    std::int32_t code = -1;
    is_drawn = fast.draw(mixed, code);
    if (is_drawn && code >= 0) send_code(args, p, place, tag, code);
  }
  if (!is_drawn) {
    __syncthreads();
    draw_place_slowly(args, room, slot, p, place, tag);
  }
  __syncthreads();
}

__device__ inline void draw_places(const PlacesArgs& args, std::byte* shared,
                                   std::uint32_t first_tag) {
  const PlaceDrawRoom room = PlaceDrawRoom::of(shared, args.draw.vocab);
  const std::int32_t picks = count_of(args.draw.rows, Count::picks);
  const auto first = static_cast<std::int32_t>(blockIdx.x) - args.weight_blocks;
  for (std::int32_t place = 0; place < args.input.codebooks; ++place) {
    for (std::int32_t p = first; p < picks; p += args.draw_blocks)
      draw_place(args, room, p, place, first_tag + static_cast<std::uint32_t>(place));
  }
}

}  // namespace ttsrt::cuda
