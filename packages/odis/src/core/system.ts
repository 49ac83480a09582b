/** What the system's error codes mean for somebody who works with files. */
const meanings: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file would be larger than the system allows (ulimit -f)",
  EIO: "the disk reports an error (input/output error)",
  EMFILE: "too many open files (ulimit -n)",
  ENFILE: "too many open files in the whole system",
  ENOENT: "it does not exist",
  ENOTDIR: "a part of its path is no folder",
  EISDIR: "it is a folder",
  EEXIST: "it exists already",
  ENOTEMPTY: "the folder is not empty",
  EBUSY: "it is in use",
  ETXTBSY: "it is in use",
  ELOOP: "links lead round in a circle",
  ENAMETOOLONG: "its name is too long",
  ENXIO: "it is a pipe, a socket or a device that nobody serves",
  ENODEV: "the device does not exist",
  ENOSYS: "the file system cannot do this",
  ENOTSUP: "the file system cannot do this",
  EXDEV: "it would leave its file system",
  ESTALE: "the network drive has lost it",
  ETIMEDOUT: "the network drive does not answer",
  EHOSTDOWN: "the network drive does not answer",
  ENOTCONN: "the network drive is not connected",
  EAGAIN: "the system is short of something just now (processes, memory, or locks)",
  ENOMEM: "the system has no memory left",
};

/** An error that the system, not a program, has raised: Node's own have these. */
export interface SystemError extends Error {
  readonly code: string;
  readonly syscall: string;
  readonly path?: string;
}

export function isSystemError(error: unknown): error is SystemError {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    "syscall" in error &&
    typeof error.syscall === "string"
  );
}

/** In words, e.g. "the disk is full"; undefined for what is no error of the system's, or a mistake of ours. */
export function systemReason(error: unknown): string | undefined {
  return isSystemError(error) ? meanings[error.code] : undefined;
}

/**
 * What went wrong with which file: "runs/a/report.html cannot be written: the disk is full".
 * Undefined for other errors.
 */
export function systemSentence(error: unknown): string | undefined {
  const reason = systemReason(error);
  if (reason === undefined || !isSystemError(error)) return undefined;
  const { path = "a file", syscall } = error;
  return `${path} cannot be ${verbs[syscall] ?? "used"}: ${reason}`;
}

const verbs: Readonly<Record<string, string>> = {
  open: "opened",
  read: "read",
  scandir: "read",
  write: "written",
  fsync: "written",
  ftruncate: "written",
  rename: "written",
  link: "written",
  mkdir: "made",
  mkdtemp: "made",
  unlink: "removed",
  rmdir: "removed",
  rm: "removed",
  stat: "looked at",
  lstat: "looked at",
  fstat: "looked at",
  statfs: "looked at",
};
