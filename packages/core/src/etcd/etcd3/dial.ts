import type { Timer } from "../../kit/clock.js";
import { deferred } from "../../kit/deferred.js";
import type { Connection } from "./connection.js";
import { networkError, timeoutError } from "./failures.js";
import type { Settings } from "./options.js";

/** After this part of `connectTimeoutMs` another attempt begins beside those under way. */
const PATIENCE = 0.3;

/**
 * The making of one connection to one member.
 *
 * A link that is slow and a peer that accepts and stays silent look the same. So an attempt is given all of
 * `connectTimeoutMs`, and another begins beside it three times meanwhile: the first that is ready wins, the
 * others are closed. A refusal ends them all.
 */
export class Dial {
  readonly #settings: Settings;
  readonly #connect: () => Connection;
  readonly #opened = deferred<Connection>();
  readonly #attempts: Connection[] = [];
  readonly #timers: Timer[] = [];
  #isOver = false;
  #waiting = 0;

  /** @param connect makes a connection that is not open yet; what it throws ends the dialing. */
  constructor(settings: Settings, endpoint: string, connect: () => Connection) {
    this.#settings = settings;
    this.#connect = connect;
    const { clock, connectTimeoutMs } = settings;
    this.#timers.push(
      clock.setTimer(connectTimeoutMs, () =>
        this.#fail(timeoutError(`no HTTP/2 connection within ${connectTimeoutMs} ms`, endpoint)),
      ),
    );
    this.#attempt();
  }

  /** One more waits for the connection. */
  wait(): Promise<Connection> {
    this.#waiting += 1;
    return this.#opened.promise;
  }

  /**
   * One of those who wait has what it needs from elsewhere. After the last the attempts are closed, and
   * `wait()` never settles.
   *
   * @returns whether it was the last.
   */
  abandon(): boolean {
    this.#waiting -= 1;
    if (this.#waiting > 0 || this.#isOver) return false;
    void this.#end();
    return true;
  }

  /** Ends the dialing. Resolves when no socket is open. */
  async close(endpoint: string): Promise<void> {
    this.#opened.promise.catch(() => {});
    this.#opened.reject(networkError("connection closed while connecting", endpoint));
    await this.#end();
  }

  #attempt(): void {
    const { clock, connectTimeoutMs } = this.#settings;
    try {
      const connection = this.#connect();
      this.#attempts.push(connection);
      connection.open().then(
        () => this.#win(connection),
        (error) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#timers.push(clock.setTimer(PATIENCE * connectTimeoutMs, () => this.#attempt()));
  }

  #win(connection: Connection): void {
    if (this.#isOver) return;
    this.#opened.resolve(connection);
    void this.#end(connection);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#opened.reject(error);
    void this.#end();
  }

  async #end(winner?: Connection): Promise<void> {
    this.#isOver = true;
    for (const timer of this.#timers.splice(0)) timer[Symbol.dispose]();
    const losers = this.#attempts.filter((attempt) => attempt !== winner);
    await Promise.all(losers.map((attempt) => attempt.close()));
  }
}
