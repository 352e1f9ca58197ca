// The walk of a block that has weights over the places and layers of autoregressive picks.
//
// Decided: whoever needs the norms of rows computes them, in the order of norm.cu; other inputs of
// products are loaded as the operands they are. A place costs a way through the L2 cache per
// product, one for attention and one for the draw. Its time is that of single warps' instructions,
// so that there is little code, in loops, and nothing is computed twice.
#pragma once

#include "cuda/kernels/norm_quad.cuh"
#include "cuda/kernels/pick_block.cuh"
#include "cuda/kernels/place_block.cuh"

namespace ttsrt::cuda {

// As code_value_at(), four numbers of a bfloat16 table.
__device__ inline float4 code_quad_at(const TableView& table, std::int64_t row, std::int64_t col) {
  if (row < 0) return {NAN, NAN, NAN, NAN};
  const std::int64_t at = row * table.cols + col;
  const auto pairs =
      *reinterpret_cast<const uint2*>(static_cast<const std::byte*>(table.data) + at * 2);
  return {__uint_as_float(pairs.x << 16), __uint_as_float(pairs.x & 0xFFFF0000U),
          __uint_as_float(pairs.y << 16), __uint_as_float(pairs.y & 0xFFFF0000U)};
}

// As block_sum() in norm.cu over warps that have these sums.
__device__ inline float sum_of_warps(const float* sums, int warps) {
  const auto* quads = reinterpret_cast<const float4*>(sums);
  const float4 low = quads[0];
  const float4 high = quads[1];
  float s[kNormWarps] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
  for (int i = 0; i < kNormWarps; ++i) s[i] = i < warps ? s[i] : 0.0F;
#pragma unroll
  for (int apart = kNormWarps / 2; apart > 0; apart /= 2) {
#pragma unroll
    for (int i = 0; i < apart; ++i) s[i] = __fadd_rn(s[i], s[i + apart]);
  }
  return s[0];
}

template <typename S>
struct PlaceWalk {
  const PlacesArgs& args;
  PlaceRoom room;
  int warp, lane, rows;
  int norm_warps;  // that a row has in norm.cu
  int norm_row;    // the row of which this thread normalizes four values, or -1
  int norm_at;     // the first of them
  int sum_at;      // of this warp's sum
  uint2* staged;   // [rows, staged_pitch], without conflicts
  int staged_pitch;
  bool parts_overlap;  // inputs of norms are where partial sums will be
  bool normalizes;     // this warp has values of a row
  PlaceCell cell;
  int place = 0;
  std::uint32_t tag = 0;

  __device__ PlaceWalk(const PlacesArgs& a, const PlaceRoom& r) : args(a), room(r) {
    warp = static_cast<int>(threadIdx.x) / kWarp;
    lane = static_cast<int>(threadIdx.x) % kWarp;
    const RowsView& view = args.draw.rows;
    rows = min(count_of(view, Count::pick_rows), kMostPlaceRows);
    norm_warps = norm_warps_of(args.width);
    norm_row = warp / norm_warps;
    norm_at = (warp % norm_warps * kWarp + lane) * 4;
    sum_at = min(norm_row, kMostPlaceRows - 1) * kNormWarps + warp % norm_warps;
    if (norm_row >= rows || norm_at >= args.width) norm_row = -1;
    staged_pitch = args.width / 4 + 4;
    const int staged_at = kPartialBytes - rows * staged_pitch * static_cast<int>(sizeof(uint2));
    staged = reinterpret_cast<uint2*>(reinterpret_cast<std::byte*>(room.partial) + staged_at);
    parts_overlap = rows * kPlaceWarps * kPartialPitch * 4 > staged_at;
    normalizes = warp < rows * norm_warps;
    if (rows > 0) cell = PlaceCell::of(rows);
    const int picks = count_of(view, Count::picks);
    for (int p = static_cast<int>(threadIdx.x); p < picks; p += kPlaceThreads) {
      for (int b = 0; b < num_branches(view, p); ++b) room.pick_of[view.pick_first[p] + b] = p;
    }
    if (static_cast<int>(threadIdx.x) < rows)
      room.source_of[threadIdx.x] = view.pick_source[threadIdx.x];
    __syncthreads();
  }

  __device__ void run(std::uint32_t first_tag) {
    if (rows == 0) return;
#pragma unroll 1
    for (place = 0; place < args.input.codebooks; ++place) {
      tag = first_tag + static_cast<std::uint32_t>(place);
      fetch_head();
#pragma unroll 1
      for (int i = 0; i < args.num_layers * kPlacePhases; ++i) {
        const int kind = i % kPlacePhases;
        multiply(i / kPlacePhases, kind);
        if (kind == 0) attend(i / kPlacePhases);
      }
      head();
    }
  }

  // --- inputs of a place ------------------------------------------------------------------------

  // The row of the code that feeds this place, as row_of_code().
  __device__ std::int64_t code_row(int row) const {
    const auto code =
        static_cast<std::int32_t>(await_word(args.codes + room.pick_of[row], tag - 1));
    return row_of_code(place - 1, args.input.vocab, code);
  }
  __device__ const float* hidden_of(int row) const {
    return args.input.hidden + std::int64_t{room.source_of[row]} * args.width;
  }
  __device__ const float* positions() const { return args.positions + place * args.width; }

  // Values of the input of the place, which is x of the first layer.
  __device__ float4 input_quad(int row, int at) const {
    const float4 position = quad_at(positions(), at);
    const float4 value = place == 0 ? quad_at(hidden_of(row), at)
                                    : code_quad_at(args.input.code_tables, code_row(row), at);
    return {__fadd_rn(value.x, position.x), __fadd_rn(value.y, position.y),
            __fadd_rn(value.z, position.z), __fadd_rn(value.w, position.w)};
  }
  __device__ float input_value(int row, int i) const {
    const float position = positions()[i];
    const float value =
        place == 0 ? hidden_of(row)[i] : code_value_at(args.input.code_tables, code_row(row), i);
    return __fadd_rn(value, position);
  }

  // --- norms ------------------------------------------------------------------------------------

  __device__ static float4 quad_at(const float* row, int at) {
    return row == nullptr ? float4{} : *reinterpret_cast<const float4*>(row + at);
  }

  // Waits for this thread's four values of a row.
  __device__ float4 await_values(int l, int half) const {
    if (norm_row < 0) return {};
    if (half == 0 && l == 0) return input_quad(norm_row, norm_at);
    const TaggedWord* x = half == 1 ? args.layers[l].middle : args.layers[l - 1].output;
    x += norm_row * args.width + norm_at;
    uint4 words[2];
    await_pairs(words, tag, [x](int i) { return x + 2 * i; });
    return numbers_of(words[0], words[1]);
  }

  // Gives every warp its inputs of the norms of all rows.
  __device__ __forceinline__ void stage(int l, int half, const PlaceSlice& slice,
                                        PlaceInputs& inputs) const {
    const PlaceNorm& norm = args.layers[l].norms[half];
    const bool is_rms = pinned(norm.is_rms ? 1 : 0) != 0;
    const float epsilon = pinned(norm.epsilon);
    const float width = pinned(static_cast<float>(args.width));
    float4 weight = {};
    float4 bias = {};
    if (norm_row >= 0) {
      weight = quad_at(norm.weight, norm_at);
      bias = quad_at(norm.bias, norm_at);
    }
    const float4 value = await_values(l, half);
    __syncwarp();
    float mean = 0.0F;
    bool is_finite = true;
    if (!is_rms) {
      const float sum = row_sum(sum_of(value), 0);
      is_finite = isfinite(sum);
      mean = sum / width;
    }
    const float variance = row_sum(squares_of(value, mean, norm_row >= 0 ? 4 : 0), 1) / width;
    if (norm_row >= 0) {
      const float inverse = inverse_of(variance, epsilon, is_finite);
      const float4 out = normed(value, mean, inverse, weight, bias);
      staged[norm_row * staged_pitch + norm_at / 4] = {pack_bfloat16(out.x, out.y),
                                                       pack_bfloat16(out.z, out.w)};
    }
    __syncthreads();
    if (lane / 4 < rows) {
      const uint2* from = staged + lane / 4 * staged_pitch + slice.first * 4 + lane % 4;
#pragma unroll
      for (int i = 0; i < kMostPlaceUnits; ++i) {
        if (i < slice.count) inputs.of[i] = from[i * 4];
      }
    }
    if (parts_overlap) __syncthreads();
  }

  // Returns the sum over this thread's row, in the order of block_sum() in norm.cu. All threads
  // call it; `which` is 0 or 1, in turn.
  __device__ __forceinline__ float row_sum(float value, int which) const {
    float* sums = room.partial + which * kMostPlaceRows * kNormWarps;
    if (normalizes) {
      value = warp_sum(__fadd_rn(0.0F, value));
      if (lane == 0) sums[sum_at] = value;
    }
    __syncthreads();
    return normalizes ? sum_of_warps(sums + sum_at / kNormWarps * kNormWarps, norm_warps) : 0.0F;
  }

  // --- products ---------------------------------------------------------------------------------

  // Multiplies the block's tiles of a layer's product. There is one such function for all of them,
  // so that the code of a place stays in the caches of instructions.
  __device__ __forceinline__ void multiply(int l, int kind) {
    const PlaceProduct& product = args.layers[l].products[kind];
    const int begin = room.begins[l * kPlacePhases + kind];
    const int end = room.begins[l * kPlacePhases + kind + 1];
    if (begin == end) return;
    const PlaceSlice slice = PlaceSlice::of(product);
    const int slices = pinned(product.slices);
    const auto activate = static_cast<Activation>(pinned(static_cast<int>(product.activate)));
    PlaceInputs inputs = {};
#pragma unroll 1
    for (int first = begin; first < end; first += slice.together) {
      const bool has_cell = cell.slot < min(slice.together, end - first);
      int output = 0;
      float bias = 0.0F;
      float before = 0.0F;
      if (has_cell) {
        output = room.tiles[first + cell.slot].tile * kTile + cell.at;
        if (product.bias != nullptr) bias = product.bias[output];
        if (kind % 2 == 1) before = load_before(l, kind, output);
      }
      const int mine = first + slice.slot;
      int offset = mine < end ? room.tiles[mine].offset : 0;
      offset = pinned(offset + (slice.first * kWarp + lane) * 16);
      if (first == begin && kind % 2 == 0) stage(l, kind / 2, slice, inputs);
      if (first == begin && kind % 2 == 1) load_pairs(l, kind, slice, inputs);
      float sums[4] = {};
      if (mine < end) {
        if (place == 0) await_tile(room, mine);
        multiply_fragments(reinterpret_cast<const uint4*>(room.weights + offset), slice.count,
                           inputs, sums);
        write_partial(room, rows, sums);
      }
      __syncthreads();
      float value = 0.0F;
      if (has_cell) value = activated(activate, __fadd_rn(add_up(room, slices, rows, cell), bias));
      if (kind % 2 == 1) value = __fadd_rn(before, value);
      send(l, kind, has_cell, output, value);
      __syncthreads();  // partial sums have been read
    }
  }

  // Loads inputs that are pairs as they come.
  __device__ __forceinline__ void load_pairs(int l, int kind, const PlaceSlice& slice,
                                             PlaceInputs& inputs) const {
    const PlaceLayer& layer = args.layers[l];
    const TaggedWord* from = kind == 1 ? layer.attended : layer.hidden;
    const int pairs = layer.products[kind].units * 8;
    const TaggedWord* first = from + lane / 4 * pairs + slice.first * 8 + lane % 4 * 2;
    const int count = lane / 4 < rows ? slice.count : 0;
    uint4 words[kMostPlaceUnits];
    await_pairs(words, tag, [first, count](int i) -> const TaggedWord* {
      return i < count ? first + i * 8 : nullptr;
    });
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kMostPlaceUnits; ++i) inputs.of[i] = {words[i].x, words[i].z};
  }

  // Returns the value of x that an output of this thread's cell is added to.
  __device__ float load_before(int l, int kind, int output) const {
    if (kind == 1 && l == 0) return input_value(cell.row, output);
    const TaggedWord* x = kind == 3 ? args.layers[l].middle : args.layers[l - 1].output;
    return __uint_as_float(await_word(x + cell.row * args.width + output, tag));
  }

  __device__ __forceinline__ void send(int l, int kind, bool has_cell, int output,
                                       float value) const {
    const PlaceLayer& layer = args.layers[l];
    const float next = __shfl_down_sync(kAllLanes, value, 1);
    if (!has_cell) return;
    const int at = cell.row * layer.products[kind].outputs + output;
    if (kind == 2) {
      if (output % 2 == 0) store_word(layer.hidden + at / 2, pack_bfloat16(value, next), tag);
      return;
    }
    TaggedWord* to = kind == 0 ? layer.qkv : kind == 1 ? layer.middle : layer.output;
    store_word(to + at, __float_as_uint(value), tag);
  }

  // --- attention --------------------------------------------------------------------------------

  // The last warp of a block has every n-th head of a row.
  __device__ void attend(int l) {
    if (warp != kPlaceWarps - 1) return;
    const int heads = args.layers[l].attention.heads;
    for (int unit = static_cast<int>(blockIdx.x); unit < rows * heads; unit += args.weight_blocks)
      attend_head(args.layers[l], unit / heads, unit % heads);
    __syncwarp();
  }

  __device__ void attend_head(const PlaceLayer& layer, int row, int head) {
    constexpr int kPairs = S::kDims / 64;  // of a lane and a vector
    const LocalAttentionArgs& of = layer.attention;
    auto& shared = *reinterpret_cast<LocalShared<S>*>(room.attention);
    const std::int64_t kept_width = std::int64_t{of.heads} * padded_dims(of.head_dim);
    PlaceAttention<S> attention;
    attention.start(
        {of.kept + std::int64_t{row} * of.places * 2 * kept_width + head * padded_dims(of.head_dim),
         kept_width},
        place, of.head_dim);
    const TaggedWord* first = layer.qkv + std::int64_t{row} * 3 * args.width + head * of.head_dim;
    uint4 words[3 * kPairs];
    await_pairs(words, tag, [&](int i) -> const TaggedWord* {
      const int d = (i / 3 * kWarp + lane) * 2;
      return d < of.head_dim ? first + i % 3 * args.width + d : nullptr;
    });
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 3 * kPairs; ++i) {
      float* to = i % 3 == 0 ? shared.query : shared.own[i % 3 - 1];
      const int d = (i / 3 * kWarp + lane) * 2;
      *reinterpret_cast<float2*>(to + d) = {__uint_as_float(words[i].x),
                                            __uint_as_float(words[i].z)};
    }
    __syncwarp();
    attention.turn(shared.query, shared.own[0], shared.own[1],
                   Angles::of(of.rope, of.rope_width, place), shared, true);
    TaggedWord* out = layer.attended + (std::int64_t{row} * args.width + head * of.head_dim) / 2;
    attention.mix(shared, of.scale, [&](int d, const float (&values)[S::kVec]) {
      store_words(out + d / 2, pack_bfloat16(values[0], values[1]),
                  pack_bfloat16(values[2], values[3]), tag);
    });
    __syncwarp();
  }

  // --- head -------------------------------------------------------------------------------------

  __device__ const std::byte* head_tile() const {
    return static_cast<const std::byte*>(args.heads[place]) +
           std::int64_t{blockIdx.x} * args.head.units * kFragmentBytes;
  }
  __device__ bool has_head() const {
    return static_cast<int>(blockIdx.x) * kTile < args.head.outputs;
  }

  // Brings this block's tile of the place's head to the L2 cache.
  __device__ void fetch_head() const {
    const int at = static_cast<int>(threadIdx.x) * 128;
    if (!has_head() || at >= args.head.units * kFragmentBytes) return;
    asm volatile("prefetch.global.L2 [%0];" ::"l"(head_tile() + at));
  }

  __device__ __forceinline__ void load_head_inputs(const PlaceSlice& slice,
                                                   PlaceInputs& inputs) const {
    const PlaceLayer& last = args.layers[args.num_layers - 1];
    const TaggedWord* first = last.output + lane / 4 * args.width + slice.first * 16 + lane % 4 * 4;
    const int count = lane / 4 < rows ? slice.count : 0;
    uint4 words[2 * kMostPlaceHeadUnits];
    await_pairs(words, tag, [first, count](int i) -> const TaggedWord* {
      return i / 2 < count ? first + i / 2 * 16 + i % 2 * 2 : nullptr;
    });
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kMostPlaceHeadUnits; ++i) {
      const float4 x = numbers_of(words[2 * i], words[2 * i + 1]);
      inputs.of[i] = {pack_bfloat16(x.x, x.y), pack_bfloat16(x.z, x.w)};
    }
  }

  __device__ __forceinline__ void head() {
    if (!has_head()) return;
    const PlaceSlice slice = PlaceSlice::of(args.head);
    const int slices = pinned(args.head.slices);
    const auto* weights_from =
        reinterpret_cast<const uint4*>(head_tile()) + slice.first * kWarp + lane;
    uint4 weights[kMostPlaceHeadUnits];
#pragma unroll
    for (int i = 0; i < kMostPlaceHeadUnits; ++i)
      weights[i] = i < slice.count ? load_streaming(weights_from + i * kWarp) : uint4{};
    const int output = static_cast<int>(blockIdx.x) * kTile + cell.at;
    const bool has_cell = cell.slot == 0;
    float bias = 0.0F;
    if (args.head_biases != nullptr && has_cell && output < args.head.outputs)
      bias = args.head_biases[place * args.head.outputs + output];
    PlaceInputs inputs = {};
    if (slice.slot == 0) {
      load_head_inputs(slice, inputs);
      float sums[4] = {};
#pragma unroll
      for (int i = 0; i < kMostPlaceHeadUnits; ++i) {
        if (i < slice.count) multiply_place(weights[i], inputs.of[i], sums);
      }
      write_partial(room, rows, sums);
    }
    __syncthreads();
    if (has_cell) store_logit(output, __fadd_rn(add_up(room, slices, rows, cell), bias));
    __syncthreads();
  }

  __device__ void store_logit(int output, float value) const {
    const int pitch = ceil_div(args.head.outputs, kTile) * kTile;
    store_word(args.logits + cell.row * pitch + output, __float_as_uint(value), tag);
    if (args.kept_logits == nullptr || output >= args.head.outputs) return;
    const std::int64_t place_row = std::int64_t{cell.row} * args.input.codebooks + place;
    args.kept_logits[place_row * args.head.outputs + output] = value;
  }
};

}  // namespace ttsrt::cuda
