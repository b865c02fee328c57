// Records of CIFAR-10's binary version. The first byte says in which pieces they come.
#include "data/cifar.h"

#include "tests/data/files.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

// All that was read, as a file would hold it.
std::string records_of(const ImageSet& set) {
  std::string text;
  const auto pixels = static_cast<std::size_t>(set.pixels_per_image());
  for (std::size_t i = 0; i < set.labels.size(); ++i) {
    text += static_cast<char>(set.labels[i]);
    text.append(reinterpret_cast<const char*>(set.pixels.data()) + i * pixels, pixels);
  }
  return text;
}

void read(std::string_view input) {
  if (input.empty()) return;
  const auto most = static_cast<std::size_t>(static_cast<unsigned char>(input[0])) * 16 + 1;
  const std::string_view records = input.substr(1);
  CifarReader reader("fuzz", 0);
  for (std::string_view rest = records; !rest.empty(); rest.remove_prefix(std::min(most, rest.size()))) {
    const std::string_view piece = rest.substr(0, most);
    reader.take("fuzz", {reinterpret_cast<const std::uint8_t*>(piece.data()), piece.size()});
  }
  reader.end_file("fuzz");
  const ImageSet set = reader.finish();
  require(set.pixels.size() == set.labels.size() * 3072, "a part of an image");
  require(records_of(set) == records, "other records");
}

std::vector<std::string> seeds() {
  std::string records;
  for (const char label : {0, 9, 3}) records += label + text_of(test::sample_bytes(3072));
  return {'\xff' + records.substr(0, 3073), '\x40' + records, '\0' + records.substr(0, 3074), std::string("\x01\x0a")};
}

const Registered target{{"cifar", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
