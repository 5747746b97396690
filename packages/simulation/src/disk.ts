import type { Clock } from "@sd/core";
import type { CacheStorage } from "@sd/discover";
import type { SeededRandom } from "@sd/testing";
import type { Process } from "./process.js";

/** 2026-01-01, where the calendar of a run begins. */
const START = 1_767_225_600_000;
/** The chance that a write fails, and that a file has lost its end when it is read. */
const FULL = 0.1;
const DAMAGED = 0.3;

export interface DiskOptions {
  readonly world: Clock;
  readonly random: SeededRandom;
  /** Told of each fault that it makes. */
  readonly onFault: (name: string) => void;
}

/** The disk of a machine, which outlives its processes: the cache file of each prefix. */
export class Disk {
  readonly #options: DiskOptions;
  readonly #files = new Map<string, Uint8Array>();

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  /** The file of `prefix`, as `process` sees it. */
  file(prefix: string, process: Process): CacheStorage {
    const { world, random, onFault } = this.#options;
    const happens = (chance: number, fault: string): boolean => {
      if (random.next() >= chance) return false;
      onFault(fault);
      return true;
    };
    return {
      now: () => START + Math.round(world.now()),
      read: async () => {
        const bytes = this.#files.get(prefix);
        if (!bytes || !happens(DAMAGED, "damaged cache")) return bytes;
        return bytes.subarray(0, bytes.length - 1 - random.below(bytes.length >> 1));
      },
      write: async (chunks) => {
        // What is left of a dead process writes nothing.
        if (process.status === "dead") return;
        if (happens(FULL, "full disk")) throw new Error("no space left on the device");
        this.#files.set(prefix, Buffer.concat([...chunks]));
      },
    };
  }
}
