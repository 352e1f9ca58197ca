#include "common/codebook_embed.h"

#include <string>

#include "cuda/launch.h"

namespace ttsrt::plugins {
namespace {

std::string id_table(std::size_t i) { return "id_table" + std::to_string(i); }
std::string position_table(std::size_t i) { return "position_table" + std::to_string(i); }

}  // namespace

CodebookEmbed::CodebookEmbed(CodebookEmbedAttributes attributes) : OpOf(std::move(attributes)) {
  at_.launch.check(kName);
  at_.slots.check(kName);
  check_is_count(kName, "width", 1, at_.width);
  check_is_count(kName, "table_codebooks", 0, at_.codebooks);
  check_is_count(kName, "table_vocab", at_.codebooks > 0 ? 1 : 0, at_.vocab);
  check_at_most(kName, "id_rows", cuda::kMaxTables, static_cast<std::int64_t>(at_.id_rows.size()));
  check_at_most(kName, "position_rows", cuda::kMaxTables,
                static_cast<std::int64_t>(at_.position_rows.size()));
  for (const std::int32_t rows : at_.id_rows) check_is_count(kName, "id_rows", 1, rows);
  for (const std::int32_t rows : at_.position_rows) check_is_count(kName, "position_rows", 1, rows);
  check_is_one_of(kName, "adds_positions", 0, 1, at_.adds_positions);
  if (at_.slots.max_context_rows > 0)
    check_is_one_of(kName, "dim", at_.width, at_.width, at_.slots.dim);
  check_at_least(kName, "position_type", -1, at_.position_type);
  const Type type = float_type(kName, "table_type", at_.table_type);
  const Type of_positions = float_type(kName, "position_type", position_type());
  add_rows(signature_);
  at_.launch.add_to(signature_);
  signature_.add_input({"vectors", Type::float32, {'V', at_.width}});
  at_.slots.add_to(signature_, at_.launch);
  at_.faults.add_to(signature_, at_.launch);
  if (at_.codebooks > 0) {
    const std::int64_t rows = std::int64_t{at_.codebooks} * at_.vocab;
    signature_.add_input({"code_tables", type, {rows, at_.width}});
  }
  for (std::size_t i = 0; i < at_.id_rows.size(); ++i)
    signature_.add_input({id_table(i), type, {at_.id_rows[i], at_.width}});
  for (std::size_t i = 0; i < at_.position_rows.size(); ++i)
    signature_.add_input({position_table(i), of_positions, {at_.position_rows[i], at_.width}});
  signature_.add_output({"out", Type::float32, {'R', at_.width}});
  add_token(signature_);
}

cuda::TableView CodebookEmbed::table(const void* data, std::int32_t type, std::int64_t rows) const {
  if (data == nullptr) return {};
  return {data, static_cast<cuda::Element>(type), rows, at_.width};
}

void CodebookEmbed::enqueue(const Call& call) const {
  cuda::EmbedArgs args;
  args.rows = at_.launch.view(call);
  args.slots = at_.slots.view(call, at_.launch);
  args.faults = at_.faults.view(call);
  args.out = call.output<float>("out");
  args.dim = at_.width;
  args.code_tables = table(call.input<const void>("code_tables"), at_.table_type,
                           std::int64_t{at_.codebooks} * at_.vocab);
  args.codebooks = at_.codebooks;
  args.vocab = at_.vocab;
  for (std::size_t i = 0; i < at_.id_rows.size(); ++i)
    args.id_tables[i] = table(call.input<const void>(id_table(i)), at_.table_type, at_.id_rows[i]);
  for (std::size_t i = 0; i < at_.position_rows.size(); ++i) {
    args.position_tables[i] =
        table(call.input<const void>(position_table(i)), position_type(), at_.position_rows[i]);
  }
  args.adds_positions = at_.adds_positions != 0;
  args.max_rows = call.rows();
  cuda::embed_rows(args, call.stream);
}

}  // namespace ttsrt::plugins
