#pragma once
#include <string>
#include <string_view>

namespace alma {

/// What becomes of bytes that are not valid UTF-8.
enum class InvalidBytes {
  refuse,   // Error (data) that names the offset
  replace,  // U+FFFD for each maximal sequence, see replace_invalid_utf8()
};

/// `text` itself if it is valid, or with InvalidBytes::replace what becomes of it, in `storage`.
std::string_view valid_text(std::string_view text, InvalidBytes policy, std::string& storage);

}  // namespace alma
