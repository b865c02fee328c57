#pragma once
#include "kernels/cpu/parallel.h"

namespace alma {

/// Elements begin to end along one dimension.
struct Span {
  std::int64_t begin, end;
};

/// What output i of `outputs` averages of `inputs` elements.
inline Span averaged(std::int64_t i, std::int64_t inputs, std::int64_t outputs) {
  return {i * inputs / outputs, ceil_divide((i + 1) * inputs, outputs)};
}

/// f(output, its rows, its columns) of an h x w plane that is averaged to oh x ow, in order.
template <class F>
void for_windows(std::int64_t h, std::int64_t w, std::int64_t oh, std::int64_t ow, const F& f) {
  for (std::int64_t i = 0; i < oh; ++i)
    for (std::int64_t j = 0; j < ow; ++j) f(i * ow + j, averaged(i, h, oh), averaged(j, w, ow));
}

template <class T>
T elements(const Span& rows, const Span& columns) {
  return static_cast<T>((rows.end - rows.begin) * (columns.end - columns.begin));
}

}  // namespace alma
