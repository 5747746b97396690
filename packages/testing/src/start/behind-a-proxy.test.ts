import { afterEach, expect, it, vi } from "vitest";
import { startEtcd } from "./start-etcd.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

it("reaches its etcd where the environment names an http proxy", async () => {
  for (const name of ["grpc_proxy", "http_proxy", "https_proxy"]) vi.stubEnv(name, "http://127.0.0.1:9");
  await using etcd = await startEtcd();
  await etcd.put("/web/node1", "localhost:8000");
  expect(await etcd.get("/web/node1")).toBe("localhost:8000");
});
