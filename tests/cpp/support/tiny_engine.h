// Builds the tiny checkpoint into an engine in a temporary folder of the test.
#pragma once

#include <string>

#include "support/tiny_checkpoint.h"
#include "ttsrt/build.h"
#include "ttsrt/engine.h"

namespace ttsrt::test {

class TinyEngine {
 public:
  explicit TinyEngine(const Json& config = tiny_config(), const BuildOptions& options = {}) {
    write_checkpoint(checkpoint(), config);
    build(checkpoint(), path(), options);
  }

  std::string checkpoint() const { return folder_.file("checkpoint"); }
  std::string path() const { return folder_.file("engine"); }
  std::string description() const { return path() + "/engine.json"; }
  std::string weights() const { return path() + "/weights.safetensors"; }

 private:
  TempDir folder_;
};

}  // namespace ttsrt::test
