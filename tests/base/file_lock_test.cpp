#include "base/file_lock.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>

#include "base/error.h"
#include "tests/base/system_calls.h"
#include "tests/data/files.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;
using State = FileLock::State;

TEST(FileLock, OneHolderAtATime) {
  const TemporaryFolder folder;
  const fs::path path = folder / "lock";
  FileLock second(path);
  {
    FileLock first(path);
    EXPECT_EQ(first.take(), State::held);
    EXPECT_EQ(first.take(), State::held) << "what is held stays so";
    EXPECT_EQ(second.take(), State::busy);
    EXPECT_EQ(second.take(), State::busy);
    EXPECT_EQ(FileLock(folder / "other").take(), State::held);
  }
  EXPECT_TRUE(fs::exists(path));
  EXPECT_EQ(second.take(), State::held);
}

TEST(FileLock, AnotherProcessSaysWhoItIs) {
  const TemporaryFolder folder;
  const fs::path path = folder / "lock";
  std::ofstream(path) << "the holder before, of a longer name";
  int told[2];
  ASSERT_EQ(::pipe(told), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    FileLock lock(path);
    const bool held = lock.take() == State::held;
    lock.write("process " + std::to_string(::getpid()));
    if (::write(told[1], held ? "+" : "-", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char held = 0;
  ASSERT_EQ(::read(told[0], &held, 1), 1);
  EXPECT_EQ(held, '+');
  FileLock lock(path);
  EXPECT_EQ(lock.take(), State::busy);
  EXPECT_EQ(read_text(path), "process " + std::to_string(child));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(lock.take(), State::held) << "a process that is gone is no obstacle";
  lock.write("new");
  lock.write("newer");
  EXPECT_EQ(read_text(path), "newer");
  for (const int end : told) ::close(end);
}

TEST(FileLock, APlantedFileIsNotTaken) {
  const TemporaryFolder folder;
  const std::string victim = folder.write("victim", {'x'});
  fs::create_symlink(victim, folder / "link");
  fs::create_symlink(folder / "nowhere", folder / "to nowhere");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  fs::create_directory(folder / "folder");
  for (const char* name : {"link", "to nowhere", "pipe", "folder"})
    expect_error(ErrorKind::failed, {folder / name}, [&] { FileLock lock(folder / name); });
  EXPECT_EQ(read_text(victim), "x");
  EXPECT_FALSE(fs::exists(folder / "nowhere"));
}

TEST(FileLock, FileSystemsWithoutLocksKeepNobodyOut) {
  const TemporaryFolder folder;
  FileLock lock(folder / "lock");
  for (const int unknown : {ENOLCK, ENOSYS, ENOTSUP, EINVAL}) {
    const ScopedAnswers answers({.lock = unknown});
    EXPECT_EQ(lock.take(), State::unsupported) << unknown;
  }
  {
    const ScopedAnswers answers({.lock = EIO});
    expect_error(ErrorKind::failed, {"cannot lock", folder / "lock", "Input/output error"}, [&] { lock.take(); });
  }
  EXPECT_EQ(lock.take(), State::held);
}

}  // namespace
}  // namespace alma::test
