// gzip, xz and zstd, fed in pieces: the content does not depend on where the pieces end. The first byte says how long they
// are.
#include "data/unpack.h"

#include <optional>

#include "tests/data/files.h"
#include "tests/data/zstd.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

constexpr std::size_t kLargest = 4 << 20;

// The unpacked content; nothing if it is damaged or larger than is of interest.
std::optional<std::string> unpacked(std::string_view packed, std::size_t piece) try {
  const auto bytes = [](std::string_view text) {
    return std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  };
  const auto unpacker = make_unpacker(bytes(packed.substr(0, 6)), "fuzz");
  std::string content;
  for (; !packed.empty(); packed.remove_prefix(std::min(piece, packed.size())))
    unpacker->feed(bytes(packed.substr(0, piece)), [&](std::span<const std::uint8_t> made) {
      if (content.size() + made.size() > kLargest) fail(ErrorKind::data, "too large");
      content.append(reinterpret_cast<const char*>(made.data()), made.size());
    });
  unpacker->finish();
  return content;
} catch (const Error& error) {
  require(error.kind() == ErrorKind::data, std::string("an error of another kind: ") + error.what());
  return std::nullopt;
}

void read(std::string_view input) {
  if (input.empty()) return;
  const std::size_t piece = static_cast<std::size_t>(static_cast<unsigned char>(input[0])) + 1;
  const std::string_view packed = input.substr(1);
  require(unpacked(packed, piece) == unpacked(packed, packed.size() + 1), "the pieces change the content");
}

std::vector<std::string> seeds() {
  const test::Bytes content = test::sample_bytes(300), nothing;
  const std::string gzip = text_of(test::gzip(content)), xz = text_of(test::xz(content));
  const std::string zstd = text_of(test::zstd(content)), skipped = text_of(test::zstd_skippable(content));
  const std::string zeros(5, '\0'), one(1, '\0'), many(1, '\x10');
  return {many + gzip,
          one + gzip + gzip,
          many + gzip + zeros + gzip,
          many + xz,
          one + xz + xz,
          many + xz + zeros,
          many + gzip + xz,
          one + text_of(test::gzip(nothing)),
          one + text_of(content),
          one + zstd,
          many + zstd + skipped + zstd,
          many + skipped + zstd + zeros,
          one + text_of(test::zstd(nothing))};
}

const Registered target{{"unpack", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
