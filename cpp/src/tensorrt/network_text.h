// A network as text, one line for each layer, and what is wrong with it: types and shapes are
// followed from layer to layer, and each plugin's inputs are compared with its signature.
//
// It needs no TensorRT. A plan is built from a network that was written here first, and the hash of
// its text says whether a plan fits what an executor would run.
#pragma once

#include <string>
#include <vector>

#include "tensorrt/driver.h"

namespace ttsrt::tensorrt {

// Throws InternalError for layers that don't fit each other.
class NetworkText final : public NetworkWriter {
 public:
  struct Tensor {
    Type type = Type::float32;
    Dims dims;
    bool is_input = false;
    bool is_output = false;
  };

  void begin_op(const std::string& name) override { op_ = name; }
  TensorId input(const std::string& name, Type type, const Dims& dims) override;
  TensorId constant(Type type, const Dims& dims,
                    const std::function<std::vector<std::byte>()>& values) override;
  TensorId product(TensorId x, TensorId weight) override;
  TensorId cast(TensorId x, Type type) override;
  TensorId apply(Unary function, TensorId x) override;
  TensorId combine(Binary function, TensorId a, TensorId b) override;
  TensorId mean(TensorId x) override;
  TensorId columns(TensorId x, std::int64_t first, std::int64_t count) override;
  TensorId copy(TensorId x) override;
  std::vector<TensorId> plugin(const char* kind, const Fields& fields,
                               const std::vector<TensorId>& inputs, std::int32_t outputs) override;
  void output(const std::string& name, TensorId x) override;

  const std::string& text() const { return text_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  std::string hash() const;  // of the text

 private:
  const Tensor& at(TensorId id) const;
  const Tensor& matrix(TensorId id) const;
  TensorId add(const std::string& line, Type type, Dims dims);
  void expect(bool condition, const std::string& what) const;

  std::string op_;
  std::string text_;
  std::vector<Tensor> tensors_;
};

}  // namespace ttsrt::tensorrt
