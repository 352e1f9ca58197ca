#include "decode/eos_method.h"

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt::decode {
namespace {

using rules::EosCodebooks;
using rules::EosStreams;

struct Named {
  const char* name;
  EosMethod method;
};
constexpr Named kMethods[] = {
    {"argmax_any", {EosStreams::argmax, EosCodebooks::any}},
    {"argmax_all", {EosStreams::argmax, EosCodebooks::all}},
    {"argmax_zero_cb", {EosStreams::argmax, EosCodebooks::zero}},
    {"argmax_or_multinomial_any", {EosStreams::either, EosCodebooks::any}},
    {"argmax_or_multinomial_all", {EosStreams::either, EosCodebooks::all}},
    {"argmax_or_multinomial_zero_cb", {EosStreams::either, EosCodebooks::zero}},
    {"multinomial_any", {EosStreams::sampled, EosCodebooks::any}},
    {"multinomial_all", {EosStreams::sampled, EosCodebooks::all}},
    {"multinomial_zero_cb", {EosStreams::sampled, EosCodebooks::zero}}};

}  // namespace

EosMethod parse_eos_method(const std::string& name) {
  std::string known;
  for (const Named& method : kMethods) {
    if (name == method.name) return method.method;
    known += known.empty() ? method.name : std::string(", ") + method.name;
  }
  throw ConfigError(message("eos_method: expected one of ", known, ", got ", in_quotes(name)));
}

}  // namespace ttsrt::decode
