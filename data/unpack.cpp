#include "data/unpack.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace alma {
namespace {

constexpr std::uint64_t kXzMemory = std::uint64_t{512} << 20;  // xz -9 unpacks in 65 MiB; a damaged header can ask for 4 GiB
constexpr std::array<std::uint8_t, 2> kGzipMagic = {0x1f, 0x8b};
constexpr std::array<std::uint8_t, 6> kXzMagic = {0xfd, '7', 'z', 'X', 'Z', 0};
constexpr std::array<std::uint8_t, 4> kZstdMagic = {0x28, 0xb5, 0x2f, 0xfd};
// A frame that holds no content (RFC 8878, 3.1.2), which parallel compressors write first: its magic number is 50 .. 5f,
// then this.
constexpr std::array<std::uint8_t, 3> kZstdSkippableMagic = {0x2a, 0x4d, 0x18};

class PlainFile final : public Unpacker {
 public:
  void feed(std::span<const std::uint8_t> packed, const TakePiece& take) override { take(packed); }
  void finish() override {}
};

/// The common part of gzip, xz and zstd: a file consists of one or more members, one after the other, padded with zero
/// bytes.
class PackedFile : public Unpacker {
 public:
  PackedFile(std::string format, std::uint8_t first_byte, std::string path)
      : format_(std::move(format)), first_byte_(first_byte), path_(std::move(path)), unpacked_(kPieceBytes) {}

  void feed(std::span<const std::uint8_t> packed, const TakePiece& take) override {
    while (!packed.empty()) {
      if (inside_member_) {
        packed = decode(packed, take);
      } else {
        packed = enter_member(packed);
      }
    }
  }

  void finish() override {
    if (inside_member_)
      fail(ErrorKind::data, path_, ": truncated: the ", format_, " data breaks off after ", position_,
           " bytes; get the file again");
  }

 protected:
  struct Step {
    std::size_t used = 0, made = 0;
    bool end = false;      // of the member
    bool waiting = false;  // whether there is more output than there was room for, even without more input
  };
  virtual void begin_member() = 0;
  /// Whether a member can begin with this byte.
  virtual bool begins_member(std::uint8_t byte) const { return byte == first_byte_; }
  /// Decodes until the input is used up, the output is full, or the member ends. `packed` is empty only if output is
  /// waiting.
  virtual Step step(std::span<const std::uint8_t> packed, std::span<std::uint8_t> unpacked) = 0;

  /// `used`: the number of bytes used of those given to this step.
  [[noreturn]] void damaged(std::string_view what, std::size_t used) const {
    fail(ErrorKind::data, path_, ": damaged: ", what, ", in the ", format_, " data near byte ", position_ + used,
         "; get the file again");
  }

 private:
  /// Feeds the current member; the remaining bytes belong to the next one. With gzip and xz no output can wait when the
  /// input is used up: a member ends with its checksum, which the decoder reads after the last byte of output.
  std::span<const std::uint8_t> decode(std::span<const std::uint8_t> packed, const TakePiece& take) {
    bool waiting = false;
    while (inside_member_ && (!packed.empty() || waiting)) {
      const Step done = step(packed, unpacked_);
      waiting = done.waiting;
      position_ += done.used;
      packed = packed.subspan(done.used);
      if (done.made > 0) take({unpacked_.data(), done.made});
      inside_member_ = !done.end;
    }
    return packed;
  }

  std::span<const std::uint8_t> enter_member(std::span<const std::uint8_t> packed) {
    const auto next = std::find_if(packed.begin(), packed.end(), [](std::uint8_t byte) { return byte != 0; });
    const auto padding = static_cast<std::size_t>(next - packed.begin());
    position_ += padding;
    if (next == packed.end()) return {};
    if (!begins_member(*next))
      fail(ErrorKind::data, path_, ": bytes that do not belong to it after the end of the ", format_, " data, from byte ",
           position_, "; get the file again");
    begin_member();
    inside_member_ = true;
    return packed.subspan(padding);
  }

  std::string format_;
  std::uint8_t first_byte_;
  std::string path_;
  std::vector<std::uint8_t> unpacked_;
  std::size_t position_ = 0;  // in the packed file
  bool inside_member_ = false;
};

class GzipFile final : public PackedFile {
 public:
  explicit GzipFile(std::string path) : PackedFile("gzip", kGzipMagic[0], std::move(path)) {
    constexpr int window = 15, gzip_header = 16;
    if (inflateInit2(&stream_, window + gzip_header) != Z_OK) fail("[unpack] zlib cannot start: out of memory");
  }
  ~GzipFile() override { inflateEnd(&stream_); }
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;

 private:
  void begin_member() override { inflateReset(&stream_); }

  Step step(std::span<const std::uint8_t> packed, std::span<std::uint8_t> unpacked) override {
    stream_.next_in = const_cast<std::uint8_t*>(packed.data());  // zlib's interface predates const; it only reads
    stream_.avail_in = static_cast<unsigned>(packed.size());
    stream_.next_out = unpacked.data();
    stream_.avail_out = static_cast<unsigned>(unpacked.size());
    const int code = inflate(&stream_, Z_NO_FLUSH);
    const std::size_t used = packed.size() - stream_.avail_in;
    if (code == Z_MEM_ERROR) fail("[unpack] zlib is out of memory");
    if (code != Z_OK && code != Z_STREAM_END) {
      const std::string_view message = stream_.msg ? stream_.msg : "invalid data";
      damaged(message == "incorrect data check" ? "checksum mismatch (CRC-32)" : message, used);
    }
    return {used, unpacked.size() - stream_.avail_out, code == Z_STREAM_END};
  }

  z_stream stream_{};
};

class XzFile final : public PackedFile {
 public:
  explicit XzFile(std::string path) : PackedFile("xz", kXzMagic[0], std::move(path)) {}
  ~XzFile() override { lzma_end(&stream_); }
  XzFile(const XzFile&) = delete;
  XzFile& operator=(const XzFile&) = delete;

 private:
  void begin_member() override {
    if (lzma_stream_decoder(&stream_, kXzMemory, 0) != LZMA_OK) fail("[unpack] liblzma cannot start: out of memory");
  }

  Step step(std::span<const std::uint8_t> packed, std::span<std::uint8_t> unpacked) override {
    stream_.next_in = packed.data();
    stream_.avail_in = packed.size();
    stream_.next_out = unpacked.data();
    stream_.avail_out = unpacked.size();
    const lzma_ret code = lzma_code(&stream_, LZMA_RUN);
    const std::size_t used = packed.size() - stream_.avail_in;
    switch (code) {
      case LZMA_OK:
      case LZMA_STREAM_END: break;
      case LZMA_MEM_ERROR: fail("[unpack] liblzma is out of memory");
      case LZMA_MEMLIMIT_ERROR: damaged("it asks for more than 512 MiB of memory to unpack", used);
      case LZMA_OPTIONS_ERROR: damaged("unsupported xz options", used);
      case LZMA_FORMAT_ERROR: damaged("not an xz header", used);
      default: damaged("checksum mismatch or corrupt blocks", used);  // liblzma has one code for both
    }
    return {used, unpacked.size() - stream_.avail_out, code == LZMA_STREAM_END};
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
};

class ZstdFile final : public PackedFile {
 public:
  explicit ZstdFile(std::string path) : PackedFile("zstd", kZstdMagic[0], std::move(path)), stream_(ZSTD_createDStream()) {
    if (!stream_) fail("[unpack] libzstd cannot start: out of memory");
  }

 private:
  void begin_member() override {
    ZSTD_DCtx_reset(stream_.get(), ZSTD_reset_session_only);
    at_start_ = true;
  }
  bool begins_member(std::uint8_t byte) const override { return byte == kZstdMagic[0] || (byte & 0xf0) == 0x50; }

  Step step(std::span<const std::uint8_t> packed, std::span<std::uint8_t> unpacked) override {
    // Its first byte alone: libzstd decodes a frame that it gets in one piece by another path, which is stricter about the
    // size in the header, and whether a file is damaged must not depend on where its pieces end.
    ZSTD_inBuffer in{packed.data(), at_start_ ? 1 : packed.size(), 0};
    at_start_ = false;
    ZSTD_outBuffer out{unpacked.data(), unpacked.size(), 0};
    const std::size_t left = ZSTD_decompressStream(stream_.get(), &out, &in);  // 0 at the end of a frame, or an error
    switch (ZSTD_getErrorCode(left)) {
      case ZSTD_error_no_error: break;
      case ZSTD_error_memory_allocation: fail("[unpack] libzstd is out of memory");
      case ZSTD_error_frameParameter_windowTooLarge: damaged("it asks for more than 128 MiB of memory to unpack", in.pos);
      case ZSTD_error_checksum_wrong: damaged("checksum mismatch", in.pos);
      default: damaged(ZSTD_getErrorName(left), in.pos);
    }
    return {in.pos, out.pos, left == 0, left != 0 && out.pos == out.size};
  }

  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  bool at_start_ = false;  // of a member
};

template <std::size_t n>
bool begins_with(std::span<const std::uint8_t> head, const std::array<std::uint8_t, n>& magic) {
  return head.size() >= n && std::equal(magic.begin(), magic.end(), head.begin());
}

}  // namespace

std::unique_ptr<Unpacker> make_unpacker(std::span<const std::uint8_t> head, const std::string& path) {
  if (begins_with(head, kGzipMagic)) return std::make_unique<GzipFile>(path);
  if (begins_with(head, kXzMagic)) return std::make_unique<XzFile>(path);
  const bool skippable = head.size() > 3 && (head[0] & 0xf0) == 0x50 && begins_with(head.subspan(1), kZstdSkippableMagic);
  if (begins_with(head, kZstdMagic) || skippable) return std::make_unique<ZstdFile>(path);
  return std::make_unique<PlainFile>();
}

}  // namespace alma
