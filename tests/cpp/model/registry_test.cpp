#include "model/registry.h"

#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/tiny_checkpoint.h"

namespace ttsrt::model {
namespace {

using test::throws_naming;

TEST(Registry, MakesTheFamilyThatIsNamed) {
  EXPECT_EQ(known_families().at(0), "magpie");
  const Json config = test::tiny_config();
  const auto family = read_family(JsonReader(config, "config.json"));
  EXPECT_NE(family->manifest().find("text_embedding"), nullptr);
}

TEST(Registry, AnUnknownFamilyListsTheKnownBeforeAnythingElseIsRead) {
  std::string known;
  for (const std::string& name : known_families()) known += (known.empty() ? "" : ", ") + name;
  const Json config = {{"family", "parrot"}, {"model", 1}};
  EXPECT_TRUE(throws_naming<FormatError>(
      "config.json.family: expected one of " + known + ", got \"parrot\"",
      [&] { read_family(JsonReader(config, "config.json")); }));
}

TEST(Registry, ADescriptionWithoutAModel) {
  Json config = test::tiny_config();
  config.erase("model");
  EXPECT_TRUE(throws_naming<FormatError>("model: missing",
                                         [&] { read_family(JsonReader(config, "config.json")); }));
  config.erase("family");
  EXPECT_TRUE(throws_naming<FormatError>("family: missing",
                                         [&] { read_family(JsonReader(config, "config.json")); }));
}

}  // namespace
}  // namespace ttsrt::model
