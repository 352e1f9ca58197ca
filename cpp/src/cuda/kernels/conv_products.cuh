// What the warpgroups of a narrow convolution multiply: weights, which come in stages of a tap and
// a chunk of columns each, and sums.
//
// The first thread fills the stages: all of them once, where they are resident, or else a ring, of
// which it fills a stage again some stages after the warps are done with it.
#pragma once

#include "cuda/device.cuh"
#include "cuda/kernels/hopper.cuh"
#include "cuda/kernels/wgmma_rows.cuh"
#include "cuda/launch_rate.h"

namespace ttsrt::cuda {

constexpr int kConvStages = 16;  // at most
constexpr int kConvRing = 8;     // stages that are filled again

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

constexpr int kConvLag = 2;  // stages after which one is filled again

__device__ __forceinline__ void copy_bytes(const void* to, const void* from, std::int32_t bytes,
                                           Barrier& barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(&barrier))
      : "memory");
}

template <int kOutputs, bool kResident>
class ConvWeights {
 public:
  __device__ __forceinline__ ConvWeights(const NarrowConvArgs& args, const ConvWeightShape& shape,
                                         std::int32_t first_output, std::byte* memory,
                                         Barrier* full, Barrier* empty)
      : memory_(memory),
        full_(full),
        empty_(empty),
        kernel_(shape.kernel),
        units_(shape.units()),
        stages_(kResident ? shape.kernel : shape.chunks() * shape.kernel),
        step_bytes_(static_cast<std::int32_t>(shape.step_bytes())),
        stage_bytes_(shape.steps_of(0) * kStepBytes),
        from_(static_cast<const std::byte*>(args.weight) +
              first_output / shape.tile() * shape.tile_bytes() +
              first_output % shape.tile() * kConvColumns * 2) {}

  // Makes the barriers and fills as many stages as there are, by one thread, before a barrier of
  // the block. `warps` are done with a stage.
  __device__ __forceinline__ void start(int warps) {
    for (int slot = 0; slot < kConvStages; ++slot) {
      init_barrier(full_[slot], 1);
      init_barrier(empty_[slot], warps);
    }
    publish_barriers();
    for (int stage = 0; stage < stages_ && (kResident || stage < kConvRing); ++stage) fill(stage);
  }

  // Where a stage is, once it has come.
  __device__ __forceinline__ std::uint64_t await_stage(int stage) const {
    await(full_[slot_of(stage)], kResident ? 0 : stage / kConvRing % 2);
    return pieces_at(shared_address(memory_) + slot_of(stage) * stage_bytes_);
  }

  // Says that this warp is done with a stage.
  __device__ __forceinline__ void release(int stage) const {
    if (!kResident && threadIdx.x % kWarp == 0) arrive(empty_[slot_of(stage)]);
  }

  // Fills the stage of kConvLag stages ago again, once all warps are done with it.
  __device__ __forceinline__ void refill(int stage) {
    if constexpr (!kResident) {
      const int before = stage - kConvLag;
      const int next = before + kConvRing;
      if (threadIdx.x == 0 && before >= 0 && next < stages_) {
        await(empty_[slot_of(before)], before / kConvRing % 2);
        fill(next);
      }
      __syncwarp();
    }
  }

 private:
  static constexpr std::int32_t kStepBytes = kOutputs * kConvColumns * 2;

  static __device__ __forceinline__ int slot_of(int stage) {
    return kResident ? stage : stage % kConvRing;
  }

  // The next stage, in the order of the weights. Where the block has a part of a tile of weights,
  // every product is a copy of its own.
  __device__ __forceinline__ void fill(int stage) {
    const std::int32_t left = units_ - chunk_ * kConvChunkSteps;
    const std::int32_t steps = left < kConvChunkSteps ? left : kConvChunkSteps;
    Barrier& full = full_[slot_of(stage)];
    std::byte* to = memory_ + slot_of(stage) * stage_bytes_;
    arrive_and_expect(full, steps * kStepBytes);
    if (step_bytes_ == kStepBytes) {
      copy_bytes(to, from_, steps * kStepBytes, full);
    } else {
      for (std::int32_t s = 0; s < steps; ++s)
        copy_bytes(to + s * kStepBytes, from_ + s * step_bytes_, kStepBytes, full);
    }
    from_ += steps * step_bytes_;
    if (++tap_ < kernel_) return;
    tap_ = 0;
    ++chunk_;
  }

  std::byte* memory_;
  Barrier* full_;   // [kConvStages]
  Barrier* empty_;  // [kConvStages]
  std::int32_t kernel_, units_, stages_, step_bytes_, stage_bytes_;
  const std::byte* from_;
  std::int32_t chunk_ = 0;  // of the next stage to fill
  std::int32_t tap_ = 0;
};

// The sums of a warpgroup, and where its warps read rows. With kMasked, the operand of a tap that
// is not in `inside` is zero.
template <Element kElement, int kOutputs, bool kAhead, bool kResident, bool kMasked = false>
struct ConvProducts {
  using Stages = ConvWeights<kOutputs, kResident>;

  std::uint32_t rows_at = 0;  // of this lane's row in the window of this chunk, at the first tap
  std::int32_t tap_bytes = 0;
  int index = 0;                 // of the stage
  std::uint32_t inside[2] = {};  // taps of this lane's row of operands, and of the one 8 rows on
  float sums[kOutputs / 2];

  // All taps of a chunk.
  template <int kSteps>
  __device__ __forceinline__ void multiply_chunk(Stages& stages, std::int32_t kernel) {
    std::uint32_t even[kSteps][4];
    if constexpr (!kAhead) {
      for (int tap = 0; tap < kernel; ++tap) {
        load_rows(even, tap);
        multiply(stages, even, tap == 0);
      }
    } else {
      std::uint32_t odd[kSteps][4];
      load_rows(even, 0);
      for (int tap = 0;;) {
        multiply(stages, even, tap == 0);
        if (++tap >= kernel) break;
        load_rows(odd, tap);
        multiply(stages, odd, false);
        if (++tap >= kernel) break;
        load_rows(even, tap);
      }
      await_products<0>();
      stages.release(index - 1);
    }
  }

 private:
  template <int kSteps>
  __device__ __forceinline__ void load_rows(std::uint32_t (&words)[kSteps][4], int tap) const {
    const std::uint32_t at = rows_at + tap * tap_bytes;
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(words[s][0]), "=r"(words[s][1]), "=r"(words[s][2]), "=r"(words[s][3])
                   : "r"(at + s * kConvColumns * 2)
                   : "memory");
    }
    if constexpr (kMasked) {
      const bool has_first = has_tap(inside[0], tap);
      const bool has_second = has_tap(inside[1], tap);
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        words[s][0] = has_first ? words[s][0] : 0;
        words[s][1] = has_second ? words[s][1] : 0;
        words[s][2] = has_first ? words[s][2] : 0;
        words[s][3] = has_second ? words[s][3] : 0;
      }
    }
  }

  // Leaves the products running, and those of the stage before done; or leaves all done.
  template <int kSteps>
  __device__ __forceinline__ void multiply(Stages& stages, const std::uint32_t (&words)[kSteps][4],
                                           bool is_first) {
    const std::uint64_t weights = stages.await_stage(index);
    begin_products();
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      WgmmaOfRows<kElement, kOutputs>::multiply(
          sums, words[s], weights + s * (kOutputs * kConvColumns * 2 / 16), s + index > 0 ? 1 : 0);
    }
    commit_products();
    await_products<kAhead ? 1 : 0>();
    if (!is_first || !kAhead) stages.release(kAhead ? index - 1 : index);
    stages.refill(index);
    ++index;
  }
};

#endif

}  // namespace ttsrt::cuda
