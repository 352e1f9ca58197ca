#include "recorder.h"

#include "ttsrt/error.h"

namespace ttsrt::plugins::test {
namespace {

std::vector<Recorded>& all() {
  static std::vector<Recorded> launches;
  return launches;
}

std::string& failure() {
  static std::string message;
  return message;
}

}  // namespace

void Recorder::clear() {
  all().clear();
  failure().clear();
}

const std::vector<Recorded>& Recorder::launches() { return all(); }

void Recorder::fail_next(std::string message) { failure() = std::move(message); }

void Recorder::add(const char* name, Launch args) {
  if (!failure().empty()) throw DeviceError(std::exchange(failure(), ""));
  all().push_back({name, std::move(args)});
}

}  // namespace ttsrt::plugins::test

namespace ttsrt::cuda {

using plugins::test::Recorder;

void embed_rows(const EmbedArgs& args, cudaStream_t) { Recorder::add("embed_rows", args); }
void store_context(const StoreContextArgs& args, cudaStream_t) {
  Recorder::add("store_context", args);
}
void norm(const NormArgs& args, cudaStream_t) { Recorder::add("norm", args); }
void gate(const GateArgs& args, cudaStream_t) { Recorder::add("gate", args); }
void unfold(const UnfoldArgs& args, cudaStream_t) { Recorder::add("unfold", args); }
void linear(const LinearArgs& args, cudaStream_t) { Recorder::add("linear", args); }
void self_attention(const SelfAttentionArgs& args, cudaStream_t) {
  Recorder::add("self_attention", args);
}
void local_attention(const LocalAttentionArgs& args, cudaStream_t) {
  Recorder::add("local_attention", args);
}
void store_memory(const StoreMemoryArgs& args, cudaStream_t) {
  Recorder::add("store_memory", args);
}
void cross_attention(const CrossAttentionArgs& args, cudaStream_t) {
  Recorder::add("cross_attention", args);
}
void begin_launch(const BeginArgs& args, cudaStream_t) { Recorder::add("begin_launch", args); }
void give_results(const GiveArgs& args, cudaStream_t) { Recorder::add("give_results", args); }
void update_prior(const UpdatePriorArgs& args, cudaStream_t) {
  Recorder::add("update_prior", args);
}
void sample_codes(const SampleArgs& args, cudaStream_t) { Recorder::add("sample_codes", args); }
void finish_step(const FinishStepArgs& args, cudaStream_t) { Recorder::add("finish_step", args); }
void pick_inputs(const PickInputArgs& args, cudaStream_t) { Recorder::add("pick_inputs", args); }
void add_positions(const AddPositionsArgs& args, cudaStream_t) {
  Recorder::add("add_positions", args);
}
void pick_code(const PickDrawArgs& args, cudaStream_t) { Recorder::add("pick_code", args); }
void start_guesses(const PickDrawArgs& args, cudaStream_t) { Recorder::add("start_guesses", args); }
void fix_confident(const PickDrawArgs& args, cudaStream_t) { Recorder::add("fix_confident", args); }
void guess_codes(const PickDrawArgs& args, cudaStream_t) { Recorder::add("guess_codes", args); }
void finish_guesses(const PickDrawArgs& args, cudaStream_t) {
  Recorder::add("finish_guesses", args);
}

void load_item_rows(const ItemRowsArgs& args, cudaStream_t) {
  Recorder::add("load_item_rows", args);
}
void modulated_norm(const ModulatedNormArgs& args, cudaStream_t) {
  Recorder::add("modulated_norm", args);
}
void add_modulated(const AddModulatedArgs& args, cudaStream_t) {
  Recorder::add("add_modulated", args);
}
void grouped_conv(const GroupedConvArgs& args, cudaStream_t) {
  Recorder::add("grouped_conv", args);
}
void flow_step(const FlowStepArgs& args, cudaStream_t) { Recorder::add("flow_step", args); }
void prepare_heads(const ItemAttentionArgs& args, cudaStream_t) {
  Recorder::add("prepare_heads", args);
}
void item_attention(const ItemAttentionArgs& args, cudaStream_t) {
  Recorder::add("item_attention", args);
}

void clear_scores(const RowsView& rows, float* scores, std::int32_t max_text_len,
                  std::int32_t max_draws, cudaStream_t) {
  Recorder::add("clear_scores", plugins::test::ClearArgs{rows, scores, max_text_len, max_draws});
}

void keep_pick_logits(const RowsView&, const float* logits, float* kept, std::int64_t width,
                      std::int32_t max_rows, std::int32_t max_pick_rows, cudaStream_t) {
  Recorder::add("keep_pick_logits",
                plugins::test::KeepLogitsArgs{logits, kept, width, max_rows, max_pick_rows});
}

// The true function is compiled by nvcc, with the kernels; what a test asks of it is a number that
// grows with both.
std::size_t draw_scratch_bytes(std::int64_t num_draws, std::int32_t vocab) {
  return static_cast<std::size_t>(num_draws * vocab) * 8;
}

}  // namespace ttsrt::cuda
