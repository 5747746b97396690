import { Backoff } from "../../kit/backoff.js";
import type { Connection } from "./connection.js";
import type { MemberAddress } from "./endpoints.js";
import { networkError } from "./failures.js";
import { Lane, type LaneName } from "./lane.js";
import type { Settings } from "./options.js";

/** After a failed connection: short, so that a member that is back is found within a second. */
const COOLING = { baseMs: 100, capMs: 1_000 };

/** One etcd member: its two lanes, and what we think of it. */
export class Member {
  readonly #settings: Settings;
  readonly #lanes: Readonly<Record<LaneName, Lane>>;
  #backoff = Backoff.start(COOLING);
  #cooling: { readonly untilMs: number; readonly error: unknown } | undefined;
  #troubledAt: number | undefined;
  #isUnreachable = false;

  constructor(address: MemberAddress, settings: Settings) {
    this.#settings = settings;
    const lane = (name: LaneName): Lane =>
      new Lane(address, name, settings, (connection) => {
        // Accepted and dropped unused: a proxy without a member behind it, which must not be hammered.
        if (connection.answeredAt === undefined) {
          this.#failed(networkError("connection lost before the first answer", address.endpoint));
        }
      });
    this.#lanes = { calls: lane("calls"), streams: lane("streams") };
  }

  /** When the member last gave cause for doubt; `undefined` if it has answered since. */
  get troubledAt(): number | undefined {
    return this.#troubledAt;
  }

  /** Whether the last attempt to connect has failed: worse than a connection that broke. */
  get isUnreachable(): boolean {
    return this.#isUnreachable;
  }

  isReady(lane: LaneName): boolean {
    return this.#lanes[lane].isReady;
  }

  /**
   * A connection, made if there is none.
   *
   * After a failure the member is left alone for a while, during which the same error comes at once: ten
   * thousand loops that wait for one dead member make one attempt.
   */
  async connect(name: LaneName): Promise<Connection> {
    const lane = this.#lanes[name];
    if (lane.isReady || lane.isConnecting) return lane.connect();
    const cooling = this.#cooling;
    if (cooling && this.#settings.clock.now() < cooling.untilMs) throw cooling.error;
    const attempt = lane.connect();
    attempt.catch((error) => this.#failed(error));
    return attempt;
  }

  /** An answer came: whatever was held against the member is forgotten. */
  answered(connection: Connection): void {
    connection.answeredAt = this.#settings.clock.now();
    this.#isUnreachable = false;
    if (this.#troubledAt === undefined && this.#cooling === undefined) return;
    this.#troubledAt = undefined;
    this.#cooling = undefined;
    this.#backoff = Backoff.start(COOLING);
  }

  /** Asks this member last from now on, until it answers. Its connections stay. */
  suspect(): void {
    this.#troubledAt = this.#settings.clock.now();
  }

  async close(): Promise<void> {
    await Promise.all([this.#lanes.calls.close(), this.#lanes.streams.close()]);
  }

  #failed(error: unknown): void {
    const { clock, random } = this.#settings;
    this.#isUnreachable = true;
    this.suspect();
    this.#cooling = { untilMs: clock.now() + this.#backoff.delayMs(random), error };
    this.#backoff = this.#backoff.next();
  }
}
