// Bodies that are not UTF-8, for applications whose library reads frames as text: base64 where they asked for it.

import { isUtf8 } from 'node:buffer'
import { printMessage } from '../message.ts'
import type { SipMessage } from '../message.ts'

/** The tag that an application authenticates with to send and get such bodies. A drachtio-server ignores it. */
export const binaryTag = 'binary-bodies'
/** Stands in messages between engine and application only; `base64`. */
export const bodyEncoding = 'X-Body-Encoding'

/** Whether an application that reads text could be given this body. */
export const isText = (body: Buffer): boolean => body.length === 0 || isUtf8(body)

/**
 * A message as its application gets it. Without the tag a body that is no text stays behind, and a Warning says so:
 * requests with one are refused (415) before it comes to that.
 */
export function printFor({ binary }: { readonly binary: boolean }, message: SipMessage): Buffer {
  const { body } = message
  if (!binary && isText(body)) return printMessage(message)
  const headers = message.headers.clone()
  // Nobody outside may write what only the engine says.
  headers.remove(bodyEncoding)
  if (isText(body)) return printMessage({ ...message, headers })
  if (binary) {
    headers.add(bodyEncoding, 'base64')
    return printMessage({ ...message, headers, body: Buffer.from(body.toString('base64')) })
  }
  headers.remove('Content-Type')
  headers.add('Warning', '399 isthmus "the body is not UTF-8 and was left out"')
  return printMessage({ ...message, headers, body: Buffer.alloc(0) })
}

/** What an application wrote in base64, or null where it is none. */
export function decodeBody(text: Buffer): Buffer | null {
  const plain = text.toString('latin1').trim()
  return /^[A-Za-z0-9+/]*={0,2}$/.test(plain) && plain.length % 4 === 0 ? Buffer.from(plain, 'base64') : null
}

/** The application's side: a message as it was on the wire. */
export function unwrapBody<T extends SipMessage>(message: T): T {
  if (message.headers.get(bodyEncoding) !== 'base64') return message
  const body = decodeBody(message.body)
  if (body === null) return message
  const headers = message.headers.clone()
  headers.remove(bodyEncoding)
  return { ...message, headers, body }
}
