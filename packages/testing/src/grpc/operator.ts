import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { classify, EtcdFailure, failureError, type KeyValue, prefixRange } from "@sd/core";
import { EMPTY, PLAIN_RANGE } from "../memory/api/kv.js";
import { toBytes } from "../memory/keys.js";
import { type Method, methods } from "./methods.js";

/** What no call takes longer than. */
const DEADLINE_MS = 5_000;

const metadata = new Metadata({ waitForReady: true });

/**
 * Another client of an etcd, who may do what ours may not: write without a lease, compact.
 *
 * Every method rejects with an `SdError` as the transport's, `SD_UNAVAILABLE` after 5 s at the latest.
 */
export class Operator {
  readonly #client: Client;

  constructor(endpoint: string) {
    this.#client = new Client(new URL(endpoint).host, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      // It is on this machine: a proxy of the environment (`http_proxy`) does not lead there.
      "grpc.enable_http_proxy": 0,
      // A member that is back is found at once.
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.min_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 100,
    });
  }

  async get(key: string): Promise<KeyValue | undefined> {
    const { kvs } = await this.#call(methods.KV.range, { ...PLAIN_RANGE, key: toBytes(key) });
    return kvs[0];
  }

  async list(prefix: string): Promise<readonly KeyValue[]> {
    const range = prefixRange(toBytes(prefix));
    return (await this.#call(methods.KV.range, { ...PLAIN_RANGE, ...range })).kvs;
  }

  async revision(): Promise<number> {
    const key = Buffer.of(0);
    return (await this.#call(methods.KV.range, { ...PLAIN_RANGE, key, countOnly: true })).header.revision;
  }

  /** @returns the revision */
  async put(key: string, value: string, lease: bigint): Promise<number> {
    const put = { key: toBytes(key), value: toBytes(value), lease };
    const flags = { prevKv: false, ignoreValue: false, ignoreLease: false };
    return (await this.#call(methods.KV.put, { ...put, ...flags })).header.revision;
  }

  /** @returns the revision */
  async delete(key: string): Promise<number> {
    const request = { key: toBytes(key), rangeEnd: EMPTY, prevKv: false };
    return (await this.#call(methods.KV.deleteRange, request)).header.revision;
  }

  /** @returns the id */
  async grant(ttlSeconds: number): Promise<bigint> {
    return (await this.#call(methods.Lease.grant, { ttl: ttlSeconds, id: 0n })).id;
  }

  async revoke(id: bigint): Promise<void> {
    await this.#call(methods.Lease.revoke, { id });
  }

  async compact(revision: number): Promise<void> {
    await this.#call(methods.KV.compact, { revision, physical: true });
  }

  close(): void {
    this.#client.close();
  }

  #call<Request, Response>(
    { path, requestSerialize, responseDeserialize }: Method<Request, Response>,
    request: Request,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const onAnswer = (error: ServiceError | null, answer?: Response): void => {
        if (error) reject(failed(error));
        else resolve(answer as Response);
      };
      const options = { deadline: Date.now() + DEADLINE_MS };
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        options,
        onAnswer,
      );
    });
  }
}

function failed({ code, details }: ServiceError): Error {
  return failureError(new EtcdFailure(classify(code, details), details, { status: code }));
}
