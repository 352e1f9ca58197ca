// Streams, events and graphs of the CUDA runtime, owned.
#pragma once

#include <cuda_runtime_api.h>

#include <utility>
#include <vector>

#include "cuda/check.h"

namespace ttsrt::cuda {

// Owns a handle that `Destroy` gives back.
template <typename T, cudaError_t (*Destroy)(T)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T handle) : handle_(handle) {}
  ~Handle() {
    if (handle_ != nullptr) static_cast<void>(Destroy(handle_));
  }
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  T get() const { return handle_; }

 private:
  T handle_ = nullptr;
};

using Stream = Handle<cudaStream_t, cudaStreamDestroy>;
using Event = Handle<cudaEvent_t, cudaEventDestroy>;
using Graph = Handle<cudaGraphExec_t, cudaGraphExecDestroy>;

inline Stream make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return Stream(stream);
}

// Events that record times.
inline Event make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  return Event(event);
}

// Events that are only waited for.
inline Event make_plain_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  return Event(event);
}

// Asks for the largest shared memory in all kernels of a graph. A multiprocessor is idle while it
// changes the split of its shared memory and L1 cache, so that the blocks of a kernel which has
// another split cannot begin while those of the kernel before run.
inline void share_one_split(cudaGraph_t graph) {
  std::size_t count = 0;
  check(cudaGraphGetNodes(graph, nullptr, &count), "cudaGraphGetNodes");
  std::vector<cudaGraphNode_t> nodes(count);
  check(cudaGraphGetNodes(graph, nodes.data(), &count), "cudaGraphGetNodes");
  cudaKernelNodeAttrValue split = {};
  split.sharedMemCarveout = cudaSharedmemCarveoutMaxShared;
  for (cudaGraphNode_t node : nodes) {
    cudaGraphNodeType type = {};
    check(cudaGraphNodeGetType(node, &type), "cudaGraphNodeGetType");
    if (type != cudaGraphNodeTypeKernel) continue;
    check(cudaGraphKernelNodeSetAttribute(
              node, cudaKernelNodeAttributePreferredSharedMemoryCarveout, &split),
          "the shared memory of a graph");
  }
}

// Captures what `queue` puts on the stream, with one split for all kernels if `has_one_split`. If
// it throws, the capture ends without a graph.
template <typename Queue>
Graph capture(cudaStream_t stream, bool has_one_split, const Queue& queue) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin of a capture");
  cudaGraph_t graph = nullptr;
  try {
    queue();
  } catch (...) {
    static_cast<void>(cudaStreamEndCapture(stream, &graph));
    static_cast<void>(cudaGetLastError());  // that the capture is invalid
    if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "end of a capture");
  const Handle<cudaGraph_t, cudaGraphDestroy> captured(graph);
  if (has_one_split) share_one_split(graph);
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, graph, 0), "cudaGraphInstantiate");
  return Graph(executable);
}

}  // namespace ttsrt::cuda
