// The table of kernels over tiles (tile_kernels.h), and loops for the peaks.

namespace ttsrt::cpu {
namespace {

// Loops for the peaks: four tiles of sums from the same operands.
struct PeakTilePairs {
  template <int Sums>
  static void add() {
    Tiles::add_pairs<Sums, 4, 6>();
  }
};
struct PeakTileBytes {
  template <int Sums>
  static void add() {
    Tiles::add_signed_bytes<Sums, 4, 6>();
  }
};

template <class Step>
float tile_chain_kernel(const unsigned char* operands, int64_t steps) {
  open_tiles();
  Tiles::load<4>(operands, 64);
  Tiles::load<6>(operands, 64);
  Tiles::zero<0>();
  Tiles::zero<1>();
  Tiles::zero<2>();
  Tiles::zero<3>();
  for (int64_t i = 0; i < steps; ++i) {
    Step::template add<0>();
    Step::template add<1>();
    Step::template add<2>();
    Step::template add<3>();
  }
  alignas(64) unsigned char sums[kTileBytes];
  Tiles::store<3>(sums, 64);
  Tiles::close();
  return reduce_add(load(reinterpret_cast<const float*>(sums)));
}

constexpr TilePeaks kTilePeaks = {4, tile_chain_kernel<PeakTilePairs>,
                                  tile_chain_kernel<PeakTileBytes>};

constexpr TileKernels kTiles = {Tiles::kName,
                                {{},
                                 kTilePairs,
                                 {},
                                 kTileW8A16,
                                 kTileW4A16<false>,
                                 kTileBytesByRow,
                                 kTileW4A8<false>,
                                 kTileW4A16<true>,
                                 kTileW4A8<true>},
                                close_tiles,
                                tile_convolve,
                                tile_time_convolve,
                                tile_round,
                                tile_store,
                                tile_gather,
                                tile_attend,
                                kTilePeaks};

}  // namespace
}  // namespace ttsrt::cpu
