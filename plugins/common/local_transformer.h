// ops::PickCodes: codes that a local transformer picks, place after place, or, of MaskGit, in
// passes over all places.
//
// One launch runs every place through the launchers, one after the other. Which draws use the local
// transformer is in the tables of the launch, so kernels of a launch without such draws do nothing.
#pragma once

#include "common/nested.h"
#include "cuda/launch.h"

namespace ttsrt::plugins {

struct LocalTransformerAttributes {
  LaunchAttributes launch;
  SlotAttributes slots;
  FaultAttributes faults;
  NestedAttributes nested;
  std::int32_t is_maskgit = 0;
  std::int32_t max_passes = 0;   // of MaskGit: the most that any request makes
  std::int32_t vocab = 1;        // ids of each codebook
  std::int32_t width = 1;        // of the decoder's outputs and of the tables
  std::int32_t mask_id = 0;      // of MaskGit
  std::int32_t weight_type = 0;  // a cuda::Element, of products and tables
  std::int32_t has_in_proj = 0;  // 1: `width` is projected to the width of activation 0
  std::int32_t has_in_proj_bias = 0;
  std::int32_t has_head_biases = 0;
  std::int32_t keep_logits = 0;  // 1: raw logits are kept by rows of the launch, for traces

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    SlotAttributes::each(self.slots, visit);
    FaultAttributes::each(self.faults, visit);
    NestedAttributes::each(self.nested, visit);
    visit("is_maskgit", self.is_maskgit);
    visit("max_passes", self.max_passes);
    visit("vocab", self.vocab);
    visit("width", self.width);
    visit("mask_id", self.mask_id);
    visit("weight_type", self.weight_type);
    visit("has_in_proj", self.has_in_proj);
    visit("has_in_proj_bias", self.has_in_proj_bias);
    visit("has_head_biases", self.has_head_biases);
    visit("keep_logits", self.keep_logits);
  }
};

class LocalTransformer final : public OpOf<LocalTransformer, LocalTransformerAttributes> {
 public:
  static constexpr const char* kName = "LocalTransformer";

  explicit LocalTransformer(LocalTransformerAttributes attributes);
  std::size_t workspace_bytes() const override { return layout(nullptr).bytes; }
  void enqueue(const Call& call) const override;

 private:
  // Where everything lies in the workspace, and how much of it there is.
  struct Layout {
    float* projected = nullptr;  // [rows, width], before in_proj
    std::vector<float*> activations;
    std::vector<float*> kept;  // of attentions, by op; others null
    float* logits = nullptr;   // [pick rows, codebooks * vocab]
    cuda::GuessesView guesses;
    std::byte* scratch = nullptr;
    std::size_t bytes = 0;
  };
  class Walk;

  void check() const;
  void add_weights();
  void add_nested_weights();
  std::int64_t codebooks() const { return at_.launch.codebooks; }
  std::int32_t places() const { return at_.launch.codebooks + (at_.is_maskgit != 0 ? 1 : 0); }
  std::int64_t most_pick_rows() const { return 2 * at_.launch.draws(); }
  std::int64_t logits_width() const { return codebooks() * at_.vocab; }
  // Bytes of keys and values of an attention, which keeps them for one launch.
  std::size_t kept_bytes(const NestedOp& op) const;
  Layout layout(std::byte* workspace) const;
};

}  // namespace ttsrt::plugins
