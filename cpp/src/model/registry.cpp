#include "model/registry.h"

#include "core/check.h"
#include "model/f5/family.h"
#include "model/llm/family.h"
#include "model/magpie/family.h"
#include "model/nanocodec/family.h"
#include "model/s3gen/family.h"
#include "model/t3/family.h"
#include "model/vocos/family.h"

namespace ttsrt::model {
namespace {

using Maker = std::unique_ptr<const Family> (*)(const JsonReader& model,
                                                const JsonReader& defaults);

template <typename Kind>
std::unique_ptr<const Family> make(const JsonReader& model, const JsonReader& defaults) {
  return std::make_unique<const Kind>(model, defaults);
}

struct Entry {
  const char* name;
  Maker make;
};

constexpr Entry kFamilies[] = {
    {"magpie", make<magpie::MagpieFamily>}, {"t3", make<t3::T3Family>},
    {"llm", make<llm::LlmFamily>},          {"f5", make<f5::F5Family>},
    {"vocos", make<vocos::VocosFamily>},    {"nanocodec", make<nanocodec::CodecFamily>},
    {"s3gen", make<s3gen::S3GenFamily>},
};

}  // namespace

std::vector<std::string> known_families() {
  std::vector<std::string> names;
  for (const Entry& family : kFamilies) names.emplace_back(family.name);
  return names;
}

std::unique_ptr<const Family> read_family(const JsonReader& description) {
  const std::string name = description.string("family");
  std::string known;
  for (const Entry& family : kFamilies) {
    if (name == family.name)
      return family.make(description.object("model"), description.object("defaults"));
    known += known.empty() ? family.name : std::string(", ") + family.name;
  }
  throw FormatError(
      message(description.where(), ".family: expected one of ", known, ", got \"", name, "\""));
}

}  // namespace ttsrt::model
