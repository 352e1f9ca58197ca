// What both adapters do alike between TensorRT's descriptions of tensors and an op.
//
// TensorRT's dims are 32-bit in version 8 and 64-bit later, so these are templates over its types.
#pragma once

#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "common/op.h"
#include "common/report.h"

namespace ttsrt::plugins {

template <class TheirDims>
Dims dims_of(const TheirDims& dims) {
  return Dims(dims.d, dims.d + (dims.nbDims > 0 ? dims.nbDims : 0));
}

// The largest shape of a profile, or the shape itself where TensorRT gives no range.
template <class Range>
Dims largest_dims(const Range& range) {
  return dims_of(range.max.nbDims > 0 ? range.max : range.desc.dims);
}

// The fields of a collection. Throws ConfigError for types other than int32 and float32.
template <class Collection>
Fields fields_of(const char* plugin, const Collection* collection) {
  Fields fields;
  using TheirType = std::remove_cv_t<decltype(collection->fields->type)>;
  for (std::int32_t i = 0; collection != nullptr && i < collection->nbFields; ++i) {
    const auto& from = collection->fields[i];
    const std::string name = from.name == nullptr ? "" : from.name;
    TTSRT_CHECK(ConfigError, from.data != nullptr && from.length >= 0, plugin, ": field ", name,
                ": it has no data");
    TTSRT_CHECK(ConfigError, from.type == TheirType::kINT32 || from.type == TheirType::kFLOAT32,
                plugin, ": field ", name, ": expected int32 or float32, got a field of type ",
                static_cast<int>(from.type));
    const auto read = [&from](auto list) {
      list.resize(static_cast<std::size_t>(from.length));
      if (!list.empty()) std::memcpy(list.data(), from.data, list.size() * sizeof(list[0]));
      return list;
    };
    if (from.type == TheirType::kINT32) {
      fields.push_back({name, read(Numbers{})});
    } else {
      fields.push_back({name, read(Reals{})});
    }
  }
  return fields;
}

// A collection that points into fields, or into names alone, which must outlive it.
template <class TheirField, class Collection>
class Collected {
 public:
  void assign(const Fields& fields) {
    fields_.clear();
    for (const Field& field : fields) {
      std::visit(
          [&](const auto& values) {
            add(field.name, values.data(), values.size(), is_real<std::decay_t<decltype(values)>>);
          },
          field.values);
    }
    finish();
  }
  void assign(const FieldNames& names) {
    fields_.clear();
    for (const FieldName& name : names) add(name.name, nullptr, name.is_list ? 0 : 1, name.is_real);
    finish();
  }
  const Collection* get() const { return &collection_; }

 private:
  void add(const std::string& name, const void* data, std::size_t count, bool is_real) {
    using TheirType = decltype(TheirField{}.type);
    fields_.emplace_back(name.c_str(), data, is_real ? TheirType::kFLOAT32 : TheirType::kINT32,
                         static_cast<std::int32_t>(count));
  }
  void finish() {
    collection_.nbFields = static_cast<std::int32_t>(fields_.size());
    collection_.fields = fields_.data();
  }

  std::vector<TheirField> fields_;
  Collection collection_{};
};

template <class TheirType>
TheirType their_type(Type type) {
  switch (type) {
    case Type::int32:
      return TheirType::kINT32;
    case Type::float16:
      return TheirType::kHALF;
    case Type::float32:
      break;
  }
  return TheirType::kFLOAT;
}

// Whether a tensor of TensorRT is what a port takes; false for types that no port has.
template <class TensorDesc, class Format>
bool takes(const Signature& signature, std::int32_t position, const TensorDesc& desc,
           Format linear) {
  for (const Type type : {Type::int32, Type::float32, Type::float16}) {
    if (desc.type == their_type<std::decay_t<decltype(desc.type)>>(type))
      return signature.takes(position, type, desc.format == linear);
  }
  return false;
}

// Throws ConfigError unless TensorRT counts as many tensors as the op.
inline void check_arity(const Op& op, std::int32_t inputs, std::int32_t outputs) {
  const Signature& signature = op.signature();
  const auto differs = [](const std::vector<Port>& ports, std::int32_t count) {
    return ports.size() != static_cast<std::size_t>(count);
  };
  TTSRT_CHECK(ConfigError, !differs(signature.inputs(), inputs), op.kind().name, ": expected ",
              signature.inputs().size(), " inputs, got ", inputs);
  TTSRT_CHECK(ConfigError, !differs(signature.outputs(), outputs), op.kind().name, ": expected ",
              signature.outputs().size(), " outputs, got ", outputs);
}

// Shapes of the outputs as expressions of TensorRT, which are 32-bit or 64-bit.
template <class Exprs, class Builder>
Exprs output_dims(const std::vector<ExtentSource>& rule, const Exprs* inputs, Builder& builder) {
  using Number = decltype(inputs->d[0]->getConstantValue());
  Exprs out{};
  out.nbDims = static_cast<std::int32_t>(rule.size());
  for (std::size_t d = 0; d < rule.size(); ++d) {
    const ExtentSource& from = rule[d];
    out.d[d] = from.input < 0 ? builder.constant(static_cast<Number>(from.number))
                              : inputs[from.input].d[from.dim];
  }
  return out;
}

// Checks and runs an op. Throws.
template <class TensorDesc>
void run(const Op& op, const TensorDesc* input_descs, const TensorDesc* output_descs,
         const void* const* inputs, void* const* outputs, void* workspace, cudaStream_t stream) {
  const Signature& signature = op.signature();
  std::vector<Dims> dims;
  std::vector<Tensor> in;
  std::vector<Tensor> out;
  for (std::size_t i = 0; i < signature.inputs().size(); ++i) {
    dims.push_back(dims_of(input_descs[i].dims));
    in.push_back({dims.back(), const_cast<void*>(inputs[i])});
  }
  for (std::size_t i = 0; i < signature.outputs().size(); ++i)
    out.push_back({dims_of(output_descs[i].dims), outputs[i]});
  const std::int64_t rows = signature.check(op.kind().name, dims, op.max_rows());
  op.enqueue(Call(signature, std::move(in), std::move(out), rows, workspace, stream));
}

// Runs a function that may throw where TensorRT calls, which must see no exception: reports the
// error to its logger and returns `otherwise`.
template <class Result, class Function>
Result guarded(Result otherwise, const Function& function) noexcept {
  try {
    return function();
  } catch (const std::exception& error) {
    report(error.what());
  } catch (...) {
    report("an unknown error");
  }
  return otherwise;
}

}  // namespace ttsrt::plugins
