import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytes } from "../../test/observe.js";
import { decodeUtf8, instanceKey, parseInstanceKey, servicePrefix } from "./key.js";

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const refused = /^\.{0,2}$|[\u0000-\u001f\u007f-\u009f]/;
const name = fc
  .string({ unit: "binary", minLength: 1, maxLength: 20 })
  .filter((text) => !refused.test(text) && bytes(text.normalize("NFC")).length <= 128);

describe("instanceKey", () => {
  it.each([
    ["web", "a-1", "/web/a-1"],
    ["web.v1_~", "A", "/web.v1_~/A"],
    ["web/../admin", "..a", "/web%2F..%2Fadmin/..a"],
    ["a b", "!'()*", "/a%20b/%21%27%28%29%2A"],
    ["caf\u00e9", "100%", "/caf%C3%A9/100%25"],
    ["\u{1f600}", "\ufeff", "/%F0%9F%98%80/%EF%BB%BF"],
    ["__proto__", "constructor", "/__proto__/constructor"],
  ])("writes the service %j and the id %j as %s", (service, id, key) => {
    expect(instanceKey(service, id)).toBe(key);
    expect(parseInstanceKey(bytes(key))).toEqual({ service, id });
  });

  it("is read back as it was written, for every name of Unicode", () => {
    fc.assert(
      fc.property(name, name, (service, id) => {
        const key = instanceKey(service, id);
        expect(key).toMatch(/^\/[A-Za-z0-9._~%-]+\/[A-Za-z0-9._~%-]+$/);
        expect(parseInstanceKey(bytes(key))).toEqual({
          service: service.normalize("NFC"),
          id: id.normalize("NFC"),
        });
      }),
      { numRuns: 2_000 },
    );
  });

  it("lies under the prefix of its own service, and under no other's", () => {
    fc.assert(
      fc.property(name, name, name, (service, other, id) => {
        const key = instanceKey(service, id);
        expect(key.startsWith(servicePrefix(service))).toBe(true);
        expect(key.startsWith(servicePrefix(other))).toBe(service.normalize() === other.normalize());
      }),
    );
  });

  it("is one for one name, however that is composed", () => {
    expect(instanceKey("cafe\u0301", "a")).toBe(instanceKey("caf\u00e9", "a"));
  });

  it.each<[string, unknown]>([
    ["is empty", ""],
    ["is .", "."],
    ["is ..", ".."],
    ["holds a NUL", "a\0"],
    ["holds a line feed", "a\nb"],
    ["holds a C1 control", "a\u0085"],
    ["holds half a character", "a\ud800"],
    ["is longer than 128 bytes", "\u00e9".repeat(65)],
    ["grows over 128 bytes by its normal form", "\ufb2c".repeat(40)],
    ["is no text", 7],
    ["is missing", undefined],
  ])("refuses a name that %s, and says which", (_what, bad) => {
    const refusal = (subject: string) =>
      expect.objectContaining({
        code: "SD_INVALID_ARGUMENT",
        message: expect.stringMatching(`^${subject} must be `),
      });
    expect(() => instanceKey(bad as string, "a")).toThrow(refusal("service"));
    expect(() => instanceKey("web", bad as string)).toThrow(refusal("id"));
    expect(() => servicePrefix(bad as string)).toThrow(refusal("service"));
  });

  it("takes a name of exactly 128 bytes", () => {
    expect(instanceKey("x".repeat(128), "\u00e9".repeat(64))).toHaveLength(2 + 128 + 64 * 6);
  });
});

describe("servicePrefix", () => {
  it("ends with the slash that keeps one service from another", () => {
    expect(servicePrefix("web")).toBe("/web/");
    expect(instanceKey("web-admin", "a").startsWith(servicePrefix("web"))).toBe(false);
  });
});

describe("parseInstanceKey", () => {
  it.each([
    ["no slash in front", "web/a"],
    ["one part", "/web"],
    ["an empty id", "/web/"],
    ["an empty service", "//a"],
    ["a third part", "/web/a/b"],
    ["a slash at its end", "/web/a/"],
    ["an escape that is not needed", "/web/%61"],
    ["an escape in small letters", "/web/caf%c3%a9"],
    ["what had to be escaped", "/web/caf\u00e9"],
    ["another composition", "/web/cafe%CC%81"],
    ["a broken escape", "/web/%E0%A4"],
    ["half an escape", "/web/%"],
    ["a dot segment", "/web/%2E%2E"],
    ["an escaped control", "/web/%00"],
    ["a name too long", `/web/${"a".repeat(129)}`],
    ["a byte order mark", "\ufeff/web/a"],
    ["nothing", ""],
  ])("takes no key with %s for ours", (_what, key) => {
    expect(parseInstanceKey(bytes(key))).toBe(undefined);
  });

  it("takes no key for ours that is not UTF-8, and merges none with another (D13)", () => {
    for (const last of [0xff, 0xc3, 0x80]) {
      expect(parseInstanceKey(Uint8Array.of(...bytes("/web/a"), last))).toBe(undefined);
    }
  });

  it("reads any bytes without throwing, and what it takes for ours is written the same", () => {
    const part = fc.oneof(fc.uint8Array({ maxLength: 8 }), fc.string().map(bytes), fc.constant(bytes("/")));
    const key = fc
      .array(part, { maxLength: 6 })
      .map((parts) => Uint8Array.from(parts.flatMap((each) => [...each])));
    fc.assert(
      fc.property(key, (bytesOfKey) => {
        const parsed = parseInstanceKey(bytesOfKey);
        if (parsed) expect(bytes(instanceKey(parsed.service, parsed.id))).toEqual(bytesOfKey);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("decodeUtf8", () => {
  it("keeps a byte order mark, and refuses what is not UTF-8", () => {
    expect(decodeUtf8(bytes("\ufeffa"))).toBe("\ufeffa");
    expect(decodeUtf8(Uint8Array.of(0xed, 0xa0, 0x80))).toBe(undefined);
    expect(decodeUtf8(new Uint8Array())).toBe("");
  });
});
