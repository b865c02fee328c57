#include "tests/data/zstd.h"

#include <zstd.h>

#include <memory>

namespace alma::test {

Bytes zstd(const Bytes& content, int window_log) {
  const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, window_log);
  Bytes packed(ZSTD_compressBound(content.size()));
  ZSTD_inBuffer in{content.data(), content.size(), 0};
  ZSTD_outBuffer out{packed.data(), packed.size(), 0};
  // As a stream, whose header says the window; a frame that is made at once has a window of its content's size.
  if (window_log) ZSTD_compressStream2(context.get(), &out, &in, ZSTD_e_continue);
  if (ZSTD_compressStream2(context.get(), &out, &in, ZSTD_e_end) != 0) throw std::runtime_error("ZSTD_compressStream2");
  return first_bytes(packed, out.pos);
}

Bytes zstd_skippable(const Bytes& content) {
  Bytes frame = {0x5e, 0x2a, 0x4d, 0x18};
  for (const int shift : {0, 8, 16, 24}) frame.push_back(static_cast<std::uint8_t>(content.size() >> shift));
  return join(frame, content);
}

}  // namespace alma::test
