// A plugin without TensorRT: attributes, tensors, workspace, and the launchers that it calls.
//
// Decided: ops are classes with a virtual enqueue(), not parameters of the adapters' templates, so
// that an op is compiled once for all versions of TensorRT, is tested without any of them, and an
// adapter is one class for all ops.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "common/fields.h"
#include "common/signature.h"

namespace ttsrt::plugins {

constexpr const char* kNamespace = "ttsrt_rt";
constexpr const char* kVersion = "1";

// The tensors of one call of enqueue(), by name. Sizes were checked.
class Call {
 public:
  Call(const Signature& signature, std::vector<Tensor> inputs, std::vector<Tensor> outputs,
       std::int64_t rows, void* workspace, cudaStream_t stream)
      : stream(stream),
        signature_(signature),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        rows_(rows),
        workspace_(static_cast<std::byte*>(workspace)) {}

  // Null where the plugin has no such tensor. Inputs are written where their port says so.
  template <class T>
  T* input(std::string_view name) const {
    return static_cast<T*>(at(inputs_, signature_.input(name)));
  }
  template <class T>
  T* output(std::string_view name) const {
    return static_cast<T*>(at(outputs_, signature_.output(name)));
  }
  std::int32_t rows() const { return static_cast<std::int32_t>(rows_); }
  std::byte* workspace() const { return workspace_; }

  const cudaStream_t stream;

 private:
  static void* at(const std::vector<Tensor>& tensors, std::int32_t index) {
    return index < 0 ? nullptr : tensors[static_cast<std::size_t>(index)].data;
  }

  const Signature& signature_;
  std::vector<Tensor> inputs_;
  std::vector<Tensor> outputs_;
  std::int64_t rows_;
  std::byte* workspace_;
};

struct Kind;

class Op {
 public:
  virtual ~Op() = default;
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

  virtual const Kind& kind() const = 0;
  virtual Fields fields() const = 0;
  virtual std::int64_t max_rows() const = 0;
  // Bytes for the largest launch, whatever the shapes of a call.
  virtual std::size_t workspace_bytes() const { return 0; }
  // Queues the launchers. Neither allocates nor waits, and may be captured in a graph. Throws
  // DeviceError.
  virtual void enqueue(const Call& call) const = 0;

  const Signature& signature() const { return signature_; }

 protected:
  Op() = default;

  Signature signature_;
};

// A kind of op, by its name in the registry of TensorRT.
struct Kind {
  const char* name = nullptr;
  FieldNames fields;
  // Throws ConfigError for fields that are not these, or values that the op does not take.
  std::unique_ptr<Op> (*make)(const Fields& fields) = nullptr;
};

// All kinds, and the one of a name; throws ConfigError, which lists the names, where there is none.
const std::vector<Kind>& kinds();
const Kind& kind_of(std::string_view name);

// What all ops have in common: `Self::Attributes`, `Self::kName`, and a constructor that takes
// attributes, checks them and says which tensors there are.
template <class Self, class TheAttributes>
class OpOf : public Op {
 public:
  using Attributes = TheAttributes;

  const Kind& kind() const override { return kind_of(Self::kName); }
  Fields fields() const override { return to_fields(at_); }
  std::int64_t max_rows() const override { return at_.launch.max_rows; }

  static Kind describe() {
    return {Self::kName, names_of<Attributes>(), [](const Fields& fields) -> std::unique_ptr<Op> {
              return std::make_unique<Self>(from_fields<Attributes>(Self::kName, fields));
            }};
  }

 protected:
  explicit OpOf(Attributes attributes) : at_(std::move(attributes)) {}

  const Attributes at_;
};

}  // namespace ttsrt::plugins
