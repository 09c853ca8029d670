/* Preloaded before a program: its calls to the system and to the allocator fail, one in each run.
 *   FAIL_KIND   file, memory
 *   FAIL_AT     which call, from 1
 *   FAIL_AFTER  yes: all that follow too, as on a full disk
 *   FAIL_MARK   a file that is made when a call fails, with the addresses of its callers: without it the run had fewer
 *               calls
 * Only calls of the program and of its shared libraries are seen, not those within the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { off, file, memory };
static int kind = off, after = 0;
static long at = 0;
static atomic_long calls = 0;

/* From `main` on: what comes before is the loader's and the libraries'. */
static int (*true_main)(int, char**, char**);
static int counted_main(int count, char** words, char** environment) {
  const char* text = getenv("FAIL_KIND");
  at = getenv("FAIL_AT") ? atol(getenv("FAIL_AT")) : 0;
  after = getenv("FAIL_AFTER") != NULL;
  if (text && at > 0) kind = strcmp(text, "memory") == 0 ? memory : file;
  const int status = true_main(count, words, environment);
  kind = off;
  return status;
}
int __libc_start_main(int (*main)(int, char**, char**), int count, char** words, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void* stack_end) {
  true_main = main;
  int (*const next)(int (*)(int, char**, char**), int, char**, void (*)(void), void (*)(void), void (*)(void), void*) =
      (int (*)(int (*)(int, char**, char**), int, char**, void (*)(void), void (*)(void), void (*)(void), void*))dlsym(
          RTLD_NEXT, "__libc_start_main");
  return next(counted_main, count, words, init, fini, rtld_fini, stack_end);
}

static int fails(int of, int error) {
  if (kind != of) return 0;
  const long n = atomic_fetch_add(&calls, 1) + 1;
  if (n != at && !(after && n > at)) return 0;
  const char* mark = getenv("FAIL_MARK");
  if (mark && n == at) {
    const int out = (int)syscall(SYS_openat, AT_FDCWD, mark, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    void* callers[16];
    kind = off;  /* what follows takes memory */
    backtrace_symbols_fd(callers, backtrace(callers, 16), out);
    kind = of;
    syscall(SYS_close, out);
  }
  errno = error;
  return 1;
}

#define NEXT(name) ((__typeof__(name)*)dlsym(RTLD_NEXT, #name))
/* type name(parameters): gives `failed` and sets errno, or does what it always does */
#define FILE_CALL(type, name, parameters, arguments, error, failed) \
  type name parameters {                                            \
    if (fails(file, error)) return failed;                          \
    return NEXT(name) arguments;                                    \
  }

FILE_CALL(ssize_t, read, (int fd, void* to, size_t n), (fd, to, n), EIO, -1)
FILE_CALL(ssize_t, pread, (int fd, void* to, size_t n, off_t o), (fd, to, n, o), EIO, -1)
FILE_CALL(ssize_t, pread64, (int fd, void* to, size_t n, off64_t o), (fd, to, n, o), EIO, -1)
FILE_CALL(ssize_t, write, (int fd, const void* from, size_t n), (fd, from, n), ENOSPC, -1)
FILE_CALL(int, fsync, (int fd), (fd), EIO, -1)
FILE_CALL(int, ftruncate, (int fd, off_t n), (fd, n), ENOSPC, -1)
FILE_CALL(int, ftruncate64, (int fd, off64_t n), (fd, n), ENOSPC, -1)
FILE_CALL(int, rename, (const char* a, const char* b), (a, b), EIO, -1)
FILE_CALL(int, linkat, (int a, const char* b, int c, const char* d, int e), (a, b, c, d, e), EIO, -1)
FILE_CALL(int, posix_fallocate, (int fd, off_t o, off_t n), (fd, o, n), 0, ENOSPC)
FILE_CALL(int, posix_fallocate64, (int fd, off64_t o, off64_t n), (fd, o, n), 0, ENOSPC)
FILE_CALL(int, mkstemp, (char* name), (name), EACCES, -1)
FILE_CALL(int, mkstemp64, (char* name), (name), EACCES, -1)
FILE_CALL(FILE*, fopen, (const char* name, const char* mode), (name, mode), EMFILE, NULL)
FILE_CALL(FILE*, fopen64, (const char* name, const char* mode), (name, mode), EMFILE, NULL)
FILE_CALL(FILE*, tmpfile, (void), (), EACCES, NULL)
FILE_CALL(FILE*, tmpfile64, (void), (), EACCES, NULL)
FILE_CALL(size_t, fwrite, (const void* from, size_t size, size_t n, FILE* to), (from, size, n, to), ENOSPC, 0)
FILE_CALL(size_t, fread, (void* to, size_t size, size_t n, FILE* from), (to, size, n, from), EIO, 0)
FILE_CALL(int, fflush, (FILE * to), (to), ENOSPC, EOF)
FILE_CALL(int, fseek, (FILE * of, long offset, int whence), (of, offset, whence), EIO, -1)

#define OPEN(name)                                                                   \
  int name(const char* path, int flags, ...) {                                       \
    va_list list;                                                                    \
    va_start(list, flags);                                                           \
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(list, mode_t) : 0; \
    va_end(list);                                                                    \
    if (fails(file, EMFILE)) return -1;                                              \
    return NEXT(name)(path, flags, mode);                                            \
  }
OPEN(open)
OPEN(open64)
void* mmap(void* where, size_t n, int protection, int flags, int fd, off_t o) {
  if (fails(fd >= 0 ? file : memory, ENOMEM)) return MAP_FAILED;
  return (void*)syscall(SYS_mmap, where, n, protection, flags, fd, o);
}
void* mmap64(void* where, size_t n, int protection, int flags, int fd, off64_t o) {
  if (fails(fd >= 0 ? file : memory, ENOMEM)) return MAP_FAILED;
  return (void*)syscall(SYS_mmap, where, n, protection, flags, fd, o);
}

/* dlsym takes memory itself: these names go straight to the C library. */
extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);
void* malloc(size_t n) { return fails(memory, ENOMEM) ? NULL : __libc_malloc(n); }
void* calloc(size_t n, size_t size) { return fails(memory, ENOMEM) ? NULL : __libc_calloc(n, size); }
void* realloc(void* p, size_t n) { return fails(memory, ENOMEM) ? NULL : __libc_realloc(p, n); }
void* memalign(size_t a, size_t n) { return fails(memory, ENOMEM) ? NULL : __libc_memalign(a, n); }
void* aligned_alloc(size_t a, size_t n) { return fails(memory, ENOMEM) ? NULL : __libc_memalign(a, n); }
int posix_memalign(void** p, size_t a, size_t n) {
  if (fails(memory, ENOMEM)) return ENOMEM;
  *p = __libc_memalign(a, n);
  return *p ? 0 : ENOMEM;
}
