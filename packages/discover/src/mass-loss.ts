import { type Clock, invalidArgument, requireOptions } from "@sd/core";

/** When too many instances go at once, and for how long they stay then. */
export interface MassLossOptions {
  /** Of the instances known, the part that may go within `windowMs`. Above 0 and below 1. Default 0.5. */
  readonly share?: number | undefined;
  /** Default 30000, two TTLs of a registration by default. */
  readonly windowMs?: number | undefined;
  /** How long they stay at most, while etcd is heard. Default 60000. */
  readonly holdMs?: number | undefined;
  /** With fewer instances than this, all may go. Default 5. */
  readonly atLeast?: number | undefined;
}

/** What vanished at about the same time. */
interface Vanished {
  readonly at: number;
  count: number;
}

/** The window moves in so many steps, so that what is kept of it is bounded. */
const STEPS = 30;

/**
 * Tells when too many instances go at once: within `windowMs` more than `share` of those that were there, and there
 * were `atLeast` so many. From then on all that vanish are too many, until fewer do.
 *
 * Who has come in the window counts as having been there, so a restart of all, one after the other, is none.
 */
export class MassLoss {
  readonly holdMs: number;
  readonly #clock: Clock;
  readonly #share: number;
  readonly #windowMs: number;
  readonly #atLeast: number;
  #vanished: Vanished[] = [];

  /** @throws SdError `SD_INVALID_ARGUMENT` */
  constructor(clock: Clock, options: MassLossOptions) {
    requireOptions("massLoss", options);
    const { share = 0.5, windowMs = 30_000, holdMs = 60_000, atLeast = 5 } = options;
    if (!(Number.isFinite(share) && share > 0 && share < 1))
      throw invalidArgument("massLoss.share", "a number above 0 and below 1", share);
    for (const [name, value] of Object.entries({ windowMs, holdMs })) {
      if (!(Number.isFinite(value) && value > 0))
        throw invalidArgument(`massLoss.${name}`, "a number above 0", value);
    }
    if (!(Number.isSafeInteger(atLeast) && atLeast >= 1)) {
      throw invalidArgument("massLoss.atLeast", "an integer of at least 1", atLeast);
    }
    this.holdMs = holdMs;
    this.#clock = clock;
    this.#share = share;
    this.#windowMs = windowMs;
    this.#atLeast = atLeast;
  }

  /** To be called when `count` vanish at once, and `left` are left. Tells whether these are too many. */
  isMass(count: number, left: number): boolean {
    const now = this.#clock.now();
    this.#vanished = this.#vanished.filter(({ at }) => now - at < this.#windowMs);
    const last = this.#vanished.at(-1);
    if (last && now - last.at < this.#windowMs / STEPS) last.count += count;
    else this.#vanished.push({ at: now, count });
    const vanished = this.#vanished.reduce((sum, each) => sum + each.count, 0);
    const known = left + vanished;
    return known >= this.#atLeast && vanished > this.#share * known;
  }
}
