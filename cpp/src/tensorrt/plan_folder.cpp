#include "tensorrt/plan_folder.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "core/check.h"
#include "core/input_file.h"
#include "core/json.h"
#include "core/quote.h"

namespace ttsrt::tensorrt {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 46;  // bytes of anything
constexpr std::int64_t kMostRows = 1 << 24;
constexpr std::size_t kMostPlans = 10'000;
constexpr const char* kFormat = "ttsrt.tensorrt";

std::string path_of(const std::string& engine_dir) {
  return engine_dir + "/" + kPlansFolder + "/" + kPlansName;
}

RowRange read_range(const Json& json, const std::string& where) {
  const JsonReader reader(json, where);
  return {reader.int32("least", 1, kMostRows), reader.int32("usual", 1, kMostRows),
          reader.int32("most", 1, kMostRows)};
}

// A file's name has no way out of the folder.
std::string read_file(const JsonReader& reader) {
  const std::string file = reader.string("file");
  TTSRT_CHECK(FormatError, !file.empty() && file.find('/') == std::string::npos && file[0] != '.',
              reader.where(), ".file: expected the name of a file, got ", in_quotes(file));
  return file;
}

const Json& list_of(const JsonReader& reader, const char* key) {
  const Json& list = reader.value(key);
  TTSRT_CHECK(FormatError, list.is_array() && list.size() <= kMostPlans, reader.where(), ".", key,
              ": expected a list");
  return list;
}

PlanRecord read_record(const Json& json, const std::string& where) {
  const JsonReader reader(json, where);
  PlanRecord record;
  record.program = reader.string("program");
  record.has_taps = reader.boolean("has_taps");
  record.file = read_file(reader);
  record.network = reader.string("network");
  record.bytes = static_cast<std::size_t>(reader.integer("bytes", 1, kMost));
  record.memory_bytes = static_cast<std::size_t>(reader.integer("memory_bytes", 0, kMost));
  for (const Json& range : list_of(reader, "ranges"))
    record.ranges.push_back(read_range(range, where + ".ranges"));
  TTSRT_CHECK(FormatError, !record.ranges.empty(), where, ".ranges: expected one at least");
  return record;
}

}  // namespace

const PlanRecord* PlanDescription::find(const std::string& program, bool has_taps) const {
  const auto found = std::find_if(plans.begin(), plans.end(), [&](const PlanRecord& of) {
    return of.program == program && of.has_taps == has_taps;
  });
  return found == plans.end() ? nullptr : &*found;
}

std::int32_t PlanDescription::major() const {
  std::int32_t number = 0;
  std::from_chars(tensorrt.data(), tensorrt.data() + tensorrt.size(), number);
  return number;
}

std::string to_json(const PlanDescription& description) {
  Json plans = Json::array();
  for (const PlanRecord& of : description.plans) {
    Json ranges = Json::array();
    for (const RowRange& range : of.ranges)
      ranges.push_back({{"least", range.least}, {"usual", range.usual}, {"most", range.most}});
    plans.push_back({{"program", of.program},
                     {"has_taps", of.has_taps},
                     {"file", of.file},
                     {"network", of.network},
                     {"bytes", of.bytes},
                     {"memory_bytes", of.memory_bytes},
                     {"ranges", ranges}});
  }
  const Json json = {{"format", kFormat},
                     {"format_version", kPlansVersion},
                     {"tensorrt", description.tensorrt},
                     {"plugins", description.plugins},
                     {"gpu", description.gpu},
                     {"capability", description.capability},
                     {"weights", description.weights},
                     {"max_batch_size", description.max_batch_size},
                     {"max_num_tokens", description.max_num_tokens},
                     {"cache_dtype", description.cache_dtype},
                     {"plans", plans}};
  return json.dump(1) + "\n";
}

PlanDescription read_plans(const std::string& engine_dir) {
  const std::string path = path_of(engine_dir);
  TTSRT_CHECK(NotFoundError, std::filesystem::exists(path),
              "device tensorrt: ", in_quotes(engine_dir),
              " has no plans of TensorRT; build them on the GPU that runs "
              "them: ttsrt build --backend tensorrt --engine_dir ",
              engine_dir);
  Json json = parse_json(read_text(path, kMaxJson), path);
  const JsonGuard guard(json);
  const JsonReader reader(json, path);
  const std::string format = reader.string("format");
  TTSRT_CHECK(FormatError, format == kFormat, path, ".format: expected ", in_quotes(kFormat),
              ", got ", in_quotes(format));
  const std::int64_t version = reader.integer("format_version", 1, 1 << 20);
  TTSRT_CHECK(FormatError, version == kPlansVersion, path, ".format_version: expected ",
              kPlansVersion, ", got ", version, "; build the plans again");
  PlanDescription description;
  description.tensorrt = reader.string("tensorrt");
  description.plugins = reader.string("plugins");
  description.gpu = reader.string("gpu");
  description.capability = reader.int32("capability", 0, 1000);
  description.weights = reader.string("weights");
  description.max_batch_size = reader.int32("max_batch_size", 1, kMostRows);
  description.max_num_tokens = reader.int32("max_num_tokens", 1, kMostRows);
  description.cache_dtype = reader.string("cache_dtype");
  const Json& plans = list_of(reader, "plans");
  for (std::size_t i = 0; i < plans.size(); ++i)
    description.plans.push_back(read_record(plans[i], message(path, ".plans[", i, "]")));
  return description;
}

std::vector<std::byte> read_plan(const std::string& engine_dir, const PlanRecord& record) {
  const InputFile file(message(engine_dir, "/", kPlansFolder, "/", kPlansFiles, "/", record.file));
  TTSRT_CHECK(FormatError, file.size() == record.bytes, file.path(), ": expected ", record.bytes,
              " bytes, as plans.json says, got ", file.size());
  std::vector<std::byte> bytes(record.bytes);
  file.read_large(0, bytes.data(), bytes.size());
  file.check_unchanged();
  return bytes;
}

FolderKind plans_kind() { return {"TensorRT plans", kFormat, kPlansName, {}, {kPlansFiles}}; }

}  // namespace ttsrt::tensorrt
