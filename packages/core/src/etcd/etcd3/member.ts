import { Backoff } from "../../kit/backoff.js";
import type { Connection } from "./connection.js";
import type { MemberAddress } from "./endpoints.js";
import { networkError } from "./failures.js";
import { Lane, type LaneName, laneNames } from "./lane.js";
import type { Settings } from "./options.js";
import { Standing } from "./standing.js";

/** After a failed connection: short, so that a member that is back is found within a second. */
const COOLING = { baseMs: 100, capMs: 1_000 };
/** After so long without a connection the next member is asked as well. RFC 8305 says 250 ms. */
const HEAD_START_MS = { least: 250, most: 1_000 };

/** One etcd member: its lanes, and what we think of it. */
export class Member {
  readonly standing: Standing;
  readonly #settings: Settings;
  readonly #lanes: Readonly<Record<LaneName, Lane>>;
  #backoff = Backoff.start(COOLING);
  #cooling: { readonly untilMs: number; readonly error: unknown } | undefined;
  #connectMs = 0;

  constructor(address: MemberAddress, settings: Settings) {
    this.standing = new Standing(settings.clock);
    this.#settings = settings;
    const lane = (name: LaneName): Lane =>
      new Lane(address, name, settings, (connection) => {
        // Accepted and dropped unused: a proxy without a member behind it, which must not be hammered.
        // Not so one that we gave up: the next call, for less, is to go out at once.
        if (connection.answeredAt === undefined && !connection.isGivenUp) {
          this.#failed(networkError("connection lost before the first answer", address.endpoint));
        }
      });
    this.#lanes = { calls: lane("calls"), renewals: lane("renewals"), watches: lane("watches") };
  }

  /** The connection, if a call can go out on it at once. */
  ready(lane: LaneName): Connection | undefined {
    return this.#lanes[lane].ready;
  }

  /** How long it may take to connect before others are asked too: twice as long as it took last. */
  get headStartMs(): number {
    return Math.min(Math.max(HEAD_START_MS.least, 2 * this.#connectMs), HEAD_START_MS.most);
  }

  /**
   * A connection, made if there is none.
   *
   * After a failure the member is left alone for a while, during which the same error comes at once: ten
   * thousand loops that wait for one dead member make one attempt.
   */
  async connect(name: LaneName): Promise<Connection> {
    const lane = this.#lanes[name];
    if (lane.ready || lane.isConnecting) return lane.connect();
    const { clock } = this.#settings;
    const cooling = this.#cooling;
    const start = clock.now();
    if (cooling && start < cooling.untilMs) throw cooling.error;
    const attempt = lane.connect();
    attempt.then(
      () => {
        this.#connectMs = clock.now() - start;
      },
      (error) => this.#failed(error),
    );
    return attempt;
  }

  /** One who called `connect()` has another member's connection. */
  abandon(lane: LaneName): void {
    this.#lanes[lane].abandon();
  }

  /** An answer came: whatever was held against the member is forgotten. */
  answered(connection: Connection): void {
    connection.answeredAt = this.#settings.clock.now();
    this.standing.answered();
    if (this.#cooling === undefined) return;
    this.#cooling = undefined;
    this.#backoff = Backoff.start(COOLING);
  }

  /** Asks this member last from now on, until it answers. Its connections stay. */
  suspect(): void {
    this.standing.suspected();
  }

  async close(): Promise<void> {
    await Promise.all(laneNames.map((name) => this.#lanes[name].close()));
  }

  #failed(error: unknown): void {
    const { clock, random } = this.#settings;
    this.standing.unreachable();
    this.#cooling = { untilMs: clock.now() + this.#backoff.delayMs(random), error };
    this.#backoff = this.#backoff.next();
  }
}
