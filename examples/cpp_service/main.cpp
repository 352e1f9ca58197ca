// Streams the codes of one request: one line per event, as a service would send them on.
//
//   cpp_service ENGINE VOICE TEXT_ID...
#include <ttsrt/ttsrt.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

namespace {

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

ttsrt::Request request_from(int argc, char** argv) {
  ttsrt::Request request;
  request.voice = number_from("VOICE", argv[2]);
  for (int i = 3; i < argc; ++i) request.text_ids.push_back(number_from("TEXT_ID", argv[i]));
  request.cfg_scale = 2.5F;
  request.seed = 7;
  request.max_frames = 16;
  request.chunk_frames = 4;
  return request;
}

void print_event(const ttsrt::Event& event) {
  for (std::int64_t frame = 0; frame < event.codes.rows; ++frame) {
    std::cout << "frame " << event.first_frame + frame << ":";
    for (std::int64_t codebook = 0; codebook < event.codes.cols; ++codebook) {
      std::cout << ' ' << event.codes.row(frame)[codebook];
    }
    std::cout << '\n';
  }
  if (event.is_last) std::cout << "ended by " << ttsrt::name_of(event.finish_reason) << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: cpp_service ENGINE VOICE TEXT_ID...\n";
    return 2;
  }
  try {
    ttsrt::ExecutorOptions options;
    options.device = "cpu";
    ttsrt::Executor executor(ttsrt::Engine::open(argv[1]), options);
    ttsrt::Handle handle = executor.submit(request_from(argc, argv));
    while (auto event = handle.next()) print_event(*event);
  } catch (const std::exception& error) {
    std::cerr << "cpp_service: " << error.what() << '\n';
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
