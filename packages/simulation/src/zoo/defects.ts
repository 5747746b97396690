/** One place in the sources, and what stands there instead. */
export interface Patch {
  /** From `packages/` on. */
  readonly file: string;
  /** Occurs exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** A mistake that others have made, planted into a copy of our sources. */
export interface Defect {
  readonly name: string;
  /** Any of these must be found broken. */
  readonly breaks: readonly string[];
  /** Only trouble that shows in no answer of etcd brings it to light (see `Plan`). */
  readonly isSilent?: boolean;
  readonly patches: readonly Patch[];
}

const watch = "core/src/watch/watch.ts";
const watchHub = "core/src/watch/watch-hub.ts";
const reflector = "core/src/watch/reflector.ts";
const following = "core/src/watch/following.ts";
const list = "core/src/watch/list.ts";
const pageSize = "core/src/watch/page-size.ts";
const keepaliveHub = "core/src/lease/keepalive-hub.ts";
const leases = "core/src/lease/leases.ts";
const claim = "register/src/claim.ts";
const leaseGroup = "register/src/lease-group.ts";
const writes = "register/src/writes.ts";
const holding = "register/src/holding.ts";
const registration = "register/src/registration.ts";
const instanceStore = "discover/src/instance-store.ts";
const changeQueue = "discover/src/change.ts";
const cacheLines = "discover/src/cache-lines.ts";

/** The bug zoo. Who changes a line that is named here mends the patch: it fails until then. */
export const defects: readonly Defect[] = [
  {
    name: "resumes from header.revision of a message with events",
    breaks: ["D1", "D3"],
    patches: [
      {
        file: watch,
        find: "if (events.length > 0) return this.#deliver(events);",
        replace: `if (events.length > 0) {
          const isPiece = this.#deliver(events);
          this.#revision = Math.max(this.#revision, header.revision);
          return isPiece;
        }`,
      },
    ],
  },
  {
    name: "resumes from header.revision of created",
    breaks: ["D1", "D3", "D15", "D16"],
    patches: [
      {
        file: watch,
        find: "this.#sink.onCreated(header);",
        replace: "this.#revision = header.revision; this.#sink.onCreated(header);",
      },
    ],
  },
  {
    name: "resumes without a revision",
    breaks: ["D5"],
    patches: [
      {
        file: watchHub,
        find: "nextRevision: startRevision } = watch;",
        replace: "nextRevision } = watch;\n    const startRevision = 0 * nextRevision;",
      },
    ],
  },
  {
    name: "never compares what it shows with etcd",
    breaks: ["D1", "D15", "D16"],
    isSilent: true,
    patches: [
      {
        file: "core/src/watch/audit.ts",
        find: '  #run(scope: "anchor" | "all"): void {\n',
        replace: '  #run(scope: "anchor" | "all"): void {\n    if (scope.length > 0) return;\n',
      },
    ],
  },
  {
    name: "takes TTL 0 only for the end of a lease",
    breaks: ["R13"],
    patches: [
      { file: keepaliveHub, find: "if (answer.ttlSeconds <= 0)", replace: "if (answer.ttlSeconds === 0)" },
    ],
  },
  {
    name: "deletes its key when it closes, whoever has it",
    breaks: ["R3"],
    patches: [
      {
        file: registration,
        find: "    await this.#loop;\n",
        replace: `    await this.#loop;
    const blind = { type: "delete", key: this.#settings.key } as const;
    await this.#client.transport.txn({ compare: [], success: [blind], failure: [] }).catch(() => {});\n`,
      },
    ],
  },
  {
    name: "puts without a lease",
    breaks: ["R4"],
    patches: [
      {
        file: writes,
        find: '{ type: "put", key, value: write.value, lease }',
        replace: '{ type: "put", key, value: write.value, lease: 0n as typeof lease }',
      },
    ],
  },
  {
    name: "shows a revision event by event",
    breaks: ["D1", "D3"],
    patches: [
      {
        file: following,
        find: "if (store.apply(events, this.#advance(revision, newestPut(events)))) return;",
        replace:
          "for (const event of events) store.apply([event], this.#advance(event.kv.modRevision, newestPut([event]))); if (revision) return;",
      },
    ],
  },
  {
    name: "delivers fragments one by one",
    breaks: ["D1", "D3"],
    patches: [
      {
        file: watch,
        find: "if (!fragment && !pending) {",
        replace: "if (!pending) {",
      },
    ],
  },
  {
    name: "does not pin the pages of a list to one revision",
    breaks: ["D1", "D3"],
    patches: [
      { file: pageSize, find: "return this.#limit;", replace: "return Math.min(1, this.#limit);" },
      { file: list, find: ", ...(revision !== undefined && { revision })", replace: "" },
    ],
  },
  {
    name: "does not hear that its watch was canceled as compacted",
    breaks: ["D15", "D16"],
    patches: [
      {
        file: watchHub,
        find: "  #cancel(watch: Watch, response: WatchResponse): void {\n",
        replace:
          "  #cancel(watch: Watch, response: WatchResponse): void {\n    if (response.compactRevision > 0) return;\n",
      },
    ],
  },
  {
    name: "takes a list that fails for an empty one",
    breaks: ["D1", "D8", "D11"],
    patches: [
      {
        file: list,
        find: 'if (!isSmaller || kind === "network" || (kind === "timeout" && isFirst)) throw error;',
        replace: `if (!isSmaller || kind === "network" || (kind === "timeout" && isFirst)) {
          const header = { clusterId: 0n, memberId: 0n, revision: revision ?? 1, raftTerm: 0n };
          return { header, kvs: [], more: false, count: 0 };
        }`,
      },
    ],
  },
  {
    name: "empties what it shows before it lists again",
    breaks: ["D1", "D11"],
    patches: [
      {
        file: instanceStore,
        find: "  draft(position: Position): Draft {\n",
        replace: `  draft(position: Position): Draft {
    const all: Change<T>[] = [];
    for (const id of [...this.#content.held.keys()]) this.#delete(id, position.revision, all);
    if (all.length > 0) this.#tell(all, position);\n`,
      },
    ],
  },
  {
    name: "keeps what a list does not hold any more",
    breaks: ["D1"],
    patches: [
      {
        file: instanceStore,
        find: '    changes.push({ type: "removed", instance, revision: goneAt });\n',
        replace: "    if (goneAt >= 0) next.held.set(id, instance);\n",
      },
    ],
  },
  {
    name: "does not notice that etcd was wiped",
    breaks: ["D1", "D8", "D15", "D16"],
    patches: [
      {
        file: watch,
        find: "else if (header.revision < this.#revision) this.#sink.onBehind(header.revision);\n    else {",
        replace: "else {",
      },
    ],
  },
  {
    name: "delivers what it has delivered before",
    breaks: ["D1", "D2", "D3"],
    patches: [
      {
        file: watch,
        find: "news = events.filter(({ kv }) => kv.modRevision > this.#revision);",
        replace: "news = events.filter(({ kv }) => kv.modRevision > 0);",
      },
    ],
  },
  {
    name: "never asks a quiet stream whether it lives",
    breaks: ["D15", "D16"],
    patches: [
      {
        file: watchHub,
        find: "    if (!this.#loop.isOpen) return;\n    const lifeDue",
        replace: "    if (this.#loop.isOpen) return;\n    const lifeDue",
      },
    ],
  },
  {
    name: "tells a slow reader of no removal",
    breaks: ["D3"],
    patches: [
      {
        file: changeQueue,
        find: 'if (known === undefined && change.type === "removed") return;',
        replace: 'if (change.type === "removed") return;',
      },
    ],
  },
  {
    name: "counts the life of a lease from the answer",
    breaks: ["R10"],
    patches: [
      {
        file: keepaliveHub,
        find: "lease.confirm(answer.ttlSeconds, sentAt, answer);",
        replace: "lease.confirm(answer.ttlSeconds, now, answer);",
      },
    ],
  },
  {
    name: "reads the wall clock",
    breaks: ["R13", "R14"],
    patches: [
      {
        file: keepaliveHub,
        find: "  #serve(lease: Lease): void {\n    const now = this.#clock.now();",
        replace: "  #serve(lease: Lease): void {\n    const now = Date.now();",
      },
    ],
  },
  {
    name: "writes what is there already",
    breaks: ["R14"],
    patches: [
      {
        file: claim,
        find: "} else if (current.lease === lease && Buffer.compare(current.value, value) === 0) {",
        replace: "} else if (current.lease === 0n && Buffer.compare(current.value, value) === 0) {",
      },
    ],
  },
  {
    name: "takes a new lease after every outage",
    breaks: ["R14"],
    patches: [
      {
        file: leaseGroup,
        find: 'last?.state.status === "lost" && last.state.reason === "overdue"',
        replace: 'last?.state.status === "lost" && last.state.reason === undefined',
      },
    ],
  },
  {
    name: "overwrites whoever has its key",
    breaks: ["R2"],
    patches: [
      {
        file: registration,
        find: "  #mayReplace(current: KeyValue): boolean {\n",
        replace: "  #mayReplace(current: KeyValue): boolean {\n    if (current.version > 0) return true;\n",
      },
    ],
  },
  {
    name: "does not see that its key was deleted",
    breaks: ["R8", "R13"],
    patches: [
      {
        file: holding,
        find: 'if (!current) this.end({ type: "lost", reason: "key-deleted" });',
        replace: "if (!current) return;",
      },
    ],
  },
  {
    name: "does not see that its key was overwritten",
    breaks: ["R13"],
    patches: [
      {
        file: holding,
        find: 'else if (current.lease !== this.#options.lease.id) this.end({ type: "taken", by: current });',
        replace: "else if (current.lease !== this.#options.lease.id) return;",
      },
    ],
  },
  {
    name: "gives up after five tries",
    breaks: ["R13"],
    patches: [
      {
        file: registration,
        find: "        backoff = backoff.next();\n",
        replace: "        backoff = backoff.next();\n        if (backoff.step >= 5) return;\n",
      },
    ],
  },
  {
    name: "leaves its lease behind when it closes",
    breaks: ["R9"],
    patches: [
      {
        file: leaseGroup,
        find: "(await this.#lease?.revoke({ timeoutMs })) ??",
        replace: "(this.#lease?.release(), timeoutMs < 0 ? ({} as Revocation) : undefined) ??",
      },
    ],
  },
  {
    name: "asks for leases with negative ids",
    breaks: ["R6"],
    patches: [
      {
        file: leases,
        find: "return (this.#random.nextId() || 1n) as LeaseId;",
        replace: "return -(this.#random.nextId() || 1n) as LeaseId;",
      },
    ],
  },
  {
    name: "shows what is left of a damaged cache file",
    breaks: ["D1", "D11"],
    patches: [
      {
        file: cacheLines,
        find: 'if (end < 0) throw damaged("it ends within a line");',
        replace: "if (end < 0) return;",
      },
      {
        file: cacheLines,
        find: 'throw damaged("its checksum is not right");',
        replace: "return;",
      },
    ],
  },
  {
    name: "does not compare the first list with its cache file",
    breaks: ["D1", "D2", "D8"],
    patches: [
      {
        file: reflector,
        find: "this.#held.history = { position: { revision, epoch: 1 }, clusterId, anchor: undefined };",
        replace:
          "if (revision < 0) this.#held.history = { position: { revision, epoch: 1 }, clusterId, anchor: undefined };",
      },
    ],
  },
];
