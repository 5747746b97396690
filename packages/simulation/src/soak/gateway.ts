import { type ClientRequest, type IncomingMessage, request as requestPlain } from "node:http";
import { type RequestOptions, request as requestSecure } from "node:https";
import type { KeyValue, WatchEvent } from "@sd/core";

/** A call takes no longer: a member that is frozen, or has no leader, is passed over. */
const CALL_MS = 2_000;

/** How etcd lets it in, if it wants to know. */
export interface GatewayAccess {
  readonly name: string;
  readonly password: string;
  /** In PEM: whom to trust, and what to show. */
  readonly tls: () => { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
}

/** One message of a watch, with the newest revision that it speaks of. */
export type WatchMessage = { readonly events: readonly WatchEvent[] } | { readonly compacted: number };

/**
 * A way to etcd that shares nothing with what is tested: JSON over HTTP, straight to the members.
 *
 * Source: https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/
 */
export class Gateway {
  readonly #endpoints: readonly string[];
  readonly #access: GatewayAccess | undefined;
  #next = 0;
  #token: string | undefined;

  constructor(endpoints: readonly string[], access?: GatewayAccess) {
    this.#endpoints = endpoints;
    this.#access = access;
  }

  /** Asks one member after the other. @throws Error of the last one if none of them does it. */
  async call(path: string, body: object): Promise<Answer> {
    let last: unknown;
    for (const _ of this.#endpoints) {
      try {
        return await this.#post(this.#endpoint, path, body);
      } catch (error) {
        if (error instanceof Refusal) throw error;
        last = error;
        this.#next += 1;
      }
    }
    throw last;
  }

  /** Whether every member answers a read that needs a leader. */
  async isWell(): Promise<boolean> {
    const reads = this.#endpoints.map((endpoint) => this.#post(endpoint, "kv/range", { key: base64("/") }));
    return (await Promise.allSettled(reads)).every(({ status }) => status === "fulfilled");
  }

  /** The newest revision that etcd has. */
  async revision(): Promise<number> {
    return revisionOf(await this.call("kv/range", { key: base64("/") }));
  }

  async put(key: string, value: string, lease = 0n): Promise<void> {
    await this.call("kv/put", { key: base64(key), value: base64(value), lease: `${lease}` });
  }

  /** All keys under `prefix` at `revision`. */
  async range(prefix: string, revision: number): Promise<KeyValue[]> {
    const { kvs = [] } = await this.call("kv/range", { ...rangeOf(prefix), revision: `${revision}` });
    return kvs.map(readKv);
  }

  /** Puts and deletes, all at one revision. A value of `undefined` deletes. */
  async write(changes: ReadonlyMap<string, string | undefined>): Promise<void> {
    const success = [...changes].map(([key, value]) =>
      value === undefined
        ? { request_delete_range: { key: base64(key) } }
        : { request_put: { key: base64(key), value: base64(value) } },
    );
    await this.call("kv/txn", { success });
  }

  async delete(key: string): Promise<void> {
    await this.call("kv/deleterange", { key: base64(key) });
  }

  async compact(revision: number): Promise<void> {
    await this.call("kv/compaction", { revision: `${revision}` });
  }

  async grant(ttlSeconds: number): Promise<bigint> {
    return BigInt((await this.call("lease/grant", { TTL: `${ttlSeconds}` })).ID ?? 0);
  }

  async revoke(lease: bigint): Promise<void> {
    await this.call("lease/revoke", { ID: `${lease}` });
  }

  async leases(): Promise<bigint[]> {
    const { leases = [] } = await this.call("lease/leases", {});
    return leases.map(({ ID }) => BigInt(ID));
  }

  /**
   * Watches all keys at one member, another one each time, until disposed.
   *
   * @param onEnd called once, unless disposed before
   */
  watch(from: number, onMessage: (message: WatchMessage) => void, onEnd: () => void): Disposable {
    this.#next += 1;
    const body = { create_request: { key: "AA==", range_end: "AA==", start_revision: `${from}` } };
    let isOver = false;
    let isHeard = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      sent.destroy();
      onEnd();
    };
    const options = { method: "POST", ...this.#options() };
    const sent: ClientRequest = open(`${this.#endpoint}/v3/watch`, options, (response) => {
      if (response.statusCode !== 200) {
        response.resume();
        return void this.#authenticate()
          .catch(() => {})
          .then(end);
      }
      let rest = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          if (isOver || line === "") continue;
          isHeard = true;
          const message = readMessage(JSON.parse(line));
          if (message) onMessage(message);
          else
            void this.#authenticate()
              .catch(() => {})
              .then(end);
        }
      });
      response.on("close", end);
      response.on("error", end);
    });
    sent.on("error", end);
    sent.end(JSON.stringify(body));
    return {
      [Symbol.dispose]: () => {
        isOver = true;
        sent.destroy();
        // As for calls.
        if (!isHeard) this.#token = undefined;
      },
    };
  }

  /** Once more with another token, if etcd does not take the one that it has. */
  async #post(endpoint: string, path: string, body: object): Promise<Answer> {
    try {
      return await post(endpoint, path, body, this.#options());
    } catch (error) {
      // etcd does not answer to a token that is ahead of its log, as after a restore, rather than refuse it.
      if (!(error instanceof Refusal)) this.#token = undefined;
      if (!this.#access || !(error instanceof Refusal) || !error.isForToken) throw error;
      await this.#authenticate(endpoint);
      return post(endpoint, path, body, this.#options());
    }
  }

  async #authenticate(endpoint = this.#endpoint): Promise<void> {
    if (!this.#access) return;
    const { name, password } = this.#access;
    this.#token = undefined;
    this.#token = (await post(endpoint, "auth/authenticate", { name, password }, this.#options())).token;
  }

  #options(): RequestOptions {
    return {
      ...this.#access?.tls(),
      ...(this.#token !== undefined && { headers: { authorization: this.#token } }),
    };
  }

  get #endpoint(): string {
    return this.#endpoints[this.#next % this.#endpoints.length] as string;
  }
}

/** etcd says no: another member would say the same. */
class Refusal extends Error {
  /** It wants a token, or another one. */
  get isForToken(): boolean {
    return /invalid auth token|user name is empty|auth store is old/.test(this.message);
  }
}

function open(
  url: string,
  options: RequestOptions,
  onResponse: (response: IncomingMessage) => void,
): ClientRequest {
  return (url.startsWith("https:") ? requestSecure : requestPlain)(url, options, onResponse);
}

interface JsonKv {
  readonly key: string;
  readonly value?: string;
  readonly create_revision?: string;
  readonly mod_revision: string;
  readonly version?: string;
  readonly lease?: string;
}

interface Answer {
  readonly header?: { readonly revision?: string };
  readonly kvs?: readonly JsonKv[];
  readonly ID?: string;
  readonly token?: string;
  readonly leases?: readonly { readonly ID: string }[];
  readonly code?: number;
  readonly message?: string;
}

interface JsonMessage {
  readonly result?: {
    readonly compact_revision?: string;
    readonly canceled?: boolean;
    readonly events?: readonly { readonly type?: "DELETE"; readonly kv: JsonKv }[];
  };
}

function post(endpoint: string, path: string, body: object, access: RequestOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { method: "POST", timeout: CALL_MS, ...access };
    const sent = open(`${endpoint}/v3/${path}`, options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else if (isTrouble(text)) reject(new Error(`${path}: ${text}`));
        else reject(new Refusal(`${path}: ${text}`));
      });
    });
    sent.on("timeout", () => sent.destroy(new Error(`${path}: no answer within ${CALL_MS} ms`)));
    sent.on("error", reject);
    sent.end(JSON.stringify(body));
  });
}

/** UNAVAILABLE, UNKNOWN, DEADLINE_EXCEEDED, or no answer of etcd's at all: another member may do it. */
function isTrouble(text: string): boolean {
  const code = /"code":\s*(\d+)/.exec(text)?.[1];
  return code === undefined || ["2", "4", "14"].includes(code);
}

/** `undefined`: it is over, for want of a token. */
function readMessage({ result }: JsonMessage): WatchMessage | undefined {
  if (!result) return undefined;
  if (result.canceled && result.compact_revision !== undefined)
    return { compacted: Number(result.compact_revision) };
  if (result.canceled) return undefined;
  return {
    events: (result.events ?? []).map(({ type, kv }) => ({
      type: type === "DELETE" ? "delete" : "put",
      kv: readKv(kv),
    })),
  };
}

function readKv(kv: JsonKv): KeyValue {
  return {
    key: Buffer.from(kv.key, "base64"),
    value: Buffer.from(kv.value ?? "", "base64"),
    createRevision: Number(kv.create_revision ?? 0),
    modRevision: Number(kv.mod_revision),
    version: Number(kv.version ?? 0),
    lease: BigInt(kv.lease ?? 0),
  };
}

function revisionOf({ header }: Answer): number {
  return Number(header?.revision ?? 0);
}

function rangeOf(prefix: string) {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return { key: base64(prefix), range_end: end.toString("base64") };
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
