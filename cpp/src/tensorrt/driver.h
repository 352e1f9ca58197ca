// What this library asks of TensorRT, whatever its version: to build a network into a plan, and to
// run a plan over rows. Who implements it is the one that knows TensorRT's headers
// (tensorrt/driver/), a library of its own for each major version, opened at run time.
//
// Decided: an interface of C++ and not of C, because both sides are built together and share their
// standard library; kDriverVersion and the plugins' version are compared before anything is called.
// Functions throw std::runtime_error, which has a meaning on both sides; who calls makes it one of
// ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/fields.h"
#include "common/types.h"

namespace ttsrt::tensorrt {

using plugins::Dims;
using plugins::Fields;
using plugins::Type;

constexpr std::int32_t kDriverVersion = 1;
constexpr const char* kDriverEntry = "ttsrt_tensorrt_driver";

using TensorId = std::int32_t;
constexpr std::int64_t kRowsExtent = -1;  // an extent that is as many as a launch has rows

enum class Unary { tanh, sigmoid, softplus, erf, sqrt };
enum class Binary { sum, product, difference, quotient };

// Takes the layers of a network one by one.
class NetworkWriter {
 public:
  virtual ~NetworkWriter() = default;
  // Names the layers that follow, in profiles and messages: "decode 12 Linear decoder.0.qkv".
  virtual void begin_op(const std::string& name) = 0;
  // A tensor that the runner binds. At most the first extent is kRowsExtent.
  virtual TensorId input(const std::string& name, Type type, const Dims& dims) = 0;
  // `values` may be called or not, until the network is built.
  virtual TensorId constant(Type type, const Dims& dims,
                            const std::function<std::vector<std::byte>()>& values) = 0;
  // x [rows, inputs] times the transpose of weight [outputs, inputs], both of one float type.
  virtual TensorId product(TensorId x, TensorId weight) = 0;
  virtual TensorId cast(TensorId x, Type type) = 0;
  virtual TensorId apply(Unary function, TensorId x) = 0;
  // Extents of 1 stand for any.
  virtual TensorId combine(Binary function, TensorId a, TensorId b) = 0;
  virtual TensorId mean(TensorId x) = 0;  // [rows, columns] to [rows, 1]
  virtual TensorId columns(TensorId x, std::int64_t first, std::int64_t count) = 0;
  virtual TensorId copy(TensorId x) = 0;
  // The outputs of a plugin, of which there are as many as `outputs`.
  virtual std::vector<TensorId> plugin(const char* kind, const Fields& fields,
                                       const std::vector<TensorId>& inputs,
                                       std::int32_t outputs) = 0;
  // The tensor is none of an input's, and is named once.
  virtual void output(const std::string& name, TensorId x) = 0;
};

// Numbers of rows for which TensorRT chooses kernels together.
struct RowRange {
  std::int32_t least = 1;
  std::int32_t usual = 1;  // which are timed
  std::int32_t most = 1;

  bool operator==(const RowRange&) const = default;
};

struct BuildSettings {
  std::vector<RowRange> ranges;    // a profile for each
  bool has_float16 = false;        // products in float16
  bool uses_convolutions = false;  // for products, in place of TensorRT's matrix products
  std::int32_t optimization_level = 3;
  std::size_t workspace_bytes = 0;  // 0: no limit
};

// Times of TensorRT's layers, summed over launches, in the order in which they ran first.
struct LayerTime {
  std::string name;
  std::uint64_t runs = 0;
  double seconds = 0.0;
};

// How a context is set up; it stays so.
struct ContextSettings {
  std::int32_t rows = 1;
  std::int32_t profile_index = 0;                        // of the range that has them
  std::vector<std::pair<std::string, void*>> addresses;  // of every input and output
  void* memory = nullptr;  // [Plan::memory_bytes()], shared by whatever doesn't run at once
  void* stream = nullptr;  // a cudaStream_t that setting up may use
  bool keeps_times = false;
};

class Context {
 public:
  virtual ~Context() = default;
  virtual void enqueue(void* stream) = 0;
  virtual std::vector<LayerTime> times() const = 0;  // if kept; any thread may ask
};

struct BoundTensor {
  std::string name;
  Type type = Type::float32;
  Dims dims;  // kRowsExtent for that of the rows
  bool is_input = false;
};

// A plan that was loaded. It outlives its contexts.
class Plan {
 public:
  virtual ~Plan() = default;
  virtual std::size_t memory_bytes() const = 0;  // that a context needs while it runs
  virtual std::vector<BoundTensor> tensors() const = 0;
  virtual std::unique_ptr<Context> make_context(const ContextSettings& settings) = 0;
};

// TensorRT with our plugins. A device must be current for all but version().
class Driver {
 public:
  virtual ~Driver() = default;
  virtual std::string version() const = 0;  // of the library: "8.6.0"
  // Of timings, as bytes, from earlier builds; a cache of another TensorRT or GPU is ignored.
  virtual void set_timing_cache(const std::vector<std::byte>& bytes) = 0;
  virtual std::vector<std::byte> timing_cache() const = 0;
  virtual std::vector<std::byte> build(const BuildSettings& settings,
                                       const std::function<void(NetworkWriter&)>& write) = 0;
  virtual std::unique_ptr<Plan> load(const void* data, std::size_t bytes) = 0;
};

// What a driver library is given: functions of TensorRT's library by their names, and where the
// plugins are.
struct DriverRequest {
  std::int32_t version = kDriverVersion;
  void* (*find)(void* library, const char* name) = nullptr;
  void* library = nullptr;
  const char* plugins = nullptr;  // path of the plugin library
};

// The entry of a driver library. Null, and a text in `error` [capacity], where it can't be made.
using DriverEntry = Driver* (*)(const DriverRequest* request, char* error, std::size_t capacity);

}  // namespace ttsrt::tensorrt
