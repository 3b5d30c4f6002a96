// What fuzzing begins with: RFC 4475, messages like those of RFC 5118, our fixtures, inputs that once broke something.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { message } from '../conformance/rfc5118/messages.ts'
import type { TargetName } from './targets.ts'

const root = join(import.meta.dirname, '..')
export const fixtures = join(import.meta.dirname, 'fixtures')

const files = (pattern: string): readonly string[] =>
  globSync(pattern, { cwd: root })
    .sort()
    .map(name => readFileSync(join(root, name)).toString('latin1'))

/** Without the first line, which is for people, and with the line ends of the wire. */
const wire = (text: string): string => text.replace(/\r?\n/g, '\r\n')

const addresses = [
  'sip:+4930123456;npdi;rn=+4989@a.example;user=phone',
  'sips:a%20b:c@[2001:db8::1]:5061;transport=tls;lr?Subject=x&To=y',
  'tel:+49-30-1234;isub=12;cpc=payphone',
  'urn:service:sos.fire',
  '"A \\"quoted\\" name" <sip:a@b.example;lr>;tag=1;q=0.5',
  'sip:a@b.example;tag=x',
  'SIP/2.0/UDP [2001:db8::9]:5060;branch=z9hG4bK1;rport;received=192.0.2.1;oc;oc-algo="loss"',
  '1 INVITE',
  '1800;refresher=uac'
]
/** What a token holds, a line each, then a whole field: see the target. */
const identity = [
  '{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://a.example/c"}',
  JSON.stringify({
    attest: 'A',
    dest: { tn: ['12125550100'] },
    iat: 1_443_208_345,
    orig: { tn: '12155551212' },
    origid: '123e4567-e89b-12d3-a456-426655440000',
    div: { tn: '12125550101' }
  }),
  `eyJhbGciOiJFUzI1NiJ9.e30.${'A'.repeat(86)};info=<https://a.example/c>;alg=ES256;ppt="shaken"`
].join('\n')
const matrix = [
  {
    call_id: 'c',
    party_id: 'p',
    version: '1',
    lifetime: 60_000,
    offer: { type: 'offer', sdp: 'v=0\r\n' },
    capabilities: { 'm.call.dtmf': true },
    sdp_stream_metadata: { a: { purpose: 'm.usermedia' } }
  },
  { call_id: 'c', party_id: 'p', version: '1', answer: { type: 'answer', sdp: 'v=0\r\n' } },
  {
    call_id: 'c',
    party_id: 'p',
    version: 0,
    candidates: [{ candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 }]
  },
  { call_id: 'c', party_id: 'p', version: '1', reason: 'user_busy', selected_party_id: 'q' }
].map(content => JSON.stringify(content))
const cpim = [
  'From: <sip:a@a.example>',
  'To: <sip:b@b.example>',
  'NS: imdn <urn:ietf:params:imdn>',
  'imdn.Message-ID: 1',
  '',
  'Content-Type: text/plain',
  '',
  'hello'
].join('\r\n')

/** Inputs of each target, as latin1. */
export function seeds(target: TargetName): readonly string[] {
  const known = files(`fuzz/fixtures/${target}-*.bin`)
  const messages = (): readonly string[] => [
    ...files('conformance/rfc4475/*.dat'),
    message({}).toString('latin1'),
    message({ method: 'INVITE', body: ['v=0', 'o=- 0 0 IN IP6 ::1', 's=-', 'c=IN IP6 ::1', 't=0 0'] }).toString(
      'latin1'
    ),
    ...files('nni/fixtures/*.sip').map(wire)
  ]
  switch (target) {
    case 'message':
    case 'stream':
    case 'engine':
    case 'answers':
      return [...known, ...messages()]
    case 'values':
      return [...known, ...addresses]
    case 'sdp':
      return [...known, ...files('{media,adapters/xmpp}/fixtures/*.sdp').map(wire)]
    case 'identity':
      return [...known, identity]
    case 'jingle':
      return [...known, ...files('adapters/xmpp/fixtures/*.xml')]
    case 'matrix':
      return [...known, ...matrix]
    case 'cpim':
      return [...known, cpim]
  }
}
