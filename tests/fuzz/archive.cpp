// tar archives. Whatever the archive is, what is taken from it are the files that were asked for.
#include "data/archive.h"

#include <cstdio>

#include "base/checksum.h"
#include "tests/data/files.h"
#include "tests/data/tar.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

const std::vector<std::string> kContents = {"the first content", std::string(1000, 'b')};

const std::vector<PublishedFile>& files() {
  static const std::vector<PublishedFile> all = {
      {"first.bin", std::ssize(kContents[0]), sha256(kContents[0])},
      {"second.bin", std::ssize(kContents[1]), sha256(kContents[1])},
  };
  return all;
}

// The checksums of an archive's headers put right, as no mutation would: only what is behind them is of interest.
std::string repaired(std::string_view archive) {
  std::string text(archive);
  constexpr std::size_t block = 512, place = 148, length = 8;
  for (std::size_t at = 0; at + block <= text.size(); at += block) {
    if (text.compare(at + 257, 5, "ustar") != 0) continue;
    text.replace(at + place, length, length, ' ');
    unsigned sum = 0;
    for (std::size_t i = 0; i < block; ++i) sum += static_cast<unsigned char>(text[at + i]);
    std::snprintf(text.data() + at + place, length, "%06o", sum);
  }
  return text;
}

void read(std::string_view input) {
  std::vector<std::string> taken(files().size());
  read_archive(write_file("archive", repaired(input)), files(), [&](std::size_t file, std::span<const std::uint8_t> piece) {
    taken[file].append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  require(taken == kContents, "another content");
}

std::vector<std::string> seeds() {
  using test::Bytes;
  using test::TarEntry;
  const auto content = [](std::size_t i) { return Bytes(kContents[i].begin(), kContents[i].end()); };
  const TarEntry first{"set/first.bin", content(0)}, second{"set/second.bin", content(1)};
  // Two blocks of zeros end an archive; the others round it up.
  const auto archive = [](const std::vector<TarEntry>& entries) {
    std::string text = text_of(test::tar(entries));
    return text.substr(0, text.find_last_not_of('\0') / 512 * 512 + 512 + 1024);
  };
  const std::string long_name(200, 'n'), whole = archive({first, second});
  return {whole,
          text_of(test::gzip(Bytes(whole.begin(), whole.end()))),
          text_of(test::xz(Bytes(whole.begin(), whole.end()))),
          archive({{"set", {}, TarEntry::Type::folder}, second, {"set/readme", content(0)}, first}),
          archive({{long_name, content(0)}, first, second}),
          archive({{"set/link", {}, TarEntry::Type::symbolic_link, "/etc/passwd"}, first, second}),
          archive({{"set/link", {}, TarEntry::Type::hard_link, "set/first.bin"}, first, second}),
          archive({{"../first.bin", content(0)}, second}),
          archive({first, first, second}),
          archive({{"set/device", {}, TarEntry::Type::device}, first, second})};
}

const Registered target{{"archive", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
