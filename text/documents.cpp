#include "text/documents.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace alma {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongPiece = std::size_t{4} << 20;
constexpr std::size_t kLongestPiece = std::size_t{16} << 20;
constexpr std::size_t kLongestDivider = 4096;  // a longer line divides nothing, whatever it holds

bool is_ascii_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Whether the character at the end may be white space. Of the blocks that have some outside ASCII, all is taken for it.
bool may_end_in_space(std::string_view text) {
  if (is_ascii_space(text.back())) return true;
  const std::string_view two = text.substr(text.size() - std::min<std::size_t>(2, text.size()));
  if (two == "\xc2\x85" || two == "\xc2\xa0") return true;
  if (text.size() < 3) return false;
  const std::string_view three = text.substr(text.size() - 3);
  return three == "\xe1\x9a\x80" || three == "\xe3\x80\x80" || three.starts_with("\xe2\x80") ||
         three.starts_with("\xe2\x81");
}

/// The last place in `text` where a document can be cut without changing its tokens; 0 if there is none.
std::size_t last_cut(std::string_view text) {
  for (std::size_t at = text.size() - 1; at > 0; --at)
    if (is_ascii_space(text[at]) && !may_end_in_space(text.substr(0, at))) return at;
  return 0;
}

/// All files in a folder and below it.
std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> files;
  try {
    for (fs::recursive_directory_iterator entry(folder), end; entry != end; ++entry) {
      const bool hidden = entry->path().filename().string().starts_with('.');
      if (entry->is_directory()) {
        if (hidden || entry->is_symlink()) entry.disable_recursion_pending();
      } else if (!hidden) {
        files.push_back(entry->path().string());
      }
    }
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::data, folder, ": cannot be searched for files: ", error.code().message());
  }
  if (files.empty()) fail(ErrorKind::data, folder, ": a folder without files");
  std::sort(files.begin(), files.end());
  return files;
}

void check(const std::vector<std::string>& inputs, const DocumentRule& rule) {
  if (inputs.empty()) fail(ErrorKind::usage, "no text to read; name files or folders, or - for standard input");
  if (std::count(inputs.begin(), inputs.end(), "-") > 1) fail(ErrorKind::usage, "standard input (-) can be read only once");
  if (rule.by != DocumentRule::By::separator) return;
  const std::string& line = rule.separator;
  if (line.empty() || line.size() > kLongestDivider || line.find('\n') != line.npos || line.ends_with('\r'))
    fail(ErrorKind::usage, "the line between documents is ", line.empty() ? "empty" : "not one line", "; expected 1 .. ",
         kLongestDivider, " bytes without line ends");
}

}  // namespace

/// The text of one file and how far it was looked at.
struct DocumentReader::Lines {
  explicit Lines(const std::string& path) : input(path) {}

  void fill() {
    buffer.erase(0, begin);
    scanned -= begin;
    searched -= std::min(begin, searched);
    begin = 0;
    at_end = !input.append_to(buffer);
  }
  std::int64_t offset() const { return input.bytes() - std::ssize(buffer) + static_cast<std::int64_t>(begin); }

  struct Range {
    std::size_t begin = 0, end = 0;
  };
  /// The next line after `scanned`, without its end but for a carriage return; nothing if it is not there to its end.
  std::optional<Range> line() {
    const std::size_t newline = buffer.find('\n', std::max(scanned, searched));
    if (newline != buffer.npos) return Range{scanned, newline};
    searched = buffer.size();
    if (at_end && scanned < buffer.size()) return Range{scanned, buffer.size()};
    return std::nullopt;
  }
  bool divides(Range range, const DocumentRule& rule) const;
  std::optional<Range> divider(const DocumentRule& rule);

  TextInput input;
  std::string buffer;
  std::size_t begin = 0;     // of what was not handed over
  std::size_t scanned = 0;   // the end of what is known to hold no divider
  std::size_t searched = 0;  // the end of what is known to hold no line end
  bool in_line = false;      // whether `scanned` is inside a line
  std::int64_t number = 0;   // of the line before it, with records
  bool at_end = false;
};

bool DocumentReader::Lines::divides(Range range, const DocumentRule& rule) const {
  std::string_view line = std::string_view(buffer).substr(range.begin, range.end - range.begin);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (rule.by == DocumentRule::By::separator) return line == rule.separator;
  return line.size() <= kLongestDivider && line.find_first_not_of(" \t") == line.npos;
}

/// The next line that divides documents, with its end; nothing if there is none in the buffer.
std::optional<DocumentReader::Lines::Range> DocumentReader::Lines::divider(const DocumentRule& rule) {
  if (rule.by == DocumentRule::By::file) {
    scanned = buffer.size();
    return std::nullopt;
  }
  while (const auto range = line()) {
    const std::size_t next = std::min(range->end + 1, buffer.size());
    const bool found = !in_line && divides(*range, rule);
    scanned = next;
    in_line = false;
    if (found) return Range{range->begin, next};
  }
  if (buffer.size() - scanned > kLongestDivider + 1) {
    in_line = true;
    scanned = buffer.size();
  }
  return std::nullopt;
}

// ---- the reader --------------------------------------------------------------------------------------------------------

DocumentReader::DocumentReader(const std::vector<std::string>& inputs, DocumentRule rule) : rule_(std::move(rule)) {
  check(inputs, rule_);
  for (const std::string& input : inputs) {
    std::error_code error;
    if (input == "-") {
      paths_.push_back(input);
    } else if (fs::is_directory(input, error)) {
      for (std::string& file : files_in(input)) paths_.push_back(std::move(file));
    } else if (fs::exists(input, error)) {
      paths_.push_back(input);
    } else {
      fail(ErrorKind::data, input, ": ", error ? error.message() : "no such file or folder");
    }
  }
}

DocumentReader::~DocumentReader() = default;

bool DocumentReader::next(DocumentPiece& piece) {
  while (lines_ || sources_.size() < paths_.size()) {
    if (!lines_) lines_ = std::make_unique<Lines>(paths_[sources_.size()]);
    piece.input = sources_.size();
    if (rule_.by == DocumentRule::By::record ? next_record(piece) : next_text(piece)) {
      any_ = true;
      return true;
    }
    sources_.push_back(lines_->input.source());
    lines_.reset();
  }
  if (any_) return false;
  fail(ErrorKind::data, shown_path(paths_.front()), paths_.size() > 1 ? " and the other files hold" : " holds",
       " no text: empty, or nothing but what divides documents");
}

/// Hands over the next bytes of the text.
void DocumentReader::take(DocumentPiece& piece, std::size_t bytes, bool last) {
  piece.first = !inside_;
  piece.last = last;
  inside_ = !last;
  if (rule_.by == DocumentRule::By::record) {
    piece.text.assign(record_, handed_over_, bytes);
    piece.offset = 0;
    handed_over_ += bytes;
  } else {
    piece.text.assign(lines_->buffer, lines_->begin, bytes);
    piece.offset = lines_->offset();
    piece.line = 0;
    lines_->begin += bytes;
  }
}

bool DocumentReader::next_text(DocumentPiece& piece) {
  Lines& lines = *lines_;
  std::size_t long_piece = kLongPiece;  // more, where there is no place to cut
  for (;;) {
    if (const auto divider = lines.divider(rule_)) {
      const std::size_t bytes = divider->begin - lines.begin;
      if (bytes > 0) take(piece, bytes, true);
      lines.begin = divider->end;
      if (bytes > 0) return true;
      continue;
    }
    const std::string_view known = std::string_view(lines.buffer).substr(lines.begin, lines.scanned - lines.begin);
    if (known.size() > long_piece) {
      if (const std::size_t cut = last_cut(known)) {
        take(piece, cut, false);
        return true;
      }
      if (known.size() > kLongestPiece)
        fail(ErrorKind::data, shown_path(paths_[piece.input]), ", byte ", lines.offset(),
             ": no white space in 16 MiB: no text");
      long_piece *= 2;
    }
    if (lines.at_end) {
      if (known.empty()) return false;
      take(piece, known.size(), true);
      return true;
    }
    lines.fill();
  }
}

bool DocumentReader::next_record(DocumentPiece& piece) {
  while (handed_over_ == record_.size())
    if (!read_record()) return false;
  const std::string_view rest = std::string_view(record_).substr(handed_over_);
  piece.line = lines_->number;
  for (std::size_t bytes = kLongPiece; bytes < rest.size(); bytes *= 2)
    if (const std::size_t cut = last_cut(rest.substr(0, bytes))) {
      take(piece, cut, false);
      return true;
    }
  take(piece, rest.size(), true);
  return true;
}

/// Reads the text of the next line's record; false at the end of the file.
bool DocumentReader::read_record() {
  Lines& lines = *lines_;
  handed_over_ = 0;
  record_.clear();
  std::optional<Lines::Range> range;
  while (!(range = lines.line())) {
    if (lines.at_end) return false;
    if (lines.buffer.size() - lines.scanned > kLongestPiece)
      fail(ErrorKind::data, shown_path(paths_[sources_.size()]), ", line ", lines.number + 1,
           ": a record of more than 16 MiB");
    lines.fill();
  }
  const std::string_view line = std::string_view(lines.buffer).substr(range->begin, range->end - range->begin);
  lines.begin = lines.scanned = std::min(range->end + 1, lines.buffer.size());
  ++lines.number;
  if (line.find_first_not_of(" \t\r") == line.npos) return true;
  try {
    record_ = json_text(parse_json(line), rule_.field);
  } catch (const JsonError& error) {
    fail(ErrorKind::data, shown_path(paths_[sources_.size()]), ", line ", lines.number, ": ", error.what());
  }
  if (record_.find('\0') != record_.npos)
    fail(ErrorKind::data, shown_path(paths_[sources_.size()]), ", line ", lines.number, ": the text holds a NUL character");
  return true;
}

std::string DocumentReader::place(const DocumentPiece& piece, std::size_t at) const {
  const std::string path = shown_path(paths_[piece.input]);
  if (piece.line > 0) return path + ", line " + std::to_string(piece.line);
  return path + ", byte " + std::to_string(piece.offset + static_cast<std::int64_t>(at));
}

}  // namespace alma
