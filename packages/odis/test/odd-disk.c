// Preloaded into a process, makes its file system as poor as network drives and exFAT are:
//   ODD_LINK=errno          hard links are refused with it
//   ODD_SYNC_FOLDER=errno   fsync of a folder is refused with it
//   ODD_SLOW=text           reads of files with it in their path take a minute
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int refused(const char *name) {
  const char *code = getenv(name);
  if (code == NULL) return 0;
  errno = atoi(code);
  return 1;
}

static void wait_if_slow(int file) {
  const char *slow = getenv("ODD_SLOW");
  if (slow == NULL) return;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return;
  path[length] = 0;
  if (strstr(path, slow) != NULL) sleep(60);
}

int link(const char *from, const char *to) {
  if (refused("ODD_LINK")) return -1;
  int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "link");
  return real(from, to);
}

int fsync(int file) {
  struct stat what;
  if (fstat(file, &what) == 0 && S_ISDIR(what.st_mode) && refused("ODD_SYNC_FOLDER")) return -1;
  int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
  return real(file);
}

ssize_t read(int file, void *into, size_t size) {
  wait_if_slow(file);
  ssize_t (*real)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
  return real(file, into, size);
}

ssize_t pread64(int file, void *into, size_t size, off_t at) {
  wait_if_slow(file);
  ssize_t (*real)(int, void *, size_t, off_t) = dlsym(RTLD_NEXT, "pread64");
  return real(file, into, size, at);
}
