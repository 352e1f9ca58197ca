// Runs every fuzz target on the corpus that is kept beside it, and on small inputs.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "support/temp_dir.h"

using Target = int (*)(const std::uint8_t*, std::size_t);

extern "C" {
int fuzz_config(const std::uint8_t* data, std::size_t size);
int fuzz_engine(const std::uint8_t* data, std::size_t size);
int fuzz_json(const std::uint8_t* data, std::size_t size);
int fuzz_request(const std::uint8_t* data, std::size_t size);
int fuzz_safetensors(const std::uint8_t* data, std::size_t size);
int fuzz_text(const std::uint8_t* data, std::size_t size);
int fuzz_wav(const std::uint8_t* data, std::size_t size);
int fuzz_weights(const std::uint8_t* data, std::size_t size);
}

namespace ttsrt {
namespace {

struct Named {
  const char* name;
  Target run;
};

void PrintTo(const Named& target, std::ostream* stream) { *stream << target.name; }

class Replay : public testing::TestWithParam<Named> {
 protected:
  static void run(const std::string& input) {
    GetParam().run(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  }
};

TEST_P(Replay, TheCorpusEndsWell) {
  const std::filesystem::path folder = std::filesystem::path(TTSRT_FUZZ_CORPUS) / GetParam().name;
  int inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_NO_THROW(run(test::read_file(entry.path().string()))) << entry.path();
    ++inputs;
  }
  EXPECT_GE(inputs, 3);
}

TEST_P(Replay, SmallInputsEndWell) {
  for (int first = 0; first < 256; first += 5) {
    for (int second = 0; second < 256; second += 85) {
      std::string input = {static_cast<char>(first), static_cast<char>(second)};
      for (int i = 0; i < 6; ++i) input += static_cast<char>(first * 7 + second * i);
      EXPECT_NO_THROW(run(input)) << first << ", " << second;
    }
  }
  EXPECT_NO_THROW(run(""));
}

INSTANTIATE_TEST_SUITE_P(Targets, Replay,
                         testing::Values(Named{"config", fuzz_config}, Named{"engine", fuzz_engine},
                                         Named{"json", fuzz_json}, Named{"request", fuzz_request},
                                         Named{"safetensors", fuzz_safetensors},
                                         Named{"text", fuzz_text}, Named{"wav", fuzz_wav},
                                         Named{"weights", fuzz_weights}),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace ttsrt
