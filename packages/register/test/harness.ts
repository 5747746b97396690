import { Bench } from "@sd/testing";

/** A bench for tests of registrations. */
export class Harness extends Bench {
  /** The value of a key as text. */
  textOf(key: string): string | undefined {
    const kv = this.memory.get(key);
    return kv && Buffer.from(kv.value).toString();
  }

  /** What has happened to a key, oldest first: its values, `undefined` for each delete. */
  history(key: string): (string | undefined)[] {
    return this.memory.events
      .filter(({ kv }) => Buffer.from(kv.key).toString() === key)
      .map(({ type, kv }) => (type === "put" ? Buffer.from(kv.value).toString() : undefined));
  }

  /** How often a key was written. */
  writes(key: string): number {
    return this.history(key).filter((value) => value !== undefined).length;
  }
}
