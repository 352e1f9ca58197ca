// Attacks on an engine: whatever its files say, opening one gives an engine or a FormatError.
#include "model/engine_data.h"

#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/tiny_engine.h"

namespace ttsrt {
namespace {

using test::throws_naming;

class EngineAttack : public ::testing::Test {
 protected:
  void open(const std::string& description) {
    test::write_file(engine_.description(), description);
    Engine::open(engine_.path());
  }
  ::testing::AssertionResult refuses(const std::string& pointer, const Json& value,
                                     const std::string& part) {
    Json json = json_;
    json[Json::json_pointer(pointer)] = value;
    return throws_naming<FormatError>(part, [&] { open(json.dump()); });
  }

  test::TinyEngine engine_;
  const std::string text_ = test::read_file(engine_.description());
  const Json json_ = parse_json(text_, "engine.json");
};

TEST_F(EngineAttack, VerifyNamesTheTensorWithAFlippedByte) {
  const Engine engine = Engine::open(engine_.path());
  const std::string weights = test::read_file(engine_.weights());
  const SafetensorsFile file(engine_.weights());
  for (const char* name : {"text_embedding", "decoder.layers.1.self_qkv",
                           "local_transformer.heads.0", "voices", "voice_lengths"}) {
    const StoredTensor& stored = file.at(name);
    std::string broken = weights;
    const std::size_t middle = stored.offset + stored.bytes / 2;
    broken[middle] = static_cast<char>(broken[middle] ^ 1);
    test::write_file(engine_.path() + "/new", broken);
    std::filesystem::rename(engine_.path() + "/new", engine_.weights());
    EXPECT_TRUE(throws_naming<FormatError>(std::string(name) + ": expected SHA-256", [&] {
      engine.verify();
    })) << name;
  }
}

TEST_F(EngineAttack, TruncatedDescriptions) {
  for (std::size_t length = 0; length < text_.size() - 2; length += 1 + text_.size() / 60) {
    EXPECT_THROW(open(text_.substr(0, length)), FormatError) << length;
  }
}

TEST_F(EngineAttack, FlippedBytesInTheDescription) {
  for (std::size_t at = 0; at < text_.size(); at += 1 + text_.size() / 150) {
    for (const int mask : {0x01, 0x10}) {
      std::string broken = text_;
      broken[at] = static_cast<char>(broken[at] ^ mask);
      EXPECT_TRUE(test::survives([&] { open(broken); })) << at;
    }
  }
}

TEST_F(EngineAttack, FlippedBytesInTheHeaderOfTheWeights) {
  const std::string weights = test::read_file(engine_.weights());
  const std::size_t header =
      static_cast<unsigned char>(weights[0]) + 256U * static_cast<unsigned char>(weights[1]);
  for (std::size_t at = 0; at < header + 8; at += 1 + header / 150) {
    std::string broken = weights;
    broken[at] = static_cast<char>(broken[at] ^ 0x01);
    test::write_file(engine_.weights(), broken);
    EXPECT_TRUE(test::survives([&] { Engine::open(engine_.path()); })) << at;
  }
}

TEST_F(EngineAttack, FieldsOfTheDescription) {
  EXPECT_TRUE(refuses("/format", "other", ".format"));
  EXPECT_TRUE(refuses("/format_version", 1,
                      "expected 2, got 1; build the engine again from its checkpoint: ttsrt "
                      "build --checkpoint_dir CHECKPOINT --output_dir " +
                          engine_.path() + " --overwrite"));
  EXPECT_TRUE(refuses("/format_version", 3, ".format_version"));
  EXPECT_TRUE(refuses("/dtype", "float64", ".dtype"));
  EXPECT_TRUE(refuses("/dtype", "int8", ".dtype"));
  EXPECT_TRUE(refuses("/family", 1, ".family"));
  EXPECT_TRUE(refuses("/components", 1, ".components"));
  EXPECT_TRUE(refuses("/components/decoder", Json::object(), "tensors: missing"));
  EXPECT_TRUE(refuses("/components/decoder/tensors", Json::array(), "expected an object"));
  EXPECT_TRUE(refuses("/limits/max_seq_len", 1 << 20, "max_seq_len"));
  EXPECT_TRUE(refuses("/limits/max_input_len", 2, "max_input_len"));  // a voice has 3 rows
  EXPECT_TRUE(refuses("/model/num_voices", 3, "voice"));
}

TEST_F(EngineAttack, TensorsOfTheDescription) {
  const std::string tensor = "/components/decoder/tensors/final_proj";
  EXPECT_TRUE(refuses(tensor + "/layout", "panel32", "layout"));
  EXPECT_TRUE(refuses(tensor + "/layout", "dense", "final_proj"));
  EXPECT_TRUE(refuses(tensor + "/rows", 0, "rows"));
  EXPECT_TRUE(refuses(tensor + "/rows", 39, "final_proj"));  // pads to the same bytes
  EXPECT_TRUE(refuses(tensor + "/rows", std::int64_t{1} << 40, "final_proj"));
  EXPECT_TRUE(refuses(tensor + "/sha256", 5, "sha256"));
  EXPECT_TRUE(refuses("/components/decoder/tensors/nothing", json_.at(Json::json_pointer(tensor)),
                      "nothing: missing"));
  EXPECT_TRUE(refuses("/components/text_encoder/tensors/final_proj",
                      json_.at(Json::json_pointer(tensor)), "two components"));
  Json huge = json_;
  huge[Json::json_pointer(tensor)]["rows"] = std::int64_t{1} << 40;
  huge[Json::json_pointer(tensor)]["cols"] = std::int64_t{1} << 40;  // a product beyond 64 bits
  EXPECT_THROW(open(huge.dump()), FormatError);
}

TEST_F(EngineAttack, EveryTensorMustBeThere) {
  for (const char* component : {"text_encoder", "decoder", "local_transformer"}) {
    const Json& tensors = json_.at("components").at(component).at("tensors");
    for (const auto& [name, entry] : tensors.items()) {
      Json json = json_;
      json["components"][component]["tensors"].erase(name);
      EXPECT_TRUE(throws_naming<FormatError>(name + ": missing", [&] { open(json.dump()); }));
    }
  }
}

// Backends read weights unseen: another type than the build's must not get that far.
TEST_F(EngineAttack, TensorsOfAnotherType) {
  std::string weights = test::read_file(engine_.weights());
  const std::string honest = R"("decoder.norm_out":{"dtype":"F32","shape":[1,8])";
  const std::string forged = R"("decoder.norm_out":{"dtype":"I32","shape":[1,8])";
  ASSERT_NE(weights.find(honest), std::string::npos);
  weights.replace(weights.find(honest), honest.size(), forged);
  test::write_file(engine_.weights(), weights);
  EXPECT_TRUE(throws_naming<FormatError>("decoder.norm_out: expected float32",
                                         [&] { Engine::open(engine_.path()); }));
}

BuildOptions quantized_options(const std::string& quantization) {
  BuildOptions options;
  options.quantization = quantization;
  return options;
}

// Attacks on what a quantized engine says of itself.
class QuantizedAttack : public EngineAttack {
 protected:
  ::testing::AssertionResult refuses_quantized(const Json& json, const std::string& part) {
    return throws_naming<FormatError>(part, [&] {
      test::write_file(quantized_.description(), json.dump());
      Engine::open(quantized_.path());
    });
  }

  const test::TinyEngine quantized_{test::tiny_config(), quantized_options("w4a16")};
  const Json whole_ = parse_json(test::read_file(quantized_.description()), "engine.json");
};

TEST_F(QuantizedAttack, LayoutsAndGroups) {
  const Json::json_pointer tensor("/components/decoder/tensors/final_proj");
  const auto refuses_entry = [&](const char* key, const Json& value, const std::string& part) {
    Json json = whole_;
    json[tensor][key] = value;
    return refuses_quantized(json, part);
  };
  EXPECT_TRUE(refuses_entry("layout", "panel16_w8a16", "neither group_size nor zero_points"));
  EXPECT_TRUE(refuses_entry("layout", "panel16", "neither group_size nor zero_points"));
  EXPECT_TRUE(
      refuses_entry("layout", "int4", "layout: expected one of dense, panel16, panel16_w8"));
  EXPECT_TRUE(refuses_entry("layout", 4, ".layout"));
  EXPECT_TRUE(refuses_entry("group_size", 128, "expected"));  // 8 inputs pad to more
  EXPECT_TRUE(refuses_entry("group_size", 63, "group_size: expected 32, 64 or 128"));
  EXPECT_TRUE(refuses_entry("zero_points", 1, ".zero_points"));
  EXPECT_TRUE(refuses_entry("zero_points", true, "final_proj.zeros: missing"));
  Json json = whole_;
  json[tensor].erase("group_size");
  EXPECT_TRUE(refuses_quantized(json, "group_size: missing"));
  json = whole_;  // the bytes of a float32 matrix, packed as such
  json[tensor].erase("group_size");
  json[tensor]["layout"] = "panel16_w8a16";
  EXPECT_TRUE(refuses_quantized(json, "final_proj"));
}

TEST_F(QuantizedAttack, WhatTheBuildWasAskedForIsChecked) {
  Json json = whole_;
  json["quantization"] = "int4";
  EXPECT_TRUE(refuses_quantized(json, "quantization: expected one of none, w8a16"));
  json["quantization"] = 4;
  EXPECT_TRUE(refuses_quantized(json, ".quantization"));
  json = whole_;
  json["group_size"] = 63;
  EXPECT_TRUE(refuses_quantized(json, "group_size: expected 32, 64 or 128"));
}

TEST_F(QuantizedAttack, EveryScaleMustBeThere) {
  const Json& tensors = whole_.at("components").at("decoder").at("tensors");
  for (const auto& [name, entry] : tensors.items()) {
    Json json = whole_;
    json["components"]["decoder"]["tensors"].erase(name);
    EXPECT_TRUE(refuses_quantized(json, name + ": missing"));
  }
  Json json = whole_;
  json["components"]["decoder"]["tensors"]["final_proj.scales"]["rows"] = 6;
  EXPECT_TRUE(refuses_quantized(json, "final_proj.scales: expected"));
}

TEST_F(QuantizedAttack, EveryZeroPointMustBeThere) {
  BuildOptions options = quantized_options("w4a8");
  options.zero_points = true;
  const test::TinyEngine engine(test::tiny_config(), options);
  const Json whole = parse_json(test::read_file(engine.description()), "engine.json");
  EXPECT_NO_THROW(Engine::open(engine.path()).verify());
  const auto refuses = [&](const Json& json, const std::string& part) {
    return throws_naming<FormatError>(part, [&] {
      test::write_file(engine.description(), json.dump());
      Engine::open(engine.path());
    });
  };
  Json json = whole;
  json["components"]["decoder"]["tensors"].erase("final_proj.zeros");
  EXPECT_TRUE(refuses(json, "final_proj.zeros: missing"));
  json = whole;
  json["components"]["decoder"]["tensors"]["final_proj.zeros"]["rows"] = 6;
  EXPECT_TRUE(refuses(json, "final_proj.zeros: expected"));
}

TEST_F(QuantizedAttack, ALayoutThatTheBytesHavent) {
  const std::string tensor = "/components/decoder/tensors/final_proj";
  EXPECT_TRUE(refuses(tensor + "/layout", "panel16_w8a8", "final_proj: expected"));
  EXPECT_TRUE(refuses(tensor + "/group_size", 64, "neither group_size"));
}

TEST_F(EngineAttack, VoiceLengths) {
  std::string weights = test::read_file(engine_.weights());
  const std::string lengths("\2\0\0\0\3\0\0\0", 8);
  const std::size_t at = weights.rfind(lengths);
  ASSERT_NE(at, std::string::npos);
  for (const char bad : {'\0', '\4', '\xFF'}) {
    weights[at] = bad;
    test::write_file(engine_.weights(), weights);
    EXPECT_TRUE(
        throws_naming<FormatError>("voice_lengths[0]", [&] { Engine::open(engine_.path()); }));
  }
}

TEST_F(EngineAttack, AFolderThatIsNone) {
  EXPECT_TRUE(throws_naming<NotFoundError>("no file or folder",
                                           [&] { Engine::open(engine_.path() + "/absent"); }));
  std::filesystem::remove(engine_.weights());
  EXPECT_TRUE(
      throws_naming<FormatError>("weights.safetensors", [&] { Engine::open(engine_.path()); }));
}

TEST_F(EngineAttack, TheFamilyIsLookedAtFirst) {
  Json json = json_;
  json["family"] = "parrot";
  json["model"] = 1;
  json.erase("defaults");
  EXPECT_TRUE(throws_naming<FormatError>(
      ".family: expected one of magpie, t3, llm, f5, vocos, nanocodec, s3gen, got \"parrot\"",
      [&] { open(json.dump()); }));
}

}  // namespace
}  // namespace ttsrt
