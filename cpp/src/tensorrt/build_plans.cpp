#include "tensorrt/build_plans.h"

#include <algorithm>
#include <filesystem>

#include "common/op.h"
#include "core/check.h"
#include "core/input_file.h"
#include "core/output_file.h"
#include "tensorrt/gpu.h"
#include "tensorrt/library.h"
#include "tensorrt/network_text.h"
#include "tensorrt/plan_folder.h"
#include "tensorrt/plan_options.h"
#include "tensorrt/program_networks.h"
#include "ttsrt/publish.h"

namespace ttsrt::tensorrt {
namespace {

constexpr std::int32_t kFewRows = 8;
constexpr std::int32_t kUsualFewRows = 2;  // one request with guidance
constexpr std::size_t kMostTimings = std::size_t{1} << 30;

// Takes a file of timings; one that isn't there yet holds none.
std::vector<std::byte> read_timings(const std::string& path) {
  if (path.empty()) return {};
  TTSRT_CHECK(NotFoundError, std::filesystem::exists(path), "input_timing_cache: ", path,
              " does not exist");
  const std::string text = read_text(path, kMostTimings);
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

void write_bytes(const std::string& path, const std::vector<std::byte>& bytes) {
  OutputFile file(path);
  file.write(bytes.data(), bytes.size());
  file.finish();
}

// Builds Programs one after the other.
class Builder {
 public:
  Builder(const PlannedPrograms& of, const PlanOptions& options, Driver& driver,
          const std::string& folder)
      : of_(of), options_(options), driver_(driver), folder_(folder) {
    const Gpu gpu = current_gpu();
    description_.tensorrt = driver.version();
    description_.plugins = plugins::kVersion;
    description_.gpu = gpu.name;
    description_.capability = gpu.capability;
    description_.weights = of.weights;
    description_.max_batch_size = of.max_batch_size;
    description_.max_num_tokens = of.max_num_tokens;
    description_.cache_dtype = name_of(of.state.cache_dtype);
  }

  void build(const ProgramNetworks& networks) {
    NetworkText network;  // says what doesn't fit before TensorRT does
    networks.write(network);
    PlanRecord record;
    record.program = networks.program().name;
    record.has_taps = networks.limits().trace;
    record.file = record.program + (record.has_taps ? ".taps" : "") + ".plan";
    record.network = network.hash();
    record.ranges =
        row_ranges(networks.limits(), options_.opt_num_tokens, networks.program().has_many_rows);
    BuildSettings settings;
    settings.ranges = record.ranges;
    settings.has_float16 = networks.uses_float16();
    settings.uses_convolutions = options_.products == "convolution";
    settings.optimization_level = options_.builder_opt;
    settings.workspace_bytes = static_cast<std::size_t>(options_.workspace_mib) << 20;
    const std::vector<std::byte> plan = guarded(record.file, [&] {
      return driver_.build(settings, [&](NetworkWriter& writer) { networks.write(writer); });
    });
    record.bytes = plan.size();
    record.memory_bytes = guarded(
        record.file, [&] { return driver_.load(plan.data(), plan.size())->memory_bytes(); });
    write_bytes(message(folder_, "/", kPlansFiles, "/", record.file), plan);
    description_.plans.push_back(std::move(record));
  }

  const PlanDescription& description() const { return description_; }

 private:
  const PlannedPrograms& of_;
  const PlanOptions& options_;
  Driver& driver_;
  std::string folder_;
  PlanDescription description_;
};

}  // namespace

std::vector<RowRange> row_ranges(const ops::ProgramLimits& limits, std::int32_t usual_rows,
                                 bool has_many_rows) {
  const std::int32_t most = limits.max_rows;
  if (limits.max_draws == 0) {
    const std::int32_t unsaid = has_many_rows ? kUsualItemRows : kUsualRows;
    const std::int32_t usual = usual_rows == 0 ? unsaid : usual_rows;
    return {{1, std::min(usual, most), most}};
  }
  if (most <= kFewRows) return {{1, std::min(kUsualFewRows, most), most}};
  return {{1, kUsualFewRows, kFewRows}, {kFewRows + 1, most, most}};
}

void build_plans(const PlannedPrograms& of, const PlanOptions& options,
                 const BuildProgress& progress, const std::atomic<bool>* stop) {
  std::vector<ProgramNetworks> all;
  for (const ops::SizedProgram& program : of.programs) {
    if (!refusal(*program.program).empty()) continue;  // runs as on device cuda
    all.emplace_back(*program.program, program.limits, of.state);
  }
  TTSRT_CHECK(ConfigError, !all.empty(), "device tensorrt: no Program of ", of.engine_dir,
              " can be a network of TensorRT: ",
              of.programs.empty() ? "" : refusal(*of.programs.front().program));
  const std::vector<std::byte> timings = read_timings(options.input_timing_cache);
  FolderWriter writer(of.engine_dir + "/" + kPlansFolder, plans_kind(), options.overwrite);
  std::filesystem::create_directory(writer.folder() + "/" + kPlansFiles);
  const std::shared_ptr<Driver> driver =
      options.tensorrt == 0 ? open_newest_driver() : open_driver(options.tensorrt);
  driver->set_timing_cache(timings);
  Builder builder(of, options, *driver, writer.folder());
  std::int32_t done = 0;
  for (const ProgramNetworks& networks : all) {
    TTSRT_CHECK(ClosedError, stop == nullptr || !*stop, "build: it was stopped");
    builder.build(networks);
    if (progress) progress(++done, static_cast<std::int32_t>(all.size()), networks.program().name);
  }
  write_text(message(writer.folder(), "/", kPlansName), to_json(builder.description()));
  if (!options.output_timing_cache.empty())
    write_bytes(options.output_timing_cache, driver->timing_cache());
  writer.publish();
}

}  // namespace ttsrt::tensorrt
