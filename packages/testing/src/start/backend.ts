import { EtcdProcess } from "../etcd/etcd-process.js";
import type { EtcdProcessOptions } from "../etcd/etcd-process-options.js";
import { serveMemoryEtcd } from "../grpc/serve-memory-etcd.js";
import { MemoryEtcd, type MemoryEtcdOptions } from "../memory/memory-etcd.js";

/** The one member behind a `TestEtcd`: what is done differently in memory and with a process. */
export interface Backend {
  readonly endpoint: string;
  /** Like `3.5.30`. */
  readonly version: string;
  readonly memory: MemoryEtcd | undefined;
  readonly process: EtcdProcess | undefined;
  freeze(): Promise<void>;
  thaw(): void;
  kill(): Promise<void>;
  restart(): Promise<void>;
  wipe(): Promise<void>;
  close(): Promise<void>;
}

/** A `MemoryEtcd` that listens. */
export async function startMemory(options: MemoryEtcdOptions): Promise<Backend> {
  const memory = new MemoryEtcd(options);
  const { endpoint } = await serveMemoryEtcd(memory);
  return {
    endpoint,
    version: memory.behaviour.version,
    memory,
    process: undefined,
    freeze: async () => memory.freeze(),
    thaw: () => memory.thaw(),
    kill: async () => memory.kill(),
    restart: async () => {
      memory.kill();
      memory.restart();
    },
    wipe: async () => {
      memory.kill();
      memory.wipe();
      memory.restart();
    },
    close: () => memory.close(),
  };
}

/** An `EtcdProcess`. */
export async function startProcess(options: EtcdProcessOptions): Promise<Backend> {
  const process = await EtcdProcess.start(options);
  return {
    endpoint: process.endpoint,
    version: process.version,
    memory: undefined,
    process,
    freeze: () => process.freeze(),
    thaw: () => process.thaw(),
    kill: () => process.kill(),
    restart: () => process.restart(),
    wipe: async () => {
      await process.kill();
      await process.wipe();
      await process.restart();
    },
    close: () => process.close(),
  };
}
