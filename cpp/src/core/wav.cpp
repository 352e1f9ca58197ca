// Reads WAV files. Every size that a file states is compared with what is there before it is used.
#include <bit>
#include <cmath>
#include <cstring>
#include <string_view>

#include "core/check.h"
#include "core/input_file.h"
#include "ttsrt/audio.h"

namespace ttsrt {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 31;
constexpr std::size_t kMaxSamples = std::size_t{1} << 28;
constexpr std::uint32_t kMaxChannels = 64;
constexpr std::uint32_t kMinRate = 1000;
constexpr std::uint32_t kMaxRate = 768000;
constexpr std::uint32_t kUnknownSize = 0xFFFFFFFF;  // written by programs that cannot seek back

constexpr std::uint32_t kPcm = 1;
constexpr std::uint32_t kFloat = 3;
constexpr std::uint32_t kExtensible = 0xFFFE;
// The bytes of a sub-format behind the two that are a plain format.
constexpr unsigned char kSubFormatTail[14] = {0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80,
                                              0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71};

static_assert(std::endian::native == std::endian::little);

struct Bytes {
  const std::byte* data = nullptr;
  std::size_t size = 0;

  std::string_view text(std::size_t at, std::size_t length) const {
    return {reinterpret_cast<const char*>(data) + at, length};
  }
  template <typename T>
  T get(std::size_t at) const {
    T value{};
    std::memcpy(&value, data + at, sizeof(T));
    return value;
  }
  Bytes part(std::size_t at, std::size_t length) const { return {data + at, length}; }
};

struct Format {
  std::uint32_t kind = 0;  // kPcm or kFloat
  std::uint32_t channels = 0;
  std::uint32_t rate = 0;
  std::uint32_t bits = 0;

  std::size_t sample_bytes() const { return bits / 8; }
  std::size_t frame_bytes() const { return channels * sample_bytes(); }
};

const char* describe_kind(std::uint32_t kind) {
  switch (kind) {
    case 2:
    case 0x11:
      return " (ADPCM)";
    case 6:
      return " (A-law)";
    case 7:
      return " (mu-law)";
    case 0x55:
      return " (MP3)";
    default:
      return "";
  }
}

std::uint32_t sub_format(const Bytes& chunk, const std::string& name) {
  TTSRT_CHECK(FormatError, chunk.size >= 40, name,
              ": fmt: expected 40 bytes of an extensible format, got ", chunk.size);
  TTSRT_CHECK(FormatError,
              std::memcmp(chunk.data + 26, kSubFormatTail, sizeof(kSubFormatTail)) == 0, name,
              ": fmt: expected the sub-format of integers or floats, got another one");
  return chunk.get<std::uint16_t>(24);
}

void check_format(const Format& format, std::uint32_t block_align, const std::string& name) {
  const bool is_integer = format.kind == kPcm && (format.bits == 8 || format.bits == 16 ||
                                                  format.bits == 24 || format.bits == 32);
  const bool is_float = format.kind == kFloat && (format.bits == 32 || format.bits == 64);
  TTSRT_CHECK(FormatError, format.kind == kPcm || format.kind == kFloat, name,
              ": fmt: expected samples as integers (1) or floats (3), got format ", format.kind,
              describe_kind(format.kind));
  TTSRT_CHECK(FormatError, is_integer || is_float, name, ": fmt: expected ",
              format.kind == kPcm ? "8, 16, 24 or 32" : "32 or 64", " bits per sample, got ",
              format.bits);
  TTSRT_CHECK(FormatError, format.channels >= 1 && format.channels <= kMaxChannels, name,
              ": fmt: expected 1 to ", kMaxChannels, " channels, got ", format.channels);
  TTSRT_CHECK(FormatError, format.rate >= kMinRate && format.rate <= kMaxRate, name,
              ": fmt: expected a sample rate from ", kMinRate, " to ", kMaxRate, ", got ",
              format.rate);
  TTSRT_CHECK(FormatError, block_align == format.frame_bytes(), name, ": fmt: expected ",
              format.frame_bytes(), " bytes per frame, got ", block_align);
}

Format read_format(const Bytes& chunk, const std::string& name) {
  TTSRT_CHECK(FormatError, chunk.size >= 16, name, ": fmt: expected at least 16 bytes, got ",
              chunk.size);
  Format format;
  format.kind = chunk.get<std::uint16_t>(0);
  format.channels = chunk.get<std::uint16_t>(2);
  format.rate = chunk.get<std::uint32_t>(4);
  format.bits = chunk.get<std::uint16_t>(14);
  if (format.kind == kExtensible) format.kind = sub_format(chunk, name);
  check_format(format, chunk.get<std::uint16_t>(12), name);
  return format;
}

float read_sample(const Format& format, const Bytes& data, std::size_t at) {
  if (format.kind == kFloat) {
    return format.bits == 32 ? data.get<float>(at) : static_cast<float>(data.get<double>(at));
  }
  switch (format.bits) {
    case 8:
      return static_cast<float>(data.get<std::uint8_t>(at) - 128) / 128.0F;
    case 16:
      return static_cast<float>(data.get<std::int16_t>(at)) / 32768.0F;
    case 24: {
      std::uint32_t value = 0;
      std::memcpy(reinterpret_cast<std::byte*>(&value) + 1, data.data + at, 3);
      return static_cast<float>(static_cast<std::int32_t>(value)) / 2147483648.0F;
    }
    default:
      return static_cast<float>(data.get<std::int32_t>(at)) / 2147483648.0F;
  }
}

Wave read_samples(const Format& format, const Bytes& data, const std::string& name) {
  const std::size_t frames = data.size / format.frame_bytes();
  const std::size_t count = frames * format.channels;
  TTSRT_CHECK(FormatError, count <= kMaxSamples, name, ": data: expected at most ", kMaxSamples,
              " samples, got ", count);
  Wave wave;
  wave.sample_rate = static_cast<std::int32_t>(format.rate);
  wave.samples.rows = static_cast<std::int64_t>(frames);
  wave.samples.cols = format.channels;
  wave.samples.values.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const float value = read_sample(format, data, i * format.sample_bytes());
    TTSRT_CHECK(FormatError, std::isfinite(value), name, ": data: expected finite samples, got ",
                value, " in frame ", i / format.channels);
    wave.samples.values[i] = value;
  }
  return wave;
}

// The chunks of a file, one after the other; each is padded to an even size.
class Chunks {
 public:
  Chunks(const Bytes& file, const std::string& name) : file_(file), name_(name) {
    TTSRT_CHECK(FormatError,
                file.size >= 12 && file.text(0, 4) == "RIFF" && file.text(8, 4) == "WAVE", name,
                ": expected a WAV file, which starts with RIFF and WAVE, got ", describe());
  }

  bool next() {
    if (file_.size - at_ < 8) return false;  // bytes behind the last chunk that can't be one
    id = std::string(file_.text(at_, 4));
    const auto stated = file_.get<std::uint32_t>(at_ + 4);
    const std::size_t left = file_.size - at_ - 8;
    const bool is_open = id == "data" && stated == kUnknownSize;
    const std::size_t size = is_open ? left : stated;
    TTSRT_CHECK(FormatError, size <= left, name_, ": chunk at byte ", at_, ": expected ", size,
                " bytes, got ", left, " up to the end of the file");
    body = file_.part(at_ + 8, size);
    is_measured = !is_open;
    at_ += 8 + size;
    if (size % 2 == 1 && at_ < file_.size) ++at_;
    return true;
  }

  std::string id;
  Bytes body;
  bool is_measured = true;  // whether the file states the size

 private:
  std::string describe() const {
    if (file_.size < 12) return message(file_.size, " bytes");
    const std::string_view head = file_.text(0, 4);
    if (head == "RF64" || head == "RIFX" || head == "fLaC" || head == "OggS") {
      return std::string(head);
    }
    return head.substr(0, 3) == "ID3" ? "an MP3 file" : "something else";
  }

  Bytes file_;
  const std::string& name_;
  std::size_t at_ = 12;
};

}  // namespace

Wave parse_wav(const std::byte* data, std::size_t size, const std::string& name) {
  Chunks chunks({data, size}, name);
  bool has_format = false;
  Format format;
  while (chunks.next()) {
    if (chunks.id == "fmt ") {
      TTSRT_CHECK(FormatError, !has_format, name, ": expected one chunk fmt, got two");
      format = read_format(chunks.body, name);
      has_format = true;
    } else if (chunks.id == "data") {
      TTSRT_CHECK(FormatError, has_format, name, ": expected a chunk fmt in front of data");
      const std::size_t rest = chunks.body.size % format.frame_bytes();
      TTSRT_CHECK(FormatError, rest == 0 || !chunks.is_measured, name,
                  ": data: expected frames of ", format.frame_bytes(), " bytes, got ",
                  chunks.body.size, " bytes");
      return read_samples(format, chunks.body, name);
    }
  }
  throw FormatError(message(name, ": expected a chunk data, got none"));
}

Wave read_wav(const std::string& path) {
  const std::string text = InputFile(path).text(kMaxFileBytes);
  return parse_wav(reinterpret_cast<const std::byte*>(text.data()), text.size(), path);
}

}  // namespace ttsrt
