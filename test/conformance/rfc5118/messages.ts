// Messages for the cases of RFC 5118, section 4: what each is about, in messages of our own.

const lines = (...all: readonly string[]): Buffer => Buffer.from(`${all.join('\r\n')}\r\n`)

interface Parts {
  readonly method?: string
  readonly uri?: string
  readonly via?: readonly string[]
  readonly more?: readonly string[]
  readonly body?: readonly string[]
}

/** A request of IPv6 networks. */
export function message({ method = 'REGISTER', uri = 'sip:[2001:db8::10]', via, more = [], body = [] }: Parts): Buffer {
  const text = body.map(line => `${line}\r\n`).join('')
  return Buffer.concat([
    lines(
      `${method} ${uri} SIP/2.0`,
      ...(via ?? ['SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111']).map(value => `Via: ${value}`),
      'Max-Forwards: 70',
      'From: <sip:user@example.com>;tag=81x2',
      'To: <sip:user@example.com>',
      'Call-ID: SSG95523997077@hlau_4100',
      `CSeq: 98176 ${method}`,
      ...more,
      `Content-Length: ${text.length}`,
      ''
    ),
    Buffer.from(text)
  ])
}

export const contact = (host: string): string => `Contact: "Caller" <sip:caller@${host}>`

export const sessionIn = (...media: readonly string[]): readonly string[] => [
  'v=0',
  'o=assistant 971731711378798081 0 IN IP6 2001:db8::20',
  's=Live video feed',
  't=3338481189 3370017201',
  ...media
]
