/** etcd over grpc-js alone, bytes out and bytes in: the limit of this stack, and what fills etcd for the others. */

import { Client, credentials, Metadata } from "@grpc/grpc-js";

/** @param {Buffer} bytes */
const identity = (bytes) => bytes;

const paths = {
  range: "/etcdserverpb.KV/Range",
  put: "/etcdserverpb.KV/Put",
  txn: "/etcdserverpb.KV/Txn",
  deleteRange: "/etcdserverpb.KV/DeleteRange",
  grant: "/etcdserverpb.Lease/LeaseGrant",
  keepAlive: "/etcdserverpb.Lease/LeaseKeepAlive",
  watch: "/etcdserverpb.Watch/Watch",
};

export class RawEtcd {
  /** @param {string} endpoint */
  constructor(endpoint) {
    this.client = new Client(endpoint.replace(/^http:\/\//, ""), credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
    });
    this.metadata = new Metadata();
  }

  /**
   * @param {"range" | "put" | "txn" | "deleteRange" | "grant"} method
   * @param {Buffer} request
   * @returns {Promise<Buffer>}
   */
  call(method, request) {
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        paths[method],
        identity,
        identity,
        request,
        this.metadata,
        (error, answer) => (answer ? resolve(answer) : reject(error)),
      );
    });
  }

  /** @param {"keepAlive" | "watch"} method */
  open(method) {
    const stream = this.client.makeBidiStreamRequest(paths[method], identity, identity, this.metadata);
    stream.on("error", () => {});
    return stream;
  }

  close() {
    this.client.close();
  }
}

/** @param {number} value at most 2^53 @returns {Buffer} */
function varint(value) {
  const bytes = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/**
 * A protobuf message: each entry is a field's number and its value.
 *
 * @param {readonly (readonly [number, number | string | Buffer])[]} fields
 */
export function message(...fields) {
  return Buffer.concat(
    fields.flatMap(([field, value]) => {
      if (typeof value === "number") return [varint(field << 3), varint(value)];
      const bytes = Buffer.from(value);
      return [varint((field << 3) | 2), varint(bytes.length), bytes];
    }),
  );
}

/** The end of the range of all keys that begin with `prefix`. @param {string} prefix */
export function prefixEnd(prefix) {
  const end = Buffer.from(prefix);
  end[end.length - 1] = /** @type {number} */ (end.at(-1)) + 1;
  return end;
}

/** @param {string} prefix */
export const rangeRequest = (prefix) => message([1, prefix], [2, prefixEnd(prefix)]);

/** @param {string} key @param {string} value @param {number} [lease] */
export const putRequest = (key, value, lease = 0) => message([1, key], [2, value], [3, lease]);

/** @param {string} prefix @param {number} [revision] */
export const watchRequest = (prefix, revision = 0) =>
  message([1, message([1, prefix], [2, prefixEnd(prefix)], [3, revision])]);

/**
 * Runs `work` for 0 to `count - 1`, so many at a time.
 *
 * @param {number} count
 * @param {number} parallel
 * @param {(index: number) => Promise<unknown>} work
 */
export async function inParallel(count, parallel, work) {
  let next = 0;
  const one = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(parallel, count) }, one));
}

/** A value of 100 bytes, as the default format writes it. @param {number} index */
export function instanceValue(index) {
  const host = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
  const head = `{"address":"${host}:8000","weight":${1 + (index % 9)},"version":"1.2.0","zone":"a","metadata":{"rack":"`;
  return `${head.padEnd(97, "r")}"}}`;
}

/** @param {string} prefix @param {number} index */
export const instanceKey = (prefix, index) => `${prefix}node-${String(index).padStart(6, "0")}`;

/**
 * Writes `count` instances below each prefix, 100 in a transaction.
 *
 * @param {RawEtcd} etcd
 * @param {readonly string[]} prefixes
 * @param {number} count
 */
export async function fill(etcd, prefixes, count) {
  const puts = prefixes.flatMap((prefix) =>
    Array.from({ length: count }, (_, index) => putRequest(instanceKey(prefix, index), instanceValue(index))),
  );
  const size = 100;
  await inParallel(Math.ceil(puts.length / size), 16, (part) =>
    etcd.call(
      "txn",
      message(
        ...puts
          .slice(part * size, (part + 1) * size)
          .map((put) => /** @type {const} */ ([2, message([2, put])])),
      ),
    ),
  );
}
