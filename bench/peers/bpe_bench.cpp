// Byte-pair encoding as compare-bpe times it: one thread, from the start of the process to the last byte written.
//   alma-bpe-bench encode VOCABULARY TEXT IDS    ids of 4 bytes; documents are separated by lines of <|endoftext|>
//   alma-bpe-bench copy TEXT BYTES FILE          reads the text and writes so many bytes: the floor of encode
//   alma-bpe-bench train SIZE TEXT FOLDER        each line is a document
// Prints one JSON object: seconds, and how many ids, bytes or entries.
#include <fcntl.h>

#include <chrono>
#include <ctime>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "base/files.h"
#include "text/bpe_encoder.h"
#include "text/train_bpe.h"

namespace {

using namespace alma;

constexpr std::size_t kStep = 1 << 20;  // bytes that are read at once

File output(const std::string& path) { return File(path, O_WRONLY | O_CREAT | O_TRUNC, File::Kind::any); }

/// The pieces of a file, each up to the end of a separator, one at a time in memory.
void for_each_piece(const std::string& path, std::string_view separator, const std::function<void(std::string_view)>& take) {
  File file(path, O_RDONLY);
  std::string text;
  for (std::size_t taken = 0, searched = 0;;) {
    const std::size_t found = text.find(separator, searched);
    if (found != text.npos) {
      searched = found + separator.size();
      take(std::string_view(text).substr(taken, searched - taken));
      taken = searched;
      continue;
    }
    text.erase(0, taken);
    taken = 0;
    searched = text.size() - std::min(text.size(), separator.size() - 1);
    const std::size_t before = text.size();
    text.resize(before + kStep);
    text.resize(before + file.read(text.data() + before, kStep));
    if (text.size() == before) break;
  }
  if (!text.empty()) take(text);
}

std::size_t encode(const std::string& vocabulary_path, const std::string& text_path, const std::string& ids_path) {
  const Vocabulary vocabulary = read_vocabulary(vocabulary_path);
  BpeEncoder encoder(vocabulary);
  File out = output(ids_path);
  std::vector<std::int32_t> ids;
  std::size_t count = 0;
  const std::string separator = "\n" + std::string(kEndOfText) + "\n";
  for_each_piece(text_path, separator, [&](std::string_view document) {
    if (document.ends_with(separator)) document.remove_suffix(separator.size());
    ids.clear();
    encoder.encode(document, ids);
    out.write({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof ids[0]});
    count += ids.size();
  });
  return count;
}

std::size_t copy(const std::string& text_path, const std::string& bytes, const std::string& path) {
  File in(text_path, O_RDONLY), out = output(path);
  std::string buffer(kStep, '\0');
  while (in.read(buffer.data(), kStep) > 0) {
  }
  const std::size_t all = std::stoull(bytes);
  for (std::size_t written = 0; written < all; written += kStep)
    out.write(std::string_view(buffer).substr(0, std::min(kStep, all - written)));
  return all;
}

std::size_t train(const std::string& size, const std::string& text_path, const std::string& folder) {
  WordCounts words;
  for_each_piece(text_path, "\n", [&](std::string_view line) { words.add(line); });
  const Vocabulary vocabulary = train_bpe(words, std::stoi(size));
  write_vocabulary(vocabulary, folder);
  return static_cast<std::size_t>(vocabulary.size());
}

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
    std::cerr << "usage: alma-bpe-bench encode VOCABULARY TEXT IDS | copy TEXT BYTES FILE | train SIZE TEXT FOLDER\n";
    return 2;
  }
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::cout << "{\"wall\": " << wall << ", \"cpu\": " << static_cast<double>(std::clock()) / CLOCKS_PER_SEC
            << ", \"count\": " << result << "}\n";
  return 0;
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
