// Files of every format: written whole or not at all, and what cannot be opened.

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <pushforward/error.hpp>
#include <pushforward/io/csv.hpp>
#include <pushforward/io/npy.hpp>
#include <pushforward/io/safetensors.hpp>
#include <string>
#include <utility>

#include "tests/catch.hpp"
#include "tests/files.hpp"

using namespace pushforward;
using namespace file_tests;

namespace {

/// What ended a child that does `action`: the signal, or its exit status (0 after the action).
template <class F>
int in_child(F action) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int status = 2;
    try {
      action();
      status = 0;
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

/// From now on this process's openat calls with all of `flags` fail with `error`.
void refuse_open_with(unsigned flags, unsigned error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, flags),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, flags, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{static_cast<unsigned short>(std::size(program)), program};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0 ||
      ::open(".", static_cast<int>(flags) | O_WRONLY, 0666) >= 0 || errno != static_cast<int>(error))
    ::_exit(3);
}

}  // namespace

TEST_CASE("files: all or nothing") {
  const Folder folder;
  const fs::path path = folder.put("t.csv", "old");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  {
    CsvWriter abandoned(path, {"a"});
    abandoned.write(Matrix<double>::Ones(100000, 1).eval());
    CsvWriter second(path, {"a"});  // at the same time
    second.write(Matrix<double>::Ones(100000, 1).eval());
  }
  CHECK(folder.files() == Names{"t.csv"});
  CHECK(folder.text_of("t.csv") == "old");

  CsvWriter writer(path, {"a"});
  CsvWriter moved = std::move(writer);
  CHECK_THROWS_AS(writer.commit(), Error);  // NOLINT: the use after the move is the test
  moved.commit();
  CHECK(folder.text_of("t.csv") == "a\n");
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));

  // A symbolic link stays a link.
  fs::create_symlink("t.csv", folder / "link.csv");
  CsvWriter through(folder / "link.csv", {"b"});
  through.commit();
  CHECK(fs::is_symlink(folder / "link.csv"));
  CHECK(folder.text_of("t.csv") == "b\n");

  // A disk that fills up while writing: SIGXFSZ ignored, the limit gives EFBIG.
  rlimit old{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  rlimit small = old;
  small.rlim_cur = 4096;
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string error = io_error([&] { write_npy(path, Matrix<double>::Ones(1000, 10).eval()); });
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK(error == path.string() + ": cannot write: File too large");
  CHECK(folder.files() == Names{"link.csv", "t.csv"});
  CHECK(folder.text_of("t.csv") == "b\n");

  // A folder that takes the name between opening and commit.
  CsvWriter late(folder / "late.csv", {"a"});
  fs::create_directory(folder / "late.csv");
  CHECK(io_error([&] { late.commit(); }) == (folder / "late.csv").string() + ": cannot write: Is a directory");
  CHECK(folder.files() == Names{"late.csv", "link.csv", "t.csv"});

  // Devices are written directly.
  if (fs::exists("/dev/full")) {
    CsvWriter full("/dev/full", {"a"});
    CHECK(io_error([&] { full.commit(); }) == "/dev/full: cannot write: No space left on device");
  }
  CsvWriter null("/dev/null", {"a"});
  null.commit();
}

TEST_CASE("files: a process that is killed leaves nothing behind") {
  const Folder folder;
  const fs::path path = folder.put("t.csv", "old");
  CHECK(in_child([&] {
    CsvWriter writer(path, {"a"});
    writer.write(Matrix<double>::Ones(100000, 1).eval());
    std::raise(SIGKILL);
  }) == SIGKILL);
  CHECK(folder.files() == Names{"t.csv"});
  CHECK(folder.text_of("t.csv") == "old");
}

TEST_CASE("files: all or nothing where files have names from the start") {
  const Folder folder;
  const fs::path path = folder.put("t.csv", "old");
  const auto without_unnamed = [&](auto action) {
    return in_child([&] {
      refuse_open_with(O_TMPFILE, EOPNOTSUPP);
      action();
    });
  };
  CHECK(without_unnamed([&] {
    CsvWriter abandoned(path, {"a"});
    abandoned.write(Matrix<double>::Ones(100000, 1).eval());
    CsvWriter second(path, {"a"});  // at the same time
    if (folder.files().size() != 3) ::_exit(1);
  }) == 0);
  CHECK(folder.files() == Names{"t.csv"});
  CHECK(folder.text_of("t.csv") == "old");
  CHECK(without_unnamed([&] { CsvWriter(path, {"a"}).commit(); }) == 0);
  CHECK(folder.files() == Names{"t.csv"});
  CHECK(folder.text_of("t.csv") == "a\n");
}

TEST_CASE("files: what cannot be opened") {
  const Folder folder;
  const std::string missing = (folder / "no.csv").string(), here = (folder / ".").string();
  CHECK(io_error([&] { read_csv(missing); }) == missing + ": cannot open for reading: No such file or directory");
  CHECK(io_error([&] { read_npy(missing); }) == missing + ": cannot open for reading: No such file or directory");
  CHECK(io_error([&] { NpzFile{fs::path(missing)}; }) ==
        missing + ": cannot open for reading: No such file or directory");
  CHECK(io_error([&] { SafetensorsFile::read(missing); }) ==
        missing + ": cannot open for reading: No such file or directory");
  CHECK(io_error([&] { read_csv(here); }) == here + ": cannot open for reading: Is a directory");
  CHECK(io_error([&] { SafetensorsFile::read(here); }) == here + ": cannot open for reading: Is a directory");
  CHECK(io_error([&] { CsvWriter(here, {"a"}); }) == here + ": cannot open for writing: Is a directory");
  CHECK(io_error([&] { CsvWriter("", {"a"}); }) == "\"\": cannot open for writing: No such file or directory");
  const std::string nowhere = (folder / "no/t.csv").string();
  CHECK(io_error([&] { CsvWriter(nowhere, {"a"}); }) ==
        nowhere + ": cannot open for writing: No such file or directory");
  const fs::path locked = folder.put("locked.csv", "a\n1\n");
  fs::permissions(locked, fs::perms::none);
  if (::access(locked.c_str(), R_OK) != 0) {  // the superuser may read everything
    CHECK(io_error([&] { read_csv(locked); }) == locked.string() + ": cannot open for reading: Permission denied");
    CHECK(io_error([&] { CsvWriter(locked, {"a"}); }) ==
          locked.string() + ": cannot open for writing: Permission denied");
  }
  // A pipe has neither size nor offsets.
  const fs::path pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::ofstream(pipe) << npy_of("<f8", "(2,)", raw<double>({1, 2}));
    ::_exit(0);
  }
  CHECK(read_npy(pipe).values == Tensor<double>::of({1, 2}));
  CHECK(::waitpid(child, nullptr, 0) == child);
}
