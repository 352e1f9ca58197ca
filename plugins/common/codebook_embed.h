// ops::EmbedRows: rows from codes, ids, vectors, the last codes or kept rows, with learned
// positions.
#pragma once

#include "common/bound.h"

namespace ttsrt::plugins {

struct CodebookEmbedAttributes {
  LaunchAttributes launch;
  SlotAttributes slots;
  FaultAttributes faults;
  std::int32_t width = 1;           // of a row
  std::int32_t table_type = 0;      // a cuda::Element, of all tables
  std::int32_t position_type = -1;  // of the tables of positions; -1: as table_type
  std::int32_t codebooks = 0;       // tables of codes; 0: there are none
  std::int32_t vocab = 0;           // rows of each
  Numbers id_rows;                  // rows of each table of ids
  Numbers position_rows;            // rows of each table of positions
  std::int32_t adds_positions = 1;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    SlotAttributes::each(self.slots, visit);
    FaultAttributes::each(self.faults, visit);
    visit("width", self.width);
    visit("table_type", self.table_type);
    visit("position_type", self.position_type);
    visit("table_codebooks", self.codebooks);
    visit("table_vocab", self.vocab);
    visit("id_rows", self.id_rows);
    visit("position_rows", self.position_rows);
    visit("adds_positions", self.adds_positions);
  }
};

class CodebookEmbed final : public OpOf<CodebookEmbed, CodebookEmbedAttributes> {
 public:
  static constexpr const char* kName = "CodebookEmbed";

  explicit CodebookEmbed(CodebookEmbedAttributes attributes);
  void enqueue(const Call& call) const override;

 private:
  cuda::TableView table(const void* data, std::int32_t type, std::int64_t rows) const;
  std::int32_t position_type() const {
    return at_.position_type < 0 ? at_.table_type : at_.position_type;
  }
};

}  // namespace ttsrt::plugins
