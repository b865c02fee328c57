#include "text/invalid_bytes.h"

#include "base/error.h"
#include "base/utf8.h"

namespace alma {

std::string_view valid_text(std::string_view text, InvalidBytes policy, std::string& storage) {
  const std::optional<std::size_t> wrong = first_invalid_utf8(text);
  if (!wrong) return text;
  if (policy == InvalidBytes::refuse)
    fail(ErrorKind::data, "the text is not valid UTF-8: byte ", *wrong, " is ", shown_bytes(text.substr(*wrong, 1)),
         " before \"", shown_bytes(text.substr(*wrong + 1, 20)),
         "\"; convert the text to UTF-8, or have invalid bytes replaced");
  return storage = replace_invalid_utf8(text);
}

}  // namespace alma
