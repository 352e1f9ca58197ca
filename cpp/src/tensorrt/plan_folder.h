// The plans of an engine: a folder beside its engine.json, which says what they were built from and
// where they run.
//
//   tensorrt/plans.json          TensorRT, GPU, weights, limits, a record for each plan
//   tensorrt/plans/decode.plan   each Program, as TensorRT serialized it
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tensorrt/driver.h"
#include "ttsrt/publish.h"

namespace ttsrt::tensorrt {

constexpr std::int32_t kPlansVersion = 2;  // "format_version" of plans.json
constexpr const char* kPlansFolder = "tensorrt";
constexpr const char* kPlansFiles = "plans";
constexpr const char* kPlansName = "plans.json";

struct PlanRecord {
  std::string program;
  bool has_taps = false;  // it also gives what a trace keeps
  std::string file;       // in the folder's "plans"
  std::string network;    // hash of NetworkText
  std::size_t bytes = 0;
  std::size_t memory_bytes = 0;  // that a context needs
  std::vector<RowRange> ranges;
};

struct PlanDescription {
  std::string tensorrt;         // version of the library: "8.6.0"
  std::string plugins;          // version of the plugins
  std::string gpu;              // "NVIDIA H100 80GB HBM3"
  std::int32_t capability = 0;  // of its kernels: 90
  std::string weights;          // hash of the engine's
  std::int32_t max_batch_size = 0;
  std::int32_t max_num_tokens = 0;
  std::string cache_dtype;
  std::vector<PlanRecord> plans;

  // Null where there is none.
  const PlanRecord* find(const std::string& program, bool has_taps) const;
  std::int32_t major() const;
};

std::string to_json(const PlanDescription& description);
// Reads the plans of an engine's folder. Throws NotFoundError, which says how to build them, where
// there are none, and FormatError.
PlanDescription read_plans(const std::string& engine_dir);
std::vector<std::byte> read_plan(const std::string& engine_dir, const PlanRecord& record);

// For FolderWriter.
FolderKind plans_kind();

}  // namespace ttsrt::tensorrt
