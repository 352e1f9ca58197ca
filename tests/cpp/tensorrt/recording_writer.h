// A writer that keeps what is asked for, and hands out ids as NetworkText does.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/op.h"
#include "tensorrt/network_text.h"

namespace ttsrt::tensorrt::test {

class RecordingWriter final : public NetworkWriter {
 public:
  struct Plugin {
    std::string kind;
    std::map<std::string, TensorId> inputs;  // by the names of its ports
    std::vector<TensorId> outputs;
  };

  void begin_op(const std::string& name) override { text.begin_op(name); }
  TensorId input(const std::string& name, Type type, const Dims& dims) override {
    const TensorId id = text.input(name, type, dims);
    inputs.emplace(name, id);
    return id;
  }
  TensorId constant(Type type, const Dims& dims,
                    const std::function<std::vector<std::byte>()>& values) override {
    std::size_t bytes = type == Type::float16 ? 2 : 4;
    for (const std::int64_t extent : dims) bytes *= static_cast<std::size_t>(extent);
    is_sound &= values().size() == bytes;
    ++constants;
    return text.constant(type, dims, values);
  }
  TensorId product(TensorId x, TensorId weight) override {
    ++products;
    return text.product(x, weight);
  }
  TensorId cast(TensorId x, Type type) override {
    ++casts;
    return text.cast(x, type);
  }
  TensorId apply(Unary function, TensorId x) override { return text.apply(function, x); }
  TensorId combine(Binary function, TensorId a, TensorId b) override {
    return text.combine(function, a, b);
  }
  TensorId mean(TensorId x) override { return text.mean(x); }
  TensorId columns(TensorId x, std::int64_t first, std::int64_t count) override {
    return text.columns(x, first, count);
  }
  TensorId copy(TensorId x) override { return text.copy(x); }
  std::vector<TensorId> plugin(const char* kind, const Fields& fields,
                               const std::vector<TensorId>& ids, std::int32_t outputs) override {
    Plugin plugin{kind, {}, text.plugin(kind, fields, ids, outputs)};
    const auto op = plugins::kind_of(kind).make(fields);
    for (std::size_t i = 0; i < ids.size(); ++i)
      plugin.inputs.emplace(op->signature().inputs()[i].name, ids[i]);
    plugins.push_back(plugin);
    return plugin.outputs;
  }
  void output(const std::string& name, TensorId x) override {
    text.output(name, x);
    outputs.emplace(name, x);
  }

  NetworkText text;
  std::map<std::string, TensorId> inputs;
  std::map<std::string, TensorId> outputs;
  std::vector<Plugin> plugins;
  std::int32_t constants = 0;
  std::int32_t products = 0;
  std::int32_t casts = 0;
  bool is_sound = true;  // constants have as many bytes as their shape says
};

}  // namespace ttsrt::tensorrt::test
