import { describe, expect, it } from '@jest/globals'
import { limits } from '../../src/nni/limits.ts'
import { calledOf, e164Of, identityOf, isAnonymous } from '../../src/nni/numbers.ts'
import { trustedPeer } from '../support/nni.ts'

describe('the called party', () => {
  it.each([
    ['tel:+49-30-901820', 'tel:+4930901820'],
    ['tel:+4930901820;npdi;rn=+493000', 'tel:+4930901820'],
    ['sip:+49(30)901.820@h;user=phone', 'tel:+4930901820'],
    ['sip:+4930901820;npdi@h;user=phone', 'tel:+4930901820'],
    ['sip:+4930901820@h', 'tel:+4930901820'],
    ['sips:alice@Island.Example:5061;transport=tls', 'sip:alice@island.example'],
    ['sip:4711@island.example', 'sip:4711@island.example']
  ])('%s is %s', (uri, called) => {
    expect(calledOf(uri, trustedPeer)).toEqual({ ok: true, called })
  })

  it.each([
    ['tel:+49', 484],
    ['tel:+1555', 484],
    ['sip:hub.example', 484],
    ['tel:+0123456789', 404],
    ['tel:+99912345678', 404],
    ['tel:+1234567890123456', 404],
    ['tel:112', 404],
    ['sip:0301234@h;user=phone', 404],
    ['urn:service:counseling', 404],
    ['urn:service:sosumi', 404],
    ['mailto:a@b', 416],
    ['tel:+49x', 416],
    ['nonsense', 400]
  ])('%s is refused with %i', (uri, status) => {
    expect(calledOf(uri, trustedPeer)).toMatchObject({ ok: false, refused: { status } })
  })

  it('is judged the same the second time, and after more numbers than are remembered', () => {
    const judged = () => [calledOf('tel:+1555', trustedPeer), calledOf('tel:+4930901820', trustedPeer)]
    const before = judged()
    expect(judged()).toEqual(before)
    for (let n = 0; n <= limits.numbersKnownMax; n++) calledOf(`tel:+4930${n + 1_000_000}`, trustedPeer)
    expect(judged()).toEqual(before)
  })
})

describe('identities', () => {
  it('are canonical', () => {
    expect(identityOf('sip:+44(1632)960-083@x;user=phone')).toBe('tel:+441632960083')
    expect(identityOf('sip:Bob@X.Example;transport=tcp')).toBe('sip:Bob@x.example')
  })

  it.each([
    'sip:anonymous@anonymous.invalid',
    'sip:Anonymous@x',
    'urn:x:y',
    'sip:host',
    'garbage',
    `sip:${'a'.repeat(300)}@x`
  ])('%s is nobody', uri => {
    expect(identityOf(uri)).toBeNull()
  })

  it('anonymous is known by its name and by its host (RFC 3323)', () => {
    expect(isAnonymous('sip:anonymous@anonymous.invalid')).toBe(true)
    expect(isAnonymous('sip:Anonymous@op.example')).toBe(true)
    expect(isAnonymous('sip:ann@op.example')).toBe(false)
    expect(isAnonymous('tel:+441632960083')).toBe(false)
  })

  it('only a global number is one', () => {
    expect(e164Of('tel:+4930901820')).toBe('+4930901820')
    expect(e164Of('tel:112')).toBeNull()
    expect(e164Of('sip:+4930901820@x')).toBeNull()
  })
})
