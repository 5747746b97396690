import { invalidArgument } from "../../kit/errors.js";

/**
 * Writes one protobuf message; the counterpart of `Reader`.
 *
 * It exists because protobufjs rounds 64-bit ids without a word if it cannot load the package `long`, as
 * when Node runs with `--conditions=import`: a rounded lease id is another lease.
 *
 * Source: https://protobuf.dev/programming-guides/encoding/
 */
export class Writer {
  #bytes = Buffer.allocUnsafe(128);
  #length = 0;

  /** A whole number from 0, or a flag; left out if it is 0 or `undefined`, which means the same. */
  number(field: number, value: number | bigint | boolean | undefined): this {
    return value ? this.required(field, value === true ? 1 : value) : this;
  }

  /** As `number()`, but written even if it is 0: in a choice between fields, presence tells which. */
  required(field: number, value: number | bigint): this {
    this.#varint(field << 3);
    this.#varint(value);
    return this;
  }

  /** Bytes or a text; left out if empty or `undefined`. */
  bytes(field: number, value: Uint8Array | string | undefined): this {
    if (value === undefined || value.length === 0) return this;
    return this.#delimited(field, typeof value === "string" ? Buffer.from(value) : value);
  }

  /** A message within this one; written even if it is empty. */
  message(field: number, inner: Writer): this {
    return this.#delimited(field, inner.finish());
  }

  /** The message. Do not write on. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #delimited(field: number, value: Uint8Array): this {
    this.#varint((field << 3) | 2);
    this.#varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** @throws SdError `SD_INVALID_ARGUMENT` for what it would write as another number, or as none at all. */
  #varint(value: number | bigint): void {
    if (typeof value === "bigint" ? value < 0n || value >= 1n << 64n : !isWhole(value)) {
      throw invalidArgument("a number of a request", "a whole number from 0", value);
    }
    this.#reserve(10);
    let low: number;
    if (typeof value === "number" && value <= 0xffff_ffff) low = value;
    else {
      // Each step on a bigint would allocate another one, for every id of a lease.
      const whole = BigInt(value);
      low = Number(whole & 0xffff_ffffn);
      for (let high = Number(whole >> 32n); high > 0; high >>>= 7) {
        this.#put((low & 0x7f) | 0x80);
        low = ((low >>> 7) | (high << 25)) >>> 0;
      }
    }
    for (; low >= 0x80; low >>>= 7) this.#put((low & 0x7f) | 0x80);
    this.#put(low);
  }

  #put(byte: number): void {
    this.#bytes[this.#length++] = byte;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const bigger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    bigger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bigger;
  }
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
