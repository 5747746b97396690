import type { LeaseId } from "@sd/core";
import { textOf } from "./key-text.js";

/** What is known of a put that was sent. */
interface Sent {
  readonly key: Uint8Array;
  readonly lease: LeaseId;
  /** It is done if the key has this modification revision (0: is absent) when it arrives. */
  readonly guard: number;
}

/** Of puts under one lease. */
interface Doubt {
  readonly lease: LeaseId;
  readonly guards: Set<number>;
}

/** The puts whose outcome is not known: each is done yet if it arrives while its guard holds. */
export class Doubts {
  readonly #byKey = new Map<string, Doubt>();

  /** A put is on its way. @returns to be called when its outcome is known. */
  add({ key, lease, guard }: Sent): () => void {
    const text = textOf(key);
    const known = this.#byKey.get(text);
    const doubt = known?.lease === lease ? known : { lease, guards: new Set<number>() };
    this.#byKey.set(text, doubt);
    const { guards } = doubt;
    // One that was in doubt before stays so, whatever becomes of this one.
    if (guards.has(guard)) return () => {};
    // The key has been seen since at a later revision, and comes to none of before again.
    for (const each of guards) if (each !== 0 && each < guard) guards.delete(each);
    guards.add(guard);
    return () => {
      guards.delete(guard);
      if (guards.size === 0 && this.#byKey.get(text) === doubt) this.#byKey.delete(text);
    };
  }

  /**
   * The guards of those under `lease`, a copy: it is done if it arrives while the key has that modification
   * revision; 0: while it is absent.
   */
  of(key: Uint8Array, lease: LeaseId): ReadonlySet<number> {
    const doubt = this.#byKey.get(textOf(key));
    return new Set(doubt?.lease === lease ? doubt.guards : undefined);
  }
}
