// SHA-256 (FIPS 180-4), with which `inspect --verify` detects damaged weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ttsrt {

class Sha256 {
 public:
  void update(const std::byte* data, std::size_t bytes);
  std::string hex_digest();  // 64 hexadecimal digits; ends the hash

 private:
  void process(const std::uint8_t* block);

  std::uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::uint8_t pending_[64] = {};
  std::uint64_t total_ = 0;
};

std::string sha256_hex(const std::byte* data, std::size_t bytes);

}  // namespace ttsrt
