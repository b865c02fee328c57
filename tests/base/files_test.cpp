// Reading what is in a folder, and replacing what a user has arranged there. Where a case needs another user or the right to
// mount or to make devices, it is one for root.
#include "base/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>

#include "base/error.h"
#include "tests/alma/limits.h"
#include "tests/base/system_calls.h"
#include "tests/data/files.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kNobody = 65534;

class Files : public testing::Test {
 protected:
  fs::path at(const std::string& name) const { return folder_ / name; }
  fs::path write(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    std::ofstream(at(name), std::ios::binary) << text;
    ::chmod(at(name).c_str(), mode);
    return at(name);
  }
  static std::string text_of(const fs::path& path) { return read_text(path).value_or("cannot be read"); }
  static struct stat status_of(const fs::path& path) {
    struct stat status {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path << ": " << std::strerror(errno);
    return status;
  }
  static mode_t mode_of(const fs::path& path) { return status_of(path).st_mode & 07777; }
  std::vector<std::string> temporaries() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      if (is_temporary(entry.path())) names.push_back(entry.path().filename());
    return names;
  }
  /// As another user, in a process of its own: true if all of `action` is.
  static bool as_nobody(const std::function<bool()>& action) {
    const pid_t child = ::fork();
    if (child == 0) {
      bool done = ::setegid(kNobody) == 0 && ::seteuid(kNobody) == 0;
      try {
        done = done && action();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        done = false;
      }
      ::_exit(done ? 42 : 1);
    }
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42;
  }

  TemporaryFolder folder_;
};
using FilesOfRoot = Files;

TEST_F(Files, AReaderSeesTheOldContentOrTheNewOne) {
  const fs::path path = write("file", "old");
  {
    FileReplacement file(path);
    file.write("ne");
    file.write("w");
    EXPECT_EQ(text_of(path), "old");
    EXPECT_EQ(temporaries().size(), 1u);
  }
  EXPECT_EQ(text_of(path), "old") << "without commit()";
  EXPECT_TRUE(temporaries().empty());
  const ino_t before = status_of(path).st_ino;
  write_atomically(path, "new");
  EXPECT_EQ(text_of(path), "new");
  EXPECT_NE(status_of(path).st_ino, before);
  EXPECT_TRUE(temporaries().empty());
}

TEST_F(Files, ADiskThatIsFullLeavesWhatWasThere) {
  const fs::path plain = write("plain", "old"), linked = write("linked", "old");
  fs::create_hard_link(linked, at("other name"));  // is overwritten, not replaced
  const FileSizeLimit limit(100);
  for (const fs::path& path : {plain, linked}) {
    expect_error(ErrorKind::failed, {path.string(), "File too large"},
                 [&] { write_atomically(path, std::string(101, 'x')); });
    EXPECT_EQ(text_of(path), "old");
    EXPECT_TRUE(temporaries().empty());
    write_atomically(path, std::string(100, 'x'));
    EXPECT_EQ(text_of(path), std::string(100, 'x'));
  }
}

TEST_F(Files, TemporaryNamesAreExclusive) {
  const fs::path path = at("file"), victim = write("victim", "precious");
  const auto name = [&](const char* digits) { return at(".alma-00000000000000" + std::string(digits) + ".tmp"); };
  fs::create_symlink(victim, name("01"));
  fs::create_symlink(at("nowhere"), name("02"));
  write(".alma-0000000000000003.tmp", "another's");
  ASSERT_EQ(::mkfifo(name("04").c_str(), 0600), 0);
  const ScopedAnswers chance({.random = {1, 2, 3, 4, 5}});
  write_atomically(path, "new");
  EXPECT_TRUE(system_answers().random.empty()) << "each of these names was tried";
  EXPECT_EQ(text_of(path), "new");
  EXPECT_EQ(text_of(victim), "precious");
  EXPECT_FALSE(fs::exists(at("nowhere")));
  EXPECT_EQ(text_of(name("03")), "another's");
  EXPECT_TRUE(S_ISFIFO(status_of(name("04")).st_mode));
  EXPECT_EQ(temporaries().size(), 4u) << "what others have put there stays";
  EXPECT_EQ(mode_of(victim), 0644);
}

TEST_F(Files, WritersDoNotMeet) {
  const fs::path path = at("file");
  FileReplacement one(path), two(path);
  one.write("one");
  two.write("two two");
  EXPECT_EQ(temporaries().size(), 2u);
  two.commit();
  EXPECT_EQ(text_of(path), "two two");
  one.commit();
  EXPECT_EQ(text_of(path), "one");
}

TEST_F(Files, OnlyAReplacementsNamesAreTemporary) {
  for (const char* name : {".alma-0123456789abcdef.tmp", "folder/.alma-1.tmp"}) EXPECT_TRUE(is_temporary(name)) << name;
  for (const char* name : {"alma-1.tmp", ".alma-1", "r.html.tmp", ".alma-1.tmp/file", ""})
    EXPECT_FALSE(is_temporary(name)) << name;
}

TEST_F(Files, LinksAreFollowedAndStay) {
  fs::create_directory(at("there"));
  const fs::path file = write("there/file", "old", 0600);
  fs::create_symlink("there/second", at("first"));  // a chain, each relative to its folder
  fs::create_symlink("file", at("there/second"));
  fs::create_symlink(at("there/new"), at("to nothing yet"));
  write_atomically(at("first"), "new");
  write_atomically(at("to nothing yet"), "made");
  for (const char* link : {"first", "there/second", "to nothing yet"}) EXPECT_TRUE(fs::is_symlink(at(link))) << link;
  EXPECT_EQ(text_of(file), "new");
  EXPECT_EQ(mode_of(file), 0600);
  EXPECT_EQ(text_of(at("there/new")), "made");
  fs::create_symlink("loop", at("loop"));
  expect_error(ErrorKind::failed, {"loop", "Too many levels of symbolic links"}, [&] { write_atomically(at("loop"), "x"); });
  expect_error(ErrorKind::failed, {"there", "Is a directory"}, [&] { write_atomically(at("there"), "x"); });
  expect_error(ErrorKind::failed, {"no/file", "No such file"}, [&] { write_atomically(at("no/file"), "x"); });
}

TEST_F(FilesOfRoot, ALinkOfAnotherUserInASharedFolderIsNotFollowed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make another user's link";
  const fs::path victim = write("victim", "precious"), shared = at("shared");
  fs::create_directory(shared);
  const auto plant = [&](const char* name, uid_t owner) {
    fs::create_symlink(victim, shared / name);
    EXPECT_EQ(::lchown((shared / name).c_str(), owner, owner), 0);
    return shared / name;
  };
  const fs::path own = plant("own", 0), others = plant("others", kNobody);
  ::chmod(shared.c_str(), 01777);
  expect_error(ErrorKind::failed, {others.string(), "symbolic link of another user", "another name"},
               [&] { write_atomically(others, "x"); });
  EXPECT_EQ(text_of(victim), "precious");
  write_atomically(own, "mine");
  EXPECT_EQ(text_of(victim), "mine");
  ::chmod(shared.c_str(), 0755);  // nobody else puts anything there
  write_atomically(others, "mine too");
  EXPECT_EQ(text_of(victim), "mine too");
}

TEST_F(Files, ModesStayAndNewFilesFollowTheUmask) {
  for (const mode_t mode : {0600, 0640, 0755, 0666}) {
    const fs::path path = write("file" + std::to_string(mode), "old", mode);
    write_atomically(path, "new");
    EXPECT_EQ(mode_of(path), mode);
  }
  const mode_t before = ::umask(0);
  for (const mode_t mask : {0, 022, 027, 077}) {
    ::umask(mask);
    const fs::path path = at("made" + std::to_string(mask));
    write_atomically(path, "new");
    EXPECT_EQ(mode_of(path), 0644 & ~mask);
  }
  // Nobody can look into the new content of a private file meanwhile.
  ::umask(0);
  FileReplacement secret(write("secret", "old", 0600));
  for (const std::string& name : temporaries()) EXPECT_EQ(mode_of(at(name)), 0600u);
  ::umask(before);
}

TEST_F(FilesOfRoot, OwnersStay) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  const fs::path path = write("file", "old", 0640);
  ASSERT_EQ(::chown(path.c_str(), kNobody, kNobody), 0);
  write_atomically(path, "new");
  EXPECT_EQ(text_of(path), "new");
  EXPECT_EQ(status_of(path).st_uid, kNobody);
  EXPECT_EQ(status_of(path).st_gid, kNobody);
  EXPECT_EQ(mode_of(path), 0640);
}

TEST_F(Files, OtherNamesAndAttributesStay) {
  const fs::path path = write("file", "old and long", 0600);
  fs::create_hard_link(path, at("other name"));
  write_atomically(path, "new");
  EXPECT_EQ(text_of(at("other name")), "new");
  EXPECT_EQ(status_of(path).st_ino, status_of(at("other name")).st_ino);
  {
    FileReplacement dropped(path);
    dropped.write("x");
  }
  EXPECT_EQ(text_of(path), "new") << "without commit()";
  const fs::path marked = write("marked", "old");
  if (::setxattr(marked.c_str(), "user.alma", "kept", 4, 0) != 0)
    GTEST_SKIP() << "the temporary folder's file system has no extended attributes: " << std::strerror(errno);
  write_atomically(marked, "new");
  char value[8] = {};
  EXPECT_EQ(::getxattr(marked.c_str(), "user.alma", value, sizeof value), 4);
  EXPECT_EQ(text_of(marked), "new");
}

TEST_F(FilesOfRoot, WhereTheFolderIsClosedTheFileIsOverwritten) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can act as another user";
  const fs::path path = write("file", "old and long", 0666), kept = write("kept", "precious", 0644);
  const ino_t before = status_of(path).st_ino;
  ::chmod(folder_.path().c_str(), 0755);
  EXPECT_TRUE(as_nobody([&] { return write_atomically(path, "new"), true; }));
  EXPECT_EQ(text_of(path), "new");
  EXPECT_EQ(status_of(path).st_ino, before);
  const auto is_refused = [](const fs::path& file) {
    try {
      write_atomically(file, "x");
    } catch (const Error& error) {
      return std::string(error.what()).find("Permission denied") != std::string::npos;
    }
    return false;
  };
  EXPECT_TRUE(as_nobody([&] { return is_refused(kept) && is_refused(at("new one")); }));
  EXPECT_EQ(text_of(kept), "precious");
  // May be written to and not read, as a letter box.
  ::chmod(folder_.path().c_str(), 0733);
  EXPECT_TRUE(as_nobody([&] { return write_atomically(at("letter"), "new"), true; }));
  EXPECT_EQ(text_of(at("letter")), "new");
}

TEST_F(FilesOfRoot, AFileThatIsMountedByItselfIsOverwritten) {
  const fs::path inside = write("inside", "old and long"), outside = write("outside", "outside");
  if (::mount(outside.c_str(), inside.c_str(), nullptr, MS_BIND, nullptr) != 0)
    GTEST_SKIP() << "only a user who may mount can mount a file over another: " << std::strerror(errno);
  EXPECT_NO_THROW(write_atomically(inside, "new"));
  ::umount2(inside.c_str(), MNT_DETACH);
  EXPECT_EQ(text_of(outside), "new");
  EXPECT_EQ(text_of(inside), "old and long");
  EXPECT_TRUE(temporaries().empty());
}

TEST_F(Files, PipesAndDevicesAreWrittenTo) {
  const fs::path pipe = at("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const File reader(pipe, O_RDONLY | O_NONBLOCK, File::Kind::any);
  write_atomically(pipe, "through the pipe");
  char text[64] = {};
  EXPECT_EQ(::read(reader.descriptor(), text, sizeof text - 1), 16);
  EXPECT_STREQ(text, "through the pipe");
  EXPECT_TRUE(S_ISFIFO(status_of(pipe).st_mode));

  // A terminal of one's own is a device that anyone can make.
  const File terminal("the terminal", ::posix_openpt(O_RDWR | O_NOCTTY), nullptr);
  if (terminal.descriptor() < 0 || ::grantpt(terminal.descriptor()) != 0 || ::unlockpt(terminal.descriptor()) != 0)
    GTEST_SKIP() << "this machine gives no pseudo-terminal: " << std::strerror(errno);
  const fs::path device = ::ptsname(terminal.descriptor());
  fs::create_symlink(device, at("link"));
  for (const fs::path& path : {device, at("link")}) {
    const File keeps_it_open(device, O_RDWR | O_NOCTTY, File::Kind::any);
    write_atomically(path, "to the device");
    std::memset(text, 0, sizeof text);
    EXPECT_EQ(::read(terminal.descriptor(), text, sizeof text - 1), 13);
    EXPECT_STREQ(text, "to the device");
    EXPECT_TRUE(S_ISCHR(status_of(device).st_mode));
  }
  EXPECT_TRUE(fs::is_symlink(at("link")));
}

TEST_F(FilesOfRoot, ANullDeviceStaysOne) {
  const fs::path device = at("null");
  if (::mknod(device.c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0 || !std::ofstream(device))
    GTEST_SKIP() << "only a user who may make devices can make a null device: " << std::strerror(errno);
  write_atomically(device, "into nothing");
  EXPECT_TRUE(S_ISCHR(status_of(device).st_mode));
  EXPECT_EQ(text_of(device), "");
}

// /dev/stdout leads to /proc/self/fd/1, which may be a file that the shell has opened and others write to as well.
TEST_F(Files, AnOwnDescriptorIsWrittenToWhereItStands) {
  const fs::path path = write("log", "before, ");
  const File log(path, O_WRONLY | O_APPEND);
  const fs::path name = "/proc/self/fd/" + std::to_string(log.descriptor());
  fs::create_symlink(name, at("stdout"));
  write_atomically(name, "one, ");
  write_atomically(at("stdout"), "two");
  EXPECT_EQ(text_of(path), "before, one, two");
  EXPECT_TRUE(fs::is_symlink(at("stdout")));
  expect_error(ErrorKind::failed, {"/proc/self/fd/999"}, [] { write_atomically("/proc/self/fd/999", "x"); });
}

TEST_F(Files, WhatAFileSystemCannotSyncIsNoFailure) {
  for (const int unknown : {EINVAL, ENOTSUP, ENOSYS}) {
    const ScopedAnswers answers({.sync_of_folder = unknown, .sync_of_file = unknown});
    write_atomically(at("file"), std::to_string(unknown));
    EXPECT_EQ(text_of(at("file")), std::to_string(unknown));
  }
}

TEST_F(Files, ADiskThatFailsIsAFailure) {
  const fs::path path = write("file", "old");
  {
    const ScopedAnswers answers({.sync_of_file = EIO});
    expect_error(ErrorKind::failed, {path.string(), "Input/output error"}, [&] { write_atomically(path, "new"); });
  }
  EXPECT_EQ(text_of(path), "old");
  EXPECT_TRUE(temporaries().empty());
  const ScopedAnswers answers({.sync_of_folder = EIO});
  expect_error(ErrorKind::failed, {folder_.path(), "Input/output error"}, [&] { write_atomically(path, "new"); });
  expect_error(ErrorKind::failed, {folder_.path(), "Input/output error"}, [&] { sync_folder(folder_.path()); });
  expect_error(ErrorKind::failed, {"nowhere", "No such file"}, [&] { sync_folder(at("nowhere")); });
}

TEST_F(Files, OnlyPlainFilesAreReadFromAFolderOfOthers) {
  EXPECT_EQ(read_plain_file(write("plain", "content")), "content");
  EXPECT_EQ(read_plain_file(write("empty", "")), "");
  EXPECT_EQ(read_plain_file(at("nothing")), std::nullopt);
  EXPECT_EQ(read_plain_file(at("plain/below")), std::nullopt);
  EXPECT_EQ(read_plain_file(at("plain"), 7), "content");
  expect_error(ErrorKind::data, {"plain", "7 bytes", "at most 6"}, [&] { read_plain_file(at("plain"), 6); });
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);  // nobody writes: a reader would wait for ever
  fs::create_directory(at("folder"));
  for (const auto& [name, kind] : {std::pair{"pipe", "a named pipe"}, std::pair{"folder", "a folder"}}) {
    expect_error(ErrorKind::data, {at(name).string(), kind, "expected a plain file"}, [&] { read_plain_file(at(name)); });
    expect_error(ErrorKind::failed, {at(name).string(), kind, "expected a plain file"}, [&] { File(at(name), O_RDONLY); });
  }
  expect_error(ErrorKind::data, {"/dev/zero", "a device"}, [] { read_plain_file("/dev/zero"); });
  fs::create_symlink("loop", at("loop"));
  expect_error(ErrorKind::failed, {"loop", "Too many levels"}, [&] { read_plain_file(at("loop")); });
}

}  // namespace
}  // namespace alma::test
