import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "@sd/app-common";

/** Makes the folder of the cache files, for this user alone, unless it is there. @throws UsageError */
export function makeCacheFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(`--cache must be a folder, got ${JSON.stringify(folder)} (${code})`);
  }
}

/** One for each prefix. */
export function cacheFile(folder: string, prefix: string): string {
  return join(folder, `${encodeURIComponent(prefix)}.cache`);
}
