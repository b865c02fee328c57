#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/vocabulary.h"

namespace alma {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr char kTokensFile[] = "encoder.json", kMergesFile[] = "vocab.bpe", kTokenizerFile[] = "tokenizer.json";

/// Collects what a file says, in its characters, and makes the vocabulary.
class Reader {
 public:
  void add_token(const std::string& characters, const json& id) {
    const std::int64_t number =
        to_integer(id, "the id of \"" + characters + '"', 0, std::numeric_limits<std::int32_t>::max());
    if (!ids_.emplace(characters, static_cast<std::int32_t>(number)).second)
      throw JsonError("\"" + characters + "\" is there twice");
  }

  void add_merge(const std::string& left, const std::string& right) {
    merges_.push_back({id_of(left), id_of(right), id_of(left + right)});
  }

  const std::int32_t* find(const std::string& characters) const {
    const auto found = ids_.find(characters);
    return found == ids_.end() ? nullptr : &found->second;
  }

  Vocabulary vocabulary() {
    std::vector<std::string> tokens(ids_.size());
    for (const auto& [characters, id] : ids_) {
      if (static_cast<std::size_t>(id) >= ids_.size())
        fail(ErrorKind::data, "\"", characters, "\" has the id ", id, ", expected 0 .. ", ids_.size() - 1, ", as there are ",
             ids_.size(), " tokens");
      std::string& token = tokens[static_cast<std::size_t>(id)];
      if (!token.empty()) fail(ErrorKind::data, "id ", id, " is there twice; one of them is \"", characters, '"');
      token = from_characters(characters).value_or(characters);
    }
    return Vocabulary(std::move(tokens), std::move(merges_));
  }

 private:
  std::int32_t id_of(const std::string& characters) const {
    const std::int32_t* found = find(characters);
    if (!found)
      fail(ErrorKind::data, "merge ", merges_.size(), " has \"", shown_bytes(characters),
           "\", which is not among the tokens");
    return *found;
  }

  std::unordered_map<std::string, std::int32_t> ids_;
  std::vector<Merge> merges_;
};

constexpr char kNoTokens[] = "no tokens; expected an object {\"token\": id, ...}";

/// Takes the tokens of encoder.json while it is parsed: values of JSON for all of them would double the time of a start.
class TokensFile : public nlohmann::json_sax<json> {
 public:
  static void read(std::string_view text, Reader& reader) {
    TokensFile file(reader);
    json::sax_parse(text, static_cast<nlohmann::json_sax<json>*>(&file));
    if (file.key_.empty()) throw JsonError(kNoTokens);
  }

 private:
  explicit TokensFile(Reader& reader) : reader_(reader) {}

  bool take(const json& id) {
    if (!inside_) throw JsonError(kNoTokens);
    reader_.add_token(key_, id);
    return true;
  }
  bool start_object(std::size_t) override { return inside_ ? take(json::object()) : (inside_ = true); }
  bool start_array(std::size_t) override { return take(json::array()); }
  bool key(std::string& characters) override {
    key_ = std::move(characters);
    return true;
  }
  bool null() override { return take(nullptr); }
  bool boolean(bool value) override { return take(value); }
  bool number_integer(std::int64_t value) override { return take(value); }
  bool number_unsigned(std::uint64_t value) override { return take(value); }
  bool number_float(double value, const std::string&) override { return take(value); }
  bool string(std::string& value) override { return take(value); }
  bool binary(json::binary_t&) override { return take(nullptr); }
  bool end_object() override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    throw JsonError("not JSON: " + shown_bytes(error.what()));
  }

  Reader& reader_;
  bool inside_ = false;
  std::string key_;
};

std::string content_of(const fs::path& path) {
  std::optional<std::string> content = read_plain_file(path);
  if (!content)
    fail(ErrorKind::data, path.string(), ": no such file; a vocabulary is ", kTokensFile, " and ", kMergesFile,
         " in one folder, or ", kTokenizerFile);
  return std::move(*content);
}

/// Merges are lines of two tokens; the first line is a version.
void add_merges(Reader& reader, std::string_view text) {
  constexpr std::string_view version = "#version";
  if (text.substr(0, version.size()) != version)
    fail(ErrorKind::data, "begins with \"", shown_bytes(text.substr(0, 20)), "\", expected a line \"#version: 0.2\"");
  for (std::size_t number = 1, end; !text.empty(); ++number) {
    end = text.find('\n');
    if (end == text.npos) fail(ErrorKind::data, "line ", number, " has no end; the file is truncated");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 1) continue;
    const std::size_t space = line.find(' ');
    if (space == line.npos || line.find(' ', space + 1) != line.npos)
      fail(ErrorKind::data, "line ", number, " is \"", shown_bytes(line.substr(0, 60)),
           "\", expected two tokens, \"left right\"");
    reader.add_merge(std::string(line.substr(0, space)), std::string(line.substr(space + 1)));
  }
}

Vocabulary read_pair_of_files(const fs::path& folder) {
  const fs::path tokens_path = folder / kTokensFile, merges_path = folder / kMergesFile;
  const std::string tokens = content_of(tokens_path), merges = content_of(merges_path);
  const fs::path* of = &tokens_path;
  try {
    Reader reader;
    TokensFile::read(tokens, reader);
    of = &merges_path;
    add_merges(reader, merges);
    of = &folder;
    return reader.vocabulary();
  } catch (const Error& error) {
    fail(ErrorKind::data, of->string(), ": ", error.what());
  }
}

/// Whether a setting is missing or means nothing.
bool is_off(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() || *found == false || *found == "" || *found == 0.0;
}

void require_off(const json& object, const char* key) {
  if (!is_off(object, key))
    throw JsonError(std::string("has ") + key + " = " + object[key].dump().substr(0, 60) +
                    ", which gives other ids than GPT-2's encoding; expected none");
}

/// The settings that change how text becomes ids are those of GPT-2.
void require_byte_level(const json& tokenizer, const json& model) {
  const auto type_of = [](const json& object) {
    return object.is_object() ? object.value("type", json()).dump() : object.dump();
  };
  if (model.contains("type") && model["type"] != "BPE")
    throw JsonError("its model is " + type_of(model) + ", expected \"BPE\" on bytes");
  require_off(tokenizer, "normalizer");
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"})
    require_off(model, key);
  const json splitter = tokenizer.value("pre_tokenizer", json());
  if (type_of(splitter) != "\"ByteLevel\"")
    throw JsonError("its pre_tokenizer is " + type_of(splitter).substr(0, 60) + ", expected \"ByteLevel\" alone");
  require_off(splitter, "add_prefix_space");
  if (splitter.contains("use_regex") && splitter["use_regex"] != true)
    throw JsonError("its pre_tokenizer does not split text into words (use_regex), expected GPT-2's pattern");
}

/// Special tokens, which are looked for in no text. Others are looked for before a text is split.
void add_added_tokens(Reader& reader, const json& added) {
  if (!added.is_array()) throw JsonError("added_tokens is no array");
  for (const json& token : added) {
    const std::string content = json_text(token, "content");
    if (!json_flag(token, "special"))
      throw JsonError("its added token \"" + content +
                      "\" is not special, so that words would be split around it; expected none");
    const json& id = json_member(token, "id");
    const std::int32_t* known = reader.find(content);
    if (!known)
      reader.add_token(content, id);
    else if (id != *known)
      throw JsonError("the id of \"" + content + "\" is " + std::to_string(*known) + " in the model and " + id.dump() +
                      " in added_tokens");
  }
}

Vocabulary read_tokenizer(const fs::path& path) {
  const std::string content = content_of(path);
  try {
    const json tokenizer = parse_json(content);
    const json& model = json_member(tokenizer, "model");
    if (!model.is_object()) throw JsonError("its model is no object");
    require_byte_level(tokenizer, model);
    Reader reader;
    const json& tokens = json_member(model, "vocab");
    if (!tokens.is_object()) throw JsonError(kNoTokens);
    for (const auto& [characters, id] : tokens.items()) reader.add_token(characters, id);
    if (tokenizer.contains("added_tokens")) add_added_tokens(reader, tokenizer["added_tokens"]);
    const json& merges = json_member(model, "merges");
    if (!merges.is_array()) throw JsonError("merges is no array");
    for (const json& merge : merges) {  // "left right", since 2024 ["left", "right"]
      const std::string text = merge.is_string() ? merge.get<std::string>() : "";
      const std::size_t space = text.find(' ');
      if (space != text.npos)
        reader.add_merge(text.substr(0, space), text.substr(space + 1));
      else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
        reader.add_merge(merge[0], merge[1]);
      else
        throw JsonError("a merge is " + merge.dump().substr(0, 60) + ", expected \"left right\" or [\"left\", \"right\"]");
    }
    return reader.vocabulary();
  } catch (const Error& error) {
    fail(ErrorKind::data, path.string(), ": ", error.what());
  }
}

/// How a token is written. Special tokens are written as their text, if it would not be read as characters that stand for
/// bytes.
std::string characters_of(const Vocabulary& vocabulary, std::int32_t id) {
  const std::string& token = vocabulary.token(id);
  const bool as_text = vocabulary.is_special(id) && !first_invalid_utf8(token) && !from_characters(token);
  return as_text ? token : to_characters(token);
}

}  // namespace

Vocabulary read_vocabulary(const fs::path& path) {
  std::error_code no_throw;
  if (!fs::is_directory(path, no_throw)) return read_tokenizer(path);
  const bool has_pair = fs::exists(path / kTokensFile, no_throw) || fs::exists(path / kMergesFile, no_throw);
  return !has_pair && fs::exists(path / kTokenizerFile, no_throw) ? read_tokenizer(path / kTokenizerFile)
                                                                  : read_pair_of_files(path);
}

void write_vocabulary(const Vocabulary& vocabulary, const fs::path& folder) {
  std::string tokens = "{";  // by hand, because a JSON object of the library would sort them
  for (std::int32_t id = 0; id < vocabulary.size(); ++id)
    tokens.append(id == 0 ? "" : ", ")
        .append(json(characters_of(vocabulary, id)).dump(-1, ' ', true))
        .append(": ")
        .append(std::to_string(id));
  std::string merges = "#version: 0.2\n";
  for (const Merge& merge : vocabulary.merges())
    merges.append(characters_of(vocabulary, merge.left))
        .append(" ")
        .append(characters_of(vocabulary, merge.right))
        .append("\n");

  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("cannot make the folder ", folder.string(), ": ", error.message());
  write_atomically(folder / kTokensFile, tokens + "}");
  write_atomically(folder / kMergesFile, merges);
}

}  // namespace alma
