// Whatever a file states, reading it gives samples inside the file or a FormatError.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>

#include "support/errors.h"
#include "support/temp_dir.h"
#include "ttsrt/audio.h"

namespace ttsrt {
namespace {

using test::throws_naming;

template <typename T>
std::string bytes_of(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

std::string chunk(const std::string& id, const std::string& body) {
  const std::string padding(body.size() % 2, '\0');
  return id + bytes_of(static_cast<std::uint32_t>(body.size())) + body + padding;
}

struct Format {
  int kind = 1;
  int channels = 1;
  int bits = 16;
  std::uint32_t rate = 24000;
};

std::string format_body(const Format& format) {
  const int frame = format.channels * format.bits / 8;
  return bytes_of(static_cast<std::uint16_t>(format.kind)) +
         bytes_of(static_cast<std::uint16_t>(format.channels)) + bytes_of(format.rate) +
         bytes_of(format.rate * static_cast<std::uint32_t>(frame)) +
         bytes_of(static_cast<std::uint16_t>(frame)) +
         bytes_of(static_cast<std::uint16_t>(format.bits));
}

std::string riff(const std::string& chunks) {
  return "RIFF" + bytes_of(static_cast<std::uint32_t>(chunks.size() + 4)) + "WAVE" + chunks;
}

std::string wav(const Format& format, const std::string& data) {
  return riff(chunk("fmt ", format_body(format)) + chunk("data", data));
}

Wave parse(const std::string& file) {
  return parse_wav(reinterpret_cast<const std::byte*>(file.data()), file.size(), "a.wav");
}

::testing::AssertionResult refuses(const std::string& file, const std::string& part) {
  return throws_naming<FormatError>(part, [&] { parse(file); });
}

const char kTail[] = "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71";

std::string extensible(int sub, const Format& format) {
  Format outer = format;
  outer.kind = 0xFFFE;
  return format_body(outer) + bytes_of(static_cast<std::uint16_t>(22)) +
         bytes_of(static_cast<std::uint16_t>(format.bits)) + bytes_of(std::uint32_t{0}) +
         bytes_of(static_cast<std::uint16_t>(sub)) + std::string(kTail, 14);
}

TEST(Wav, IntegersOfEveryWidth) {
  EXPECT_EQ(parse(wav({1, 1, 8}, std::string("\x00\x80\xFF", 3))).samples.values,
            (std::vector<float>{-1.0F, 0.0F, 127.0F / 128}));
  EXPECT_EQ(parse(wav({1, 1, 16}, std::string("\x00\x80\x01\x00\xFF\x7F", 6))).samples.values,
            (std::vector<float>{-1.0F, 1.0F / 32768, 32767.0F / 32768}));
  EXPECT_EQ(parse(wav({1, 1, 24}, std::string("\x00\x00\x80\x01\x00\x00", 6))).samples.values,
            (std::vector<float>{-1.0F, 1.0F / 8388608}));
  EXPECT_EQ(parse(wav({1, 1, 32}, bytes_of(std::int32_t{-1 << 30}))).samples.values,
            (std::vector<float>{-0.5F}));
}

TEST(Wav, Floats) {
  EXPECT_EQ(parse(wav({3, 1, 32}, bytes_of(1.5F))).samples.values, (std::vector<float>{1.5F}));
  EXPECT_EQ(parse(wav({3, 1, 64}, bytes_of(-0.25))).samples.values, (std::vector<float>{-0.25F}));
}

TEST(Wav, FramesAndChannels) {
  const Wave wave = parse(wav({1, 2, 16, 44100}, std::string(12, '\1')));
  EXPECT_EQ(wave.sample_rate, 44100);
  EXPECT_EQ(wave.samples.rows, 3);
  EXPECT_EQ(wave.samples.cols, 2);
  EXPECT_EQ(parse(wav({}, "")).samples.rows, 0);
}

TEST(Wav, ExtensibleFormatsNameTheirSamples) {
  const std::string data = chunk("data", bytes_of(0.5F));
  EXPECT_EQ(parse(riff(chunk("fmt ", extensible(3, {3, 1, 32})) + data)).samples.values,
            (std::vector<float>{0.5F}));
  EXPECT_EQ(parse(riff(chunk("fmt ", extensible(1, {1, 1, 16})) + data)).samples.rows, 2);
  std::string other = extensible(1, {1, 1, 16});
  other[30] = 'x';
  EXPECT_TRUE(refuses(riff(chunk("fmt ", other) + data), "sub-format"));
  EXPECT_TRUE(refuses(riff(chunk("fmt ", extensible(1, {1, 1, 16}).substr(0, 30)) + data),
                      "expected 40 bytes"));
}

TEST(Wav, OtherChunksArePassedOver) {
  const std::string file = riff(chunk("LIST", "odd") + chunk("fmt ", format_body({})) +
                                chunk("fact", "abcd") + chunk("data", "ab") + chunk("id3 ", "x"));
  EXPECT_EQ(parse(file).samples.rows, 1);
  EXPECT_EQ(parse(wav({}, "ab") + "junk").samples.rows, 1);
}

TEST(Wav, AnOpenEndReachesToTheEndOfTheFile) {
  const std::string head = riff(chunk("fmt ", format_body({})));
  const std::string open = "data" + bytes_of(std::uint32_t{0xFFFFFFFF});
  EXPECT_EQ(parse(head + open + "abcde").samples.rows, 2);  // half a frame was not written
  EXPECT_TRUE(refuses(head + "LIST" + bytes_of(std::uint32_t{0xFFFFFFFF}) + "ab", "up to the end"));
}

TEST(Wav, RefusesWhatIsNotThere) {
  EXPECT_TRUE(refuses("", "expected a WAV file"));
  EXPECT_TRUE(refuses("RIFF", "got 4 bytes"));
  EXPECT_TRUE(refuses("RF64" + wav({}, "ab").substr(4), "RF64"));
  EXPECT_TRUE(refuses("ID3\3" + std::string(20, 'x'), "an MP3 file"));
  EXPECT_TRUE(refuses(riff(""), "expected a chunk data, got none"));
  EXPECT_TRUE(refuses(riff(chunk("fmt ", format_body({}))), "expected a chunk data, got none"));
  EXPECT_TRUE(refuses(riff(chunk("data", "ab")), "a chunk fmt in front of data"));
  const std::string twice = chunk("fmt ", format_body({})) + chunk("fmt ", format_body({}));
  EXPECT_TRUE(refuses(riff(twice + chunk("data", "ab")), "got two"));
  const std::string file = wav({}, "abcd");
  EXPECT_TRUE(refuses(file.substr(0, file.size() - 1), "expected 4 bytes, got 3"));
  EXPECT_TRUE(refuses(wav({}, "abc"), "frames of 2 bytes"));
  EXPECT_TRUE(refuses(riff(chunk("fmt ", "short") + chunk("data", "ab")), "at least 16 bytes"));
}

TEST(Wav, RefusesFormatsOutsideTheLimits) {
  EXPECT_TRUE(refuses(wav({7, 1, 8}, "a"), "mu-law"));
  EXPECT_TRUE(refuses(wav({0xFFFF, 1, 8}, "a"), "got format 65535"));
  EXPECT_TRUE(refuses(wav({1, 1, 12}, "a"), "8, 16, 24 or 32 bits per sample, got 12"));
  EXPECT_TRUE(refuses(wav({3, 1, 16}, "ab"), "32 or 64 bits"));
  EXPECT_TRUE(refuses(wav({1, 0, 16}, "ab"), "1 to 64 channels, got 0"));
  EXPECT_TRUE(refuses(wav({1, 65, 16}, "ab"), "1 to 64 channels, got 65"));
  EXPECT_TRUE(refuses(wav({1, 1, 16, 0}, "ab"), "sample rate"));
  EXPECT_TRUE(refuses(wav({1, 1, 16, 0xFFFFFFFF}, "ab"), "sample rate"));
  std::string body = format_body({});
  body[12] = 3;
  EXPECT_TRUE(refuses(riff(chunk("fmt ", body) + chunk("data", "ab")), "2 bytes per frame, got 3"));
}

TEST(Wav, RefusesSamplesThatAreNotFinite) {
  const float infinite = std::numeric_limits<float>::infinity();
  const std::string data = bytes_of(0.0F) + bytes_of(infinite);
  EXPECT_TRUE(refuses(wav({3, 1, 32}, data), "finite samples, got inf in frame 1"));
  EXPECT_TRUE(refuses(wav({3, 1, 64}, bytes_of(1e300)), "finite samples"));
}

TEST(Wav, DamagedFilesEndInAnError) {
  const std::string whole = riff(chunk("LIST", "tags") + chunk("fmt ", extensible(3, {3, 2, 32})) +
                                 chunk("data", std::string(64, '\0')));
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string file = whole;
    for (int edits = 0; edits < 3; ++edits) {
      file[random() % file.size()] = static_cast<char>(random() % 256);
    }
    file.resize(random() % 4 == 0 ? random() % file.size() : file.size());
    ASSERT_TRUE(test::survives([&] { parse(file); })) << round;
  }
}

TEST(Wav, ReadsFilesByPath) {
  const test::TempDir folder;
  test::write_file(folder.file("a.wav"), wav({}, "abcd"));
  EXPECT_EQ(read_wav(folder.file("a.wav")).samples.rows, 2);
  EXPECT_TRUE(throws_naming<FormatError>("can't be opened", [&] { read_wav(folder.file("b")); }));
  EXPECT_TRUE(throws_naming<FormatError>("a folder", [&] { read_wav(folder.path()); }));
}

}  // namespace
}  // namespace ttsrt
