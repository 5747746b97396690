import { rmSync } from "node:fs";
import { type Guarded, Watchdog } from "./watchdog.js";

const guarded = new Set<Guarded>();
let watchdog: Watchdog | undefined;

/** Kills the process by SIGKILL when this one ends, even by SIGKILL; until disposed. */
export function guardProcess(pid: number | undefined): Disposable {
  // It was not started; and 0 or less would be a whole group of processes.
  if (pid === undefined || pid <= 1) return { [Symbol.dispose]: () => {} };
  return guard(`pid:${pid}`);
}

/** Removes the directory when this process ends, even by SIGKILL; until disposed. */
export function guardDirectory(path: string): Disposable {
  return guard(`dir:${path}`);
}

function guard(item: Guarded): Disposable {
  if (!watchdog) {
    watchdog = new Watchdog();
    process.on("exit", cleanUp);
  }
  guarded.add(item);
  watchdog.add(item);
  return {
    [Symbol.dispose]: () => {
      if (guarded.delete(item)) watchdog?.remove(item);
    },
  };
}

function cleanUp(): void {
  for (const item of guarded)
    if (item.startsWith("pid:")) attempt(() => process.kill(Number(item.slice(4)), "SIGKILL"));
  for (const item of guarded) {
    if (item.startsWith("dir:"))
      attempt(() => rmSync(item.slice(4), { recursive: true, force: true, maxRetries: 5 }));
  }
  watchdog?.dismiss();
}

/** One that is gone already must not keep the others from being cleaned up. */
function attempt(work: () => void): void {
  try {
    work();
  } catch {}
}
