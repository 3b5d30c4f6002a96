// Where a caller is, as its request says (RFC 6442): references in Geolocation and the bodies they point at. Pure.

import type { SipMessage } from './message.ts'
import { partsOf, plainType, printMultipart } from './multipart.ts'
import type { Part } from './multipart.ts'

export const pidfType = 'application/pidf+xml'

export const locationLimits = {
  /** Geolocation values, and bodies. */
  valuesMax: 4,
  valueBytesMax: 512,
  /** Of all bodies together. */
  bodyBytesMax: 6_144
} as const

export interface Location {
  /** Values of Geolocation, as written. */
  readonly values: readonly string[]
  /** Whether the call may be routed by it: Geolocation-Routing. */
  readonly routing: string | null
  readonly bodies: readonly { readonly id: string | null; readonly text: string }[]
}

/** Null where the request says nothing about it. What exceeds the bounds is left out. */
export function locationIn({ headers, body }: SipMessage): Location | null {
  const { valuesMax, valueBytesMax, bodyBytesMax } = locationLimits
  const values = headers.all('Geolocation').filter(value => value.length <= valueBytesMax)
  const type = headers.get('Content-Type') ?? ''
  const parts = body.length === 0 ? null : partsOf(type, body.toString())
  let room: number = bodyBytesMax
  const bodies = (parts ?? [])
    .filter(part => plainType(part.type) === pidfType)
    .slice(0, valuesMax)
    .filter(({ text }) => {
      const bytes = Buffer.byteLength(text)
      const fits = bytes <= room
      room -= fits ? bytes : 0
      return fits
    })
  if (values.length === 0 && bodies.length === 0) return null
  return {
    values: values.slice(0, valuesMax),
    routing: headers.get('Geolocation-Routing') ?? null,
    bodies: bodies.map(({ id, text }) => ({ id, text }))
  }
}

/** The body with its locations, and the fields that point at them. `sdp` '': there is no description. */
export function withLocation(
  { values, routing, bodies }: Location,
  sdp: string,
  boundary: string
): { readonly headers: Readonly<Record<string, string>>; readonly body: string } {
  const described: readonly Part[] =
    sdp === '' ? [] : [{ type: 'application/sdp', id: null, disposition: '', text: sdp }]
  const placed = bodies.map(({ id, text }): Part => ({
    type: pidfType,
    id,
    disposition: 'by-reference;handling=optional',
    text
  }))
  const whole = bodies.length === 0 ? null : printMultipart([...described, ...placed], boundary)
  return {
    headers: {
      ...(values.length === 0 ? {} : { Geolocation: values.join(', ') }),
      ...(routing === null ? {} : { 'Geolocation-Routing': routing }),
      ...(whole === null ? {} : { 'Content-Type': whole.type, 'MIME-Version': '1.0' })
    },
    body: whole?.body ?? sdp
  }
}
