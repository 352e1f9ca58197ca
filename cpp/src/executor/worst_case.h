// Blocks of the paged cache that a request may come to hold.
#pragma once

#include <cstdint>

#include "executor/request_check.h"
#include "executor/sequence.h"
#include "step/itinerary.h"

namespace ttsrt::executor {

// Its branches at full length, and the prefixes that they fork.
std::int32_t worst_case(const PreparedRequest& request, const Site& site, std::int32_t block_size);

// Blocks of a shared prefix that a branch has in common with it once it is forked.
std::int32_t shared_blocks(const step::Stop& stop, std::int32_t block_size);

}  // namespace ttsrt::executor
