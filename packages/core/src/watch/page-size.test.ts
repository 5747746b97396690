import { beforeEach, describe, expect, it } from "vitest";
import { PageSize } from "./page-size.js";

let pages: PageSize;
beforeEach(() => {
  pages = new PageSize();
  pages.begin();
});

/** So many keys of so many bytes, with what a message adds. */
function page(keys: number, { valueBytes = 100 } = {}): { length: number; bytes: number } {
  return { length: keys, bytes: keys * (valueBytes + 60) };
}

describe("PageSize", () => {
  it("begins with 1000 keys, then asks for quarters of a large range over a fast link", () => {
    expect(pages.limit).toBe(1_000);
    pages.came(page(1_000), 100_000, 10);
    expect(pages.limit).toBe(25_000);
    pages.came(page(25_000), 99_000, 100);
    expect(pages.limit).toBe(25_000);
  });

  it("asks for what a slow link carries in a second (D18)", () => {
    pages.came(page(1_000), 100_000, 4_000);
    expect(pages.limit).toBe(250);
  });

  it("asks for at most about 16 MiB, however fast the link (T6)", () => {
    pages.came(page(1_000, { valueBytes: 65_476 }), 1_000_000, 10);
    expect(pages.limit).toBe(256);
  });

  it("forgets that a page was too slow as pages come in time, and not from list to list", () => {
    expect(pages.failed("timeout", 5_000)).toBe(true);
    expect(pages.limit).toBe(250);
    pages.begin();
    expect(pages.limit).toBe(250);
    for (const expected of [500, 1_000, 2_000]) {
      pages.came(page(250), 100_000, 10);
      expect(pages.limit).toBe(expected);
    }
  });

  it("remembers that a page was too large until lists are complete", () => {
    expect(pages.failed("too-large", 10)).toBe(true);
    pages.came(page(250), 100_000, 10);
    expect(pages.limit).toBe(250);
    pages.completed();
    pages.begin();
    expect(pages.limit).toBe(500);
  });

  it("grows after two lists in a row that compaction overtook, until one is complete (D18)", () => {
    const restart = (): void => {
      pages.overtaken();
      pages.begin();
    };
    restart();
    expect(pages.limit).toBe(1_000);
    restart();
    expect(pages.limit).toBe(100_000);
    pages.came(page(1_000), 100_000, 4_000);
    expect(pages.limit).toBe(2_500);
    restart();
    expect(pages.limit).toBe(1_000_000);
    pages.completed();
    pages.begin();
    expect(pages.limit).toBe(1_000);
  });

  it("goes no further back to pages that failed, however often compaction overtakes it", () => {
    pages.failed("too-large", 10);
    for (let restart = 0; restart < 9; restart += 1) pages.overtaken();
    pages.begin();
    expect(pages.limit).toBe(250);
  });

  it("takes a connection that broke after a second for one that broke under the page", () => {
    expect(pages.failed("network", 1_500)).toBe(true);
    expect(pages.limit).toBe(250);
  });

  it.each([
    ["network", 100],
    ["no-leader", 5_000],
    ["compacted", 10],
    [undefined, 10],
  ] as const)("does not take %s after %i ms for a matter of size", (kind, durationMs) => {
    expect(pages.failed(kind, durationMs)).toBe(false);
    expect(pages.limit).toBe(1_000);
  });
});
