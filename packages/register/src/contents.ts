import { type Deferred, deferred } from "@sd/core";
import type { Content } from "./content.js";

interface Waiting {
  readonly version: number;
  readonly written: Deferred<void>;
}

/** What a registration wants in etcd, what etcd has, and who waits for the one to become the other. */
export class Contents<Update> {
  #wanted: Content<Update>;
  #wantedVersion = 0;
  #written: Content<Update> | undefined;
  #writtenVersion = -1;
  #waiting: Waiting[] = [];

  constructor(first: Content<Update>) {
    this.#wanted = first;
  }

  get wanted(): Content<Update> {
    return this.#wanted;
  }

  get wantedVersion(): number {
    return this.#wantedVersion;
  }

  /** Whether etcd has what is wanted. */
  get isWritten(): boolean {
    return this.#writtenVersion === this.#wantedVersion;
  }

  /** Wants the content after `update`. @returns settles when etcd has it, or refuses it. */
  change(update: Update): Promise<void> {
    this.#wanted = this.#wanted.change(update);
    const written = deferred<void>();
    this.#waiting.push({ version: ++this.#wantedVersion, written });
    return written.promise;
  }

  /** etcd has `content`, which was wanted as `version`. */
  wrote(content: Content<Update>, version: number): void {
    this.#written = content;
    this.#writtenVersion = version;
    for (const { written } of this.#take((each) => each.version <= version)) written.resolve();
  }

  /**
   * Compares with what etcd shows under our lease: something we wrote, or somebody else's.
   *
   * A write whose answer is still to come, or was lost, counts from here on.
   */
  recognises(value: Uint8Array): boolean {
    if (Buffer.compare(value, this.#wanted.value) === 0) {
      this.wrote(this.#wanted, this.#wantedVersion);
      return true;
    }
    return this.#written !== undefined && Buffer.compare(value, this.#written.value) === 0;
  }

  /** etcd refused what is wanted: back to what it has. Those who wait for more get `error`. */
  revert(error: unknown): void {
    if (!this.#written) return;
    this.#wanted = this.#written;
    this.#writtenVersion = this.#wantedVersion;
    this.end(error);
  }

  /** Nothing will be written any more. */
  end(error: unknown): void {
    for (const { written } of this.#take(() => true)) written.reject(error);
  }

  #take(isSettled: (waiting: Waiting) => boolean): Waiting[] {
    const settled = this.#waiting.filter(isSettled);
    this.#waiting = this.#waiting.filter((waiting) => !isSettled(waiting));
    return settled;
  }
}
