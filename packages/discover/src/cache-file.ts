import { constants, type Stats } from "node:fs";
import { lstat, open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { calendarMs, describe, SdError } from "@sd/core";

/** Where a cache is kept: a file. Another one is for tests, which need a calendar and no disk. */
export interface CacheStorage {
  /** Milliseconds since 1970. */
  now(): number;
  /** What was written last; `undefined` if nothing was. @throws if it is larger than `maxBytes`. */
  read(maxBytes: number): Promise<Uint8Array | undefined>;
  /** Replaces all at once or not at all, whenever the process or the machine ends. One after the other. */
  write(chunks: Iterable<Uint8Array>): Promise<void>;
}

/** Not on Windows, where these are `undefined`. A link may lead anywhere, and a pipe would be waited for. */
const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
/** Others may write. */
const FOREIGN_WRITE = 0o022;

const NO_FILE = "it is no regular file";

let storages = 0;

/**
 * A file of a cache.
 *
 * It is written beside its place, brought to the disk and renamed, with the mode 0600; what processes have left there
 * that were killed meanwhile is removed by the first write. It is read only if it is a
 * regular file that belongs to this user or to root and that nobody else may write.
 */
export function cacheFileAt(given: string): CacheStorage {
  storages += 1;
  // The same file, wherever the process changes its directory to.
  const path = resolve(given);
  const beside = `${path}.${process.pid}-${storages}.tmp`;
  let swept: Promise<void> | undefined;
  return {
    now: calendarMs,
    read: (maxBytes) => read(path, maxBytes),
    async write(chunks) {
      swept ??= sweep(path);
      await swept;
      await write(path, beside, chunks);
    },
  };
}

async function read(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ELOOP") throw unusable(`${describe(path)} is a link: give the path it leads to`);
    if (error.code !== "ENOENT") throw error;
    return undefined;
  });
  if (!file) return undefined;
  try {
    check(await file.stat(), maxBytes);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

function check(stats: Stats, maxBytes: number): void {
  const why = objection(stats);
  if (why !== undefined) throw unusable(why);
  if (stats.size <= maxBytes) return;
  const text = `it has ${stats.size} bytes, and at most ${maxBytes} are read, by maxKeys and maxBytes`;
  throw new SdError("SD_LIMIT_EXCEEDED", `the cache file cannot be used: ${text}`);
}

function objection(stats: Stats): string | undefined {
  if (!stats.isFile()) return NO_FILE;
  const uid = process.getuid?.();
  if (uid === undefined) return undefined;
  if (stats.uid !== uid && stats.uid !== 0)
    return `it belongs to the user ${stats.uid}, not ${uid}: chown it`;
  return (stats.mode & FOREIGN_WRITE) === 0 ? undefined : "others may write it: chmod go-w";
}

async function sweep(path: string): Promise<void> {
  const [directory, start] = [dirname(path), `${basename(path)}.`];
  for (const name of await readdir(directory).catch(() => [])) {
    const [, pid] = (name.startsWith(start) && /^(\d+)-\d+\.tmp$/.exec(name.slice(start.length))) || [];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(directory, name)).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function write(path: string, beside: string, chunks: Iterable<Uint8Array>): Promise<void> {
  await requireReplaceable(path);
  // What a process of the same number has left.
  await rm(beside, { force: true });
  try {
    const file = await open(beside, "wx", 0o600);
    try {
      await writeFile(file, chunks);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => {});
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Root could put a file in the place of `/dev/null`, which then is none any more. A link is replaced by the file. */
async function requireReplaceable(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return undefined;
  });
  if (!stats || stats.isFile() || stats.isSymbolicLink()) return;
  throw unusable(NO_FILE);
}

function unusable(why: string): SdError {
  return new SdError("SD_PERMISSION", `the cache file cannot be used: ${why}`);
}

/** So that the name lasts, too. Not every system can; the file is whole all the same. */
async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await open(path, O_RDONLY);
    await directory.sync().finally(() => directory.close());
  } catch {
    // As above.
  }
}
