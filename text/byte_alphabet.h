#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace alma {

// In the files of a vocabulary each byte is written as a character of its own (GPT-2's bytes_to_unicode): the printable ones
// of Latin-1 as themselves, the other 68 as U+0100 to U+0143, in their order.

/// All bytes in the order of their characters, which is that of their ids in GPT-2 and in trained vocabularies.
const std::array<unsigned char, 256>& bytes_by_character();

/// Bytes as characters in UTF-8.
std::string to_characters(std::string_view bytes);

/// The bytes for which such characters stand; nothing if there is another character among them.
std::optional<std::string> from_characters(std::string_view characters);

}  // namespace alma
