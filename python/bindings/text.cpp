// Bindings of ttsrt/text.h.
#include "ttsrt/text.h"

#include "values.h"

namespace ttsrt::python {
namespace {

// A Python string as UTF-8; throws ConfigError for strings that have none.
std::string text_from(py::handle value, const std::string& where) {
  if (PyUnicode_Check(value.ptr()) == 0) return value_from<std::string>(value, where);
  Py_ssize_t size = 0;
  if (const char* bytes = PyUnicode_AsUTF8AndSize(value.ptr(), &size))
    return {bytes, static_cast<std::size_t>(size)};
  PyErr_Clear();
  const Py_ssize_t length = PyUnicode_GetLength(value.ptr());
  for (Py_ssize_t i = 0; i < length; ++i) {
    const Py_UCS4 point = PyUnicode_ReadChar(value.ptr(), i);
    if (point < 0xD800 || point > 0xDFFF) continue;
    throw ConfigError(where + ": character " + std::to_string(i) + " is an unpaired surrogate, " +
                      "which stands for no character");
  }
  throw CapacityError(where + ": there is no memory for the text");
}

py::array_t<std::int32_t> array_of(const std::vector<std::int32_t>& values) {
  return py::array_t<std::int32_t>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::array_t<std::int32_t> array_of(const std::vector<TextSpan>& spans) {
  py::array_t<std::int32_t> array({static_cast<py::ssize_t>(spans.size()), py::ssize_t{2}});
  auto rows = array.mutable_unchecked<2>();
  for (std::size_t i = 0; i < spans.size(); ++i) {
    rows(static_cast<py::ssize_t>(i), 0) = spans[i].begin;
    rows(static_cast<py::ssize_t>(i), 1) = spans[i].end;
  }
  return array;
}

std::vector<TextSpan> spans_from(py::handle value, const std::string& where) {
  if (value.is_none()) return {};
  const auto rows = array_from<std::int32_t>(value, 2, where);
  if (rows.shape(1) != 2)
    throw ConfigError(where + ": expected begin and end in each row, got rows of " +
                      std::to_string(rows.shape(1)));
  std::vector<TextSpan> spans;
  for (py::ssize_t i = 0; i < rows.shape(0); ++i) spans.push_back({rows.at(i, 0), rows.at(i, 1)});
  return spans;
}

py::dict dict_of(const std::vector<DroppedCharacter>& dropped) {
  py::dict counts;
  for (const DroppedCharacter& of : dropped) counts[py::str(of.character)] = of.count;
  return counts;
}

LexiconEntry make_entry(const py::object& word, const py::object& symbols,
                        const py::object& is_exact) {
  return {text_from(word, "word"), text_from(symbols, "symbols"),
          value_from<bool>(is_exact, "is_exact")};
}

std::vector<TextPart> parts_from(const py::object& value) {
  if (PyUnicode_Check(value.ptr()) != 0) {
    TextPart part;
    part.text = text_from(value, "text");
    return {part};
  }
  return value_from<std::vector<TextPart>>(value, "parts");
}

TextPart make_part(const py::object& text, const py::object& is_phonemes,
                   const py::object& tokenizer, const py::object& begin, const py::object& spans) {
  TextPart part;
  part.text = text_from(text, "text");
  part.is_phonemes = value_from<bool>(is_phonemes, "is_phonemes");
  part.tokenizer = text_from(tokenizer, "tokenizer");
  part.begin = value_from<std::int32_t>(begin, "begin");
  part.spans = spans_from(spans, "spans");
  return part;
}

void register_parts(py::module_& module) {
  py::class_<TextPart> part(module, "TextPart",
                            "A part of what is spoken: plain text, or phonemes.");
  def_repr(part);
  part.def(py::init(&make_part), py::arg("text"), py::kw_only(), py::arg("is_phonemes") = false,
           py::arg("tokenizer") = "", py::arg("begin") = 0, py::arg("spans") = py::none(),
           "Takes the fields.")
      .def_readonly("text", &TextPart::text, "What is spoken.")
      .def_readonly("is_phonemes", &TextPart::is_phonemes,
                    "Whether the text is a pronunciation as dictionaries have it: every code "
                    "point is a symbol, white space means nothing.")
      .def_readonly("tokenizer", &TextPart::tokenizer,
                    "The tokenizer that encodes it; \"\": the one of the call.")
      .def_readonly("begin", &TextPart::begin, "Where it begins in the given text, in code points.")
      .def_property_readonly(
          "spans", [](const TextPart& self) { return array_of(self.spans); },
          "Where each code point comes from in the given text, int32 [code points, 2]; none: they "
          "are there in a row, from `begin`.");
  py::class_<TextPiece> piece(module, "TextPiece", "A chunk of a text before it is encoded.");
  def_repr(piece);
  piece.def_readonly("text", &TextPiece::text, "As it will be encoded.")
      .def_property_readonly(
          "begin", [](const TextPiece& self) { return self.span.begin; },
          "Where it begins in the given text, in code points.")
      .def_property_readonly(
          "end", [](const TextPiece& self) { return self.span.end; },
          "Behind its last character in the given text, in code points.")
      .def_property_readonly(
          "spans", [](const TextPiece& self) { return array_of(self.spans); },
          "Where each code point comes from in the given text, int32 [code points, 2].");
}

void register_infos(py::module_& module) {
  py::class_<TextTokenizerInfo> info(module, "TextTokenizerInfo",
                                     "One of the vocabularies that a front end is made of.");
  def_plain(info);
  info.def_readonly("name", &TextTokenizerInfo::name, "Its name.")
      .def_readonly("kind", &TextTokenizerInfo::kind,
                    "\"ipa\", \"bytes\", \"chars\"; \"mandarin\" and \"japanese\" are encoded in "
                    "Python.")
      .def_readonly("offset", &TextTokenizerInfo::offset, "Its first id.")
      .def_readonly("size", &TextTokenizerInfo::size, "How many ids it has.")
      .def_readonly("pad", &TextTokenizerInfo::pad, "Its padding id, offset included; -1: none.");
  py::class_<TextLanguage> language(module, "TextLanguage", "A language that a front end speaks.");
  def_plain(language);
  language
      .def_readonly("language", &TextLanguage::language,
                    "As the checkpoint calls it: \"de\"; \"\": a tokenizer was named.")
      .def_readonly("tokenizer", &TextLanguage::tokenizer, "The name of its tokenizer.");
  py::class_<LexiconEntry> entry(
      module, "LexiconEntry",
      "A word's pronunciation, which comes before heteronyms and dictionaries.");
  def_plain(entry);
  entry
      .def(py::init(&make_entry), py::arg("word"), py::arg("symbols"), py::kw_only(),
           py::arg("is_exact") = false, "Takes the fields.")
      .def_readonly("word", &LexiconEntry::word, "One word of letters, \"-\" and \"'\".")
      .def_readonly("symbols", &LexiconEntry::symbols, "As the text of a part of phonemes.")
      .def_readonly("is_exact", &LexiconEntry::is_exact, "Whether capitals count.");
}

void register_encoded(py::module_& module) {
  py::class_<EncodedText> text(module, "EncodedText", "The ids of a text.");
  def_repr(text);
  text.def_property_readonly(
          "ids", [](const EncodedText& self) { return array_of(self.ids); },
          "Ids of the model's table, without the one that ends a text, int32 [ids].")
      .def_property_readonly(
          "spans", [](const EncodedText& self) { return array_of(self.spans); },
          "Where each comes from in the given text, in characters, int32 [ids, 2].")
      .def_property_readonly(
          "dropped", [](const EncodedText& self) { return dict_of(self.dropped); },
          "The characters that no symbol speaks, and how often each was left out.");
  py::class_<EncodedChunks> chunks(module, "EncodedChunks", "A text in chunks, ready for a model.");
  def_repr(chunks);
  chunks
      .def_property_readonly(
          "ids", [](const EncodedChunks& self) { return array_of(self.ids); },
          "Of all chunks; each ends in the id that ends a text, int32 [ids].")
      .def_property_readonly(
          "lengths", [](const EncodedChunks& self) { return array_of(self.lengths); },
          "Ids of each chunk, int32 [chunks].")
      .def_property_readonly(
          "spans", [](const EncodedChunks& self) { return array_of(self.spans); },
          "Where each id comes from in the given text, in characters, int32 [ids, 2].")
      .def_readonly("pieces", &EncodedChunks::pieces, "The chunks' texts.")
      .def_property_readonly(
          "dropped", [](const EncodedChunks& self) { return dict_of(self.dropped); },
          "The characters that no symbol speaks, and how often each was left out.");
}

std::shared_ptr<TextFrontEnd> open_front_end(const py::object& path) {
  const std::string folder = path_from(path, "folder");
  const WithoutGil release;
  return std::const_pointer_cast<TextFrontEnd>(TextFrontEnd::open(folder));
}

std::shared_ptr<TextFrontEnd> find_front_end(const py::object& path) {
  const std::string folder = path_from(path, "folder");
  const WithoutGil release;
  return std::const_pointer_cast<TextFrontEnd>(TextFrontEnd::find(folder));
}

EncodedText encode(const TextFrontEnd& self, const py::object& parts, const py::object& tokenizer,
                   const py::object& strict, const py::object& special_text,
                   const py::object& lexicon) {
  const std::vector<TextPart> given = parts_from(parts);
  const std::string name = text_from(tokenizer, "tokenizer");
  TextOptions options;
  options.strict = value_from<bool>(strict, "strict");
  options.special_text = value_from<bool>(special_text, "special_text");
  const std::vector<LexiconEntry> entries =
      value_from<std::vector<LexiconEntry>>(lexicon, "lexicon");
  const WithoutGil release;
  return self.encode(given, name, options, entries);
}

EncodedChunks encode_chunks(const TextFrontEnd& self, const py::object& text,
                            const py::object& language, const py::object& split,
                            const py::object& strict, const py::object& special_text,
                            const py::object& lexicon) {
  const std::string given = text_from(text, "text");
  const std::string name = text_from(language, "language");
  const TextSplit mode = text_split_from_name(text_from(split, "split"));
  TextOptions options;
  options.strict = value_from<bool>(strict, "strict");
  options.special_text = value_from<bool>(special_text, "special_text");
  const std::vector<LexiconEntry> entries =
      value_from<std::vector<LexiconEntry>>(lexicon, "lexicon");
  const WithoutGil release;
  return self.encode_chunks(given, name, mode, options, entries);
}

std::vector<TextPiece> split_text(const TextFrontEnd& self, const py::object& text,
                                  const py::object& language, const py::object& mode) {
  const std::string given = text_from(text, "text");
  const std::string name = text_from(language, "language");
  const TextSplit how = text_split_from_name(text_from(mode, "mode"));
  const WithoutGil release;
  return self.split(given, name, how);
}

// "TextFrontEnd(3 tokenizers, 2258 ids, languages: de, en)"
std::string describe(const TextFrontEnd& self) {
  std::string names;
  for (const TextLanguage& of : self.languages())
    names += (names.empty() ? "" : ", ") + of.language;
  return "TextFrontEnd(" + std::to_string(self.tokenizers().size()) + " tokenizers, " +
         std::to_string(self.size()) + " ids, languages: " + names + ")";
}

using FrontEndClass = py::class_<TextFrontEnd, std::shared_ptr<TextFrontEnd>>;

void def_methods(FrontEndClass& bound) {
  bound
      .def(
          "tokens",
          [](const TextFrontEnd& self, const py::object& tokenizer) {
            return self.tokens(text_from(tokenizer, "tokenizer"));
          },
          py::arg("tokenizer"),
          "The vocabulary of one tokenizer, in the order of its ids. Where two symbols are equal, "
          "the later id stands for both. Raises ConfigError for another name, listing the "
          "known ones.")
      .def(
          "resolve",
          [](const TextFrontEnd& self, const py::object& language) {
            return self.resolve(text_from(language, "language"));
          },
          py::arg("language") = "",
          "A language and its tokenizer, found by the language (\"de\", \"de-DE\", \"de_DE\") or "
          "by the name of a tokenizer; \"\": the default. Raises ConfigError for another name, "
          "listing the known ones.")
      .def("encode", &encode, py::arg("parts"), py::arg("tokenizer"), py::kw_only(),
           py::arg("strict") = false, py::arg("special_text") = false,
           py::arg("lexicon") = py::tuple(),
           "Encodes a text, or parts one behind the other, as they are; nothing is split. "
           "`strict`: characters that no symbol speaks are an error. `special_text`: tokenizers "
           "of bytes read \"</s>\" and the like as the original does. `lexicon`: a list of "
           "LexiconEntry, which come before heteronyms and dictionaries. Raises ConfigError for a "
           "text that is no Unicode or over 16 MiB, an unknown tokenizer or one that needs Python, "
           "phonemes that the tokenizer lacks, a wrong entry, and with `strict` for characters "
           "that no symbol speaks.");
}

void def_splitting(FrontEndClass& bound) {
  bound
      .def("split", &split_text, py::arg("text"), py::arg("language") = "",
           py::arg("mode") = "auto",
           "Cuts a text into chunks: with \"auto\" by sentences if it is long, with \"never\" not "
           "at all, with \"sentences\" always, and with \"phrases\" as with auto, but with at "
           "most 35 words in a chunk. Raises ConfigError for a text that is no Unicode or over 16 "
           "MiB, an unknown language or another mode.")
      .def(
          "count",
          [](const TextFrontEnd& self, const py::object& text, const py::object& language) {
            return self.count(text_from(text, "text"), text_from(language, "language"));
          },
          py::arg("text"), py::arg("language") = "",
          "Words of a text, or characters of Chinese and Japanese, as splitting counts them. "
          "Raises ConfigError for a text that is no Unicode or over 16 MiB, or an unknown "
          "language.")
      .def(
          "threshold",
          [](const TextFrontEnd& self, const py::object& language) {
            return self.threshold(text_from(language, "language"));
          },
          py::arg("language") = "",
          "The count from which on a text is split into sentences. "
          "Raises ConfigError for an unknown language.")
      .def("encode_chunks", &encode_chunks, py::arg("text"), py::arg("language") = "",
           py::kw_only(), py::arg("split") = "auto", py::arg("strict") = false,
           py::arg("special_text") = false, py::arg("lexicon") = py::tuple(),
           "Splits and encodes a text; the options are those of `encode` and `split`. A chunk in "
           "which nothing can be spoken is left out. Raises ConfigError if that is true of all, "
           "and as `encode` and `split`.");
}

}  // namespace

void register_text(py::module_& module) {
  register_parts(module);
  register_encoded(module);
  register_infos(module);
  FrontEndClass bound(module, "TextFrontEnd", "Turns text into ids. Thread safe.");
  bound.def("__repr__", &describe)
      .def(py::init([](const py::args&, const py::kwargs&) -> std::shared_ptr<TextFrontEnd> {
        throw ConfigError("TextFrontEnd: expected Engine.front_end or TextFrontEnd.open(folder)");
      }))
      .def_static("open", &open_front_end, py::arg("folder"),
                  "Reads the folder \"text\" of a checkpoint or an engine. Raises FormatError "
                  "naming file and line or field.")
      .def_static("find", &find_front_end, py::arg("folder"),
                  "As open, of the checkpoint or engine that has the folder \"text\"; None if it "
                  "has none, or a front end that only Python knows. Raises FormatError as open.")
      .def("tokenizers", &TextFrontEnd::tokenizers, "Its vocabularies, in the order of their ids.")
      .def("languages", &TextFrontEnd::languages, "What it speaks, sorted.")
      .def_property_readonly("default_language", &TextFrontEnd::default_language,
                             "The language of calls that name none.")
      .def_property_readonly("size", &TextFrontEnd::size, "Ids of all vocabularies.")
      .def_property_readonly("text_bos", &TextFrontEnd::text_bos, "The id that begins a text.")
      .def_property_readonly("text_eos", &TextFrontEnd::text_eos, "The id that ends a text.")
      .def_property_readonly("context_tokenizer", &TextFrontEnd::context_tokenizer,
                             "The tokenizer of texts that describe a voice; \"\": there is none.")
      .def("encode_context", &TextFrontEnd::encode_context, py::arg("text"),
           "The ids of a text that describes a voice, with padding behind them. Raises ConfigError "
           "if there is no context_tokenizer, or the text has too many.");
  def_methods(bound);
  def_splitting(bound);
}

}  // namespace ttsrt::python
