// Messages of island users (MESSAGE, RFC 3428): in with a verdict, out to every device until the first has taken it;
// and what is told of them.

import { noFacts } from '../../session/model.ts'
import type { Reason } from '../../session/model.ts'
import type { Inbox, OutgoingText, OutgoingTyping, TextOutcome } from '../../session/ports.ts'
import type { Receipt, TextRef } from '../../session/text.ts'
import { composingType } from '../../sip/composing.ts'
import { cpimType, parseCpim } from '../../sip/cpim.ts'
import { makeRequest, newCallId, newTag, printNameAddr } from '../../sip/message.ts'
import type { SipRequest } from '../../sip/message.ts'
import type { SipStack } from '../../sip/stack.ts'
import { answerWith, line, refuseWith } from './answer.ts'
import type { Answer } from './answer.ts'
import { bestOf, fromRefusal, reasonLines, statusOf } from './causes.ts'
import type { Connection, Connections } from './connection.ts'
import { addressOf, assertedLine, fromShown, partyOf } from './identity.ts'
import type { Account } from './identity.ts'
import { connectionLost, factsOf, noDevice } from './in-call.ts'
import type { Limits } from './limits.ts'
import type { Binding } from './registrar.ts'
import { composingBody } from './reports.ts'
import type { Body, Knows, Reports } from './reports.ts'

const types = ['text/plain', cpimType, composingType]
/** Bodies that are taken (Accept). */
export const textTypes = types.join(', ')

/** The body of a MESSAGE, or the answer that says why it cannot be taken. */
export function textOf(request: SipRequest, limits: Limits): Body | Answer {
  const [named, ...params] = (request.headers.get('Content-Type') ?? 'text/plain').toLowerCase().split(';')
  const charset = params.map(text => text.trim()).find(text => text.startsWith('charset='))
  const isUtf8 = charset === undefined || /^charset="?(utf-8|us-ascii)"?$/.test(charset)
  const type = types.find(one => one === named?.trim())
  if (type === undefined || !isUtf8 || request.headers.has('Content-Encoding')) return notText
  if (request.body.length > limits.textBytesMax)
    return refuseWith(413, `a message has at most ${limits.textBytesMax} bytes`)
  try {
    return { type, text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(request.body) }
  } catch {
    return refuseWith(400, 'the text is not UTF-8')
  }
}

const notText = refuseWith(415, 'only plain text in UTF-8 can be sent', line('Accept', textTypes))

export interface IncomingText {
  readonly request: SipRequest
  readonly account: Account
  readonly called: string
  readonly connection: Connection
}

/** Settles with the answer to the MESSAGE. */
export async function takeText(
  { request, account, called, connection }: IncomingText,
  { inbox, limits, reports }: { readonly inbox: Inbox; readonly limits: Limits; readonly reports: Reports }
): Promise<Answer> {
  const body = textOf(request, limits)
  if ('status' in body) return body
  const { island } = account
  const party = partyOf(account, request.headers)
  const caller = { access: 'sip-ws', peerId: island.id, party, media: island.media } as const
  const told = reports.heard(body, { caller, called, account }, connection.knows, inbox)
  if (told !== null) return told
  const words = reports.opened(body, connection.knows)
  if (words === null) return notText
  if (connection.texts >= limits.textsPerConnectionMax) return refuseWith(503, 'too many messages at once')
  connection.texts += 1
  try {
    const facts = { ...factsOf({ invite: request }, connection.neighbour), calledRaw: request.uri }
    const ref = newCallId() as TextRef
    reports.came(ref, words.wishes, { account, called })
    const verdict = await inbox.texted({
      ref,
      caller,
      called,
      body: { type: 'text/plain', text: words.text },
      charging: null,
      facts
    })
    if (verdict.taken) return answerWith(200)
    return { status: statusOf(verdict.release), headers: reasonLines(verdict.release) }
  } finally {
    connection.texts -= 1
  }
}

export interface TextOut {
  readonly account: Account
  readonly devices: readonly Binding[]
  readonly connections: Connections
  readonly stack: SipStack
  readonly hubDomain: string
  readonly reports: Reports
}

/** To all devices at once; settles with the first that takes it, or with the best refusal once all have refused. */
export function sendText(text: OutgoingText, at: TextOut): Promise<TextOutcome> {
  const { account, devices, stack, hubDomain, reports } = at
  if (devices.length === 0) return Promise.resolve({ taken: false, reason: noDevice, facts: noFacts })
  const plain = plainOf(text.body)
  const ref = newCallId() as TextRef
  return new Promise(resolve => {
    const refusals: Reason[] = []
    for (const { uri, flow } of devices) {
      const from = fromShown(text.from, hubDomain)
      const ends = { from: from.uri, to: addressOf(account) }
      const asks = plain.type === 'text/plain' && knows(at, flow, 'notifications')
      const body = asks ? reports.wrapped(ref, plain.text, ends, account) : plain
      const request = messageTo(uri, { from: text.from, body }, account, hubDomain)
      const refused = (reason: Reason): void => {
        refusals.push(reason)
        if (refusals.length < devices.length) return
        resolve({ taken: false, reason: bestOf(refusals) ?? noDevice, facts: factsOf({ invite: request }, null) })
      }
      stack.send(
        request,
        { flow },
        {
          response: ({ status, headers }) => {
            if (status < 200) return
            if (status < 300) resolve({ taken: true, ref, facts: factsOf({ invite: request }, null), delivered: true })
            else refused(fromRefusal(status, headers))
          },
          failed: why =>
            refused(why === 'transport' ? connectionLost : { cause: 'unreachable', text: 'the device does not answer' })
        }
      )
    }
  })
}

/** Whoever asked for notifications in it hears of them by its own access. */
function plainOf(body: Body): Body {
  const cpim = body.type === cpimType ? parseCpim(body.text) : null
  return cpim?.type === 'text/plain' ? { type: 'text/plain', text: cpim.body } : body
}

const knows = ({ connections }: TextOut, flow: Binding['flow'], what: Knows): boolean =>
  connections.of(flow)?.knows.has(what) ?? false

/** To every device of the user that knows such a thing; nobody waits for what becomes of it. */
function tell(at: TextOut, what: Knows, { from, body }: { from: OutgoingText['from']; body: Body }): void {
  const nothing = { response: () => {}, failed: () => {} }
  for (const { uri, flow } of at.devices.filter(device => knows(at, device.flow, what))) {
    at.stack.send(messageTo(uri, { from, body }, at.account, at.hubDomain), { flow }, nothing)
  }
}

export const sendTyping = ({ from, state }: OutgoingTyping, at: TextOut): void =>
  tell(at, 'composing', { from, body: composingBody(state) })

/** Tells the sender of a message what became of it, as far as it has asked to be told. */
export function sendReceipt(
  ref: TextRef,
  receipt: Receipt,
  reports: Reports,
  around: (account: Account) => TextOut
): void {
  const told = reports.about(ref, receipt)
  if (told === null) return
  const { account, called, body } = told
  const from = { asserted: [called], presented: called, display: null, privacy: [] }
  tell(around(account), 'notifications', { from, body })
}

interface Words {
  readonly from: OutgoingText['from']
  readonly body: Body
}

function messageTo(uri: string, { from, body }: Words, account: Account, hubDomain: string): SipRequest {
  const sender = fromShown(from, hubDomain)
  const asserted = assertedLine(from, hubDomain)
  return makeRequest({
    method: 'MESSAGE',
    uri,
    headers: [
      line('From', printNameAddr({ ...sender, params: new Map([['tag', newTag()]]) })),
      line('To', `<${addressOf(account)}>`),
      line('Call-ID', newCallId()),
      line('CSeq', '1 MESSAGE'),
      ...(asserted === null ? [] : [line('P-Asserted-Identity', asserted)]),
      line('Content-Type', body.type === 'text/plain' ? 'text/plain;charset=UTF-8' : body.type)
    ],
    body: body.text
  })
}
