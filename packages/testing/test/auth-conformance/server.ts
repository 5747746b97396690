import { setTimeout as pause } from "node:timers/promises";
import type { WatchRequest, WatchResponse } from "../../src/memory/api/watch.js";
import { methods, RawClient, type RawStream, type Refused } from "../raw-client.js";
import type { AuthStep } from "./steps.js";

type Watches = RawStream<WatchRequest, WatchResponse>;

/** One of the servers that are compared, with a client for each user. */
export class AuthenticatedServer {
  readonly #endpoint: string;
  readonly #clients = new Map<string | undefined, RawClient>();
  readonly #watches = new Map<string | undefined, Watches>();

  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  /** Answers with what the server said, a refusal included. */
  async take(step: AuthStep): Promise<unknown> {
    try {
      return comparable(await this.#take(step));
    } catch (error) {
      return { refused: error as Refused };
    }
  }

  /** What the streams of watches were told, by user. */
  get watched(): Record<string, readonly WatchResponse[]> {
    return Object.fromEntries([...this.#watches].map(([user, { messages }]) => [String(user), messages]));
  }

  /** Ends all streams, and forgets all tokens. */
  forget(): void {
    for (const stream of this.#watches.values()) stream.cancel();
    for (const client of this.#clients.values()) client.close();
    this.#watches.clear();
    this.#clients.clear();
  }

  async #take(step: AuthStep): Promise<unknown> {
    const client = this.#client(step.as);
    if ("method" in step) return client.call(step.method, step.request);
    if ("token" in step) return void client.metadata.set("token", step.token);
    if ("login" in step) {
      client.metadata.remove("token");
      const answer = await client.call(methods.Auth.authenticate, step.login);
      client.metadata.set("token", answer.token);
      return answer;
    }
    if ("renew" in step) return this.#renew(client, step.renew);
    if ("watch" in step) return this.#watch(step.as, { create: step.watch });
    await pause(step.pause);
    return undefined;
  }

  async #renew(client: RawClient, id: bigint): Promise<unknown> {
    const stream = client.open(methods.Lease.keepAlive);
    stream.send({ id });
    await until(() => stream.messages.length > 0 || stream.end !== undefined);
    stream.cancel();
    if (stream.messages.length === 0) throw stream.end;
    return stream.messages[0];
  }

  async #watch(user: string | undefined, request: WatchRequest): Promise<void> {
    const stream = this.#watches.get(user) ?? this.#client(user).open(methods.Watch.watch);
    this.#watches.set(user, stream);
    const answers = () => stream.messages.filter(({ created }) => created).length;
    const before = answers();
    stream.send(request);
    await until(() => answers() > before || stream.end !== undefined);
  }

  #client(user: string | undefined): RawClient {
    const client = this.#clients.get(user) ?? new RawClient(this.#endpoint);
    this.#clients.set(user, client);
    return client;
  }
}

/** Tells of a token only whether it is one, and of members only how many there are. */
function comparable(answer: unknown): unknown {
  if (typeof answer !== "object" || answer === null) return answer;
  if ("token" in answer) return { ...answer, token: /^\w{16}\.\d+$/.test(String(answer.token)) };
  return "members" in answer ? { ...answer, members: (answer.members as unknown[]).length } : answer;
}

async function until(isSo: () => boolean): Promise<void> {
  for (let waited = 0; !isSo() && waited < 5_000; waited += 1) await pause(1);
}
