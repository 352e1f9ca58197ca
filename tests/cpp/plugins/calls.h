// A call of an op with tensors at made-up addresses, and what its launchers were given.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/op.h"
#include "recorder.h"
#include "samples.h"

namespace ttsrt::plugins::test {

// Makes the op of a sample and runs it once over kRows rows. No address is read.
class Called {
 public:
  Called(const Sample& sample, const Fields& fields) : op_(kind_of(sample.kind).make(fields)) {
    const auto inputs = place(sample.inputs, "");
    const auto outputs = place(sample.outputs, "out:");
    std::vector<Dims> dims;
    for (const Tensor& tensor : inputs) dims.push_back(tensor.dims);
    const std::int64_t rows = op_->signature().check(sample.kind.c_str(), dims, op_->max_rows());
    Recorder::clear();
    op_->enqueue(Call(op_->signature(), inputs, outputs, rows, workspace(), nullptr));
  }
  explicit Called(const Sample& sample) : Called(sample, sample.fields) {}
  Called(const std::string& kind, const std::string& label) : Called(sample_of(kind, label)) {}

  // The address of an input, or, with "out:" before its name, of an output.
  template <class T>
  T* at(const std::string& name) const {
    return reinterpret_cast<T*>(addresses_.at(name));
  }
  const std::int32_t* launch() const { return at<const std::int32_t>("launch"); }
  static std::byte* workspace() { return reinterpret_cast<std::byte*>(std::uintptr_t{1} << 40); }
  std::size_t workspace_bytes() const { return op_->workspace_bytes(); }

 private:
  std::vector<Tensor> place(const std::vector<PortRow>& ports, const std::string& prefix) {
    std::vector<Tensor> tensors;
    for (const PortRow& port : ports) {
      next_ += 0x100000;
      addresses_[prefix + port.name] = next_;
      tensors.push_back({port.dims, reinterpret_cast<void*>(next_)});
    }
    return tensors;
  }

  std::unique_ptr<Op> op_;
  std::uintptr_t next_ = 0x10000000;
  std::map<std::string, std::uintptr_t> addresses_;
};

}  // namespace ttsrt::plugins::test
