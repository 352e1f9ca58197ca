// The launcher of pick_places.cu: all places of autoregressive picks in one launch.
//
// For few rows. Every block keeps its share of the nested Program's weights in shared memory, so
// that a place reads no weight but its head's, and blocks exchange activations as tagged words. The
// results are bit for bit those of the launches of launch.h, place after place.
#pragma once

#include "cuda/launch.h"

namespace ttsrt::cuda {

constexpr std::int32_t kMostPlaceRows = 8;
constexpr std::int32_t kMostPlaceLayers = 4;
constexpr std::int32_t kMostPlaces = 32;
constexpr std::int32_t kMostPlaceUnits = 12;     // fragments of a warp
constexpr std::int32_t kMostPlaceHeadUnits = 4;  // and of a head
constexpr std::int32_t kMostPlaceWidth = 1024;   // of the residual
constexpr std::int32_t kMostPlaceHeadDim = 128;
constexpr std::int32_t kPlaceWarps = 16;
constexpr std::int32_t kPlacePhases = 4;  // products of a layer

// Rows that a launch may have: their norms are computed at once.
static_assert(kMostPlaceWidth <= kNormWarps * 128);  // a thread has four values of a row at most
inline std::int32_t most_place_rows(std::int32_t width) {
  const std::int32_t rows = kPlaceWarps / norm_warps_of(width);
  return rows < kMostPlaceRows ? rows : kMostPlaceRows;
}

// A number or two bfloat16 numbers, and the tag that says of which place it is.
struct TaggedWord {
  std::uint32_t value = 0;
  std::uint32_t tag = 0;
};

// A product with a bfloat16 weight; how K is cut is that of linear().
struct PlaceProduct {
  const void* data = nullptr;
  const float* bias = nullptr;
  std::int32_t outputs = 0;
  std::int32_t units = 0;   // fragments of a tile
  std::int32_t slice = 0;   // fragments of a warp
  std::int32_t slices = 0;  // warps of a tile
  Activation activate = Activation::none;
};
inline std::int32_t tiles_of(const PlaceProduct& product) {
  return (product.outputs + kTile - 1) / kTile;
}
// Describes the product of these arguments; false if it has another arithmetic.
bool place_product(const LinearArgs& args, PlaceProduct& out);

struct PlaceNorm {
  const float* weight = nullptr;
  const float* bias = nullptr;  // or none
  float epsilon = 0.0F;
  bool is_rms = false;
};

// One layer of the nested Program. What blocks exchange is in tagged words, a row behind the other.
struct PlaceLayer {
  PlaceNorm norms[2];                   // before attention, before the feed-forward
  PlaceProduct products[kPlacePhases];  // qkv, out, feed-forward in, feed-forward out
  LocalAttentionArgs attention;         // kept, rope, scale
  TaggedWord* qkv = nullptr;            // [rows, 3 width] numbers
  TaggedWord* attended = nullptr;       // [rows, width / 2] pairs
  TaggedWord* middle = nullptr;         // [rows, width] numbers: x behind attention
  TaggedWord* hidden = nullptr;         // [rows, ffn / 2] pairs
  TaggedWord* output = nullptr;         // [rows, width] numbers: x behind the layer
};

// A tile of a product in a block's shared memory.
struct PlaceTile {
  std::int32_t tile = 0;
  std::int32_t offset = 0;  // bytes
};

struct PlacesArgs {
  PickInputArgs input;               // the inputs of places
  const float* positions = nullptr;  // [places, width]
  PickDrawArgs draw;
  float* kept_logits = nullptr;  // as PickDrawArgs::logits, if they are wanted
  PlaceLayer layers[kMostPlaceLayers];
  std::int32_t num_layers = 0;
  std::int32_t width = 0;
  PlaceProduct head;  // but for data and bias
  const void* heads[kMostPlaces] = {};
  const float* head_biases = nullptr;  // [places * vocab], or none
  TaggedWord* logits = nullptr;        // [rows, tiles * 16] numbers
  TaggedWord* codes = nullptr;         // [picks]
  TaggedWord* words = nullptr;         // all tagged words, which begin as zeros
  std::int64_t num_words = 0;
  std::uint32_t* launches = nullptr;  // the number of launches before, and of blocks that are done
  std::int32_t weight_blocks = 0;
  std::int32_t draw_blocks = 0;
  std::int32_t weight_bytes = 0;              // of a block at most
  std::int32_t most_tiles = 0;                // of a block
  const std::int32_t* tile_begins = nullptr;  // [weight_blocks, phases + 1]
  const PlaceTile* tiles = nullptr;           // [weight_blocks, most_tiles], by phase
};
// Bytes of shared memory of a block beside `weight_bytes`.
std::size_t place_work_bytes(const PlacesArgs& args);
// Bytes of a block that draws.
std::size_t place_draw_bytes(std::int32_t vocab);
// Whether the current device can run all blocks at once. False on devices before sm_90.
bool can_pick_places(const PlacesArgs& args);
void pick_places(const PlacesArgs& args, cudaStream_t stream);

}  // namespace ttsrt::cuda
