/* Preloaded into a process, simulates file systems that lack an operation: LACKING names them, separated by commas. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int lacks(const char *name) {
    const char *lacking = getenv("LACKING");
    return lacking != NULL && strstr(lacking, name) != NULL;
}

static int fails(int error) {
    errno = error;
    return -1;
}

static int is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int fsync(int descriptor) {
    struct stat status;
    if (fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
        if (lacks("sync-einval")) return fails(EINVAL);
        if (lacks("sync-enotsup")) return fails(ENOTSUP);
        if (lacks("sync-eio")) return fails(EIO);
    }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(descriptor);
}

int flock(int descriptor, int operation) {
    if (lacks("lock-enosys")) return fails(ENOSYS);
    if (lacks("lock-enolck")) return fails(ENOLCK);
    if (lacks("lock-ebadf")) return fails(EBADF);
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(descriptor, operation);
}

int rename(const char *source, const char *target) {
    if (is_folder(source)) {
        if (lacks("rename-exdev")) return fails(EXDEV);
        if (lacks("rename-enotsup")) return fails(ENOTSUP);
        if (lacks("rename-over") && is_folder(target)) return fails(ENOTEMPTY);
    }
    return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(source, target);
}

int renameat2(int from, const char *source, int to, const char *target, unsigned flags) {
    if (lacks("rename")) return fails(EINVAL); /* no flags */
    return ((int (*)(int, const char *, int, const char *, unsigned))dlsym(RTLD_NEXT, "renameat2"))(from, source, to, target, flags);
}
