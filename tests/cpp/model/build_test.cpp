// From a checkpoint to an engine, and what a build refuses.
#include "ttsrt/build.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "model/engine_data.h"
#include "model/quantize.h"
#include "support/errors.h"
#include "support/tiny_engine.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;
using test::throws_naming;

class Build : public ::testing::Test {
 protected:
  void write() { test::write_checkpoint(checkpoint_, config_, tensors_); }
  void make(const BuildOptions& options = {}) { build(checkpoint_, engine_, options); }
  test::TinyTensor& tensor(const std::string& name) {
    for (test::TinyTensor& of : tensors_) {
      if (of.entry.name == name) return of;
    }
    throw std::runtime_error("no tensor " + name);
  }
  // The checkpoint as it stands now is refused, with `part` in the message, and leaves nothing
  // behind.
  ::testing::AssertionResult refuses(const std::string& part, const BuildOptions& options = {}) {
    write();
    const auto result = throws_naming<FormatError>(part, [&] { make(options); });
    if (std::distance(fs::directory_iterator(folder_.path()), {}) != 1)
      return ::testing::AssertionFailure() << "left something behind";
    return result;
  }

  test::TempDir folder_;
  const std::string checkpoint_ = folder_.file("checkpoint");
  const std::string engine_ = folder_.file("engine");
  Json config_ = test::tiny_config();
  std::vector<test::TinyTensor> tensors_ = test::tiny_tensors(config_);
};

TEST_F(Build, AnEngineThatOpensAndVerifies) {
  write();
  std::int32_t done = 0;
  std::int32_t of = 0;
  build(checkpoint_, engine_, {}, [&](std::int32_t at, std::int32_t all, const std::string& name) {
    EXPECT_EQ(at, ++done);
    EXPECT_FALSE(name.empty());
    of = all;
  });
  EXPECT_EQ(done, of);
  const Engine engine = Engine::open(engine_);
  EXPECT_NO_THROW(engine.verify());
  EXPECT_EQ(engine.info().family, "magpie");
  EXPECT_EQ(engine.info().dtype, DType::float32);
  EXPECT_EQ(engine.info().max_seq_len, 40);
  EXPECT_EQ(engine.info().voice_names, (std::vector<std::string>{"ann", "bob"}));
  EXPECT_EQ(engine.tensors().size(), static_cast<std::size_t>(done));
  EXPECT_EQ(parse_json(engine.description(), "x").at("source").at("made"), "by a test");
  EXPECT_EQ(engine.path(), engine_);
}

TEST_F(Build, VoiceFilesGoWithTheEngine) {
  write();
  namespace fs = std::filesystem;
  fs::create_directory(checkpoint_ + "/voices");
  std::ofstream(checkpoint_ + "/voices/ann.safetensors") << "rows";
  build(checkpoint_, engine_, {});
  std::string text;
  std::ifstream(engine_ + "/voices/ann.safetensors") >> text;
  EXPECT_EQ(text, "rows");
  BuildOptions again;
  again.overwrite = true;
  EXPECT_NO_THROW(build(checkpoint_, engine_, again));
  fs::create_directory(checkpoint_ + "/voices/inner");
  EXPECT_THROW(build(checkpoint_, engine_, again), Error);
}

// The text is what a JSON library writes of the same members in the same order.
TEST_F(Build, ADescriptionIsPlainlyIndented) {
  config_["source"] = {{"lists", {1, {{"a", "\"\n\u00e9"}}}}, {"none", Json::object()}};
  write();
  BuildOptions options;
  options.quantization = "w4a16";
  options.zero_points = true;
  options.wide_heads = true;
  make(options);
  const std::string text = test::read_file(engine_ + "/engine.json");
  EXPECT_EQ(nlohmann::ordered_json::parse(text).dump(1) + "\n", text);
}

TEST_F(Build, AnotherThreadMayStopIt) {
  write();
  std::atomic<bool> stop{false};
  std::int32_t last = 0;
  const auto stop_at_third = [&](std::int32_t done, std::int32_t, const std::string&) {
    last = done;
    stop = done == 3;
  };
  EXPECT_TRUE(throws_naming<ClosedError>(
      "stopped", [&] { build(checkpoint_, engine_, {}, stop_at_third, &stop); }));
  EXPECT_EQ(last, 3);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 1);
  stop = false;
  EXPECT_NO_THROW(build(checkpoint_, engine_, {}, {}, &stop));
}

TEST_F(Build, TheValuesArrive) {
  write();
  make();
  const EngineData data(engine_);
  const auto in_use = data.weights.use();
  // A convolution's taps come first: row n holds [tap][channel].
  const test::TinyTensor& source = tensor("text_encoder.layers.0.ffn_in");  // [12, 8, 3]
  const ops::Weight conv = data.weights.at("text_encoder.layers.0.ffn_in");
  const auto* packed = reinterpret_cast<const float*>(conv.data);
  for (std::size_t n = 0; n < 12; ++n) {
    for (std::size_t tap = 0; tap < 3; ++tap) {
      for (std::size_t channel = 0; channel < 8; ++channel) {
        ASSERT_EQ(packed[(tap * 8 + channel) * 16 + n], source.values[n * 24 + channel * 3 + tap]);
      }
    }
  }
  const ops::Weight head = data.weights.at("local_transformer.heads.1");
  EXPECT_EQ(reinterpret_cast<const float*>(head.data)[0],
            tensor("local_transformer.heads").values[80]);
  EXPECT_EQ(data.voices.voices.at(0)->parts[0].vectors->size(), 16U);  // two rows of three
  EXPECT_EQ(data.voices.voices.at(1)->parts[0].vectors->size(), 24U);
  EXPECT_EQ(data.voices.voices.at(1)->parts[0].vectors->at(0), tensor("voices").values[24]);
}

TEST_F(Build, ReducedPrecision) {
  write();
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    BuildOptions options;
    options.dtype = dtype;
    options.overwrite = true;
    make(options);
    const EngineData data(engine_);
    EXPECT_EQ(data.info.dtype, dtype);
    EXPECT_EQ(data.weights.at("final_proj").dtype, dtype);
    EXPECT_EQ(data.weights.at("decoder.norm_out").dtype, DType::float32);
  }
  BuildOptions options;
  options.dtype = DType::int8;
  EXPECT_TRUE(throws_naming<ConfigError>("dtype", [&] { make(options); }));
}

TEST_F(Build, Quantized) {
  write();
  for (const test::WeightKind& kind : test::quantized_kinds()) {
    BuildOptions options;
    options.dtype = DType::bfloat16;
    options.quantization = ops::name_of(kind.quantization);
    options.group_size = static_cast<std::int32_t>(kind.group_size);
    options.zero_points = kind.has_zeros;
    options.overwrite = true;
    make(options);
    const Engine engine = Engine::open(engine_);
    EXPECT_NO_THROW(engine.verify());
    EXPECT_EQ(engine.info().dtype, DType::bfloat16);
    EXPECT_EQ(engine.info().quantization, options.quantization);
    EXPECT_EQ(engine.info().group_size, options.group_size);
    const auto in_use = engine.data()->weights.use();
    const ops::Weight final_proj = engine.data()->weights.at("final_proj");
    EXPECT_EQ(final_proj.quantization, kind.quantization);
    EXPECT_EQ(final_proj.group_size, kind.group_size);
    EXPECT_EQ(engine.data()->weights.at("audio_embeddings").dtype, DType::bfloat16);
    EXPECT_EQ(engine.data()->weights.at("decoder.norm_out").dtype, DType::float32);
    // Bytes and scales are those of the quantizer.
    const model::Quantized expected = model::quantize(tensor("final_proj").values, final_proj);
    EXPECT_EQ(std::memcmp(final_proj.data, expected.quants.data(), expected.quants.size()), 0);
    EXPECT_EQ(std::memcmp(final_proj.scales, expected.scales.data(), expected.scales.size()), 0);
    EXPECT_EQ(final_proj.has_zeros, kind.has_zeros);
    if (kind.has_zeros) {
      EXPECT_EQ(std::memcmp(final_proj.zeros, expected.zeros.data(), expected.zeros.size()), 0);
    }
    const Json json = parse_json(engine.description(), "x");
    EXPECT_EQ(json.contains("group_size"), kind.group_size != 0);
    EXPECT_EQ(json.contains("zero_points"), kind.has_zeros);
    const Json& tensors = json.at("components").at("decoder").at("tensors");
    EXPECT_EQ(tensors.at("final_proj").at("layout"), "panel16_" + options.quantization);
    EXPECT_EQ(tensors.at("final_proj").contains("group_size"), kind.group_size != 0);
    EXPECT_EQ(tensors.at("final_proj").contains("zero_points"), kind.has_zeros);
    EXPECT_EQ(tensors.at("final_proj.scales").at("layout"), "dense");
  }
}

TEST_F(Build, DescribesTheTensorsOfACheckpoint) {
  std::vector<std::string> names;
  for (const TensorDescription& tensor : describe_manifest(config_.dump())) {
    names.push_back(tensor.name);
    if (tensor.name == "voices") {
      EXPECT_EQ(tensor.shape, (std::vector<std::int64_t>{2, -1, 8}));
      EXPECT_EQ(tensor.role, "data");
    }
    if (tensor.name == "voice_lengths") {
      EXPECT_EQ(tensor.dtypes, std::vector<DType>{DType::int32});
    }
    if (tensor.name == "final_proj") {
      EXPECT_EQ(tensor.shape, (std::vector<std::int64_t>{40, 8}));
      EXPECT_EQ(tensor.component, "decoder");
      EXPECT_EQ(tensor.dtypes.size(), 3U);
    }
  }
  std::vector<std::string> written;
  for (const test::TinyTensor& tensor : tensors_) written.push_back(tensor.entry.name);
  EXPECT_EQ(names, written);
  EXPECT_TRUE(throws_naming<FormatError>("config.json", [] { describe_manifest("{"); }));
}

TEST_F(Build, QuantizationsThatArent) {
  write();
  BuildOptions options;
  options.quantization = "w8";
  EXPECT_TRUE(throws_naming<ConfigError>("quantization: expected one of none, w8a16",
                                         [&] { make(options); }));
  options.quantization = "w8a8";
  options.group_size = 64;
  EXPECT_TRUE(throws_naming<ConfigError>("group_size", [&] { make(options); }));
  options.quantization = "none";
  EXPECT_TRUE(throws_naming<ConfigError>("group_size", [&] { make(options); }));
  options.group_size = 0;
  options.zero_points = true;
  EXPECT_TRUE(throws_naming<ConfigError>("zero_points: expected none", [&] { make(options); }));
  options.zero_points = false;
  options.quantization = "w4a16";
  options.group_size = 16;
  EXPECT_TRUE(throws_naming<ConfigError>("group_size: expected 32, 64 or 128, got 16",
                                         [&] { make(options); }));
}

TEST_F(Build, AnExistingFolderStaysUnlessAsked) {
  write();
  make();
  EXPECT_TRUE(throws_naming<ConfigError>("overwrite", [&] { make(); }));
  BuildOptions options;
  options.overwrite = true;
  options.max_batch_size = 3;
  make(options);
  EXPECT_EQ(Engine::open(engine_).info().max_batch_size, 3);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}),
            2);  // nothing partial is left
}

TEST_F(Build, ForeignFoldersAreNeverReplaced) {
  write();
  BuildOptions options;
  options.overwrite = true;
  fs::create_directories(engine_);
  make();  // an empty one is fine
  test::write_file(engine_ + "/notes.txt", "mine");
  EXPECT_TRUE(throws_naming<ConfigError>("it holds notes.txt", [&] { make(options); }));
  EXPECT_EQ(test::read_file(engine_ + "/notes.txt"), "mine");
  EXPECT_NO_THROW(Engine::open(engine_));  // and the engine beside it is whole
  EXPECT_TRUE(throws_naming<ConfigError>("isn't an engine",
                                         [&] { build(checkpoint_, checkpoint_, options); }));
  EXPECT_TRUE(throws_naming<ConfigError>(
      "isn't a folder", [&] { build(checkpoint_, checkpoint_ + "/config.json", options); }));
}

TEST_F(Build, ATrailingSlashAndMissingParents) {
  write();
  build(checkpoint_ + "/", folder_.file("new/deep/engine/"));
  EXPECT_NO_THROW(Engine::open(folder_.file("new/deep/engine")));
  EXPECT_TRUE(throws_naming<ConfigError>(
      "output_dir", [&] { build(checkpoint_, checkpoint_ + "/config.json/engine"); }));
  EXPECT_TRUE(throws_naming<ConfigError>(
      "output_dir", [&] { build(checkpoint_, folder_.file(std::string(5000, 'x'))); }));
}

TEST_F(Build, NumbersThatArent) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    for (const char* name : {"decoder.layers.0.ffn_in", "text_embedding", "decoder.norm_out",
                             "voices", "final_proj_bias"}) {
      tensors_ = test::tiny_tensors(config_);
      tensor(name).values[5] = bad;
      EXPECT_TRUE(refuses(std::string(name) + ": expected finite"));
    }
  }
}

TEST_F(Build, NumbersThatArentAreNotQuantized) {
  BuildOptions options;
  options.quantization = "w8a8";
  tensor("final_proj").values[5] = std::nanf("");
  EXPECT_TRUE(refuses("final_proj: expected finite", options));
  tensor("final_proj").values[5] = 1e9F;
  options.quantization = "w4a16";
  EXPECT_TRUE(refuses("final_proj: expected groups whose scales fit float16", options));
}

TEST_F(Build, NumbersThatFloat16CantHold) {
  tensor("final_proj").values[3] = 1e5F;
  BuildOptions options;
  options.dtype = DType::float16;
  EXPECT_TRUE(refuses("final_proj", options));
  EXPECT_NO_THROW(make());
}

TEST_F(Build, TensorsMissingOrOfAnotherShape) {
  const std::vector<test::TinyTensor> whole = tensors_;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    tensors_ = whole;
    tensors_.erase(tensors_.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_TRUE(refuses(whole[i].entry.name + ": missing"));
    tensors_ = whole;
    tensors_[i].entry.shape.push_back(1);
    EXPECT_TRUE(refuses(whole[i].entry.name + ": expected"));
  }
  tensors_ = whole;
  tensor("final_proj").entry.shape = {8, 40};
  EXPECT_TRUE(refuses("final_proj: expected [40, 8], got [8, 40]"));
}

TEST_F(Build, ConfigsThatArent) {
  config_["format"] = "other";
  EXPECT_TRUE(refuses(".format"));
  config_["format"] = "ttsrt.checkpoint";
  config_["format_version"] = 2;
  EXPECT_TRUE(refuses("format_version"));
  config_["format_version"] = 1;
  config_["model"]["dim"] = -8;
  EXPECT_TRUE(refuses("model.dim"));
  config_["model"]["dim"] = 8;
  config_.erase("defaults");
  EXPECT_TRUE(refuses("defaults: missing"));
  EXPECT_TRUE(throws_naming<NotFoundError>("no file or folder",
                                           [&] { build(folder_.file("absent"), engine_); }));
}

}  // namespace
}  // namespace ttsrt
