/* Lets the n-th write, read or lock of files in a folder fail, as a full disk, a bad sector or a network disk would.
   Loaded before everything else (LD_PRELOAD); does nothing until `fault_arm` is called. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NOTHING = 0, WRITES = 1, READS = 2, LOCKS = 3 };
static char folder[4096];
static atomic_long seen, nth;
static atomic_int kind, code, sticky;

void fault_arm(const char *where, int what, long which, int error, int stays) {
    strncpy(folder, where, sizeof folder - 1);
    atomic_store(&seen, 0);
    atomic_store(&nth, which);
    atomic_store(&code, error);
    atomic_store(&sticky, stays);
    atomic_store(&kind, what);
}

long fault_seen(void) { return atomic_load(&seen); }

static int hits_path(int what, const char *path) {
    if (atomic_load(&kind) != what || strncmp(path, folder, strlen(folder))) return 0;
    long mine = atomic_fetch_add(&seen, 1) + 1;
    if (mine < atomic_load(&nth) || (mine > atomic_load(&nth) && !atomic_load(&sticky))) return 0;
    errno = atomic_load(&code);
    return 1;
}

static int hits(int what, int fd) {
    if (atomic_load(&kind) != what) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return hits_path(what, path);
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))
#define WRAP(type, name, what, parameters, arguments) \
    type name parameters { \
        static __typeof__(name) *real; \
        if (!real) real = REAL(name); \
        if (hits(what, fd)) return -1; \
        return real arguments; \
    }

WRAP(ssize_t, write, WRITES, (int fd, const void *b, size_t n), (fd, b, n))
WRAP(ssize_t, pwrite, WRITES, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o))
WRAP(ssize_t, pwrite64, WRITES, (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o))
WRAP(ssize_t, writev, WRITES, (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP(int, ftruncate, WRITES, (int fd, off_t n), (fd, n))
WRAP(int, ftruncate64, WRITES, (int fd, off64_t n), (fd, n))
WRAP(int, fsync, WRITES, (int fd), (fd))
WRAP(ssize_t, read, READS, (int fd, void *b, size_t n), (fd, b, n))
WRAP(ssize_t, pread, READS, (int fd, void *b, size_t n, off_t o), (fd, b, n, o))
WRAP(ssize_t, pread64, READS, (int fd, void *b, size_t n, off64_t o), (fd, b, n, o))
WRAP(int, flock, LOCKS, (int fd, int operation), (fd, operation))

ssize_t sendfile(int out, int in, off_t *o, size_t n) {
    static ssize_t (*real)(int, int, off_t *, size_t);
    if (!real) real = (ssize_t (*)(int, int, off_t *, size_t))dlsym(RTLD_NEXT, "sendfile");
    return hits(WRITES, out) || hits(READS, in) ? -1 : real(out, in, o, n);
}

ssize_t copy_file_range(int in, off64_t *oi, int out, off64_t *oo, size_t n, unsigned flags) {
    static ssize_t (*real)(int, off64_t *, int, off64_t *, size_t, unsigned);
    if (!real) real = (ssize_t (*)(int, off64_t *, int, off64_t *, size_t, unsigned))dlsym(RTLD_NEXT, "copy_file_range");
    return hits(WRITES, out) || hits(READS, in) ? -1 : real(in, oi, out, oo, n, flags);
}

/* A full disk may have no room for the name of a new file either. */
#define WRAP_OPEN(name) \
    int name(const char *path, int flags, ...) { \
        static int (*real)(const char *, int, ...); \
        if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        va_list list; \
        va_start(list, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list); \
        if ((flags & O_CREAT) && hits_path(WRITES, path)) return -1; \
        return real(path, flags, mode); \
    }
WRAP_OPEN(open)
WRAP_OPEN(open64)
