// Overload control between neighbours (RFC 7339, loss algorithm): its Via parameters, and what a neighbour asks of us.

import { parseNumber, unquote } from './characters.ts'
import { parseDeltaSeconds, printVia } from './message.ts'
import type { SipRequest, Via } from './message.ts'
import type { Flow } from './transport/transport.ts'

export const overloadClientLimits = {
  /** Neighbours below whose wish is remembered; the one heard of first is forgotten. */
  heededMax: 1_000,
  /** A wish without a length is good for so long (RFC 7339, 4.3), and no wish for longer than the other. */
  validityMs: 500,
  validityMsMax: 60_000,
  /** How often it is counted what part of the traffic may be held back, and of how many requests at least. */
  sharesMs: 5_000,
  sharesMin: 20
} as const
export type OverloadClientLimits = { readonly [name in keyof typeof overloadClientLimits]: number }

/** In the Via of our own requests (RFC 7339, 4.1). */
export const takesPart = ';oc;oc-algo="loss"'

/** Whether who sent a request with this Via obeys what its answers say. */
export function offersControl({ params }: Via): boolean {
  if (params.get('oc') !== null || !params.has('oc')) return false
  const algorithms = params.get('oc-algo')
  return algorithms === undefined || /(^|,)\s*loss\s*(,|$)/i.test(unquote(algorithms ?? ''))
}

/** What a neighbour above is told: hold back so many of a hundred requests, for so long; `seq` orders such answers. */
export interface Wish {
  readonly percent: number
  readonly validityMs: number
  readonly seq: string
}

/**
 * Notes a wish in the topmost Via of the neighbour's request, so that each of its answers says the same (RFC 7339,
 * 5.3). Null: nothing needs to be held back.
 */
export function stampWish({ headers }: SipRequest, wish: Wish | null): void {
  const via = headers.via()
  if (via === null) return
  const params = new Map([...via.params].filter(([name]) => !name.startsWith('oc-') && name !== 'oc'))
  params.set('oc', String(wish?.percent ?? 0))
  params.set('oc-algo', '"loss"')
  params.set('oc-validity', String(wish?.validityMs ?? 0))
  if (wish !== null) params.set('oc-seq', wish.seq)
  headers.removeFirst('Via')
  headers.prepend('Via', printVia({ ...via, params }))
}

/** Who a request came from, to whom all its connections are one; and the server that one goes to. */
export const neighbourAbove = ({ peerId, remote }: Pick<Flow, 'peerId' | 'remote'>): string => peerId ?? remote.host
export const neighbourBelow = ({ remote: { host, port } }: Pick<Flow, 'remote'>): string => `${host}|${port}`

const emergency = /^urn:service:sos(\.|$)/i
/** Namespaces of RFC 4412 and 7135 for those who keep others alive. */
const namespaces = /(^|,)\s*(esnet|wps)\./i

/** What is refused last (RFC 7339, 5.10.1): emergency calls and those of priority users, and what is in a dialog. */
export function goesFirst({ method, uri, headers }: SipRequest): boolean {
  return (
    emergency.test(uri) ||
    method === 'CANCEL' ||
    headers.all('Resource-Priority').some(value => namespaces.test(value)) ||
    headers.tag('To') !== ''
  )
}

/** What a server asks of the stack that it takes requests for. */
export interface OverloadServer {
  /** What this neighbour is told; null: nothing. Once for each new request that offers it. */
  wishFor(neighbour: string): Wish | null
}

interface Heeded {
  percent: number
  untilMs: number
  seq: number
}

/** What the neighbours below have asked for. Times are `performance.now()`. */
export class OverloadClient {
  readonly #limits: OverloadClientLimits
  readonly #random: () => number
  readonly #heeded = new Map<string, Heeded>()
  readonly #shares: Shares
  /** Requests that were not sent. */
  heldBack = 0

  /** `random`: 0 to 1, below 1. */
  constructor(limits: OverloadClientLimits = overloadClientLimits, random: () => number = Math.random) {
    this.#limits = limits
    this.#random = random
    this.#shares = new Shares(limits)
  }

  get size(): number {
    return this.#heeded.size
  }

  /** An answer of this neighbour to one of our requests. An older one than the last says nothing (RFC 7339, 4.4). */
  heard(neighbour: string, { params }: Via, now: number): void {
    const percent = parseNumber(params.get('oc') ?? '', 100)
    if (percent === null || !/(^|,)\s*loss\s*(,|$)/i.test(unquote(params.get('oc-algo') ?? 'loss'))) return
    const before = this.#heeded.get(neighbour)
    const said = params.get('oc-seq')
    const seq = typeof said === 'string' && /^\d{1,12}\.\d{1,5}$/.test(said) ? Number(said) : null
    if (seq !== null && before !== undefined && seq <= before.seq) return
    const told = params.get('oc-validity')
    const validityMs = typeof told === 'string' ? (parseDeltaSeconds(told) ?? 0) : this.#limits.validityMs
    this.#heeded.delete(neighbour)
    if (percent === 0 || validityMs === 0) return
    const untilMs = now + Math.min(validityMs, this.#limits.validityMsMax)
    this.#heeded.set(neighbour, { percent, untilMs, seq: seq ?? before?.seq ?? 0 })
    if (this.#heeded.size > this.#limits.heededMax) this.#heeded.delete(this.#heeded.keys().next().value ?? '')
  }

  /** Whether this request is not to be sent there: as if the neighbour had answered 503 (RFC 7339, 5.10.2). */
  holdsBack(neighbour: string, request: SipRequest, now: number): boolean {
    if (this.#heeded.size === 0) return false
    const heeded = this.#heeded.get(neighbour)
    if (heeded === undefined) return false
    if (heeded.untilMs <= now) {
      this.#heeded.delete(neighbour)
      return false
    }
    const first = goesFirst(request)
    const share = this.#shares.ordinary(first, now)
    const isHeld = this.#random() < part(heeded.percent, share, first)
    if (isHeld) this.heldBack++
    return isHeld
  }
}

/** The part of the requests of one category that is held back (RFC 7339, 7.2): ordinary ones before any other. */
export function part(percent: number, ordinaryShare: number, goesFirst: boolean): number {
  if (!goesFirst) return ordinaryShare <= percent ? 1 : percent / ordinaryShare
  return percent <= ordinaryShare ? 0 : (percent - ordinaryShare) / (100 - ordinaryShare)
}

/** How many of a hundred requests are ordinary ones: 80 until it has been counted. */
class Shares {
  readonly #limits: Pick<OverloadClientLimits, 'sharesMs' | 'sharesMin'>
  #share = 80
  #ordinary = 0
  #all = 0
  #sinceMs = 0

  constructor(limits: Pick<OverloadClientLimits, 'sharesMs' | 'sharesMin'>) {
    this.#limits = limits
  }

  ordinary(first: boolean, now: number): number {
    this.#all++
    if (!first) this.#ordinary++
    if (now - this.#sinceMs >= this.#limits.sharesMs) {
      if (this.#all >= this.#limits.sharesMin) this.#share = (this.#ordinary / this.#all) * 100
      this.#sinceMs = now
      this.#all = this.#ordinary = 0
    }
    return this.#share
  }
}
