#include "tests/data/tar.h"

#include <archive.h>
#include <archive_entry.h>

#include <stdexcept>

namespace alma::test {
namespace {

void describe(archive_entry* header, const TarEntry& entry) {
  using Type = TarEntry::Type;
  archive_entry_set_pathname(header, entry.path.c_str());
  archive_entry_set_perm(header, 0644);
  archive_entry_set_size(header, static_cast<la_int64_t>(entry.content.size()));
  switch (entry.type) {
    case Type::hard_link: archive_entry_set_hardlink(header, entry.target.c_str()); [[fallthrough]];
    case Type::file: archive_entry_set_filetype(header, AE_IFREG); break;
    case Type::folder: archive_entry_set_filetype(header, AE_IFDIR); break;
    case Type::symbolic_link:
      archive_entry_set_filetype(header, AE_IFLNK);
      archive_entry_set_symlink(header, entry.target.c_str());
      break;
    case Type::device: archive_entry_set_filetype(header, AE_IFBLK); break;
    case Type::pipe: archive_entry_set_filetype(header, AE_IFIFO); break;
  }
}

}  // namespace

Bytes tar(const std::vector<TarEntry>& entries) {
  std::size_t room = 1 << 16;
  for (const TarEntry& entry : entries) room += entry.content.size() + 4096;
  Bytes bytes(room);
  std::size_t used = 0;
  archive* writer = archive_write_new();
  archive_write_set_format_gnutar(writer);
  bool good = archive_write_open_memory(writer, bytes.data(), bytes.size(), &used) == ARCHIVE_OK;
  for (const TarEntry& entry : entries) {
    archive_entry* header = archive_entry_new();
    describe(header, entry);
    good = good && archive_write_header(writer, header) == ARCHIVE_OK;
    good = good && archive_write_data(writer, entry.content.data(), entry.content.size()) ==
                       static_cast<la_ssize_t>(entry.content.size());
    archive_entry_free(header);
  }
  good = good && archive_write_close(writer) == ARCHIVE_OK;
  archive_write_free(writer);
  if (!good) throw std::runtime_error("libarchive cannot write the archive");
  return first_bytes(bytes, used);
}

}  // namespace alma::test
