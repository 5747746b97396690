import { SdError } from "../../kit/errors.js";

/**
 * Reads the fields of one protobuf message, in place.
 *
 * It exists because protobufjs objects cost three times the wall time, and stall the event loop for 640 ms
 * at 100,000 keys. Guarantees: never reads outside of the message, each step moves on or throws, and
 * everything that is not protobuf throws `SD_INVARIANT`. Bytes are views: they keep the whole message
 * alive, see `detached()`.
 *
 * Source: https://protobuf.dev/programming-guides/encoding/
 */
export class Reader {
  readonly #bytes: Buffer;
  #at = 0;
  #end: number;
  /** The two halves of the varint read last, each as an unsigned 32-bit integer. */
  #low = 0;
  #high = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#end = bytes.length;
  }

  /** The next field's number and wire type (`number << 3 | type`), 0 at the end of the message. */
  tag(): number {
    if (this.#at >= this.#end) return 0;
    this.#varint();
    if (this.#high !== 0 || this.#low < 8) throw this.#broken("field number");
    return this.#low;
  }

  /** Steps into a message that is a field of this one. Hand the result to `leave()` after its last field. */
  enter(): number {
    const length = this.#length();
    const outer = this.#end;
    this.#end = this.#at + length;
    return outer;
  }

  leave(outer: number): void {
    this.#end = outer;
  }

  /** A whole number from 0 to 2^53 - 1: revisions and counts. */
  count(): number {
    this.#varint();
    if (this.#high > 0x1f_ffff) throw this.#broken("number outside of 0 to 2^53 - 1");
    return this.#high * 0x1_0000_0000 + this.#low;
  }

  /** A whole number that may be negative: TTLs and watch ids. */
  integer(): number {
    this.#varint();
    if (this.#high < 0x8000_0000) {
      if (this.#high > 0x1f_ffff) throw this.#broken("number above 2^53 - 1");
      return this.#high * 0x1_0000_0000 + this.#low;
    }
    const value = (this.#high - 0x1_0000_0000) * 0x1_0000_0000 + this.#low;
    if (!Number.isSafeInteger(value)) throw this.#broken("number below -(2^53 - 1)");
    return value;
  }

  boolean(): boolean {
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  int64(): bigint {
    return this.#wide() ? scratch.getBigInt64(0, true) : BigInt(this.#low);
  }

  uint64(): bigint {
    return this.#wide() ? scratch.getBigUint64(0, true) : BigInt(this.#low);
  }

  /** Passes over the field's bytes. Returns where they begin; they end at `at`. */
  pass(): number {
    const length = this.#length();
    const start = this.#at;
    this.#at = start + length;
    return start;
  }

  /** How many bytes of the message are read. */
  get at(): number {
    return this.#at;
  }

  /** A view of the field's bytes. */
  bytes(): Buffer {
    const start = this.pass();
    return this.#bytes.subarray(start, this.#at);
  }

  text(): string {
    return utf8.decode(this.bytes());
  }

  /** Passes over a field that we do not know: later versions of etcd may add some. */
  skip(tag: number): void {
    switch (tag & 7) {
      case 0:
        this.#varint();
        return;
      case 1:
        this.#advance(8);
        return;
      case 2:
        this.#advance(this.#length());
        return;
      case 5:
        this.#advance(4);
        return;
      default:
        throw this.#broken(`wire type ${tag & 7}`);
    }
  }

  #advance(length: number): void {
    if (length > this.#end - this.#at) throw this.#broken("end");
    this.#at += length;
  }

  #length(): number {
    this.#varint();
    if (this.#high !== 0 || this.#low > this.#end - this.#at) throw this.#broken("length");
    return this.#low;
  }

  /** Reads a varint; puts it into `scratch` if it needs more than 32 bits, and tells so. */
  #wide(): boolean {
    this.#varint();
    if (this.#high === 0) return false;
    scratch.setUint32(0, this.#low, true);
    scratch.setUint32(4, this.#high, true);
    return true;
  }

  #varint(): void {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#at;
    // Nearly every tag and length is of one byte: a list of 100,000 keys is read in two thirds of the time.
    const first = bytes[at] as number;
    if (first < 0x80 && at < end) {
      this.#at = at + 1;
      this.#low = first;
      this.#high = 0;
      return;
    }
    let low = 0;
    let high = 0;
    // Seven bits a byte, lowest first: four bytes fill 28 bits of `low`, the fifth both, five more `high`.
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) throw this.#broken("end");
      const byte = bytes[at++] as number;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#at = at;
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw this.#broken("varint");
  }

  #broken(what: string): SdError {
    return new SdError(
      "SD_INVARIANT",
      `answer of etcd cannot be read: unexpected ${what} near byte ${this.#at} of ${this.#bytes.length}`,
    );
  }
}

/** One for all: a reader uses it within one step only. */
const scratch = new DataView(new ArrayBuffer(8));
const utf8 = new TextDecoder();

/**
 * The bytes with a memory of their own, if most of what they keep alive is not theirs.
 * grpc-js cuts small messages from Node's shared 8 KiB blocks.
 */
export function detached(bytes: Uint8Array): Buffer {
  // `Buffer.from()` would take the copy from those blocks again.
  return asBuffer(bytes.buffer.byteLength > 2 * bytes.byteLength ? new Uint8Array(bytes) : bytes);
}

/** The same bytes as a `Buffer`, which Node turns into text twice as fast. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
