export { type EventuallyOptions, eventually } from "./check/eventually.js";
export { type LeakCheck, type LeakCheckOptions, leakCheck } from "./check/leak-check.js";
export { ManualClock } from "./clock/manual-clock.js";
export type { EtcdAuth, EtcdUser, Permission } from "./etcd/auth.js";
export { type EtcdBinary, etcdBinaries, oldestAndNewestEtcd } from "./etcd/etcd-binaries.js";
export { EtcdCluster, type EtcdClusterOptions } from "./etcd/etcd-cluster.js";
export { EtcdProcess } from "./etcd/etcd-process.js";
export type { EtcdProcessOptions } from "./etcd/etcd-process-options.js";
export { GrpcProxy, type GrpcProxyOptions } from "./etcd/grpc-proxy.js";
export type { MemberStatus } from "./etcd/member-status.js";
export type { RestoreOptions } from "./etcd/snapshot-tool.js";
export type { EtcdTls } from "./etcd/tls-files.js";
export {
  type MemoryEtcdServer,
  type ServeOptions,
  serveMemoryEtcd,
} from "./grpc/serve-memory-etcd.js";
export type { Allowance, KeyOrPrefix, MemoryAuth, UserOptions } from "./memory/auth/memory-auth.js";
export { type Behaviour, behaviours, type EtcdVersion } from "./memory/behaviour.js";
export type { AnswerVerb, Call, Requests, RequestVerb, Verb } from "./memory/calls.js";
export { leaseId } from "./memory/lease-id.js";
export { MemoryEtcd, type MemoryEtcdOptions, type TransportOptions } from "./memory/memory-etcd.js";
export {
  type Exit,
  type Line,
  type LineWait,
  type NodeChild,
  type NodeOptions,
  startNode,
} from "./process/child.js";
export { type DownstreamListener, FaultProxy, type FaultProxyOptions } from "./proxy/fault-proxy.js";
export type { Direction, ProxiedConnection } from "./proxy/proxied-connection.js";
export { fixedRandom, SeededRandom } from "./random/seeded-random.js";
export {
  type ChangeRecording,
  type ChangeSource,
  type RecordedChange,
  type RecordedEntry,
  type RecordedMessage,
  recordChanges,
  shortChange,
} from "./record/record-changes.js";
export {
  type RecordedState,
  type RecordOptions,
  recordStates,
  type Stateful,
  type StateRecording,
} from "./record/record-states.js";
export { Bench, type BenchClientOptions } from "./start/bench.js";
export { overrideTransport } from "./start/override-transport.js";
export { type StartEtcdOptions, startEtcd } from "./start/start-etcd.js";
export type { PutOptions, TestEtcd } from "./start/test-etcd.js";
export {
  type Certificate,
  CertificateAuthority,
  type CertificateOptions,
  type ClientCertificateOptions,
  type ServerCertificateOptions,
} from "./tls/certificate-authority.js";
