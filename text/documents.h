#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "text/text_input.h"

namespace alma {

/// What one document is.
struct DocumentRule {
  enum class By {
    file,         // a file, unchanged but for a byte-order mark
    record,       // a line of JSON, of which a member has the text; blank lines are passed over
    blank_lines,  // the lines between lines of spaces and tabs alone
    separator,    // the lines between lines that hold exactly `separator`
  };
  By by = By::file;
  std::string separator = {};
  std::string field = "text";  // the member of a record
};

/// A document, or a part of one.
struct DocumentPiece {
  std::string text;
  bool first = false, last = false;  // of its document
  std::size_t input = 0;             // the number of the file
  std::int64_t offset = 0;           // of the text in the unpacked file, in bytes; 0 with records
  std::int64_t line = 0;             // of the record, from 1; 0 without records
};

/// The documents of any number of texts, in order, in bounded memory.
///
/// A document of up to 4 MiB comes in one piece; a longer one comes in several, each of about that size. It is cut in front
/// of a white-space character that follows another character. No token of the GPT-2 splitter has white space after another
/// character, nor does the splitter look ahead from one, so the pieces have the tokens of the whole. A document that has no
/// such place in 16 MiB is an Error (data), and so is a longer record, which is parsed as a whole.
///
/// With blank lines and separators a document has its lines with all their ends: documents that are divided by separators
/// are the same as in files of their own. The carriage return of CR LF is a part of the text, but does not keep a line from
/// being blank or a separator. No document goes beyond a file. Documents without text are left out; if there is no
/// other, that is an Error (data).
class DocumentReader {
 public:
  /// `inputs`: files, folders, or "-" for standard input. A folder stands for all files in it and in the folders below it,
  /// ordered by the bytes of their paths, except those whose names begin with a dot; links to folders are not followed.
  /// Throws Error: (data) for what does not exist and for a folder without files; (usage) for no input, standard input
  /// twice, or a separator that is not one line.
  DocumentReader(const std::vector<std::string>& inputs, DocumentRule rule);
  ~DocumentReader();

  /// The next piece; false at the end. Throws Error (data) as TextInput does, and for lines that are no records.
  bool next(DocumentPiece& piece);
  /// The place of a piece's text, from byte `at` on, for messages: "novels.txt, byte 4711" or "web.jsonl, line 12".
  std::string place(const DocumentPiece& piece, std::size_t at = 0) const;

  /// The files, in order.
  const std::vector<std::string>& paths() const { return paths_; }
  /// Those that were read to their end.
  const std::vector<TextSource>& sources() const { return sources_; }

 private:
  struct Lines;
  bool next_text(DocumentPiece& piece);
  bool next_record(DocumentPiece& piece);
  bool read_record();
  void take(DocumentPiece& piece, std::size_t bytes, bool last);

  std::vector<std::string> paths_;
  DocumentRule rule_;
  std::vector<TextSource> sources_;
  bool any_ = false;  // whether there was a document

  std::unique_ptr<Lines> lines_;  // of the current file
  bool inside_ = false;           // whether a piece of the current document was handed over
  std::string record_;            // the text of the current record, and how much of it was handed over
  std::size_t handed_over_ = 0;
};

}  // namespace alma
