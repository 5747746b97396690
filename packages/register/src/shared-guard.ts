import type { EtcdClient } from "@sd/core";
import type { Guard, Known, OnChange } from "./guard.js";
import type { RangeGuard } from "./range-guard.js";
import { watchKey } from "./watch-key.js";

export interface Guarded {
  readonly key: Uint8Array;
  readonly known: Known;
  readonly onChange: OnChange;
}

/** Watches over a key with others of its range, until it has to leave them, and then by itself. */
export class SharedGuard implements Guard {
  readonly #guarded: Guarded;
  readonly #onClosed: () => void;
  #known: Known;
  /** Of what is known, as it was told. */
  #epoch = 1;
  #guard: Guard;

  constructor(range: RangeGuard, guarded: Guarded, onClosed: () => void) {
    const { key, known, onChange } = guarded;
    this.#guarded = guarded;
    this.#onClosed = onClosed;
    this.#known = known;
    this.#guard = range.watch(key, (current, position) => {
      const { revision, epoch } = position;
      // A list may have been begun before.
      const isNews = epoch > 1 || revision >= this.#known.revision;
      if (isNews) this.#known = { revision, held: current };
      this.#epoch = epoch;
      onChange(current, position);
    });
  }

  /** Goes on by itself, from what it knows, and from the epoch of that. */
  leave(client: EtcdClient): void {
    const { key, onChange } = this.#guarded;
    const before = this.#epoch - 1;
    void this.#guard.close();
    this.#guard = watchKey(client, key, this.#known, (current, { revision, epoch }) =>
      onChange(current, { revision, epoch: before + epoch }),
    );
  }

  async close(): Promise<void> {
    this.#onClosed();
    await this.#guard.close();
  }
}
