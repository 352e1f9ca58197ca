#include "model/servable.h"

#include <gtest/gtest.h>

#include "model/engine_data.h"
#include "model/registry.h"
#include "support/errors.h"
#include "support/tiny_engine.h"

namespace ttsrt::model {
namespace {

TEST(Servable, DefaultsThatNoRequestCanBeServedWith) {
  Json config = test::tiny_config();
  const auto itineraries = [&] {
    const auto family = read_family(JsonReader(config, "x"));
    Limits limits = resolve_limits({}, family->limit_bounds(family->manifest()));
    return itineraries_of(*family, limits, nullptr, "x");
  };
  EXPECT_NE(itineraries(), nullptr);
  config["defaults"]["eos_method"] = "bogus";
  EXPECT_TRUE(test::throws_naming<FormatError>("x: defaults: eos_method", itineraries));
}

TEST(Servable, ProgramsOfAnEngine) {
  const test::TinyEngine engine;
  const EngineData opened(engine.path());
  EXPECT_NO_THROW(check_programs(*opened.family, opened.weights, opened.limits, "x"));
}

}  // namespace
}  // namespace ttsrt::model
