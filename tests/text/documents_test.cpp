#include "text/documents.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/random.h"
#include "tests/data/files.h"
#include "tests/data/zstd.h"

namespace alma::test {
namespace {

using By = DocumentRule::By;
using Texts = std::vector<std::string>;

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

DocumentRule separator(const std::string& line) { return {.by = By::separator, .separator = line}; }

/// The documents, and checks of how their pieces follow each other.
Texts documents(const Texts& inputs, const DocumentRule& rule = {}) {
  DocumentReader reader(inputs, rule);
  DocumentPiece piece;
  Texts found;
  bool inside = false;
  while (reader.next(piece)) {
    EXPECT_EQ(piece.first, !inside);
    EXPECT_FALSE(piece.text.empty());
    if (piece.first) found.emplace_back();
    found.back() += piece.text;
    inside = !piece.last;
  }
  EXPECT_FALSE(inside);
  EXPECT_EQ(reader.sources().size(), reader.paths().size());
  EXPECT_FALSE(reader.next(piece));
  return found;
}

class Documents : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const { return folder_.write(name, bytes_of(text)); }
  /// The documents of a file with that text.
  Texts of(const std::string& text, const DocumentRule& rule = {}) const { return documents({write("text", text)}, rule); }
  void expect_refused(const std::string& text, const DocumentRule& rule, std::vector<std::string> parts) const {
    const std::string path = write("refused", text);
    parts.push_back(path);
    expect_error(ErrorKind::data, parts, [&] { documents({path}, rule); });
  }

  TemporaryFolder folder_;
};

TEST_F(Documents, AFileIsADocumentWhateverItHolds) {
  EXPECT_EQ(of("one\n\n<|endoftext|>\r\ntwo"), Texts{"one\n\n<|endoftext|>\r\ntwo"});
  EXPECT_EQ(documents({write("a", "1"), write("b", "2\n"), folder_ / "a"}), (Texts{"1", "2\n", "1"}));
}

TEST_F(Documents, SeparatorsAreWholeLinesAndLeaveTheLineEnds) {
  const DocumentRule rule = separator("--");
  EXPECT_EQ(of("a\nb\n--\nc\n", rule), (Texts{"a\nb\n", "c\n"}));
  EXPECT_EQ(of("a\n--\nc", rule), (Texts{"a\n", "c"}));  // no newline at the end
  EXPECT_EQ(of("a\n--", rule), Texts{"a\n"});
  EXPECT_EQ(of("--\n--\na\n--\n--\nb\n--\n", rule), (Texts{"a\n", "b\n"}));  // documents without text
  EXPECT_EQ(of("a\r\n--\r\nb\r\n", rule), (Texts{"a\r\n", "b\r\n"}));
  EXPECT_EQ(of("a --\n---\n-- \n --\n--\nb", rule), (Texts{"a --\n---\n-- \n --\n", "b"}));
  EXPECT_EQ(of("a\n\n--\n\nb", rule), (Texts{"a\n\n", "\nb"}));
}

TEST_F(Documents, BlankLinesMayHoldSpacesAndTabs) {
  const DocumentRule rule{.by = By::blank_lines};
  EXPECT_EQ(of("\n\na\nb\n \t\n\nc\n\n", rule), (Texts{"a\nb\n", "c\n"}));
  EXPECT_EQ(of("a\r\n\r\nb\r\n \r\nc", rule), (Texts{"a\r\n", "b\r\n", "c"}));
  EXPECT_EQ(of("a\n" + std::string(4097, ' ') + "\nb\n" + std::string(4096, ' ') + "\nc", rule),
            (Texts{"a\n" + std::string(4097, ' ') + "\nb\n", "c"}));
}

TEST_F(Documents, RecordsHaveTheirTextInAMember) {
  const DocumentRule rule{.by = By::record}, other{.by = By::record, .field = "body"};
  const std::string lines =
      "{\"text\": \"a\\nb\\u00e9\", \"body\": \"x\"}\r\n\n{\"body\":\"\\ud83d\\ude00\",\"text\":\"c\"}";
  EXPECT_EQ(of(lines, rule), (Texts{"a\nb\xc3\xa9", "c"}));
  EXPECT_EQ(of("\xef\xbb\xbf" + lines + "\n{\"body\":\"\"}\n", other), (Texts{"x", "\xf0\x9f\x98\x80"}));
}

TEST_F(Documents, ALineThatIsNoRecordIsNamed) {
  const DocumentRule rule{.by = By::record};
  const std::string good = "{\"text\":\"a\"}\n\n";
  expect_refused(good + "{\"text\":\"b\"", rule, {"line 3", "not JSON"});
  expect_refused(good + "{\"txt\":\"b\"}", rule, {"line 3", "key 'text' not found"});
  expect_refused(good + "{\"text\":7}", rule, {"line 3", "text is 7, expected a string"});
  expect_refused("[\"a\"]", rule, {"line 1", "expected a JSON object"});
  expect_refused(good + "{\"text\":\"\xff\"}", rule, {"line 3", "not JSON"});
  expect_refused(good + "{\"text\":\"a\\u0000\"}", rule, {"line 3", "NUL"});
  expect_refused(good + "{\"text\":\"" + std::string(17 << 20, 'x') + "\"}", rule, {"line 3", "more than 16 MiB"});
}

TEST_F(Documents, PackedFilesHoldTheSameDocuments) {
  std::string text;
  Texts expected;
  RandomStream random(1, "documents");
  for (int document = 0; document < 300; ++document) {
    expected.emplace_back();
    for (std::uint32_t line = random.below(60) + 1; line > 0; --line)
      expected.back() += std::string(random.below(200), static_cast<char>('a' + random.below(26))) + "x\n";
    text += expected.back() + (document < 299 ? "%%\n" : "");
  }
  ASSERT_GT(text.size(), 8 * kPieceBytes);  // separators at all places of the pieces that are read
  const Bytes bytes = bytes_of(text);
  for (const Bytes& content : {bytes, gzip(bytes), xz(bytes), zstd(bytes)}) {
    const std::string path = folder_.write("text.any", content);
    EXPECT_EQ(documents({path}, separator("%%")), expected);
    DocumentReader reader({path}, separator("%%"));
    DocumentPiece piece;
    while (reader.next(piece)) {
      EXPECT_EQ(text.compare(static_cast<std::size_t>(piece.offset), piece.text.size(), piece.text), 0);
      EXPECT_EQ(reader.place(piece, 1), path + ", byte " + std::to_string(piece.offset + 1));
    }
    ASSERT_EQ(reader.sources().size(), 1u);
    EXPECT_EQ(reader.sources()[0].bytes, std::ssize(text));
    EXPECT_EQ(reader.sources()[0].sha256, sha256(text));
  }
}

/// Words, lines and runs of white space.
std::string random_text(std::size_t bytes) {
  const Texts parts = {"word", "x", "\xc3\xa9t\xc3\xa9", "\xe3\x80\x80", "\xc2\xa0", " ", " ", "\n", "\n\n", "  ", "'s",
                       "12",   "\t"};
  RandomStream random(2, "text");
  std::string text = "a";
  while (text.size() < bytes) text += parts[random.below(static_cast<std::uint32_t>(parts.size()))];
  return text;
}

TEST_F(Documents, LongDocumentsComeInPiecesThatKeepTheTokens) {
  const std::string text = random_text(21 << 20);
  const std::string record = "{\"text\":\"" + std::string(5 << 20, 'y') + " " + std::string(5 << 20, 'z') + "\"}\n";
  EXPECT_EQ(documents({write("long", text)}), Texts{text});
  DocumentReader reader({folder_ / "long"}, {});
  DocumentPiece piece;
  int pieces = 0;
  while (reader.next(piece)) {
    if (pieces++ == 0) continue;
    // As the splitter's pattern has it: no token has white space after another character.
    EXPECT_TRUE(std::isspace(static_cast<unsigned char>(piece.text[0])));
    const auto at = static_cast<std::size_t>(piece.offset);
    EXPECT_FALSE(std::isspace(static_cast<unsigned char>(text[at - 1])));
    EXPECT_FALSE(text.substr(0, at).ends_with("\xc2\xa0") || text.substr(0, at).ends_with("\xe3\x80\x80"));
    EXPECT_LE(piece.text.size(), std::size_t{5} << 20);
  }
  EXPECT_EQ(pieces, 6);
  const Texts words = documents({write("records", record)}, {.by = By::record});
  EXPECT_EQ(words, Texts{std::string(5 << 20, 'y') + " " + std::string(5 << 20, 'z')});
}

TEST_F(Documents, AWordOf15MiBIsOnePieceAndOneOf17IsNoText) {
  const std::string word(15 << 20, 'w');
  EXPECT_EQ(of(word), Texts{word});
  expect_refused(word + std::string(2 << 20, 'w') + " x", {}, {"no white space in 16 MiB"});
  expect_refused(std::string(17 << 20, ' '), {.by = By::blank_lines}, {"no white space in 16 MiB"});
}

TEST_F(Documents, AFewBytesThatUnpackToALotComeInPieces) {
  std::string text;
  while (text.size() < (std::size_t{200} << 20)) text += "ab ";
  const Bytes packed = zstd(bytes_of(text));
  ASSERT_LT(packed.size(), 100000u);
  DocumentReader reader({folder_.write("bomb", packed)}, {});
  DocumentPiece piece;
  std::size_t bytes = 0;
  for (; reader.next(piece); bytes += piece.text.size()) EXPECT_LT(piece.text.size(), std::size_t{24} << 20);
  EXPECT_EQ(bytes, text.size());
  const std::string record = "{\"text\":\"a\"}\n";
  std::string records;
  while (records.size() < (std::size_t{40} << 20)) records += record;
  const Texts found = documents({folder_.write("records", zstd(bytes_of(records)))}, {.by = By::record});
  EXPECT_EQ(found.size(), records.size() / record.size());
}

TEST_F(Documents, FoldersAreReadInTheOrderOfTheirBytes) {
  write("corpus/b.txt", "3");
  write("corpus/B.txt", "1");
  write("corpus/a/z.txt", "2");
  write("corpus/.hidden", "x");
  write("corpus/.git/text", "x");
  write("other/linked", "x");
  std::filesystem::create_symlink(folder_ / "other", folder_ / "corpus/link");
  std::filesystem::create_symlink(folder_ / "other/linked", folder_ / "corpus/file-link");
  EXPECT_EQ(documents({folder_ / "corpus"}), (Texts{"1", "2", "3", "x"}));
  EXPECT_EQ(documents({folder_ / "corpus/b.txt", folder_ / "other"}), (Texts{"3", "x"}));
}

TEST_F(Documents, WhatIsNotThereIsFoundBeforeAnythingIsRead) {
  expect_error(ErrorKind::data, {folder_ / "none", "no such file or folder"},
               [&] { DocumentReader({folder_ / "none"}, {}); });
  std::filesystem::create_directories(folder_ / "empty/inner");
  expect_error(ErrorKind::data, {folder_ / "empty", "a folder without files"},
               [&] { DocumentReader({folder_ / "empty"}, {}); });
  expect_error(ErrorKind::usage, {"no text to read"}, [] { DocumentReader({}, {}); });
  expect_error(ErrorKind::usage, {"standard input"}, [] { DocumentReader({"-", "-"}, {}); });
  for (const std::string& line : {std::string(), std::string("a\nb"), std::string("a\r"), std::string(4097, 'x')})
    expect_error(ErrorKind::usage, {"the line between documents"}, [&] { DocumentReader({"-"}, separator(line)); });
}

TEST_F(Documents, EmptyFilesAreLeftOutUnlessThereIsNothingElse) {
  EXPECT_EQ(documents({write("empty", ""), write("full", "a"), folder_ / "empty"}), Texts{"a"});
  expect_refused("", {}, {"holds no text"});
  expect_refused("\xef\xbb\xbf", {}, {"holds no text"});
  expect_refused("\n \n", {.by = By::blank_lines}, {"holds no text"});
  expect_refused("--\n", separator("--"), {"holds no text"});
  expect_error(ErrorKind::data, {"and the other files hold no text"}, [&] {
    documents({folder_ / "empty", folder_ / "empty"});
  });
}

TEST_F(Documents, MarksOfByteOrder) {
  EXPECT_EQ(of("\xef\xbb\xbf"
               "a\xef\xbb\xbf"
               "b"),
            Texts{"a\xef\xbb\xbf"
                  "b"});  // only the first is a mark
  EXPECT_EQ(of("\xef\xbb\xbf--\na", separator("--")), Texts{"a"});
  expect_refused(std::string("\xff\xfe"
                             "a\0",
                             4),
                 {}, {"UTF-16", "iconv"});
  expect_refused(std::string("\xfe\xff\0a", 4), {}, {"UTF-16"});
  expect_refused(std::string("a\0b\0", 4), {}, {"byte 1 is NUL", "UTF-16"});
}

TEST_F(Documents, NulIsBinaryData) {
  std::string text = random_text(300000);
  text[234567] = '\0';
  expect_refused(text, {}, {"byte 234567 is NUL", "binary data"});
  expect_refused("\xef\xbb\xbf" + text, {.by = By::blank_lines}, {"byte 234570 is NUL"});
}

TEST_F(Documents, AFileThatChangesWhileItIsRead) {
  const std::string text = random_text(20 << 20);
  for (const int change : {-1, 1, 0}) {
    const std::string path = write("changing", text);
    DocumentReader reader({path}, {});
    DocumentPiece piece;
    ASSERT_TRUE(reader.next(piece));
    if (change < 0) std::filesystem::resize_file(path, text.size() - 1000);
    if (change > 0) std::ofstream(path, std::ios::app) << "more";
    if (change == 0) {  // the same size, another content
      const timespec later[2] = {{0, UTIME_OMIT}, {4102444800, 0}};
      ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), later, 0), 0);
    }
    expect_error(ErrorKind::data, {path, "changed while it was read", std::to_string(text.size())}, [&] {
      while (reader.next(piece)) continue;
    });
  }
}

TEST_F(Documents, DamagedPackingIsNamed) {
  const Bytes packed = gzip(bytes_of(random_text(100000)));
  const std::string path = folder_.write("cut.gz", first_bytes(packed, packed.size() / 2));
  expect_error(ErrorKind::data, {path, "truncated"}, [&] { documents({path}); });
}

TEST_F(Documents, StandardInputIsReadAsItComes) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int before = dup(STDIN_FILENO);
  dup2(ends[0], STDIN_FILENO);
  close(ends[0]);
  const std::string text = random_text(3 << 20) + "\n--\nb";
  std::thread writer([&] {
    File end("pipe", ends[1], nullptr);
    end.write(text);
  });
  const Texts found = documents({"-"}, separator("--"));
  writer.join();
  dup2(before, STDIN_FILENO);
  close(before);
  EXPECT_EQ(found, (Texts{text.substr(0, text.size() - 4), "b"}));
}

}  // namespace
}  // namespace alma::test
