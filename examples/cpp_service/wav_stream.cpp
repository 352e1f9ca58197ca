// Writes the sound of one request to a WAV file while it is made, as a service would send it on.
//
//   wav_stream ENGINE VOICE OUT.wav TEXT_ID...
//   wav_stream ENGINE VOICE OUT.wav --text TEXT
//
// ENGINE is one with a codec (ttsrt build --codec_dir); a text needs its front end, too.
#include <ttsrt/ttsrt.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

void put(std::ostream& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.put(static_cast<char>(value >> (8 * i) & 0xFF));
}

// The head of a WAV of one channel and 16 bits whose end is not known yet.
void write_head(std::ostream& out, std::int32_t sample_rate) {
  const std::uint32_t rate = static_cast<std::uint32_t>(sample_rate);
  out << "RIFF";
  put(out, 0xFFFFFFFF, 4);
  out << "WAVEfmt ";
  put(out, 16, 4);
  put(out, 1, 2);  // integers
  put(out, 1, 2);  // channels
  put(out, rate, 4);
  put(out, 2 * rate, 4);
  put(out, 2, 2);
  put(out, 16, 2);
  out << "data";
  put(out, 0xFFFFFFFF, 4);
}

void write_samples(std::ostream& out, const std::vector<float>& samples) {
  for (const float sample : samples) {
    const float scaled = std::clamp(std::nearbyint(sample * 32768.0F), -32768.0F, 32767.0F);
    put(out, static_cast<std::uint32_t>(static_cast<std::int32_t>(scaled)), 2);
  }
  out.flush();
}

// The whole text as a number; std::stoi alone would take "7x" for 7.
int number_from(const char* what, const std::string& text) {
  std::size_t end = 0;
  int number = 0;
  try {
    number = std::stoi(text, &end);
  } catch (const std::logic_error&) {
    end = 0;
  }
  if (end == 0 || end != text.size()) {
    throw std::invalid_argument(std::string(what) + ": expected an integer, got '" + text + "'");
  }
  return number;
}

std::ofstream open_file(const std::string& name) {
  std::ofstream out(name, std::ios::binary);
  if (!out) {
    throw std::invalid_argument("OUT.wav: expected a file that can be written, got '" + name +
                                "': " + std::strerror(errno));
  }
  out.exceptions(std::ios::failbit | std::ios::badbit);
  return out;
}

ttsrt::Request request_from(int argc, char** argv) {
  ttsrt::Request request;
  request.voice = number_from("VOICE", argv[2]);
  if (std::string(argv[4]) == "--text") {
    if (argc != 6) throw std::invalid_argument("--text: expected one TEXT behind it");
    request.text = argv[5];
  } else {
    for (int i = 4; i < argc; ++i) request.text_ids.push_back(number_from("TEXT_ID", argv[i]));
  }
  request.cfg_scale = 2.5F;
  request.seed = 7;
  request.max_frames = 16;
  request.initial_chunk_frames = 2;  // the first sound early, then fewer and larger parts
  request.chunk_frames = 4;
  return request;
}

void run(int argc, char** argv) {
  const ttsrt::Request request = request_from(argc, argv);
  const ttsrt::Engine engine = ttsrt::Engine::open(argv[1]);
  if (!engine.info().has_vocoder) throw std::invalid_argument("expected an engine with a codec");
  ttsrt::ExecutorOptions options;
  options.device = "cpu";
  ttsrt::Executor executor(engine, options);
  ttsrt::Handle handle = executor.submit(request);
  std::ofstream out = open_file(argv[3]);
  write_head(out, engine.info().sample_rate);
  while (auto event = handle.next()) {
    write_samples(out, event->audio);
    std::cout << event->audio.size() << " samples\n";
    if (event->is_last) std::cout << "ended by " << ttsrt::name_of(event->finish_reason) << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::cerr << "usage: wav_stream ENGINE VOICE OUT.wav (TEXT_ID... | --text TEXT)\n";
    return 2;
  }
  try {
    run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "wav_stream: " << error.what() << '\n';
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
