#include "alma/learn/progress.h"

#include "base/error.h"

namespace alma {

std::string to_text(Count count) {
  std::string text;
  do {
    text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(count % 10)));
    count /= 10;
  } while (count != 0);
  return text;
}

Count count_from_text(const std::string& text) {
  Count count = 0;
  constexpr Count most = static_cast<Count>(-1) / 10 - 1;
  for (char c : text) {
    if (c < '0' || c > '9' || count > most) fail(ErrorKind::data, "damaged checkpoint: '", text, "' is not a count");
    count = count * 10 + static_cast<Count>(c - '0');
  }
  return count;
}

}  // namespace alma
