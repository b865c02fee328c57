#pragma once
#include "kernels/checks/arrays.h"

/// Raw memory is an array of bytes. No op reports a cost for most of these: what they move is counted here.
namespace alma::check {

inline Observed allocate(Backend& backend, std::size_t bytes) { return {backend, "allocate", Observed::Bytes{bytes}}; }

/// Contexts let their memory go after everything has run: neither waiting nor an error has a place here.
inline Observed deallocate(Backend& backend) noexcept { return {backend, {"deallocate", "", 0, false}}; }

inline Observed upload(Backend& backend, std::size_t bytes) {
  return {backend, {"upload", "", bytes}, Observed::Bytes{bytes}};
}

inline Observed download(Backend& backend, std::size_t bytes) {
  return {backend, {"download", "", bytes}, Observed::Bytes{bytes}};
}

inline Observed copy(Backend& backend, std::size_t width, std::size_t rows) {
  return {backend, {"copy", "", 2 * width * rows}, Observed::Bytes{width * rows}};
}

inline Observed fill(Backend& backend, const Out& y) {
  layout("fill", "y", y, Layout::row_major);
  return {backend, {"fill", "", static_cast<std::uint64_t>(y.shape.count()) * size_of(y.dtype)}, y};
}

inline Observed synchronize(Backend& backend) { return {backend, "synchronize"}; }

}  // namespace alma::check
