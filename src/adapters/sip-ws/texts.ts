// Messages of island users (MESSAGE, RFC 3428): in with a verdict, out to every device until the first has taken it.

import { noFacts } from '../../session/model.ts'
import type { Reason } from '../../session/model.ts'
import type { Inbox, OutgoingText, TextOutcome } from '../../session/ports.ts'
import type { TextBody, TextRef } from '../../session/text.ts'
import { makeRequest, newCallId, newTag, printNameAddr } from '../../sip/message.ts'
import type { SipRequest } from '../../sip/message.ts'
import type { SipStack } from '../../sip/stack.ts'
import { answerWith, line, refuseWith } from './answer.ts'
import type { Answer } from './answer.ts'
import { bestOf, fromRefusal, reasonLines, statusOf } from './causes.ts'
import type { Connection } from './connection.ts'
import { addressOf, assertedLine, fromShown, partyOf } from './identity.ts'
import type { Account } from './identity.ts'
import { connectionLost, factsOf, noDevice } from './in-call.ts'
import type { Limits } from './limits.ts'
import type { Binding } from './registrar.ts'

/** The text of a MESSAGE, or the answer that says why it cannot be taken. */
export function textOf(request: SipRequest, limits: Limits): TextBody | Answer {
  const [type, ...params] = (request.headers.get('Content-Type') ?? 'text/plain').toLowerCase().split(';')
  const charset = params.map(text => text.trim()).find(text => text.startsWith('charset='))
  const isUtf8 = charset === undefined || /^charset="?(utf-8|us-ascii)"?$/.test(charset)
  if (type?.trim() !== 'text/plain' || !isUtf8 || request.headers.has('Content-Encoding')) {
    return refuseWith(415, 'only plain text in UTF-8 can be sent', line('Accept', 'text/plain'))
  }
  if (request.body.length > limits.textBytesMax)
    return refuseWith(413, `a message has at most ${limits.textBytesMax} bytes`)
  try {
    return { type: 'text/plain', text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(request.body) }
  } catch {
    return refuseWith(400, 'the text is not UTF-8')
  }
}

export interface IncomingText {
  readonly request: SipRequest
  readonly account: Account
  readonly called: string
  readonly connection: Connection
}

/** Settles with the answer to the MESSAGE. */
export async function takeText(
  { request, account, called, connection }: IncomingText,
  { inbox, limits }: { readonly inbox: Inbox; readonly limits: Limits }
): Promise<Answer> {
  const body = textOf(request, limits)
  if ('status' in body) return body
  if (connection.texts >= limits.textsPerConnectionMax) return refuseWith(503, 'too many messages at once')
  connection.texts += 1
  try {
    const facts = factsOf({ invite: request }, connection.neighbour)
    const { island } = account
    const verdict = await inbox.texted({
      ref: newCallId() as TextRef,
      caller: { access: 'sip-ws', peerId: island.id, party: partyOf(account, request.headers), media: island.media },
      called,
      body,
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
  readonly text: OutgoingText
  readonly account: Account
  readonly devices: readonly Binding[]
  readonly stack: SipStack
  readonly hubDomain: string
}

/** To all devices at once; settles with the first that takes it, or with the best refusal once all have refused. */
export function sendText({ text, account, devices, stack, hubDomain }: TextOut): Promise<TextOutcome> {
  if (devices.length === 0) return Promise.resolve({ taken: false, reason: noDevice, facts: noFacts })
  return new Promise(resolve => {
    const refusals: Reason[] = []
    for (const { uri, flow } of devices) {
      const request = messageTo(uri, text, account, hubDomain)
      const ref = (request.headers.get('Call-ID') ?? '') as TextRef
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

function messageTo(uri: string, { from, body }: OutgoingText, account: Account, hubDomain: string): SipRequest {
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
