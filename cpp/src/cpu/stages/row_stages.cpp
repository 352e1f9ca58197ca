#include "cpu/stages/row_stages.h"

#include <cstring>

#include "core/check.h"

namespace ttsrt::cpu {
namespace {

// The most tables over which a row is averaged; a compile-time bound, so that a row needs no
// allocation.
constexpr std::int32_t kMaxTables = 256;

const ops::Weight& table_of(const std::vector<ops::Weight>& tables, std::int32_t table,
                            const char* what) {
  TTSRT_CHECK(InternalError, table >= 0 && static_cast<std::size_t>(table) < tables.size(), what,
              " table ", table, " of ", tables.size());
  return tables[static_cast<std::size_t>(table)];
}

class EmbedStage : public Stage {
 public:
  EmbedStage(const Site& site, const ops::EmbedRows& op, const Rows& out)
      : site_(site), op_(op), out_(out) {}

  std::string label() const override { return "embed"; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const step::Segment& segment = site_.launch->segment(static_cast<std::int32_t>(row));
      const auto index = static_cast<std::int32_t>(row) - segment.first_row;
      embed(segment, index, out_.row(row));
      if (op_.adds_positions && segment.position_table >= 0)
        add_position(table_of(op_.position_tables, segment.position_table, "position"),
                     segment.first_position + index, out_.row(row));
    }
  }

 private:
  void embed(const step::Segment& segment, std::int32_t index, float* out) const {
    const auto width = static_cast<std::size_t>(out_.width);
    switch (segment.input) {
      case step::Input::codes:
        return embed_codes(segment.ids + std::int64_t{index} * op_.codebooks, out);
      case step::Input::last_codes:
        return embed_codes(site_.slots->last_codes(segment.slot), out);
      case step::Input::block_codes:
        return embed_codes(site_.slots->last_codes(segment.slot) + index, out);
      case step::Input::ids:
        return copy_row(table_of(op_.id_tables, segment.table, "id"), segment.ids[index], out);
      case step::Input::vectors:
        std::memcpy(out, segment.vectors + std::int64_t{index} * out_.width, width * sizeof(float));
        return;
      case step::Input::zeros:
        std::memset(out, 0, width * sizeof(float));
        return;
      case step::Input::kept_rows:
        std::memcpy(out, site_.slots->context_row(segment.slot, segment.kept_offset + index),
                    width * sizeof(float));
        return;
    }
  }

  void embed_codes(const std::int32_t* codes, float* out) const {
    if (codes[0] == step::kZeroRow) {
      std::memset(out, 0, static_cast<std::size_t>(out_.width) * sizeof(float));
      return;
    }
    const void* rows[kMaxTables];
    for (std::int32_t table = 0; table < op_.codebooks; ++table) {
      TTSRT_CHECK(InternalError, codes[table] >= 0 && codes[table] < op_.vocab, "code ",
                  codes[table], " of table ", table, ": expected below ", op_.vocab);
      rows[table] = table_row(op_.code_tables, std::int64_t{table} * op_.vocab + codes[table]);
    }
    const auto element = static_cast<int>(element_of(op_.code_tables.dtype));
    site_.kernels->mean_rows[element](rows, op_.codebooks, out_.width, out);
  }

  void copy_row(const ops::Weight& table, std::int32_t id, float* out) const {
    TTSRT_CHECK(InternalError, id >= 0 && id < table.rows, table.name, ": row ", id, " of ",
                table.rows);
    const void* row = table_row(table, id);
    site_.kernels->mean_rows[static_cast<int>(element_of(table.dtype))](&row, 1, out_.width, out);
  }

  void add_position(const ops::Weight& table, std::int32_t position, float* out) const {
    TTSRT_CHECK(InternalError, position >= 0 && position < table.rows, table.name, ": position ",
                position, " of ", table.rows);
    const void* learned = table_row(table, position);
    if (table.dtype == DType::float32) {
      site_.kernels->add(static_cast<const float*>(learned), out_.width, out);
      return;
    }
    float part[kLanes];  // narrow tables: 16 values at a time
    for (std::int64_t i = 0; i < out_.width; i += kLanes) {
      const auto count = std::min<std::int64_t>(kLanes, out_.width - i);
      const void* from = static_cast<const std::uint16_t*>(learned) + i;
      site_.kernels->mean_rows[static_cast<int>(element_of(table.dtype))](&from, 1, count, part);
      site_.kernels->add(part, count, out + i);
    }
  }

  Site site_;
  ops::EmbedRows op_;
  Rows out_;
};

class NormStage : public Stage {
 public:
  NormStage(const Site& site, const NormArgs& args, const Rows& x, const Rows& out,
            const std::int32_t* rows)
      : site_(site), args_(args), x_(x), out_(out), rows_(rows) {}

  std::string label() const override { return args_.is_centred ? "layer norm" : "rms norm"; }
  bool is_needed() const override { return *rows_ > 0; }
  void run(const Worker& worker) override {
    const Range rows = share_of(*rows_, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row)
      site_.kernels->norm(x_.row(row), args_, out_.row(row));
  }

 private:
  Site site_;
  NormArgs args_;
  Rows x_;
  Rows out_;
  const std::int32_t* rows_;
};

// Threads get pieces of rows, so that all of them can work on a single row.
class GateStage : public Stage {
 public:
  GateStage(const Site& site, Activation activation, const Rows& x, const Rows& out,
            const std::int32_t* rows)
      : site_(site), activation_(activation), x_(x), out_(out), rows_(rows) {}

  std::string label() const override { return "gate"; }
  bool is_needed() const override { return *rows_ > 0; }
  void run(const Worker& worker) override {
    const std::int64_t pieces = (out_.width + kPiece - 1) / kPiece;
    const Range share = share_of(*rows_ * pieces, worker);
    for (std::int64_t i = share.begin; i < share.end; ++i) {
      const std::int64_t first = i % pieces * kPiece;
      const float* gate = x_.row(i / pieces) + first;
      site_.kernels->gate(gate, gate + out_.width, activation_,
                          std::min<std::int64_t>(kPiece, out_.width - first),
                          out_.row(i / pieces) + first);
    }
  }

 private:
  static constexpr std::int64_t kPiece = 256;  // whole vectors of the kernel

  Site site_;
  Activation activation_;
  Rows x_;
  Rows out_;
  const std::int32_t* rows_;
};

// Returns row `i` of a segment: a row of x inside it; before it, a row of the segment that it
// continues or of the history, if there is one; else null.
struct Neighbours {
  const Site& site;
  const ops::Unfold& op;
  const Rows& x;
  const step::Segment& segment;

  const float* row(std::int32_t i) const {
    if (i >= 0 && i < segment.rows) return x.row(segment.first_row + i);
    const std::int32_t back = op.kernel - 1 + i;
    if (i >= 0 || op.history < 0 || back < 0 || segment.position + i < 0) return nullptr;
    const auto& segments = site.launch->batch->segments;
    const auto index = static_cast<std::size_t>(&segment - segments.data());
    if (continues(segments, index))
      return Neighbours{site, op, x, segments[index - 1]}.row(segments[index - 1].rows + i);
    return site.slots->conv_history(op.history, segment.slot, segment.branch) + back * x.width;
  }
};

class UnfoldStage : public Stage {
 public:
  UnfoldStage(const Site& site, const ops::Unfold& op, const Rows& x, const Rows& out)
      : site_(site), op_(op), x_(x), out_(out) {}

  std::string label() const override { return "unfold"; }
  void run(const Worker& worker) override {
    const std::int32_t before = op_.causal ? op_.kernel - 1 : (op_.kernel - 1) / 2;
    const std::size_t bytes = static_cast<std::size_t>(x_.width) * sizeof(float);
    const Range rows = share_of(site_.launch->rows, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const Neighbours neighbours{site_, op_, x_,
                                  site_.launch->segment(static_cast<std::int32_t>(row))};
      const std::int32_t at =
          static_cast<std::int32_t>(row) - neighbours.segment.first_row - before;
      for (std::int32_t tap = 0; tap < op_.kernel; ++tap) {
        const float* from = neighbours.row(at + tap);
        float* to = out_.row(row) + tap * x_.width;
        from != nullptr ? std::memcpy(to, from, bytes) : std::memset(to, 0, bytes);
      }
    }
  }

 private:
  Site site_;
  ops::Unfold op_;
  Rows x_;
  Rows out_;
};

// Stores the last kernel - 1 rows, of the segment or from before it, in the history.
class HistoryStage : public Stage {
 public:
  HistoryStage(const Site& site, const ops::Unfold& op, const Rows& x)
      : site_(site), op_(op), x_(x) {}

  std::string label() const override { return "keep conv history"; }
  void run(const Worker& worker) override {
    const auto& segments = site_.launch->batch->segments;
    const Range share = share_of(static_cast<std::int64_t>(segments.size()), worker);
    for (std::int64_t s = share.begin; s < share.end; ++s) {
      const auto index = static_cast<std::size_t>(s);
      if (index + 1 < segments.size() && continues(segments, index + 1))
        continue;  // the last segment of a sequence stores the rows
      const step::Segment& segment = segments[index];
      const Neighbours neighbours{site_, op_, x_, segment};
      float* history = site_.slots->conv_history(op_.history, segment.slot, segment.branch);
      for (std::int32_t i = 0; i < op_.kernel - 1;
           ++i) {  // rows only move down, so copying in place in this order is safe
        const float* from = neighbours.row(segment.rows - (op_.kernel - 1) + i);
        const std::size_t bytes = static_cast<std::size_t>(x_.width) * sizeof(float);
        from != nullptr ? std::memmove(history + i * x_.width, from, bytes)
                        : std::memset(history + i * x_.width, 0, bytes);
      }
    }
  }

 private:
  Site site_;
  ops::Unfold op_;
  Rows x_;
};

class StoreContextStage : public Stage {
 public:
  StoreContextStage(const Site& site, const Rows& x) : site_(site), x_(x) {}

  std::string label() const override { return "store context"; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const step::Segment& segment = site_.launch->segment(static_cast<std::int32_t>(row));
      if (segment.slot == step::kNoSlot) continue;
      const std::int32_t at =
          segment.kept_offset + static_cast<std::int32_t>(row) - segment.first_row;
      TTSRT_CHECK(InternalError, at >= 0 && at < site_.slots->spec().max_context_rows,
                  "context row ", at, " of ", site_.slots->spec().max_context_rows);
      if (!site_.kernels->copy(x_.row(row), x_.width, site_.slots->context_row(segment.slot, at)))
        site_.add_fault(static_cast<std::int32_t>(row));
    }
  }

 private:
  Site site_;
  Rows x_;
};

void check_table(const ops::Weight& table, std::int64_t width) {
  if (!table.is_present()) return;
  element_of(table.dtype);
  TTSRT_CHECK(InternalError, table.layout == ops::Layout::dense && table.cols == width, table.name,
              ": expected a dense table of width ", width, ", got ", table.cols);
}

}  // namespace

const float* vector_of(const ops::Weight& weight, std::int64_t size) {
  if (!weight.is_present()) return nullptr;
  TTSRT_CHECK(InternalError, weight.dtype == DType::float32 && weight.rows * weight.cols == size,
              weight.name, ": expected float32 [", size, "], got [", weight.rows, ", ", weight.cols,
              "]");
  return reinterpret_cast<const float*>(weight.data);
}

void add_embed_rows(const Site& site, const ops::EmbedRows& op, const Rows& out, Stages& stages) {
  check_table(op.code_tables, out.width);
  for (const ops::Weight& table : op.id_tables) check_table(table, out.width);
  for (const ops::Weight& table : op.position_tables) check_table(table, out.width);
  TTSRT_CHECK(InternalError, op.codebooks <= kMaxTables, "codebooks: at most ", kMaxTables,
              ", got ", op.codebooks);
  TTSRT_CHECK(
      InternalError,
      !op.code_tables.is_present() || op.code_tables.rows >= std::int64_t{op.codebooks} * op.vocab,
      op.code_tables.name, ": expected ", op.codebooks, " tables of ", op.vocab, " rows");
  stages.push_back(std::make_unique<EmbedStage>(site, op, out));
}

NormArgs norm_args(const ops::Norm& op, std::int64_t width) {
  const NormArgs args{vector_of(op.weight, width),
                      vector_of(op.bias, width),
                      width,
                      op.epsilon,
                      op.kind == ops::NormKind::layer,
                      false};
  TTSRT_CHECK(InternalError, args.weight != nullptr, op.weight.name, ": absent where it is needed");
  return args;
}

Activation activation_of(ops::Activate activate) {
  if (activate == ops::Activate::none) return Activation::none;
  if (activate == ops::Activate::gelu) return Activation::exact_gelu;
  if (activate == ops::Activate::mish) return Activation::mish;
  if (activate == ops::Activate::elu) return Activation::elu;
  return activate == ops::Activate::silu ? Activation::silu : Activation::gelu;
}

void add_norm(const Site& site, const ops::Norm& op, const Rows& x, const Rows& out,
              const std::int32_t* rows, Stages& stages) {
  TTSRT_CHECK(InternalError, x.width == out.width, op.weight.name, ": expected width ", x.width,
              ", got ", out.width);
  stages.push_back(std::make_unique<NormStage>(site, norm_args(op, x.width), x, out, rows));
}

void add_gate(const Site& site, const ops::Gate& op, const Rows& x, const Rows& out,
              const std::int32_t* rows, Stages& stages) {
  TTSRT_CHECK(InternalError, x.width == 2 * out.width && op.x != op.out, "gate: expected width ",
              2 * out.width, ", got ", x.width);
  stages.push_back(std::make_unique<GateStage>(site, activation_of(op.activate), x, out, rows));
}

void add_unfold(const Site& site, const ops::Unfold& op, const Rows& x, const Rows& out,
                Stages& stages) {
  TTSRT_CHECK(InternalError, out.width == op.kernel * x.width, "unfold: expected width ",
              op.kernel * x.width, ", got ", out.width);
  stages.push_back(std::make_unique<UnfoldStage>(site, op, x, out));
  if (op.history < 0) return;
  const auto& convs = site.slots->spec().convs;
  TTSRT_CHECK(InternalError, static_cast<std::size_t>(op.history) < convs.size(), "conv history ",
              op.history, " of ", convs.size());
  const auto& conv = convs[static_cast<std::size_t>(op.history)];
  TTSRT_CHECK(InternalError, op.causal && conv.kernel == op.kernel && conv.width == x.width,
              "conv history ", op.history, ": expected a causal kernel ", conv.kernel, " of width ",
              conv.width);
  if (op.kernel > 1) stages.push_back(std::make_unique<HistoryStage>(site, op, x));
}

void add_store_context(const Site& site, const Rows& x, Stages& stages) {
  TTSRT_CHECK(InternalError, x.width <= site.slots->spec().dim, "context rows: expected at most ",
              site.slots->spec().dim, ", got ", x.width);
  stages.push_back(std::make_unique<StoreContextStage>(site, x));
}

}  // namespace ttsrt::cpu
