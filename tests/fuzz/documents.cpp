// Text, divided into documents. The first byte says by what rule, and whether they are compared with those of a packed file,
// which comes in other pieces.
#include "text/documents.h"

#include <array>

#include "base/utf8.h"
#include "tests/data/files.h"
#include "tests/data/zstd.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

using By = DocumentRule::By;

struct Found {
  std::vector<std::string> documents;
  std::int64_t bytes = 0;  // unpacked
};

Found documents(const std::string& path, const DocumentRule& rule) {
  DocumentReader reader({path}, rule);
  DocumentPiece piece;
  std::vector<std::string> found;
  bool inside = false;
  while (reader.next(piece)) {
    require(piece.first == !inside && !piece.text.empty(), "pieces that do not follow each other");
    require(!reader.place(piece).empty() && piece.text.find('\0') == piece.text.npos, "a NUL");
    if (piece.first) found.emplace_back();
    found.back() += piece.text;
    inside = !piece.last;
  }
  require(!inside && reader.sources().size() == 1 && reader.sources()[0].sha256.size() == 64, "no end");
  return {found, reader.sources()[0].bytes};
}

void read(std::string_view input) {
  if (input.empty()) return;
  const By by = std::array{By::file, By::record, By::blank_lines, By::separator}[static_cast<unsigned char>(input[0]) % 4];
  const DocumentRule rule{by, by == By::separator ? "%%" : "", "text"};
  const std::string content(input.substr(1));
  const auto [found, bytes] = documents(write_file("text", content), rule);
  require(!found.empty(), "no document and no error");
  for (const std::string& document : found)
    require(by != By::record || !first_invalid_utf8(document), "a record that is not UTF-8");
  if (bytes != std::ssize(content)) return;  // it was packed itself
  if (by == By::file) require(found[0].size() == content.size() || found[0].size() + 3 == content.size(), "text is lost");
  if ((input[0] & 4) == 0) return;
  const auto packed = test::zstd({content.begin(), content.end()});
  require(documents(write_file("packed", text_of(packed)), rule).documents == found, "other documents of a packed file");
}

std::vector<std::string> seeds() {
  const std::string text = "one\n\ntwo\r\n%%\nthree \t\n\n%%\n", zeros(3, '\0');
  const std::string records = "{\"text\":\"a\\u00e9\\n\"}\n\n{\"id\":1,\"text\":\"\",\"x\":[{}]}\r\n{\"text\":\"b\"}";
  const auto packed = [](const std::string& content) { return text_of(test::gzip({content.begin(), content.end()})); };
  return {"4" + text,
          "5" + records,
          "6" + text,
          "7" + text,
          "3\xef\xbb\xbf" + text,
          "0\xff\xfe" + text,
          "1" + packed(records),
          "2" + packed(text),
          "0" + text + zeros,
          "3%%\n%%",
          "1{\"text\":\"\\ud83d\\ude00\"}"};
}

const Registered target{{"documents", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
