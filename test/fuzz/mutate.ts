// Inputs out of other inputs: by bytes, by lines, and by the grammar of SIP and what it carries.

export type Chance = (below: number) => number

/** Longer inputs are cut: length has tests of its own. */
export const inputBytesMax = 16_384

const pick = <T>(chance: Chance, from: readonly T[]): T => from[chance(from.length)] as T

const numbers = ['0', '-1', '1', '65535', '65536', '2147483647', '2147483648', '4294967295', '4294967296', '1e9', '007']
const pieces = [
  '\r\n',
  '\r',
  '\n',
  '\r\n\r\n',
  '\r\n ',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '<',
  '>',
  '"',
  '\\',
  '"\\',
  '%',
  '%00',
  '%zz',
  '@',
  '=',
  '?',
  '&',
  '/',
  '\0',
  '[',
  ']',
  '::',
  '{',
  '}',
  '<a',
  '</',
  '&amp;',
  '&#0;',
  '\xef\xbb\xbf',
  '\xff\xfe',
  '\xf0\x9f\x93\x9e',
  '\xc3',
  '__proto__',
  'constructor',
  'toString',
  'a'.repeat(300),
  ';a'.repeat(70),
  'SIP/2.0',
  'Content-Length: 4294967296',
  'l: -1',
  'v: ',
  '.',
  '..',
  '=?',
  '()',
  '+',
  '*'
]
const words = (
  'INVITE ACK BYE CANCEL OPTIONS REGISTER PRACK UPDATE MESSAGE NOTIFY REFER X udp tcp ' +
  'tls ws lr tag branch rport received maddr ttl oc oc-algo keep phone isub ' +
  'npdi rn timer 100rel refresher uac uas id user none critical'
).split(' ')
const hosts = ['a.example', '192.0.2.1', '[2001:db8::1]', '[::ffff:192.0.2.1]', 'a..b', '[', '999.1.1.1', '-', 'x:5060']

function token(chance: Chance): string {
  const kind = chance(4)
  return kind === 0 ? pick(chance, numbers) : kind === 1 ? pick(chance, pieces) : pick(chance, words)
}

const params = (chance: Chance): string =>
  Array.from({ length: chance(4) }, () => {
    const value = chance(3) === 0 ? '' : `=${chance(4) === 0 ? `"${token(chance)}"` : token(chance)}`
    return `;${token(chance)}${value}`
  }).join('')

function uri(chance: Chance): string {
  const rest = params(chance)
  switch (chance(6)) {
    case 0:
      return `tel:+49${pick(chance, numbers)}${rest}`
    case 1:
      return `urn:service:sos${chance(2) === 0 ? '' : '.fire'}`
    case 2:
      return `sip:${pick(chance, hosts)}${rest}`
    default: {
      const user = token(chance) + (chance(3) === 0 ? `:${token(chance)}` : '')
      const port = chance(3) === 0 ? `:${pick(chance, numbers)}` : ''
      const headers = chance(5) === 0 ? `?${token(chance)}=${token(chance)}` : ''
      return `sip${chance(4) === 0 ? 's' : ''}:${user}@${pick(chance, hosts)}${port}${rest}${headers}`
    }
  }
}

const address = (chance: Chance): string =>
  chance(4) === 0
    ? uri(chance) + params(chance)
    : `${pick(chance, ['', '"A \\" B" ', 'A B ', '"', '"\xc3\xa4" '])}<${uri(chance)}>${params(chance)}`

const via = (chance: Chance): string => {
  const transport = pick(chance, ['UDP', 'TCP', 'TLS', 'WS', 'X', ''])
  return `SIP/2.0/${transport} ${pick(chance, hosts)}${params(chance)};branch=z9hG4bK${chance(9)}`
}

/** Values of header fields by the field's own grammar. */
const values: Readonly<Record<string, (chance: Chance) => string>> = {
  Via: via,
  v: via,
  From: address,
  To: address,
  Contact: chance => pick(chance, ['*', address(chance), `${address(chance)}, ${address(chance)}`]),
  m: address,
  Route: address,
  'Record-Route': address,
  'P-Asserted-Identity': address,
  'Refer-To': address,
  CSeq: chance => `${pick(chance, numbers)} ${pick(chance, words)}`,
  RAck: chance => `${pick(chance, numbers)} ${pick(chance, numbers)} ${pick(chance, words)}`,
  RSeq: chance => pick(chance, numbers),
  'Max-Forwards': chance => pick(chance, numbers),
  'Content-Length': chance => pick(chance, numbers),
  'Session-Expires': chance => pick(chance, numbers) + params(chance),
  'Min-SE': chance => pick(chance, numbers),
  Require: token,
  Supported: token,
  'Retry-After': chance => `${pick(chance, numbers)} (${token(chance)})${params(chance)}`,
  Reason: chance => `Q.850${params(chance)}`,
  Identity: chance => `${token(chance)}.${token(chance)}.${token(chance)};info=<${uri(chance)}>${params(chance)}`,
  'P-Charging-Vector': chance => `icid-value=${token(chance)}${params(chance)}`,
  'Resource-Priority': chance => `${pick(chance, ['wps', 'esnet', 'q735'])}.${token(chance)}`,
  Privacy: token,
  'Content-Type': chance => `${pick(chance, ['application/sdp', 'multipart/mixed', 'message/cpim'])}${params(chance)}`
}
const names = Object.keys(values)

const splice = (text: string, at: number, cut: number, put: string): string =>
  text.slice(0, at) + put + text.slice(at + cut)

type Mutation = (text: string, chance: Chance, other: string) => string

const byBytes: readonly Mutation[] = [
  (text, chance) => splice(text, chance(text.length + 1), 0, pick(chance, pieces)),
  (text, chance) => splice(text, chance(text.length + 1), chance(40), ''),
  (text, chance) => splice(text, chance(text.length + 1), 1 + chance(4), token(chance)),
  (text, chance) => splice(text, chance(text.length + 1), 1, String.fromCharCode(chance(256))),
  (text, chance) => text.slice(0, chance(text.length + 1)),
  (text, chance) => {
    const at = chance(text.length + 1)
    const span = text.slice(at, at + 1 + chance(60))
    return splice(text, at, 0, span.repeat(1 + chance(chance(8) === 0 ? 200 : 3)))
  },
  (text, chance, other) => {
    const at = chance(other.length + 1)
    return splice(text, chance(text.length + 1), chance(60), other.slice(at, at + chance(120)))
  },
  (text, chance) => text.replace(/\d+/g, found => (chance(12) === 0 ? pick(chance, numbers) : found))
]

/** Something done to the lines; they end as they did. */
const lines =
  (change: (rows: string[], chance: Chance, other: readonly string[]) => void): Mutation =>
  (text, chance, other) => {
    const rows = text.split('\r\n')
    change(rows, chance, other.split('\r\n'))
    return rows.join('\r\n')
  }

const statuses = ['100', '180', '183', '200', '302', '401', '503', '699', '099', '1000']

const byLines: readonly Mutation[] = [
  lines((rows, chance) => void rows.splice(chance(rows.length), 1)),
  lines((rows, chance) => void rows.splice(chance(rows.length), 0, pick(chance, rows))),
  lines((rows, chance, other) => void rows.splice(chance(rows.length), chance(2), pick(chance, other))),
  lines((rows, chance) => {
    const at = chance(rows.length)
    rows[at] = (rows[at] ?? '').replace(/([:;,= ])/, `$1\r\n `)
  }),
  lines((rows, chance) => {
    const name = pick(chance, names)
    rows.splice(1 + chance(rows.length), 0, `${name}: ${values[name]?.(chance) ?? ''}`)
  }),
  lines((rows, chance) => {
    // Another value in a field that is there, by its own grammar.
    const fields = rows.flatMap((row, index) => {
      const name = /^([A-Za-z-]+):/.exec(row)?.[1] ?? ''
      return values[name] === undefined ? [] : [{ index, name }]
    })
    if (fields.length === 0) return
    const { index, name } = pick(chance, fields)
    rows[index] = `${name}: ${values[name]?.(chance) ?? ''}`
  }),
  lines((rows, chance) => {
    if (chance(2) === 0) rows[0] = `${pick(chance, words)} ${uri(chance)} SIP/2.0`
    else rows[0] = `SIP/2.0 ${pick(chance, statuses)} ${token(chance)}`
  })
]

/** A new input out of `from`, with pieces of `other`; both as latin1. */
export function mutate(from: string, other: string, chance: Chance): string {
  let text = from
  for (let left = 1 + chance(5); left > 0; left--) {
    text = pick(chance, chance(2) === 0 ? byLines : byBytes)(text, chance, other)
  }
  return text.slice(0, inputBytesMax)
}
