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

}  // namespace ttsrt::cuda
