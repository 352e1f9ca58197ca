// All places of autoregressive picks in one launch (cuda/places.h): a grid that fills the device,
// whose blocks all run at once.
#include "cuda/kernels/attend_block.cuh"
#include "cuda/kernels/place_draw.cuh"
#include "cuda/kernels/place_walk.cuh"

namespace ttsrt::cuda {
namespace {

// --- kernels ------------------------------------------------------------------------------------

// Elsewhere, can_pick_places() is false: older devices can't copy tiles by themselves.
template <typename S>
__global__ void __launch_bounds__(kPlaceThreads, 1)
    pick_places_kernel(const __grid_constant__ PlacesArgs args) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) std::byte shared[];
  const bool has_weights = static_cast<std::int32_t>(blockIdx.x) < args.weight_blocks;
  const PlaceRoom room = PlaceRoom::of(shared, args, S::kDims);
  wait_for_previous_kernel();
  if (has_weights) load_tiles(args, room);
  // 0 is the tag of memory that nothing was sent to.
  const std::uint32_t first_tag =
      number_of(args) * static_cast<std::uint32_t>(args.input.codebooks) + 1U;
  if (has_weights) {
    PlaceWalk<S>(args, room).run(first_tag);
  } else {
    draw_places(args, shared, first_tag);
  }
  finish_launch(args);
#endif
}

template <typename S>
std::size_t work_bytes(const PlacesArgs& args) {
  const auto tiles = static_cast<std::size_t>(args.most_tiles);
  const auto begins = static_cast<std::size_t>(args.num_layers * kPlacePhases + 1);
  return kPartialBytes + 3 * S::kDims * sizeof(float) +
         tiles * (sizeof(std::uint64_t) + sizeof(PlaceTile)) + begins * sizeof(std::int32_t) +
         2 * kMostPlaceRows * sizeof(std::int32_t);
}

template <typename S>
std::size_t block_bytes(const PlacesArgs& args) {
  const std::size_t weights = static_cast<std::size_t>(args.weight_bytes) + work_bytes<S>(args);
  const std::size_t draws = PlaceDrawRoom::bytes(args.draw.vocab);
  return weights > draws ? weights : draws;
}

template <typename S>
const void* kernel_with_room(std::size_t bytes) {
  const auto* kernel = reinterpret_cast<const void*>(pick_places_kernel<S>);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)),
        "pick_places_kernel");
  return kernel;
}

// Whether the device can run all blocks at once, and the library has the kernel for it.
template <typename S>
bool runs_at_once(const PlacesArgs& args) {
  int device = 0;
  int cooperates = 0;
  int multiprocessors = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&cooperates, cudaDevAttrCooperativeLaunch, device),
        "cudaDeviceGetAttribute");
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
        "cudaDeviceGetAttribute");
  const std::size_t bytes = block_bytes<S>(args);
  const void* kernel = kernel_with_room<S>(bytes);
  cudaFuncAttributes compiled = {};
  check(cudaFuncGetAttributes(&compiled, kernel), "cudaFuncGetAttributes");
  int blocks = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, kPlaceThreads, bytes),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return cooperates != 0 && compiled.ptxVersion >= 90 &&
         blocks * multiprocessors >= args.weight_blocks + args.draw_blocks;
}

// The launch is cooperative, so that it begins when there is room for all blocks, whatever else the
// device runs. It waits for the end of the kernel before: its own time is hundreds of times longer.
template <typename S>
void launch_places(const PlacesArgs& args, cudaStream_t stream) {
  const std::size_t bytes = block_bytes<S>(args);
  kernel_with_room<S>(bytes);
  cudaLaunchAttribute together = {};
  together.id = cudaLaunchAttributeCooperative;
  together.val.cooperative = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = static_cast<unsigned>(args.weight_blocks + args.draw_blocks);
  config.blockDim = kPlaceThreads;
  config.dynamicSmemBytes = bytes;
  config.stream = stream;
  config.attrs = &together;
  config.numAttrs = 1;
  check(cudaLaunchKernelEx(&config, pick_places_kernel<S>, args), "pick_places_kernel");
}

struct WorkBytes {
  const PlacesArgs& args;
  std::size_t& bytes;
  template <typename S>
  void operator()() const {
    bytes = work_bytes<S>(args);
  }
};

struct RunsAtOnce {
  const PlacesArgs& args;
  bool& runs;
  template <typename S>
  void operator()() const {
    if constexpr (S::kDims <= kMostPlaceHeadDim) runs = runs_at_once<S>(args);
  }
};

struct LaunchPlaces {
  const PlacesArgs& args;
  cudaStream_t stream;
  template <typename S>
  void operator()() const {
    if constexpr (S::kDims <= kMostPlaceHeadDim) {
      return launch_places<S>(args, stream);
    }
    throw DeviceError("cuda: picks in one launch: a head_dim beyond the limit");
  }
};

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

std::size_t place_work_bytes(const PlacesArgs& args) {
  std::size_t bytes = 0;
  with_dims<Element::float32>(args.layers[0].attention.head_dim, WorkBytes{args, bytes});
  return bytes;
}

std::size_t place_draw_bytes(std::int32_t vocab) { return PlaceDrawRoom::bytes(vocab); }

bool can_pick_places(const PlacesArgs& args) {
  bool runs = false;
  with_dims<Element::float32>(args.layers[0].attention.head_dim, RunsAtOnce{args, runs});
  return runs;
}

void pick_places(const PlacesArgs& args, cudaStream_t stream) {
  with_dims<Element::float32>(args.layers[0].attention.head_dim, LaunchPlaces{args, stream});
}

}  // namespace ttsrt::cuda
