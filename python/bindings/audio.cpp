// Bindings of ttsrt/audio.h.
#include "ttsrt/audio.h"

#include "values.h"

namespace ttsrt::python {
namespace {

py::array_t<float> array_of(Matrix<float>&& matrix) {
  auto owned = std::make_unique<Matrix<float>>(std::move(matrix));
  const Matrix<float>& kept = *owned;
  const py::capsule owner(owned.get(),
                          [](void* held) { delete static_cast<Matrix<float>*>(held); });
  static_cast<void>(owned.release());
  return py::array_t<float>({kept.rows, kept.cols}, kept.values.data(), owner);
}

py::tuple samples_of(Wave&& wave) {
  return py::make_tuple(array_of(std::move(wave.samples)), wave.sample_rate);
}

py::tuple read_file(const py::object& path) {
  const std::string name = path_from(path, "path");
  Wave wave;
  {
    const WithoutGil release;
    wave = read_wav(name);
  }
  return samples_of(std::move(wave));
}

py::tuple parse_bytes(const py::bytes& data, const std::string& name) {
  const std::string_view bytes = data;
  Wave wave;
  {
    const WithoutGil release;
    wave = parse_wav(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size(), name);
  }
  return samples_of(std::move(wave));
}

py::array_t<float> resample_array(const py::object& samples, const py::object& from,
                                  const py::object& to) {
  const auto given = array_from<float>(samples, 1, "samples");
  const auto old_rate = value_from<std::int32_t>(from, "from_rate");
  const auto new_rate = value_from<std::int32_t>(to, "to_rate");
  std::vector<float> made;
  {
    const WithoutGil release;
    made = resample(given.data(), given.size(), old_rate, new_rate);
  }
  return py::array_t<float>(static_cast<py::ssize_t>(made.size()), made.data());
}

py::array_t<float> log_mel_array(const py::object& samples, const MelOptions& options) {
  const auto given = array_from<float>(samples, 1, "samples");
  Matrix<float> mel;
  {
    const WithoutGil release;
    mel = log_mel(given.data(), given.size(), options);
  }
  return array_of(std::move(mel));
}

}  // namespace

void register_audio(py::module_& module) {
  module.def("read_wav", &read_file, py::arg("path"),
             "The samples of a WAV file, float32 [frames, channels], and their rate.");
  module.def("parse_wav", &parse_bytes, py::arg("data"), py::arg("name"),
             "As read_wav, of the bytes of a file; `name` stands for it in messages.");
  module.def("resample", &resample_array, py::arg("samples"), py::arg("from_rate"),
             py::arg("to_rate"),
             "The samples, float32 [count], at another rate, by torchaudio's default filter.");
  module.def(
      "log_mel",
      [](const py::object& samples, const std::string& kind, const py::object& rate,
         const py::object& window, const py::object& hop, const py::object& bands) {
        return log_mel_array(
            samples,
            {mel_kind_from_name(kind), value_from<std::int32_t>(rate, "sample_rate"),
             value_from<std::int32_t>(window, "window"), value_from<std::int32_t>(hop, "hop"),
             value_from<std::int32_t>(bands, "bands")});
      },
      py::arg("samples"), py::kw_only(), py::arg("kind") = "vocos",
      py::arg("sample_rate") = MelOptions().sample_rate, py::arg("window") = MelOptions().window,
      py::arg("hop") = MelOptions().hop, py::arg("bands") = MelOptions().bands,
      "The log-mel spectrogram of samples, float32 [frames, bands].");
}

}  // namespace ttsrt::python
