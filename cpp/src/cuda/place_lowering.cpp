#include "cuda/place_lowering.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <variant>

#include "cuda/check.h"
#include "cuda/place_plan.h"
#include "ops/nested.h"

namespace ttsrt::cuda {
namespace {

constexpr std::size_t kLayerOps = 7;  // norm, qkv, attention, out, norm, feed-forward in and out
constexpr std::int32_t kDrawBlocks = 4;

// Whether an op of a kind reads `x` and writes `out`.
bool is_norm(const ops::Op& op, ops::BufferId x, ops::BufferId& out) {
  const auto* norm = std::get_if<ops::Norm>(&op);
  if (norm == nullptr || norm->x != x) return false;
  out = norm->out;
  return true;
}

bool is_product(const ops::Op& op, ops::BufferId x, bool accumulates, ops::BufferId& out) {
  const auto* linear = std::get_if<ops::Linear>(&op);
  if (linear == nullptr || linear->x != x || linear->accumulate != accumulates ||
      linear->addend != ops::kNoBuffer)
    return false;
  out = linear->out;
  return true;
}

bool is_attention(const ops::Op& op, ops::BufferId qkv, ops::BufferId& out) {
  const auto* attention = std::get_if<ops::SelfAttention>(&op);
  if (attention == nullptr || attention->qkv != qkv || !attention->causal ||
      attention->num_kv_heads() != attention->heads)
    return false;
  out = attention->out;
  return true;
}

bool is_layer(const ops::Op* at, ops::BufferId x) {
  ops::BufferId normed = ops::kNoBuffer;
  ops::BufferId mid = ops::kNoBuffer;
  ops::BufferId out = ops::kNoBuffer;
  if (!is_norm(at[0], x, normed) || !is_product(at[1], normed, false, mid)) return false;
  if (!is_attention(at[2], mid, out) || !is_product(at[3], out, true, mid) || mid != x)
    return false;
  if (!is_norm(at[4], x, normed) || !is_product(at[5], normed, false, mid)) return false;
  return is_product(at[6], mid, true, out) && out == x;
}

bool has_plain_layers(const ops::NestedProgram& network) {
  const std::vector<ops::Op>& all = network.program->ops;
  const std::size_t layers = all.size() / kLayerOps;
  if (all.empty() || all.size() % kLayerOps != 0 || layers > kMostPlaceLayers ||
      network.output != network.input)
    return false;
  for (std::size_t l = 0; l < layers; ++l) {
    if (!is_layer(all.data() + l * kLayerOps, network.input)) return false;
  }
  return true;
}

struct Device {
  int blocks = 0;  // that run at once
  int shared_bytes = 0;
};

Device this_device() {
  int index = 0;
  Device device;
  const auto read = [&index](int& value, cudaDeviceAttr attribute) {
    check(cudaDeviceGetAttribute(&value, attribute, index), "cudaDeviceGetAttribute");
  };
  check(cudaGetDevice(&index), "cudaGetDevice");
  read(device.blocks, cudaDevAttrMultiProcessorCount);
  read(device.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  return device;
}

bool is_supported(const PickInputArgs& input, const LocalAttentionArgs& attention,
                  std::int64_t width) {
  return input.code_tables.element == Element::bfloat16 && width == input.dim &&
         width <= kMostPlaceWidth && width % 16 == 0 &&
         attention.heads * std::int64_t{attention.head_dim} == width &&
         attention.head_dim % 4 == 0 && attention.head_dim <= kMostPlaceHeadDim;
}

PlaceNorm norm_of(const NormArgs& args) {
  return {args.weight, args.bias, args.epsilon, args.is_rms};
}

// Fills what comes from the parts; false if a part has another form.
bool describe(const PlaceParts& parts, PlacesArgs& args) {
  for (std::int32_t l = 0; l < args.num_layers; ++l) {
    PlaceLayer& layer = args.layers[l];
    const auto at = static_cast<std::size_t>(l);
    layer.norms[0] = norm_of(parts.norms[2 * at]);
    layer.norms[1] = norm_of(parts.norms[2 * at + 1]);
    layer.attention = parts.attentions[at];
    if (!is_supported(parts.input, layer.attention, args.width) ||
        layer.attention.head_dim != parts.attentions[0].head_dim)
      return false;
    for (std::size_t k = 0; k < kPlacePhases; ++k) {
      PlaceProduct& product = layer.products[k];
      if (!place_product(parts.products[at * kPlacePhases + k], product) ||
          product.outputs % kTile != 0)
        return false;
    }
  }
  for (std::size_t p = 0; p < parts.heads.size(); ++p) {
    if (!place_product(parts.heads[p], args.head)) return false;
    args.heads[p] = args.head.data;
  }
  return args.head.slice <= kMostPlaceHeadUnits && args.head.activate == Activation::none;
}

// Spreads the weights over the blocks; does not fit where they have no room.
PlacePlan spread(PlacesArgs& args, const Device& device) {
  std::vector<PlaceProduct> products;
  for (std::int32_t l = 0; l < args.num_layers; ++l) {
    for (const PlaceProduct& product : args.layers[l].products) products.push_back(product);
  }
  args.draw_blocks = kDrawBlocks;
  args.weight_blocks = device.blocks - kDrawBlocks;
  const auto draw_bytes = static_cast<std::int64_t>(place_draw_bytes(args.draw.vocab));
  if (args.weight_blocks < tiles_of(args.head) || draw_bytes > device.shared_bytes) return {};
  const auto work_bytes = static_cast<std::int64_t>(place_work_bytes(args));
  PlacePlan plan = plan_places(products, args.weight_blocks, device.shared_bytes - work_bytes);
  args.most_tiles = plan.most_tiles;
  args.weight_bytes = plan.weight_bytes;
  plan.fits = plan.fits && plan.weight_bytes + static_cast<std::int64_t>(place_work_bytes(args)) <=
                               device.shared_bytes;
  return plan;
}

template <typename T>
const T* upload(const std::vector<T>& values, DeviceMemory& memory) {
  T* at = memory.take<T>(values.size(), "activations");
  if (at != nullptr) {
    check(cudaMemcpy(at, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice),
          "cudaMemcpy");
  }
  return at;
}

template <typename T>
T* take_zeros(std::int64_t count, DeviceMemory& memory) {
  const auto size = static_cast<std::size_t>(count);
  T* at = memory.take<T>(size, "activations");
  if (at != nullptr) check(cudaMemset(at, 0, size * sizeof(T)), "cudaMemset");
  return at;
}

// Visits each array of tagged words with its width: visit(array, words of a row).
template <typename Visit>
void each_array(PlacesArgs& args, const Visit& visit) {
  for (std::int32_t l = 0; l < args.num_layers; ++l) {
    PlaceLayer& layer = args.layers[l];
    visit(layer.qkv, 3 * args.width);
    visit(layer.attended, args.width / 2);
    visit(layer.middle, args.width);
    visit(layer.hidden, layer.products[2].outputs / 2);
    visit(layer.output, args.width);
  }
  visit(args.logits, tiles_of(args.head) * kTile);
  visit(args.codes, 2);  // two words, so that what follows is aligned to 16 bytes
}

void take_words(PlacesArgs& args, DeviceMemory& memory) {
  args.num_words = 0;
  each_array(args, [&args](TaggedWord*&, std::int32_t width) {
    args.num_words += std::int64_t{kMostPlaceRows} * width;
  });
  args.words = take_zeros<TaggedWord>(args.num_words, memory);
  args.launches = take_zeros<std::uint32_t>(2, memory);
  if (args.words == nullptr) return;  // memory is only counted
  TaggedWord* next = args.words;
  each_array(args, [&next](TaggedWord*& array, std::int32_t width) {
    array = next;
    next += std::int64_t{kMostPlaceRows} * width;
  });
}

}  // namespace

std::optional<PlacesArgs> lower_places(const ops::PickCodes& op, const PlaceParts& parts,
                                       DeviceMemory& memory) {
  if (op.maskgit || op.in_proj.is_present() || op.codebooks > kMostPlaces ||
      !has_plain_layers(op.network))
    return std::nullopt;
  PlacesArgs args;
  args.input = parts.input;
  args.positions = parts.positions;
  args.draw = parts.draw;
  args.num_layers = static_cast<std::int32_t>(parts.attentions.size());
  args.width = static_cast<std::int32_t>(ops::width_of(op.network, op.network.input));
  args.head_biases = parts.head_biases;
  if (!describe(parts, args)) return std::nullopt;
  const PlacePlan plan = spread(args, this_device());
  if (!plan.fits || !can_pick_places(args)) return std::nullopt;
  args.tile_begins = upload(plan.begins, memory);
  args.tiles = upload(plan.tiles, memory);
  take_words(args, memory);
  if (parts.keeps_logits) args.kept_logits = parts.heads.front().out;
  return args;
}

}  // namespace ttsrt::cuda
