#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace alma {

/// The position of the first byte that is not valid UTF-8 (Unicode 15, table 3-7); nothing if all of it is valid.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

/// `text` with U+FFFD in place of each maximal sequence that is not valid: the longest beginning of a character that is
/// broken off, else one byte (Unicode 15, section 3.9), as in Python's errors="replace" and in web browsers.
std::string replace_invalid_utf8(std::string_view text);

/// `text` for messages: bytes that are not valid UTF-8 are written as \xE9.
std::string shown_bytes(std::string_view text);

}  // namespace alma
