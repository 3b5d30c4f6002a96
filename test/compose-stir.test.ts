// needs: openssl
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from '@jest/globals'
import { openStir } from '../src/compose-stir.ts'
import { configSchema, parseConfig } from '../src/config.ts'
import { messageOf } from '../src/errors.ts'
import { clock } from './support/nni-border.ts'
import { numberAuthority } from './support/stir-ca.ts'

// STIR from the configuration: what cannot work is said at the start.

const folder = mkdtempSync(join(tmpdir(), 'isthmus-stir-files-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const root = numberAuthority()
const signer = root.issue('hub')
const ed25519 = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const good = {
  keyFile: file('key.pem', signer.key),
  certFile: file('cert.pem', signer.chain),
  x5u: 'https://certs.example/hub.pem',
  caFile: file('ca.pem', root.cert),
  hosts: ['certs.example']
}
const problem = (stir: object): string => {
  try {
    openStir(configSchema.parse({ hub: { stir } }), () => null, clock)
    return 'opened'
  } catch (error) {
    return messageOf(error).replaceAll(folder, '')
  }
}

describe('STIR in the configuration', () => {
  it('opens with a key, its certificate and authorities, or with nothing', () => {
    expect([problem(good), problem({})]).toEqual(['opened', 'opened'])
  })

  it.each([
    ['no key', { keyFile: file('page.pem', '<html>') }, /page\.pem holds no private key/],
    ['a key of another kind', { keyFile: file('ed.pem', ed25519) }, /ed\.pem holds no key of the curve P-256/],
    [
      'the key of somebody else',
      { keyFile: file('other.pem', root.key) },
      /cert\.pem is not that of the key in .other\.pem/
    ],
    ['no certificate', { certFile: file('page2.pem', '<html>') }, /page2\.pem holds no certificate/],
    ['no file', { certFile: join(folder, 'none.pem') }, /cannot read .none\.pem/],
    ['no authority', { caFile: file('page3.pem', '<html>') }, /page3\.pem holds no certificate/]
  ])('says so where there is %s', (_what, over, expected) => {
    expect(problem({ ...good, ...over })).toMatch(expected)
  })

  it.each([
    ['hub: { stir: { keyFile: a } }', /keyFile, certFile and x5u belong together/],
    ['operators: [{ id: op, address: { host: h }, stir: { sign: true } }]', /operator op: calls cannot be signed/],
    ['operators: [{ id: op, address: { host: h }, stir: { verify: mark } }]', /operator op: callers cannot be checked/],
    [
      'hub: { stir: { caFile: a } }\noperators: [{ id: op, address: { host: h }, stir: { verify: refuse } }]',
      /and hosts/
    ],
    ['hub: { stir: { x5u: "ftp://a/b" } }', /hub\.stir\.x5u: a URL such as/],
    ['hub: { stir: { hosts: ["https://a"] } }', /hub\.stir\.hosts\.0: a host, or host:port/],
    ['hub: { stir: { attest: { letter: D } } }', /hub\.stir\.attest\.letter/]
  ])('%s refuses the start', (text, expected) => {
    expect(() => parseConfig(text)).toThrow(expected)
  })
})
