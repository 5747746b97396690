import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import { EtcdProcess, MemoryEtcd, serveMemoryEtcd } from "../../src/index.js";
import { deletion, NO_END } from "../../src/memory/requests.fixture.js";
import { likeOf } from "../conformance/like-of.js";
import { byWatch, countEvents, describeStep, normalised } from "../conformance/normalise.js";
import { methods } from "../raw-client.js";
import { AuthenticatedServer } from "./server.js";
import { type AuthStep, admin, ask, login } from "./steps.js";

/** Long enough for a script, short enough to be waited for. */
const TOKEN_TTL_SECONDS = 3;

/** A real etcd and one in memory whose users and roles are the same all the time. */
export class AuthPair implements AsyncDisposable {
  readonly #process: EtcdProcess;
  readonly #memory: MemoryEtcd;
  readonly #real: AuthenticatedServer;
  readonly #fake: AuthenticatedServer;
  /** Answers that were compared. */
  compared = 0;

  private constructor(process: EtcdProcess, memory: MemoryEtcd, endpoint: string) {
    this.#process = process;
    this.#memory = memory;
    this.#real = new AuthenticatedServer(process.endpoint);
    this.#fake = new AuthenticatedServer(endpoint);
  }

  /** @param shortTokens tokens that can be waited for to expire; else they last. */
  static async start(binary: string, { shortTokens = false } = {}): Promise<AuthPair> {
    const ttl = shortTokens ? [`--auth-token-ttl=${TOKEN_TTL_SECONDS}`] : [];
    const process = await EtcdProcess.start({ binary, args: ["--bcrypt-cost=4", ...ttl] });
    const tokens = shortTokens ? { authTokenTtlSeconds: TOKEN_TTL_SECONDS } : {};
    const memory = new MemoryEtcd({ version: likeOf(process.version), catchUpDelayMs: 20, ...tokens });
    const { endpoint } = await serveMemoryEtcd(memory);
    return new AuthPair(process, memory, endpoint);
  }

  /** Takes all steps on both; fails at the first difference. Then nothing is left of users, roles and keys. */
  async run(script: readonly AuthStep[]): Promise<void> {
    for (const step of script) await this.#take(step);
    await this.#compareWatches();
    await this.#clear();
  }

  async #take(step: AuthStep): Promise<unknown> {
    const [real, fake] = await Promise.all([this.#real.take(step), this.#fake.take(step)]);
    expect(normalised(fake), describeStep(step)).toEqual(normalised(real));
    this.compared += 1;
    return fake;
  }

  async #compareWatches(): Promise<void> {
    const [real, fake] = [this.#real, this.#fake];
    const count = ({ watched }: AuthenticatedServer) => countEvents(Object.values(watched).flat());
    for (let waited = 0; waited < 3_000 && count(real) !== count(fake); waited += 10) await pause(10);
    // What is too much would come now.
    if (Object.keys(real.watched).length > 0) await pause(100);
    for (const [user, messages] of Object.entries(real.watched)) {
      expect(byWatch(fake.watched[user] ?? [], true), `watches of ${user}`).toEqual(byWatch(messages, true));
    }
  }

  /** By root, whether authentication is on or not, and who must have left its password alone. */
  async #clear(): Promise<void> {
    this.#real.forget();
    this.#fake.forget();
    await this.#take(login("root"));
    await this.#take(admin.disable());
    // With the login of another life: 3.4 minds also while authentication is off.
    this.#real.forget();
    this.#fake.forget();
    await this.#take(ask(methods.Maintenance.alarm, { action: 2, memberId: 1n, alarm: 1 }));
    for (const name of namesOf(await this.#take(admin.userList()))) await this.#take(admin.userDelete(name));
    for (const name of namesOf(await this.#take(admin.roleList()))) await this.#take(admin.roleDelete(name));
    const { leases } = (await this.#take(ask(methods.Lease.leases, {}))) as { leases: { id: bigint }[] };
    for (const lease of leases) await this.#take(ask(methods.Lease.revoke, lease));
    await this.#take(ask(methods.KV.deleteRange, deletion(NO_END, NO_END)));
    expect(await this.#take(admin.userList())).toMatchObject({ names: [] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#real.forget();
    this.#fake.forget();
    await this.#memory.close();
    await this.#process[Symbol.asyncDispose]();
  }
}

function namesOf(answer: unknown): readonly string[] {
  return (answer as { names: readonly string[] }).names;
}
