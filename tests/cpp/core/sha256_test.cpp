#include "core/sha256.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace ttsrt {
namespace {

std::string hash_of(const std::string& text) {
  return sha256_hex(reinterpret_cast<const std::byte*>(text.data()), text.size());
}

// The examples of FIPS 180-4.
TEST(Sha256, KnownVectors) {
  EXPECT_EQ(hash_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash_of(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesGiveTheSameDigest) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += static_cast<char>('!' + i % 90);
  for (std::size_t length :
       {std::size_t{0}, std::size_t{1}, std::size_t{55}, std::size_t{56}, std::size_t{63},
        std::size_t{64}, std::size_t{65}, std::size_t{119}, std::size_t{128}, std::size_t{500}}) {
    const std::string whole = hash_of(text.substr(0, length));
    for (std::size_t piece :
         {std::size_t{1}, std::size_t{7}, std::size_t{63}, std::size_t{64}, std::size_t{130}}) {
      Sha256 hash;
      for (std::size_t at = 0; at < length; at += piece) {
        hash.update(reinterpret_cast<const std::byte*>(text.data()) + at,
                    std::min(piece, length - at));
      }
      EXPECT_EQ(hash.hex_digest(), whole) << length << " in pieces of " << piece;
    }
  }
}

}  // namespace
}  // namespace ttsrt
