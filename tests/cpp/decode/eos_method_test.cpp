#include "decode/eos_method.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace ttsrt::decode {
namespace {

using rules::EosCodebooks;
using rules::EosStreams;

TEST(EosMethods, EveryNameCombinesStreamsAndCodebooks) {
  const std::pair<const char*, EosStreams> streams[] = {
      {"argmax", EosStreams::argmax},
      {"argmax_or_multinomial", EosStreams::either},
      {"multinomial", EosStreams::sampled}};
  const std::pair<const char*, EosCodebooks> codebooks[] = {
      {"any", EosCodebooks::any}, {"all", EosCodebooks::all}, {"zero_cb", EosCodebooks::zero}};
  for (const auto& [stream_name, stream] : streams) {
    for (const auto& [codebook_name, codebook] : codebooks) {
      const EosMethod method = parse_eos_method(std::string(stream_name) + "_" + codebook_name);
      EXPECT_EQ(method.streams, stream);
      EXPECT_EQ(method.codebooks, codebook);
    }
  }
}

TEST(EosMethods, TheErrorForAnUnknownNameListsKnownNames) {
  EXPECT_TRUE(test::throws_naming<ConfigError>("multinomial_zero_cb, got \"never\"",
                                               [] { parse_eos_method("never"); }));
  EXPECT_THROW(parse_eos_method(""), ConfigError);
}

}  // namespace
}  // namespace ttsrt::decode
