#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace alma {

/// The position of the first byte that is not UTF-8 (Unicode 15, table 3-7); nothing if there is none.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

/// `text` as messages show it: bytes that are not UTF-8 as \xE9.
std::string shown_bytes(std::string_view text);

}  // namespace alma
