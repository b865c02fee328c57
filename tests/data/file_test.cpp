#include "data/file.h"

#include <unistd.h>

#include <filesystem>

#include "data/unpack.h"
#include "tests/data/files.h"
#include "tests/data/zstd.h"

namespace alma::test {
namespace {

struct Packer {
  const char* name;
  std::function<Bytes(const Bytes&)> pack;
};

Bytes zstandard(const Bytes& content) { return zstd(content); }

std::vector<Packer> packers() { return {{"gzip", gzip}, {"xz", xz}, {"zstd", zstandard}}; }

TEST(File, ReadsPlainAndPackedFilesByContentNotByName) {
  const TemporaryFolder folder;
  // 1 byte; the reader's piece exactly and around it; several pieces, packed and unpacked.
  for (const std::size_t size : {std::size_t{1}, kPieceBytes - 1, kPieceBytes, kPieceBytes + 1, 5 * kPieceBytes + 1}) {
    const Bytes content = sample_bytes(size);
    EXPECT_EQ(read_file(folder.write("plain.gz", content)), content) << size;
    EXPECT_EQ(read_file(folder.write("packed.txt", gzip(content))), content) << size;
    EXPECT_EQ(read_file(folder.write("packed.bin", xz(content))), content) << size;
    EXPECT_EQ(read_file(folder.write("packed.xz", zstd(content))), content) << size;
  }
}

TEST(File, ReadsContentThatUnpacksToFarMoreThanItsPieces) {
  const TemporaryFolder folder;
  const Bytes zeros(3 * kPieceBytes, 0);  // whole outputs of the decoder, from a few input bytes
  EXPECT_EQ(read_file(folder.write("zeros", gzip(zeros))), zeros);
  EXPECT_EQ(read_file(folder.write("zeros", xz(zeros))), zeros);
  EXPECT_EQ(read_file(folder.write("zeros", zstd(zeros))), zeros);
}

TEST(File, SkipsZstdFramesWithoutContent) {
  const TemporaryFolder folder;
  const Bytes content = sample_bytes(1000), extra = zstd_skippable(sample_bytes(300));
  EXPECT_EQ(read_file(folder.write("first", join(extra, zstd(content)))), content);
  EXPECT_EQ(read_file(folder.write("last", join(zstd(content), extra))), content);
  expect_error(ErrorKind::data, {"truncated: the zstd data"},
               [&] { read_file(folder.write("cut", first_bytes(join(zstd(content), extra), zstd(content).size() + 20))); });
}

TEST(File, AZstdFrameMayNotAskForMoreMemoryThanItsDefault) {
  const TemporaryFolder folder;
  const Bytes content = sample_bytes(1000);
  EXPECT_EQ(read_file(folder.write("default", zstd(content, 27))), content);
  expect_error(ErrorKind::data, {"more than 128 MiB of memory"},
               [&] { read_file(folder.write("long", zstd(content, 28))); });
}

TEST(File, ReadsAllConcatenatedMembersAndPadding) {
  const TemporaryFolder folder;
  const Bytes one = sample_bytes(700000, 1), two = sample_bytes(33, 2), both = join(one, two);
  for (const auto& [name, pack] : packers()) {
    EXPECT_EQ(read_file(folder.write("two", join(pack(one), pack(two)))), both) << name;
    EXPECT_EQ(read_file(folder.write("padded", join(pack(one), join(Bytes(8, 0), join(pack(two), Bytes(512, 0)))))), both)
        << name;
  }
}

TEST(File, EveryTruncationIsFound) {
  const TemporaryFolder folder;
  const Bytes content = sample_bytes(400);
  for (const auto& [name, pack] : packers()) {
    const Bytes packed = pack(content);
    for (std::size_t size = 6; size < packed.size(); ++size) {  // below 6 bytes the format cannot be told
      const std::string path = folder.write("short", first_bytes(packed, size));
      SCOPED_TRACE(std::string(name) + " cut to " + std::to_string(size));
      expect_error(ErrorKind::data,
                   {path, "truncated", name, "after " + std::to_string(size) + " bytes", "get the file again"},
                   [&] { read_file(path); });
    }
    const Bytes twice = join(packed, packed);
    const std::string path = folder.write("short", first_bytes(twice, twice.size() - 3));
    expect_error(ErrorKind::data, {path, "truncated"}, [&] { read_file(path); });
  }
}

TEST(File, AFlippedBitNeverChangesTheContentUnnoticed) {
  const TemporaryFolder folder;
  const Bytes content = sample_bytes(300);
  for (const auto& [name, pack] : packers()) {
    const bool is_gzip = std::string(name) == "gzip";
    const Bytes packed = pack(content);
    int unnoticed = 0;
    // gzip does not protect its header beyond the magic: time, flags and system (bytes 3 .. 9) may change freely.
    for (std::size_t at = is_gzip ? 10 : 6; at < packed.size(); ++at) {
      Bytes damaged = packed;
      damaged[at] ^= 0x10;
      const std::string path = folder.write("damaged", damaged);
      SCOPED_TRACE(std::string(name) + " byte " + std::to_string(at));
      try {
        EXPECT_EQ(read_file(path), content);
        ++unnoticed;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::data);
        EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      }
    }
    EXPECT_LE(unnoticed, is_gzip ? 1 : 0) << name;  // up to 7 bits before gzip's checksum are filling and mean nothing
  }
}

TEST(File, NamesAChecksumMismatch) {
  const TemporaryFolder folder;
  for (const auto& [name, pack] : packers()) {
    Bytes packed = pack(sample_bytes(1000));
    // gzip: CRC-32 in bytes -8 .. -5. xz: CRC-64 of the block before the index (8 or so) and the footer (12 bytes).
    // zstd: XXH64's lower half, the last 4 bytes.
    const std::size_t from_end = std::string(name) == "gzip" ? 8 : std::string(name) == "zstd" ? 4 : 12 + 8 + 8;
    packed[packed.size() - from_end] ^= 1;
    const std::string path = folder.write("crc", packed);
    expect_error(ErrorKind::data, {path, "damaged", "checksum mismatch", "near byte"}, [&] { read_file(path); });
  }
}

TEST(File, BytesAfterTheEndAreFound) {
  const TemporaryFolder folder;
  for (const auto& [name, pack] : packers()) {
    const Bytes packed = pack(sample_bytes(1000));
    const std::string path = folder.write("garbage", join(packed, {'x', 'y'}));
    expect_error(ErrorKind::data, {path, "after the end", name, "from byte " + std::to_string(packed.size())},
                 [&] { read_file(path); });
  }
}

TEST(File, EmptyFilesAreErrors) {
  const TemporaryFolder folder;
  const std::string empty = folder.write("empty", {});
  expect_error(ErrorKind::data, {empty, "empty file"}, [&] { read_file(empty); });
  for (const auto& [name, pack] : packers()) {
    const std::string path = folder.write("nothing", pack({}));
    expect_error(ErrorKind::data, {path, "empty once unpacked"}, [&] { read_file(path); });
  }
}

TEST(File, TheLimitCountsUnpackedBytes) {
  const TemporaryFolder folder;
  const Bytes content = sample_bytes(5000);
  for (const Bytes& stored : {content, gzip(content), xz(content), zstd(content)}) {
    const std::string path = folder.write("limited", stored);
    EXPECT_EQ(read_file(path, 5000), content);
    expect_error(ErrorKind::data, {path, "more than 4999 bytes"}, [&] { read_file(path, 4999); });
  }
}

TEST(File, ABombCostsNoMemory) {
  const TemporaryFolder folder;
  const std::string path = folder.write("bomb", gzip(Bytes(64 << 20, 0)));  // 64 KiB packed
  std::size_t taken = 0;
  expect_error(ErrorKind::data, {path, "more than 1000000 bytes"},
               [&] { read_pieces(path, 1000000, [&](auto piece) { taken += piece.size(); }); });
  EXPECT_LE(taken, 1000000u);
}

TEST(File, MissingFoldersAndUnreadableFiles) {
  const TemporaryFolder folder;
  expect_error(ErrorKind::data, {folder / "none", "cannot be opened", "No such file"}, [&] { read_file(folder / "none"); });
  expect_error(ErrorKind::data, {folder.path(), "a folder"}, [&] { read_file(folder.path()); });
  std::filesystem::create_symlink(folder / "loop", folder / "loop");
  expect_error(ErrorKind::data, {folder / "loop", "cannot be opened"}, [&] { read_file(folder / "loop"); });
}

TEST(File, AReadThatFailsIsAnError) {
  // A process's own memory at address 0 can be opened, but not read.
  expect_error(ErrorKind::data, {"/proc/self/mem", "cannot be read"}, [] { read_file("/proc/self/mem"); });
}

/// Root may read everything: while it exists, the process has the rights of a user who is nobody.
class AsNobody {
 public:
  AsNobody() {
    if (before_ == 0 && seteuid(65534) != 0) throw std::runtime_error("root may not become another user");
  }
  ~AsNobody() {
    if (before_ == 0 && seteuid(0) != 0) std::abort();
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;

 private:
  uid_t before_ = geteuid();
};

TEST(File, NoPermissionIsAnError) {
  const TemporaryFolder folder;
  const std::string path = folder.write("secret", sample_bytes(10));
  std::filesystem::permissions(path, std::filesystem::perms::none);
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  const AsNobody nobody;
  expect_error(ErrorKind::data, {path, "cannot be opened", "Permission denied"}, [&] { read_file(path); });
}

TEST(Checksum, KnownAnswersOfFips180) {
  const auto of = [](const std::string& text) {
    return sha256({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  };
  EXPECT_EQ(of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(of(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Checksum, PiecesMakeTheSameSum) {
  const Bytes content = sample_bytes(100003);
  Sha256 sum;
  for (std::size_t at = 0; at < content.size(); at += 997)
    sum.add({content.data() + at, std::min<std::size_t>(997, content.size() - at)});
  EXPECT_EQ(sum.hex(), sha256(content));
}

}  // namespace
}  // namespace alma::test
