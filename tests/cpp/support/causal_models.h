// Small models of a causal decoder: configurations of both families that have one.
#pragma once

#include "core/json.h"

namespace ttsrt::test {

// Two layers with every variant of a block that a sequential one can have.
inline Json llama_stack_json() {
  return {{"layers", 2},
          {"dim", 12},
          {"ffn_dim", 20},
          {"heads", 4},
          {"kv_heads", 2},
          {"head_dim", 6},
          {"max_positions", 64},
          {"learned_positions", false},
          {"parallel", false},
          {"norm", "rms"},
          {"norm_bias", false},
          {"norm_epsilon", 1e-6},
          {"attention_bias", false},
          {"attention_scale", nullptr},
          {"rope", {{"kind", "default"}, {"dims", 4}, {"theta", 10000.0}}},
          {"activation", "silu"},
          {"gated", true},
          {"ffn_bias", false}};
}

inline Json parallel_stack_json() {
  Json stack = llama_stack_json();
  stack["parallel"] = true;
  stack["norm"] = "layer";
  stack["gated"] = false;
  stack["activation"] = "gelu_tanh";
  stack["attention_scale"] = 0.25;
  for (const char* field : {"norm_bias", "attention_bias", "ffn_bias"}) stack[field] = true;
  return stack;
}

inline Json causal_config(const char* family, const Json& model, double cfg_scale) {
  return {{"format", "ttsrt.checkpoint"},
          {"format_version", 1},
          {"family", family},
          {"source", {{"made", "by a test"}}},
          {"model", model},
          {"defaults",
           {{"cfg_scale", cfg_scale},
            {"temperature", 0.0},
            {"top_k", 0},
            {"min_p", 0.0},
            {"repetition_penalty", 1.0},
            {"max_frames", 20},
            {"min_frames", 0}}}};
}

inline Json llm_config(const Json& stack = llama_stack_json()) {
  const Json model = {{"vocab", 30}, {"eos", 2}, {"head_bias", true}, {"decoder", stack}};
  return causal_config("llm", model, 1.0);
}

inline Json conditioning_json() {
  return {{"speaker_dim", 5},     {"queries", 4},    {"heads", 2},
          {"norm_epsilon", 1e-5}, {"emotion", true}, {"max_prompt", 6}};
}

inline Json t3_config(const Json& stack = llama_stack_json()) {
  const Json model = {{"variant", "english"},
                      {"speech_vocab", 40},
                      {"speech_rows", 40},
                      {"text_vocab", 9},
                      {"frame_rate", 25.0},
                      {"bos", 38},
                      {"eos", 39},
                      {"text_start", 7},
                      {"text_stop", 0},
                      {"start_rows", 2},
                      {"text_positions", 24},
                      {"speech_positions", 30},
                      {"head_bias", false},
                      {"processors", "t3"},
                      {"decoder", stack},
                      {"conditioning", conditioning_json()}};
  return causal_config("t3", model, 1.5);
}

// The same that decides four tokens together.
inline Json block_config() {
  Json config = t3_config();
  Json& model = config["model"];
  model["variant"] = "flash";
  model["speech_rows"] = 41;
  model["start_rows"] = 1;
  model["block_size"] = 4;
  config["defaults"]["block"] = {{"steps", 3}, {"early", 0.1}, {"shift", 0.5}, {"noise", 1.0}};
  return config;
}

}  // namespace ttsrt::test
