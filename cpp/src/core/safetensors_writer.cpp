#include "core/safetensors_writer.h"

#include <nlohmann/json.hpp>

#include "core/check.h"
#include "core/safetensors.h"

namespace ttsrt {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t padding_after(std::size_t bytes) {
  return (kAlignment - bytes % kAlignment) % kAlignment;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string& path, const std::vector<Entry>& entries)
    : path_(path), file_(path) {
  std::string header = "{";
  std::size_t offset = 0;
  const auto place = [&](const std::string& name, DType dtype,
                         const std::vector<std::int64_t>& shape, std::size_t bytes) {
    std::string sizes;
    for (const std::int64_t size : shape) sizes += message(sizes.empty() ? "" : ",", size);
    header += message(header.size() > 1 ? "," : "", nlohmann::json(name).dump(), R"(:{"dtype":")",
                      safetensors_name_of(dtype), R"(","shape":[)", sizes, R"(],"data_offsets":[)",
                      offset, ",", offset + bytes, "]}");
    offset += bytes;
  };
  for (const Entry& entry : entries) {
    std::size_t bytes = size_of(entry.dtype);
    for (const std::int64_t size : entry.shape) bytes *= static_cast<std::size_t>(size);
    sizes_.push_back(bytes);
    place(entry.name, entry.dtype, entry.shape, bytes);
    const std::size_t padding = padding_after(bytes);
    if (padding != 0) {
      place(message("pad.", sizes_.size()), DType::uint8, {static_cast<std::int64_t>(padding)},
            padding);
    }
  }
  header += '}';
  header.append(padding_after(header.size() + 8), ' ');
  std::uint8_t length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<std::uint8_t>(header.size() >> (8 * i));
  file_.write(length, sizeof(length));
  file_.write(header.data(), header.size());
}

void SafetensorsWriter::write(const std::byte* data, std::size_t bytes) {
  TTSRT_CHECK(InternalError, next_ < sizes_.size() && bytes == sizes_[next_], path_, ": tensor ",
              next_, ": expected ", next_ < sizes_.size() ? sizes_[next_] : 0, " bytes, got ",
              bytes);
  ++next_;
  file_.write(data, bytes);
  const char zeros[kAlignment] = {};
  file_.write(zeros, padding_after(bytes));
}

void SafetensorsWriter::finish() {
  TTSRT_CHECK(InternalError, next_ == sizes_.size(), path_, ": ", sizes_.size() - next_,
              " tensors were not written");
  file_.finish();
}

}  // namespace ttsrt
