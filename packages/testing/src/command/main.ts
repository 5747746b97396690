#!/usr/bin/env node
import process from "node:process";
import { runEtcd } from "./run-etcd.js";

const controller = new AbortController();
const stop = (name: NodeJS.Signals): void => {
  if (controller.signal.aborted) process.exit(name === "SIGINT" ? 130 : 143);
  controller.abort();
};
process.on("SIGINT", stop).on("SIGTERM", stop);

void runEtcd(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
  signal: controller.signal,
}).then((code) => {
  process.exitCode = code;
});
