#include "model/row_programs.h"

#include <utility>

namespace ttsrt::model {

ops::BufferId embed_rows(ops::Program& program, const char* name, std::int64_t width) {
  ops::EmbedRows embed;
  embed.out = program.add(name, width);
  program.ops.emplace_back(embed);
  return embed.out;
}

ops::Program write_keep(const char* name, std::int64_t width, std::int32_t array) {
  ops::Program program;
  program.name = name;
  const ops::BufferId rows = embed_rows(program, name, width);
  program.ops.emplace_back(ops::SaveRows{rows, array, 0});
  return program;
}

ops::Program write_noise(std::int64_t width, std::int32_t base_array) {
  ops::Program program;
  program.name = "noise";
  const ops::BufferId state = embed_rows(program, "noise", width);
  program.ops.emplace_back(ops::StoreContext{state});
  program.ops.emplace_back(ops::SaveRows{state, base_array, 0});
  return program;
}

ops::Program write_spectrogram(std::int64_t width) {
  ops::Program program;
  program.name = "spectrogram";
  program.ops.reserve(2);
  const ops::BufferId state = embed_rows(program, "state", width);
  program.ops.emplace_back(ops::EmitRows{state});
  return program;
}

}  // namespace ttsrt::model
