#include "text/pack.h"

#include <filesystem>
#include <set>
#include <vector>

#include "core/check.h"
#include "core/folder_entries.h"
#include "core/input_file.h"
#include "core/output_file.h"
#include "core/stop_flag.h"
#include "text/front_end_data.h"
#include "ttsrt/text.h"

namespace ttsrt {
namespace text {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFiles = 1000;

std::string description_in(const std::string& folder) {
  return folder + "/" + kTextFolder + "/" + kFrontEndFile;
}

bool exists(const std::string& path) { return fs::exists(fs::symlink_status(path)); }

// Front ends of families whose text only Python encodes have a description without tokenizers.
bool is_for_core(const Json& description) {
  return description.is_object() && description.contains("tokenizers");
}

std::string table_name(const std::string& tokenizer, std::size_t index) {
  const std::string name = is_file_name(tokenizer) ? tokenizer : "tokenizer";
  return message(name.substr(0, 100), ".", index, kTableEnd);
}

// The files that tables stand for, unless a tokenizer of Python's reads them too.
std::set<std::string> replaced_files(const Json& description) {
  std::set<std::string> replaced, kept;
  for (const Json& tokenizer : description.at("tokenizers")) {
    if (!tokenizer.contains("dictionaries") || !tokenizer["dictionaries"].is_array()) continue;
    std::set<std::string>& names = tokenizer.at("kind") == "ipa" ? replaced : kept;
    for (const Json& name : tokenizer["dictionaries"]) {
      if (name.is_string()) names.insert(name.get<std::string>());
    }
  }
  for (const std::string& name : kept) replaced.erase(name);
  return replaced;
}

void copy_files(const std::string& from, const std::string& to,
                const std::set<std::string>& without) {
  const std::vector<std::string> names = names_in(from);
  TTSRT_CHECK(FormatError, names.size() <= kMaxFiles, from, ": expected at most ", kMaxFiles,
              " files, got ", names.size());
  for (const std::string& name : names) {
    check_stop();
    // A description can't name files of other names.
    if (!is_file_name(name) || name == kFrontEndFile || without.count(name) != 0) continue;
    write_text(to + "/" + name, read_text(from + "/" + name, kMaxDictionaryBytes));
  }
}

}  // namespace

void pack_front_end(const std::string& checkpoint_dir, const std::string& engine_dir) {
  const std::string path = description_in(checkpoint_dir);
  if (!exists(path)) return;
  const std::string from = checkpoint_dir + "/" + kTextFolder, to = engine_dir + "/" + kTextFolder;
  Json json = parse_json(read_text(path, kMaxJson), path);
  const JsonGuard guard(json);
  fs::create_directory(to);
  if (!is_for_core(json)) {
    copy_files(from, to, {});
    write_text(to + "/" + kFrontEndFile, json.dump(1) + "\n");
    return;
  }
  const FrontEndData data = read_front_end(json, from);
  copy_files(from, to, replaced_files(json));
  for (std::size_t i = 0; i < data.tokenizers.size(); ++i) {
    check_stop();
    const WordTable* table = data.tokenizers[i]->table();
    if (table == nullptr) continue;
    const std::string name = table_name(data.tokenizers[i]->name(), i);
    write_text(to + "/" + name, table->file());
    json["tokenizers"][i]["dictionaries"] = Json::array({name});
  }
  write_text(to + "/" + kFrontEndFile, json.dump(1) + "\n");
}

}  // namespace text

std::shared_ptr<const TextFrontEnd> TextFrontEnd::find(const std::string& folder) {
  const std::string path = text::description_in(folder);
  if (!text::exists(path)) return nullptr;
  Json json = parse_json(read_text(path, kMaxJson), path);
  const JsonGuard guard(json);
  return text::is_for_core(json) ? open(folder + "/" + text::kTextFolder) : nullptr;
}

}  // namespace ttsrt
