// A user of an island for tests: SIP over a `ws` client socket, on a stack of its own, with a digest client of its own.

import { once } from 'node:events'
import { WebSocket } from 'ws'
import { createUserAgent } from '../../src/sip/call.ts'
import type { CallHandler, SipCall, UserAgent } from '../../src/sip/call.ts'
import type { Parts } from '../../src/sip/dialog.ts'
import { makeRequest, makeResponse, newCallId, newTag } from '../../src/sip/message.ts'
import type { SipMessage, SipRequest, SipResponse } from '../../src/sip/message.ts'
import type { ServerTransaction, SipTimers } from '../../src/sip/stack.ts'
import type { AdoptedFlow } from '../../src/sip/transport/transport.ts'
import { answerTo } from './digest.ts'

export interface WsUserOptions {
  readonly url: string
  readonly name: string
  readonly password?: string
  readonly domain?: string
  readonly origin?: string
  /** `+sip.instance`, with reg-id 1. */
  readonly instance?: string
  readonly timers?: Partial<SipTimers>
  /** Called with every call that comes in, before anything else is heard of it. Default: rings. */
  readonly incoming?: (call: SipCall) => void
  /** Any other request from outside a dialog. Default: MESSAGE 200, others 405. */
  readonly requested?: (tx: ServerTransaction) => void
}

export interface RequestOptions {
  readonly headers?: readonly (readonly [string, string])[]
  readonly body?: string | Buffer
  readonly from?: string
  readonly to?: string
  /** Answer a challenge: with the name and password of the user, of somebody else, or not at all. */
  readonly as?: { readonly name: string; readonly password: string } | null
  readonly callId?: string
}

export interface CallOptions extends Parts {
  readonly from?: string
  readonly on?: CallHandler
  readonly delayPrack?: boolean
}

export interface WsUser {
  readonly name: string
  /** `sip:name@domain` */
  readonly address: string
  /** What REGISTER names, and what INVITEs to this device are addressed to. */
  readonly contact: string
  readonly agent: UserAgent
  readonly socket: WebSocket
  readonly flow: AdoptedFlow
  readonly calls: SipCall[]
  readonly requests: SipRequest[]
  /** Every message from the hub, in order. */
  readonly heard: SipMessage[]
  register(options?: {
    readonly expires?: number
    readonly contact?: string
    readonly algorithm?: 'MD5' | 'SHA-256'
  }): Promise<SipResponse>
  /** One request outside a dialog, a challenge answered once. */
  request(method: string, uri: string, options?: RequestOptions): Promise<SipResponse>
  call(uri: string, options?: CallOptions): SipCall
  close(): Promise<void>
}

const hasType = ({ headers = [] }: RequestOptions): boolean =>
  headers.some(([name]) => name.toLowerCase() === 'content-type')

export async function connectUser(options: WsUserOptions): Promise<WsUser> {
  const { url, name, password = 'secret', domain = 'island.example', origin = 'https://pages.example' } = options
  const socket = new WebSocket(url, ['sip'], { origin, rejectUnauthorized: false })
  await once(socket, 'open')
  const heard: SipMessage[] = []
  const calls: SipCall[] = []
  const requests: SipRequest[] = []
  const agent = createUserAgent({
    listen: [],
    ...(options.timers === undefined ? {} : { timers: options.timers }),
    tap: (direction, message) => {
      if (direction === 'in') heard.push(message)
    },
    incoming: call => {
      calls.push(call)
      if (options.incoming !== undefined) options.incoming(call)
      else call.ring()
    },
    requested: tx => {
      requests.push(tx.request)
      if (options.requested !== undefined) options.requested(tx)
      else tx.respond(makeResponse(tx.request, tx.request.method === 'MESSAGE' ? 200 : 405))
    }
  })
  await agent.start()
  const flow = agent.stack.adopt({
    transport: 'ws',
    local: { host: '127.0.0.1', port: 1 },
    remote: { host: '127.0.0.1', port: Number(new URL(url).port) },
    peerId: null,
    send: bytes => socket.send(bytes),
    close: () => socket.close()
  })
  socket.on('message', (data: Buffer) => flow.receive(data))
  socket.on('close', () => flow.lost())
  socket.on('error', () => {})

  const address = `sip:${name}@${domain}`
  const contact = `sip:${newTag()}@${newTag()}.invalid;transport=ws`
  let cseq = 0
  const registerCallId = newCallId()

  const exchange = (method: string, uri: string, more: RequestOptions, number: number): Promise<SipResponse> =>
    new Promise((resolve, reject) => {
      const request = makeRequest({
        method,
        uri,
        headers: [
          ['From', `<${more.from ?? address}>;tag=${newTag()}`],
          ['To', `<${more.to ?? uri}>`],
          ['Call-ID', more.callId ?? newCallId()],
          ['CSeq', `${number} ${method}`],
          ...(more.headers ?? []),
          ...(more.body === undefined || hasType(more) ? [] : [['Content-Type', 'text/plain'] as const])
        ],
        ...(more.body === undefined ? {} : { body: more.body })
      })
      agent.stack.send(
        request,
        { flow },
        {
          response: response => {
            if (response.status >= 200) resolve(response)
          },
          failed: why => reject(new Error(`${method} ${uri}: ${why}`))
        }
      )
    })

  const request = async (
    method: string,
    uri: string,
    more: RequestOptions = {},
    algorithm?: string
  ): Promise<SipResponse> => {
    const callId = more.callId ?? newCallId()
    cseq += 1
    const first = await exchange(method, uri, { ...more, callId }, cseq)
    const as = more.as === undefined ? { name, password } : more.as
    const answer =
      as === null
        ? null
        : answerTo(
            { status: first.status, headers: first.headers.lines() },
            { ...as, method, uri, algorithm: algorithm ?? 'MD5' }
          )
    if (answer === null) return first
    cseq += 1
    return exchange(method, uri, { ...more, callId, headers: [...(more.headers ?? []), answer] }, cseq)
  }

  return {
    name,
    address,
    contact,
    agent,
    socket,
    flow,
    calls,
    requests,
    heard,
    request,
    register: ({ expires = 600, contact: other, algorithm } = {}) => {
      const instance = options.instance === undefined ? '' : `;reg-id=1;+sip.instance="<urn:uuid:${options.instance}>"`
      const headers = [['Contact', other ?? `<${contact}>${instance};expires=${expires}`]] as const
      return request('REGISTER', `sip:${domain}`, { headers, to: address, callId: registerCallId }, algorithm)
    },
    call: (uri, { from = address, on = {}, ...parts } = {}) =>
      agent.place({
        uri,
        to: { flow },
        from: from.includes('<') ? from : `<${from}>`,
        contact: `<${contact}>`,
        on,
        ...parts
      }),
    close: async () => {
      const closed = socket.readyState === WebSocket.CLOSED ? null : once(socket, 'close')
      socket.terminate()
      await closed
      await agent.close()
    }
  }
}
