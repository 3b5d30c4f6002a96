// Names to addresses: the DNS as a port, and Node's resolver behind it with a bounded cache (RFC 2308, RFC 8767).

import { lookup, Resolver } from 'node:dns/promises'
import { errnoOf, HubError, messageOf } from '../errors.ts'

export interface NaptrRecord {
  readonly order: number
  readonly preference: number
  /** Lower case. */
  readonly flags: string
  readonly service: string
  readonly regexp: string
  readonly replacement: string
}

export interface SrvRecord {
  readonly priority: number
  readonly weight: number
  readonly port: number
  /** Empty: the service is not there (RFC 2782: a target of "."). */
  readonly name: string
}

/** An empty list: the name has no such record. Rejects with HUB_DNS where nobody could say. */
export interface DnsResolver {
  naptr(name: string): Promise<readonly NaptrRecord[]>
  srv(name: string): Promise<readonly SrvRecord[]>
  /** IPv4. */
  a(name: string): Promise<readonly string[]>
  /** IPv6. */
  aaaa(name: string): Promise<readonly string[]>
  /** What the operating system makes of a name, of both families: its hosts file and search list. */
  system(name: string): Promise<readonly string[]>
}

export const resolverLimits = {
  /** Answers kept; the one asked for longest ago goes first. */
  entriesMax: 10_000,
  /** Different questions on their way, and those who wait for an answer; one more is refused. */
  openMax: 1_000,
  waitingMax: 20_000,
  /** Records of one answer that count. */
  recordsMax: 64,
  /** One try of one server. */
  timeoutMs: 2_000,
  tries: 2,
  /** The time to live of addresses is taken within these. */
  ttlMsMin: 1_000,
  ttlMsMax: 3_600_000,
  /** NAPTR and SRV, whose time to live Node does not tell. */
  untoldTtlMs: 30_000,
  /** "There is no such record". */
  negativeTtlMs: 10_000,
  /** When nobody answers, what was known stays good for so long after its time. */
  staleMs: 86_400_000,
  /** After a failure the old answer is given for so long before the next question. */
  failureMs: 1_000
} as const
export type ResolverLimits = { readonly [name in keyof typeof resolverLimits]: number }

export interface ResolverOptions {
  /** `192.0.2.1`, `192.0.2.1:53` or `[2001:db8::1]:53`; empty: those of the system. */
  readonly servers?: readonly string[]
  readonly limits?: Partial<ResolverLimits>
  /** Milliseconds; tests bring their own. */
  readonly now?: () => number
}

interface Found<T> {
  readonly records: readonly T[]
  readonly ttlMs: number
}

interface Kept {
  readonly records: readonly unknown[]
  /** Asked again from here on. */
  until: number
  /** Of no use from here on. */
  readonly staleUntil: number
}

/** A resolver that asks each question once at a time and remembers the answer. */
export function createResolver(options: ResolverOptions = {}): DnsResolver & { readonly size: number } {
  const limits = { ...resolverLimits, ...options.limits }
  const resolver = new Resolver({ timeout: limits.timeoutMs, tries: limits.tries })
  if (options.servers !== undefined && options.servers.length > 0) resolver.setServers([...options.servers])
  const cache = new Cache(limits, options.now ?? (() => performance.now()))
  const untold = <T>(records: readonly T[]): Found<T> => ({ records, ttlMs: limits.untoldTtlMs })
  return {
    get size() {
      return cache.size
    },
    naptr: name => cache.ask(`NAPTR ${name}`, async () => untold((await resolver.resolveNaptr(name)).map(naptrOf))),
    srv: name => cache.ask(`SRV ${name}`, async () => untold((await resolver.resolveSrv(name)).map(srvOf))),
    a: name => cache.ask(`A ${name}`, async () => addresses(await resolver.resolve4(name, { ttl: true }))),
    aaaa: name => cache.ask(`AAAA ${name}`, async () => addresses(await resolver.resolve6(name, { ttl: true }))),
    system: name =>
      cache.ask(`system ${name}`, async () => untold((await lookup(name, { all: true })).map(({ address }) => address)))
  }
}

/** Node's records carry more than their types say. */
const naptrOf = ({ order, preference, flags, service, regexp, replacement }: NaptrRecord): NaptrRecord => ({
  order,
  preference,
  flags: flags.toLowerCase(),
  service,
  regexp,
  replacement
})
const srvOf = ({ priority, weight, port, name }: SrvRecord): SrvRecord => ({ priority, weight, port, name })

function addresses(records: readonly { readonly address: string; readonly ttl: number }[]): Found<string> {
  const seconds = records.reduce((least, { ttl }) => Math.min(least, ttl), Number.POSITIVE_INFINITY)
  return { records: records.map(({ address }) => address), ttlMs: seconds * 1_000 }
}

/** What the DNS says when it has an answer and the answer is no. `ENOTFOUND` is a name, `ENODATA` a type. */
const negative: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA'])

class Cache {
  readonly #limits: ResolverLimits
  readonly #now: () => number
  /** Oldest question first. */
  readonly #kept = new Map<string, Kept>()
  readonly #open = new Map<string, Promise<readonly unknown[]>>()
  #waiting = 0

  constructor(limits: ResolverLimits, now: () => number) {
    this.#limits = limits
    this.#now = now
  }

  get size(): number {
    return this.#kept.size
  }

  /** Keys name the record type, so that a key has one type of records. */
  async ask<T>(question: string, find: () => Promise<Found<T>>): Promise<readonly T[]> {
    const key = question.toLowerCase()
    const known = this.#kept.get(key)
    if (known !== undefined && known.until > this.#now()) {
      this.#kept.delete(key)
      this.#kept.set(key, known)
      return known.records as readonly T[]
    }
    const open = this.#open.get(key)
    if (this.#waiting >= this.#limits.waitingMax || (open === undefined && this.#open.size >= this.#limits.openMax)) {
      throw new HubError('HUB_DNS', `too many DNS questions: ${question}`, { retryable: true })
    }
    const answer = open ?? this.#find(key, question, find).finally(() => this.#open.delete(key))
    this.#open.set(key, answer)
    this.#waiting++
    try {
      return (await answer) as readonly T[]
    } finally {
      this.#waiting--
    }
  }

  async #find<T>(key: string, question: string, find: () => Promise<Found<T>>): Promise<readonly unknown[]> {
    const { ttlMsMin, ttlMsMax, recordsMax, negativeTtlMs, failureMs } = this.#limits
    try {
      const { records, ttlMs } = await find()
      const some = records.slice(0, recordsMax)
      this.#keep(key, some, Math.min(ttlMsMax, Math.max(ttlMsMin, ttlMs)))
      return some
    } catch (cause) {
      if (negative.has(errnoOf(cause) ?? '')) {
        this.#keep(key, [], negativeTtlMs)
        return []
      }
      const known = this.#kept.get(key)
      if (known === undefined || known.staleUntil <= this.#now()) {
        throw new HubError('HUB_DNS', `no answer to ${question}: ${messageOf(cause)}`, { cause, retryable: true })
      }
      known.until = this.#now() + failureMs
      return known.records
    }
  }

  #keep(key: string, records: readonly unknown[], ttlMs: number): void {
    const until = this.#now() + ttlMs
    this.#kept.delete(key)
    this.#kept.set(key, { records, until, staleUntil: until + this.#limits.staleMs })
    if (this.#kept.size > this.#limits.entriesMax) this.#kept.delete(this.#kept.keys().next().value ?? '')
  }
}
