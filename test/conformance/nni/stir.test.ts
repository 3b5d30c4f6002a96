// needs: openssl
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { createCertificates } from '../../../src/nni/stir/certificates.ts'
import type { Certificates } from '../../../src/nni/stir/certificates.ts'
import { isSigned, parseIdentity, parsePassport, printIdentity, signPassport } from '../../../src/nni/stir/passport.ts'
import type { Claims, Passport } from '../../../src/nni/stir/passport.ts'
import { createStir } from '../../../src/nni/stir/stir.ts'
import type { StirParts } from '../../../src/nni/stir/stir.ts'
import type { SipRequest } from '../../../src/sip/message.ts'
import { clock, invitation, startBorder } from '../../support/nni-border.ts'
import type { Border } from '../../support/nni-border.ts'
import { fieldsOf, numberOf, refuse, startPair, uriOf } from '../../support/nni-pair.ts'
import type { Pair, PairOptions } from '../../support/nni-pair.ts'
import { hubFace, sdpWith } from '../../support/nni.ts'
import { numberAuthority, oneNumber, serveCertificates } from '../../support/stir-ca.ts'
import type { CertificateServer, Signer } from '../../support/stir-ca.ts'
import { until } from '../../support/until.ts'

// STIR on the wire (29.165 clause 29): what is signed, checked, passed and refused between two operators.

const root = numberAuthority()
const hub = root.issue('hub')
const alphas = root.issue('alpha', { list: oneNumber(numberOf.alpha.slice(1)) })
let server: CertificateServer
const pairs: { close(): Promise<void> }[] = []

beforeAll(async () => {
  const strangers = numberAuthority('Stranger').issue('alpha')
  server = await serveCertificates({ '/hub.pem': hub.chain, '/alpha.pem': alphas.chain, '/self.pem': strangers.chain })
})
afterAll(() => server.close())
afterEach(async () => {
  await Promise.all(pairs.splice(0).map(pair => pair.close()))
})

const stir = (over: Partial<StirParts> = {}) =>
  createStir({
    hub: hubFace,
    clock,
    signing: { key: hub.privateKey, x5u: server.url('/hub.pem') },
    certificates: createCertificates({
      roots: [root.certificate],
      hosts: [server.host],
      insecure: true,
      webCa: null,
      now: Date.now
    }),
    attestByProof: { letter: 'A' },
    proofOf: () => null,
    ...over
  })
const open = async (options: PairOptions = {}): Promise<Pair> => {
  const pair = await startPair({ stir: stir(), ...options })
  pairs.push(pair)
  return pair
}

const origid = '7e2ad5a0-5c5b-5d1c-8f0c-3a8f5a2b1c4d'
const digits = { alpha: numberOf.alpha.slice(1), beta: numberOf.beta.slice(1) }
const seconds = (): number => Math.floor(Date.now() / 1_000)
const token = (over: Partial<Claims> = {}, by: Signer = alphas, path = '/alpha.pem'): string => {
  const x5u = server.url(path)
  const said = { orig: digits.alpha, dest: [digits.beta], iat: seconds(), attest: 'B', origid, div: null } as const
  return printIdentity(signPassport({ ppt: 'shaken', x5u, claims: { ...said, ...over } }, by.privateKey), x5u, 'shaken')
}
const asserted = ['P-Asserted-Identity', `<sip:${numberOf.alpha}@alpha.example;user=phone>`] as const
const sending = (...identities: readonly string[]) => ({
  headers: [asserted, ...identities.map(value => ['Identity', value] as const)],
  body: sdpWith(40_000, 'sendrecv', '127.0.0.2')
})
const identitiesOf = (request: SipRequest): readonly string[] => request.headers.all('Identity')
const passportOf = (value = ''): Passport => {
  const read = parsePassport(parseIdentity(value)?.token ?? '')
  if (!read.ok) throw new Error(read.why)
  return read.value
}
const checks = (verify: string, more: object = {}) => ({ stir: { verify }, ...more })
const both = { headers: { Identity: 'both', 'Attestation-Info': 'both', 'Origination-Id': 'both' } }
const told = { numberParameters: ['verstat'] }
const recorded = ({ leg, kind, service, release }: Pair['cdrs'][number]) => {
  const { cause, sip } = release ?? {}
  return [leg, kind, service === 'message' ? 'message' : 'call', { cause, sip }]
}

const facts = async (pair: Pair) => {
  await until(() => pair.cdrs.some(({ leg, kind }) => leg === 'ingress' && kind === 'final'))
  const { attest, verstat, originationId } = pair.cdrs.find(({ leg }) => leg === 'ingress')!.facts
  return { attest, verstat, originationId }
}

describe('what crosses', () => {
  it('STIR-01 Identity fields cross byte by byte, apart and in order, where both operators have agreed', async () => {
    const pair = await open({ alpha: both, beta: both })
    const odd = [token(), `${token({ attest: 'C' })};x="a, b"`, token({}, alphas, '/other.pem')]
    const { call, tx } = await pair.invite('alpha', sending(...odd))
    expect(identitiesOf(tx.request)).toEqual(odd)
    await refuse(pair, pair.beta, tx, call)
  })

  it('STIR-01 without both agreements none crosses, and nothing that is none does', async () => {
    for (const agreed of [{ alpha: both }, { beta: both }, {}]) {
      const pair = await open(agreed)
      const { call, tx } = await pair.invite('alpha', sending(token()))
      expect(fieldsOf(tx.request)).toEqual(expect.not.arrayContaining(['identity']))
      await refuse(pair, pair.beta, tx, call)
    }
    const pair = await open({ alpha: both, beta: both })
    const { call, tx } = await pair.invite('alpha', sending('smuggled-word', token()))
    expect(identitiesOf(tx.request).length).toBe(1)
    await refuse(pair, pair.beta, tx, call)
  })

  it('STIR-01 MESSAGE brings its Identity across as well', async () => {
    const pair = await open({ alpha: both, beta: both })
    const one = token()
    const headers = [asserted, ['Identity', one], ['Content-Type', 'text/plain']] as const
    const call = pair.alpha.request('MESSAGE', uriOf('beta'), { headers, body: 'hello' })
    const tx = await pair.beta.take('MESSAGE')
    expect(identitiesOf(tx.request)).toEqual([one])
    pair.beta.answer(tx, 200)
    expect((await call.final()).status).toBe(200)
  })

  it('STIR-01 607 is told to the caller, and so is a BYE that says it', async () => {
    const pair = await open()
    const unwanted = await pair.invite('alpha')
    pair.beta.answer(unwanted.tx, 607)
    expect((await unwanted.call.final()).status).toBe(607)
    const { call, tx } = await pair.invite('alpha')
    const ok = pair.beta.answer(tx, 200, { body: sdpWith(50_000) })
    const answer = await call.response(200)
    pair.alpha.ack(pair.alpha.callerDialog(call, answer), 1)
    await pair.beta.takeAck()
    pair.beta.inside(pair.beta.calleeDialog(tx, ok), 'BYE', { headers: [['Reason', 'SIP;cause=607']] })
    const bye = await pair.alpha.take('BYE')
    expect(bye.request.headers.all('Reason')[0]).toMatch(/^SIP;cause=607/)
    pair.alpha.answer(bye, 200)
  })

  it('STIR-02 Attestation-Info and Origination-Id cross by agreement and stand in the record; other words do not', async () => {
    const pair = await open({ alpha: both, beta: both })
    const says = (attest: string, id: string) => ({
      ...sending(),
      headers: [asserted, ['Attestation-Info', attest] as const, ['Origination-Id', id] as const]
    })
    const { call, tx } = await pair.invite('alpha', says('A', origid))
    expect(tx.request.headers.get('Attestation-Info')).toBe('A')
    expect(tx.request.headers.get('Origination-Id')).toBe(origid)
    await refuse(pair, pair.beta, tx, call)
    expect(await facts(pair)).toEqual({ attest: 'A', originationId: origid, verstat: null })
    const odd = await pair.invite('alpha', says('Z', 'nobody'))
    expect(odd.tx.request.headers.get('Attestation-Info')).toBe('C')
    expect(odd.tx.request.headers.get('Origination-Id')).toMatch(/^[0-9a-f-]{36}$/)
    await refuse(pair, pair.beta, odd.tx, odd.call)
  })
})

describe('checking callers of an operator', () => {
  it('STIR-04 a good token among five: the call goes on, and the record says whose word it is', async () => {
    const pair = await open({ alpha: checks('refuse') })
    const bad = [token({ dest: ['1'] }), token({}, hub), 'hello', token({}, alphas, '/self.pem')]
    const { call, tx } = await pair.invite('alpha', sending(...bad, token()))
    await refuse(pair, pair.beta, tx, call)
    expect(await facts(pair)).toEqual({ attest: 'B', verstat: 'TN-Validation-Passed', originationId: origid })
  })

  const wrong: readonly (readonly [string, () => readonly string[], number, string])[] = [
    ['nothing', () => [], 428, 'Use Identity Header'],
    ['a token of yesterday', () => [token({ iat: seconds() - 86_400 })], 403, 'Stale Date'],
    ['a signature of somebody else', () => [token({}, hub)], 438, 'Invalid Identity Header'],
    ['a token for another number', () => [token({ dest: ['12025550123'] })], 438, 'Invalid Identity Header'],
    ['a certificate of nobody', () => [token({}, alphas, '/self.pem')], 437, 'Unsupported Credential'],
    ['a certificate that is not there', () => [token({}, alphas, '/gone.pem')], 436, 'Bad Identity Info'],
    ['no place of a certificate', () => [token().split(';')[0] ?? ''], 436, 'Bad Identity Info'],
    ['a huge token', () => [`${token()};x=${'y'.repeat(9_000)}`], 438, 'Invalid Identity Header']
  ]

  it.each(wrong)('STIR-04 with %s is refused where that was agreed', async (_what, identities, status, phrase) => {
    const pair = await open({ alpha: checks('refuse') })
    const call = pair.alpha.request('INVITE', uriOf('beta'), sending(...identities()))
    const refused = await call.final()
    expect([refused.status, refused.reason]).toEqual([status, phrase])
    expect(pair.beta.requests).toEqual([])
    await until(() => pair.hub.sessionCount === 0)
    expect(pair.cdrs.map(recorded)).toEqual([['ingress', 'final', 'call', { cause: 'identity-failed', sip: status }]])
  })

  it('STIR-04 a MESSAGE without a token is refused as well', async () => {
    const pair = await open({ alpha: checks('refuse') })
    const headers = [asserted, ['Content-Type', 'text/plain']] as const
    const call = pair.alpha.request('MESSAGE', uriOf('beta'), { headers, body: 'hello' })
    expect((await call.final()).status).toBe(428)
    await until(() => pair.cdrs.length > 0)
    expect(pair.cdrs.map(recorded)).toEqual([['ingress', 'final', 'message', { cause: 'identity-failed', sip: 428 }]])
    expect(pair.beta.requests).toEqual([])
  })

  it.each([
    ['TN-Validation-Passed', () => [token()]],
    ['TN-Validation-Failed', () => [token({}, hub)]],
    ['No-TN-Validation', () => []]
  ] as const)('STIR-05 %s is told inside the trust domain, as agreed', async (verstat, identities) => {
    const pair = await open({ alpha: checks('mark'), beta: told })
    const { call, tx } = await pair.invite('alpha', sending(...identities()))
    const number = `${numberOf.alpha};verstat=${verstat}@hub.example;user=phone`
    expect(tx.request.headers.get('P-Asserted-Identity')).toBe(`<sip:${number}>`)
    expect(tx.request.headers.get('From')).toContain(`<sip:${number}>`)
    await refuse(pair, pair.beta, tx, call)
    expect((await facts(pair)).verstat).toBe(verstat)
  })

  it('STIR-05 verstat goes to nobody outside the trust domain, and to nobody who has not agreed', async () => {
    for (const beta of [{ ...told, trust: 'user' }, {}]) {
      const pair = await open({ alpha: checks('mark'), beta })
      const { call, tx } = await pair.invite('alpha', sending(token()))
      expect(JSON.stringify(tx.request.headers.lines())).not.toContain('verstat')
      await refuse(pair, pair.beta, tx, call)
    }
  })

  it('STIR-05 what a peer says itself counts from inside the trust domain, as agreed; else it is stripped', async () => {
    const says = ['P-Asserted-Identity', `<tel:${numberOf.alpha};verstat=TN-Validation-Passed>`] as const
    const calls = async (alpha: object): Promise<boolean> => {
      const pair = await open({ alpha: { ...alpha }, beta: told })
      const { call, tx } = await pair.invite('alpha', { ...sending(), headers: [says] })
      await refuse(pair, pair.beta, tx, call)
      return JSON.stringify(tx.request.headers.lines()).includes('verstat=TN-Validation-Passed')
    }
    expect(await calls(told)).toBe(true)
    expect(await calls({})).toBe(false)
    expect(await calls({ ...told, trust: 'user' })).toBe(false)
    // Whoever is checked is not taken at its word.
    expect(await calls({ ...told, stir: { verify: 'mark' } })).toBe(false)
  })

  it('a call that is cancelled while its certificate is fetched never happened', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const slow: Certificates = { at: () => promise.then(() => ({ ok: false, status: 436, why: 'late' })) }
    const pair = await open({ alpha: checks('mark'), stir: stir({ certificates: slow }) })
    const call = pair.alpha.request('INVITE', uriOf('beta'), sending(token()))
    await call.response(100)
    call.tx?.cancel()
    expect((await call.final()).status).toBe(487)
    resolve()
    const next = pair.alpha.request('OPTIONS', uriOf('beta'))
    expect((await next.final()).status).toBe(200)
    expect([pair.hub.sessionCount, pair.beta.requests.length]).toEqual([0, 0])
  })
})

describe('signing calls', () => {
  const sends = { stir: { sign: true } }

  it('STIR-03 what came unsigned leaves signed: by numbers, with Date, for the called number', async () => {
    const pair = await open({ beta: sends })
    const { call, tx } = await pair.invite('alpha', sending())
    const [identity, ...more] = identitiesOf(tx.request)
    const passport = passportOf(identity)
    expect(more).toEqual([])
    expect(identity).toMatch(new RegExp(`;info=<${server.url('/hub.pem')}>;alg=ES256;ppt=shaken$`))
    expect(passport.claims).toMatchObject({ orig: digits.alpha, dest: [digits.beta], div: null })
    expect(Math.abs(passport.claims.iat - seconds())).toBeLessThan(60)
    expect(Math.abs(Date.parse(tx.request.headers.get('Date') ?? '') - Date.now())).toBeLessThan(60_000)
    expect(isSigned(passport, hub.certificate.publicKey)).toBe(true)
    await refuse(pair, pair.beta, tx, call)
  })

  it('STIR-06 a call from an operator is C, whatever the hub knows of that number', async () => {
    const pair = await open({ beta: sends, stir: stir({ proofOf: () => ({ islandId: 'acme', proof: 'letter' }) }) })
    const { call, tx } = await pair.invite('alpha', sending())
    expect(passportOf(identitiesOf(tx.request)[0]).claims.attest).toBe('C')
    await refuse(pair, pair.beta, tx, call)
    await until(() => pair.cdrs.some(({ leg }) => leg === 'egress'))
    expect(pair.cdrs.find(({ leg }) => leg === 'egress')?.facts.attest).toBe('C')
  })

  it('STIR-06 an island’s user is A where the number was proven by a method that counts, else B', async () => {
    const owners = { letter: 'A', hearsay: 'B', '': 'B' } as const
    const ids = new Set<string | null>()
    for (const [proof, attest] of Object.entries(owners)) {
      const border = await called({ proofOf: () => ({ islandId: 'acme', proof }) })
      const { claims } = passportOf(identitiesOf(border.request)[0])
      expect(claims.attest).toBe(attest)
      expect(border.border.inbox.all('learned')[0]?.facts).toMatchObject({ attest, originationId: claims.origid })
      ids.add(claims.origid)
    }
    const unknown = passportOf(identitiesOf((await called({})).request)[0]).claims
    expect(unknown.attest).toBe('B')
    expect(ids.size).toBe(1)
    expect(ids.has(unknown.origid)).toBe(false)
  })

  it('STIR-06 who hides from an operator outside the trust domain, and who has no number, is not signed for', async () => {
    const anonymous = { asserted: [], presented: null, display: null, privacy: ['id'] }
    const named = { ...anonymous, asserted: ['sip:alice@acme.example'], privacy: [] }
    for (const from of [anonymous, named]) {
      expect(identitiesOf((await called({}, { from })).request)).toEqual([])
    }
  })

  it('without a key nothing is signed, and what came signed by others is not signed again', async () => {
    const without = await open({ beta: sends, stir: stir({ signing: null }) })
    const plain = await without.invite('alpha', sending())
    expect(identitiesOf(plain.tx.request)).toEqual([])
    await refuse(without, without.beta, plain.tx, plain.call)
    await until(() => without.cdrs.some(({ leg }) => leg === 'egress'))
    expect(without.cdrs.find(({ leg }) => leg === 'egress')?.facts.attest).toBeNull()
    const pair = await open({ alpha: both, beta: { ...both, ...sends } })
    const one = token()
    const { call, tx } = await pair.invite('alpha', sending(one))
    expect(identitiesOf(tx.request)).toEqual([one])
    await refuse(pair, pair.beta, tx, call)
  })

  /** What a user of an island sends to an operator whose calls are signed. */
  async function called(
    over: Partial<StirParts>,
    more: Parameters<typeof invitation>[0] = {}
  ): Promise<{ request: SipRequest; border: Border }> {
    const border = await startBorder({ peer: { stir: { sign: true } }, stir: stir(over) })
    pairs.push(border)
    border.nni.invite(invitation(more))
    const tx = await border.alpha.take('INVITE')
    border.alpha.answer(tx, 486)
    await border.inbox.wait('ended')
    return { request: tx.request, border }
  }
})

describe('a call that the hub leads elsewhere', () => {
  it('STIR-07 keeps its token and gets a div of the hub for the number that was called', async () => {
    const moved = '+4930901899'
    const lookUp: PairOptions['enumeration'] = async () => ({
      onNet: [{ user: moved, domain: 'beta.example' }],
      ported: null
    })
    const pair = await open({ alpha: { ...both, ...checks('refuse') }, beta: both, enumeration: lookUp })
    const one = token()
    const { call, tx } = await pair.invite('alpha', sending(one))
    expect(tx.request.uri).toBe(`sip:${moved}@beta.example;user=phone`)
    const [first, second, ...more] = identitiesOf(tx.request)
    expect([first, more]).toEqual([one, []])
    const div = passportOf(second)
    expect(div.ppt).toBe('div')
    expect(div.claims).toMatchObject({ orig: digits.alpha, div: digits.beta, dest: [moved.slice(1)] })
    expect(isSigned(div, hub.certificate.publicKey)).toBe(true)
    await refuse(pair, pair.beta, tx, call)
  })

  it('STIR-07 without a key it keeps its token', async () => {
    const lookUp: PairOptions['enumeration'] = async () => ({
      onNet: [{ user: '+4930901899', domain: 'beta.example' }],
      ported: null
    })
    const pair = await open({ alpha: both, beta: both, enumeration: lookUp, stir: stir({ signing: null }) })
    const one = token()
    const { call, tx } = await pair.invite('alpha', sending(one))
    expect(identitiesOf(tx.request)).toEqual([one])
    await refuse(pair, pair.beta, tx, call)
  })
})
