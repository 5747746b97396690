import { execFileSync, spawnSync } from "node:child_process";
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { cacheFileAt } from "./cache-file.js";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "sd-cache-"));
  path = join(directory, "web.cache");
  return () => rm(directory, { recursive: true });
});

const text = async (file = cacheFileAt(path)): Promise<string | undefined> => {
  const bytes = await file.read(100);
  return bytes && Buffer.from(bytes).toString();
};
const chunks = (...texts: string[]): Uint8Array[] => texts.map((each) => Buffer.from(each));

describe("A cache file on the disk", () => {
  it("gives what was written last, and nothing before", async () => {
    const file = cacheFileAt(path);
    expect(await file.read(100)).toBeUndefined();
    await file.write(chunks("one"));
    await file.write(chunks("two", " and three"));
    expect(await text()).toBe("two and three");
    expect(await readdir(directory)).toEqual(["web.cache"]);
  });

  it("is its user's alone, whatever was there before", async () => {
    await writeFile(path, "old", { mode: 0o644 });
    await cacheFileAt(path).write(chunks("new"));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it("stays as it was if a write breaks off, and nothing is left beside it", async () => {
    const file = cacheFileAt(path);
    await file.write(chunks("whole"));
    const breaking = function* (): Generator<Uint8Array> {
      yield Buffer.from("half");
      throw new Error("broken off");
    };
    await expect(file.write(breaking())).rejects.toThrow("broken off");
    expect(await text(file)).toBe("whole");
    expect(await readdir(directory)).toEqual(["web.cache"]);
  });

  it("removes what processes have left that were killed as they wrote, and nothing else", async () => {
    const { pid } = spawnSync(process.execPath, ["--version"]);
    const others = [`web.cache.${process.pid}-99.tmp`, "web.cache.tmp", `other.${pid}-1.tmp`];
    for (const name of [`web.cache.${pid}-1.tmp`, ...others]) await writeFile(join(directory, name), "half");
    await cacheFileAt(path).write(chunks("whole"));
    expect((await readdir(directory)).sort()).toEqual(["web.cache", ...others].sort());
  });

  it("is whole at any moment, also while two write it", async () => {
    const files = [cacheFileAt(path), cacheFileAt(path)];
    await files[0]?.write(chunks("00000"));
    const writing = files.map(async (file, index) => {
      for (let time = 0; time < 20; time += 1) await file.write(chunks(...Array<string>(5).fill(`${index}`)));
    });
    let isOver = false;
    const all = Promise.all(writing).then(() => {
      isOver = true;
    });
    while (!isOver) expect(["00000", "11111"]).toContain(await text());
    await all;
  });

  it("stays where it is when the process changes its directory", async () => {
    const before = process.cwd();
    try {
      process.chdir(directory);
      const file = cacheFileAt("web.cache");
      process.chdir(tmpdir());
      await file.write(chunks("here"));
      expect([await text(file), await readdir(directory)]).toEqual(["here", ["web.cache"]]);
    } finally {
      process.chdir(before);
    }
  });

  it("is not read if it is larger than may be", async () => {
    await cacheFileAt(path).write(chunks("x".repeat(101)));
    await expect(text()).rejects.toMatchObject({
      code: "SD_LIMIT_EXCEEDED",
      message: expect.stringContaining("it has 101 bytes, and at most 100 are read"),
    });
  });

  // Windows has no such permissions: `chmod()` only makes a file read-only there.
  it.skipIf(process.platform === "win32")("is not read if others may write it", async () => {
    await writeFile(path, "forged");
    for (const mode of [0o620, 0o602, 0o666]) {
      await chmod(path, mode);
      await expect(text()).rejects.toMatchObject({
        code: "SD_PERMISSION",
        message: "the cache file cannot be used: others may write it: chmod go-w",
      });
    }
    await chmod(path, 0o644);
    expect(await text()).toBe("forged");
  });

  // Windows has no /dev/zero, and makes links for administrators only.
  it.skipIf(process.platform === "win32")(
    "is not read through a link, nor from what is no file",
    async () => {
      await cacheFileAt(path).write(chunks("whole"));
      const link = join(directory, "link");
      await symlink(path, link);
      await expect(text(cacheFileAt(link))).rejects.toMatchObject({
        code: "SD_PERMISSION",
        message: `the cache file cannot be used: "${link}" is a link: give the path it leads to`,
      });
      await expect(text(cacheFileAt(directory))).rejects.toThrow("it is no regular file");
      await expect(text(cacheFileAt("/dev/zero"))).rejects.toThrow("it is no regular file");
    },
  );

  // Windows has no `mkfifo`, and makes links for administrators only.
  it.skipIf(process.platform === "win32")("takes the place of nothing but a file or a link", async () => {
    const pipe = join(directory, "pipe");
    execFileSync("mkfifo", [pipe]);
    const why = "the cache file cannot be used: it is no regular file";
    await expect(cacheFileAt(pipe).write(chunks("x"))).rejects.toThrow(why);
    expect((await stat(pipe)).isFIFO()).toBe(true);
    await expect(cacheFileAt(directory).write(chunks("x"))).rejects.toThrow(why);
    await symlink(path, join(directory, "link"));
    await cacheFileAt(join(directory, "link")).write(chunks("x"));
    expect((await readdir(directory)).sort()).toEqual(["link", "pipe"]);
  });

  it("cannot be written where no directory is, and says so", async () => {
    const file = cacheFileAt(join(directory, "none", "web.cache"));
    expect(await file.read(100)).toBeUndefined();
    await expect(file.write(chunks("x"))).rejects.toMatchObject({ code: "ENOENT" });
    await expect(readFile(path)).rejects.toThrow();
  });
});
