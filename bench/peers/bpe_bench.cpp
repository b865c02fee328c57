// Byte-pair encoding as compare-bpe times it: one thread, from the start of the process to the last byte written.
//   alma-bpe-bench encode VOCABULARY TEXT IDS     ids of 4 bytes; documents are separated by lines of <|endoftext|>
//   alma-bpe-bench copy TEXT IDS COPY             reads the text and the ids, writes the ids: the floor of encode
//   alma-bpe-bench train SIZE TEXT FOLDER         each line is a document
// Prints one JSON object.
#include <fcntl.h>

#include <chrono>
#include <ctime>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "text/bpe_encoder.h"
#include "text/train_bpe.h"

namespace {

using namespace alma;

std::string content_of(const std::string& path) {
  std::optional<std::string> content = read_plain_file(path, std::uint64_t{4} << 30);
  if (!content) fail(ErrorKind::data, path, ": no such file");
  return std::move(*content);
}

void write(const std::string& path, std::string_view content) {
  File(path, O_WRONLY | O_CREAT | O_TRUNC).write(content);
}

std::string_view bytes_of(const std::vector<std::int32_t>& ids) {
  return {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(std::int32_t)};
}

/// What stands between two lines that hold only the separator.
void for_each_document(std::string_view text, const std::function<void(std::string_view)>& take) {
  const std::string between = "\n" + std::string(kEndOfText) + "\n";
  for (std::size_t end; !text.empty(); text.remove_prefix(std::min(end, text.size()))) {
    const std::size_t found = text.find(between);
    take(text.substr(0, found == text.npos ? found : found + 1));
    end = found == text.npos ? text.size() : found + between.size();
  }
}

std::size_t encode(const std::string& vocabulary_path, const std::string& text_path, const std::string& ids_path) {
  const Vocabulary vocabulary = read_vocabulary(vocabulary_path);
  BpeEncoder encoder(vocabulary);
  File out(ids_path, O_WRONLY | O_CREAT | O_TRUNC);
  std::size_t tokens = 0;
  std::vector<std::int32_t> ids;
  for_each_document(content_of(text_path), [&](std::string_view document) {
    ids.clear();
    encoder.encode(document, ids);
    out.write(bytes_of(ids));
    tokens += ids.size();
  });
  return tokens;
}

std::size_t copy(const std::string& text_path, const std::string& ids_path, const std::string& copy_path) {
  const std::string text = content_of(text_path), ids = content_of(ids_path);
  write(copy_path, ids);
  return ids.size() / sizeof(std::int32_t);
}

std::size_t train(const std::string& size, const std::string& text_path, const std::string& folder) {
  WordCounts words;
  const std::string text = content_of(text_path);
  for (std::size_t begin = 0, end; begin < text.size(); begin = end) {
    end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    words.add(std::string_view(text).substr(begin, end - begin));
  }
  const Vocabulary vocabulary = train_bpe(words, std::stoi(size));
  write_vocabulary(vocabulary, folder);
  return static_cast<std::size_t>(vocabulary.size());
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

int main(int count, char** words) try {
  const std::string mode = count == 5 ? words[1] : "";
  const auto begin = std::chrono::steady_clock::now();
  std::size_t result = 0;
  if (mode == "encode") {
    result = encode(words[2], words[3], words[4]);
  } else if (mode == "copy") {
    result = copy(words[2], words[3], words[4]);
  } else if (mode == "train") {
    result = train(words[2], words[3], words[4]);
  } else {
    std::cerr << "usage: alma-bpe-bench encode VOCABULARY TEXT IDS | copy TEXT IDS COPY | train SIZE TEXT FOLDER\n";
    return 2;
  }
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::cout << "{\"wall\": " << wall << ", \"cpu\": " << cpu_seconds() << ", \"count\": " << result << "}\n";
  return 0;
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
