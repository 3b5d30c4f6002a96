import { describe, it } from '@jest/globals'
import { deepEqual as equal, doesNotMatch, match, ok, throws } from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { configSchema, fileOf, parseConfig, passwordOf, readConfig, secretOf } from '../src/config.ts'

const example = join(import.meta.dirname, '..', 'isthmus.example.yaml')
const text = readFileSync(example, 'utf8')

interface Schema {
  readonly oneOf?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
}

/** Every path of the schema, as `islands[].users[].name`. */
function paths({ properties, items, oneOf = [], anyOf = [] }: Schema, at = ''): readonly string[] {
  const either = [...oneOf, ...anyOf]
  if (either.length > 0) return [...new Set(either.flatMap(schema => paths(schema, at)))]
  if (items !== undefined) return paths(items, `${at}[]`)
  return Object.entries(properties ?? {}).flatMap(([key, inner]) => {
    const path = at === '' ? key : `${at}.${key}`
    return [path, ...paths(inner, path)]
  })
}

function given(value: unknown, at = ''): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(item => given(item, `${at}[]`))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => {
    const path = at === '' ? key : `${at}.${key}`
    return [path, ...given(inner, path)]
  })
}

const problem = (yaml: string): string => {
  try {
    parseConfig(yaml, 'test')
  } catch (error) {
    return (error as Error).message
  }
  return 'accepted'
}

describe('isthmus.example.yaml', () => {
  it('is accepted, and shows every key of the schema', () => {
    ok(readConfig(example).islands.length === 4)
    const schema = z.toJSONSchema(configSchema, { io: 'input' }) as Schema
    // The other choice of a key that is a word here: named in the comment above it.
    const named = ['nni.engine.host', 'nni.engine.port', 'nni.engine.secretEnv']
    match(text, /# embedded, or the control port of a drachtio-server: \{ host, port, secretEnv \}/)
    const shown = new Set([...given(parse(text)), ...named])
    equal(
      paths(schema).filter(path => !shown.has(path)),
      []
    )
  })
  it('has a comment above or before every key', () => {
    const lines = text.split('\n')
    const bare = lines.filter((line, n) => {
      if (!/^\s*(- )?[A-Za-z]+:/.test(line)) return false
      // A second key of a pair (portMin and portMax, certFile and keyFile) shares the comment above the first.
      return !/^\s*#/.test(lines[n - 1] ?? '') && !/^\s*#/.test(lines[n - 2] ?? '')
    })
    equal(bare, [])
  })
})

describe('configuration', () => {
  it('nothing at all is a hub on its defaults', () => {
    equal(parseConfig('').media.anchor, 'embedded')
  })
  it('an unknown key is an error that names its path', () => {
    match(problem('hub: { idd: x }'), /hub: .*idd/)
    match(problem('islands: [{ id: a, access: sip-ws, domain: a.b, userz: [] }]'), /islands\.0: .*userz/)
  })
  it('every problem is told at once', () => {
    const told = problem('hub: { drainMs: -1 }\nmedia: { anchor: none2, portMin: 99999 }')
    for (const path of ['hub.drainMs', 'media.anchor', 'media.portMin']) match(told, new RegExp(path))
  })
  it('what is not YAML says where', () => {
    match(problem('hub: ['), /line 1|at line/)
  })
  it('what is not YAML is not shown: it may be a password', () => {
    const told = problem('islands:\n  - password: geheim: lang')
    match(told, /line \d/)
    doesNotMatch(told, /geheim/)
  })
  it('contradictions between keys are told in plain words', () => {
    const island = (id: string, domain: string, users = '[]') =>
      `{ id: ${id}, access: sip-ws, domain: ${domain}, users: ${users} }`
    match(problem(`islands: [${island('a', 'x.y')}, ${island('a', 'z.y')}]`), /peer id "a" appears twice/)
    match(problem(`islands: [${island('a', 'x.y')}, ${island('b', 'x.y')}]`), /domain "x.y" appears twice/)
    match(problem(`islands: [${island('a', 'x.y')}, ${island('b', 'X.y')}]`), /domain "x.y" appears twice/)
    const namesakes = '[{ name: Ann, password: p }, { name: ann, password: q }]'
    match(problem(`islands: [${island('a', 'x.y', namesakes)}]`), /user of island a "ann" appears twice/)
    const user = '[{ name: u, password: p, number: "+491" }]'
    match(
      problem(`islands: [${island('a', 'x.y', user)}, ${island('b', 'z.y', user)}]`),
      /number "\+491" appears twice/
    )
    match(problem(`islands: [${island('hub', 'x.y')}]`), /no peer may be called "hub"/)
    const rates = '[{ prefix: "+", destination: all, rate: "1" }]'
    match(problem(`agreements: [{ id: x, buyer: hub, seller: hub, rates: ${rates} }]`), /the same party/)
    match(problem(`agreements: [{ id: x, buyer: hub, seller: nobody, rates: ${rates} }]`), /nobody is called "nobody"/)
  })
  it('a link to an XMPP server that others could read refuses the start unless it is wanted so', () => {
    const component = (more: string) =>
      `islands: [{ id: a, access: xmpp, domain: a.b, gateway: g.a.b, connection: { kind: component, secret: s, ${more} } }]`
    match(
      problem(component('host: 192.0.2.1')),
      /island a: .*192\.0\.2\.1 would be plain text off loopback: .*insecure: true/
    )
    match(problem(component('host: 127.evil.example')), /plain text off loopback/)
    for (const fine of [
      'host: localhost',
      'host: 127.0.0.1',
      'host: "::1"',
      'host: 192.0.2.1, insecure: true',
      'host: x.y, tls: {}'
    ])
      equal(problem(component(fine)), 'accepted')
    const accounts = (service: string, more = '') =>
      `islands: [{ id: a, access: xmpp, domain: a.b, gateway: a.b, connection: { kind: accounts, service: "${service}", ${more}
        accounts: [{ name: n, secret: s, number: "+491" }] } }]`
    match(problem(accounts('ws://a.b/x')), /plain text off loopback/)
    for (const fine of ['wss://a.b/x', 'xmpps://a.b', 'xmpp://a.b', 'ws://127.0.0.1:1/x', 'ws://[::1]:1/x'])
      equal(problem(accounts(fine)), 'accepted')
    equal(problem(accounts('ws://a.b/x', 'insecure: true,')), 'accepted')
  })
  it('one component domain belongs to one island', () => {
    const island = (id: string, gateway: string) =>
      `{ id: ${id}, access: xmpp, domain: ${id}.b, gateway: ${gateway}, connection: { kind: component, host: localhost, secret: s } }`
    match(problem(`islands: [${island('a', 'g.b')}, ${island('b', 'G.b')}]`), /gateway "g.b" appears twice/)
  })
  it('what was read cannot be changed', () => {
    const config = parseConfig('')
    throws(() => Object.assign(config.hub, { id: 'other' }), TypeError)
  })
  it('a secret comes from where the file says, and an empty place is an error', () => {
    equal(passwordOf({ name: 'u', password: 'p' }), 'p')
    throws(() => secretOf({ env: 'ISTHMUS_NOT_SET' }), /ISTHMUS_NOT_SET is empty/)
    const folder = mkdtempSync(join(tmpdir(), 'isthmus-secrets-'))
    const at = (name: string, content: string): string => {
      writeFileSync(join(folder, name), content)
      return join(folder, name)
    }
    equal(secretOf({ file: at('full', 'geheim\n') }), 'geheim')
    throws(() => secretOf({ file: at('empty', ' \n') }), { code: 'HUB_CONFIG', message: /empty is empty/ })
    throws(() => secretOf({ file: join(folder, 'none') }), { code: 'HUB_CONFIG', message: /cannot read .*none/ })
    throws(() => fileOf(join(folder, 'no.pem')), { code: 'HUB_CONFIG', message: /cannot read .*no\.pem/ })
    rmSync(folder, { recursive: true })
    throws(() => readConfig('/nonexistent/isthmus.yaml'), /cannot read/)
  })
})

describe('Kafka in the configuration', () => {
  const kafka = (text: string): string => problem(`events: { kafka: { ${text} } }`)

  it.each([
    ['brokers and nothing else', 'brokers: [kafka-1:9092, "[::1]:9092"]', /^accepted$/],
    ['no broker', 'brokers: []', /events\.kafka\.brokers/],
    ['a broker without a port', 'brokers: [kafka-1]', /events\.kafka\.brokers\.0: a broker such as/],
    ['more copies asked for than made', 'brokers: [k:1], minInsync: 2, replicationFactor: 1', /more copies than/],
    ['a login without a password', 'brokers: [k:1], sasl: { username: u }', /name the place of the password/],
    ['a group that is no name', 'brokers: [k:1], group: "A B"', /events\.kafka\.group/]
  ])('%s', (_what, text, expected) => {
    match(kafka(text), expected)
  })
})
