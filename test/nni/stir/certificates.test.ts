// needs: openssl
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createCertificates } from '../../../src/nni/stir/certificates.ts'
import type { CertificatesParts } from '../../../src/nni/stir/certificates.ts'
import { authority } from '../../support/certificates.ts'
import { numberAuthority, serveCertificates } from '../../support/stir-ca.ts'
import type { CertificateServer } from '../../support/stir-ca.ts'

// Where certificates come from, and from where they do not.

const root = numberAuthority()
const signer = root.issue('signer')
let server: CertificateServer
let clock = 0

beforeAll(async () => {
  const files = { '/op.pem': signer.chain, '/page': '<html>', '/self.pem': root.cert }
  server = await serveCertificates(files, ({ url = '' }, response) => {
    if (url === '/moved') return void response.writeHead(302, { Location: '/op.pem' }).end()
    if (url === '/long') return void response.end('x'.repeat(40_000))
    if (url === '/silent') return
    if (url.startsWith('/kept')) return void response.setHeader('Cache-Control', 'max-age=120').end(signer.chain)
    if (url === '/never') return void response.setHeader('Cache-Control', 'no-store').end(signer.chain)
    if (url === '/for-ever') return void response.setHeader('Cache-Control', 'max-age=999999999').end(signer.chain)
    response.writeHead(404).end()
  })
})
afterAll(() => server.close())

const open = (over: Partial<CertificatesParts> = {}) =>
  createCertificates({
    roots: [root.certificate],
    hosts: [server.host],
    insecure: true,
    webCa: null,
    now: () => clock,
    ...over
  })
const outcome = async (certificates: ReturnType<typeof open>, url: string): Promise<string> => {
  const found = await certificates.at(url)
  return found.ok ? 'found' : `${found.status} ${found.why}`
}
const times = (path: string): number => server.asked.filter(one => one === path).length

describe('a certificate that a token names', () => {
  it('is fetched once, however many ask for it at once, and kept', async () => {
    const certificates = open()
    const all = await Promise.all([1, 2, 3].map(() => certificates.at(server.url('/op.pem'))))
    expect(all.every(({ ok }) => ok)).toBe(true)
    expect(await outcome(certificates, server.url('/op.pem#fragment'))).toBe('found')
    expect(times('/op.pem')).toBe(1)
  })

  it.each([
    ['http, which nobody agreed to', () => open({ insecure: false }), () => server.url('/x1')],
    ['another host', () => open({ hosts: ['certs.example'] }), () => server.url('/x2')],
    ['another port of a host', () => open({ hosts: ['127.0.0.1'] }), () => server.url('/x3')],
    ['another name of the same', () => open(), () => server.url('/x4').replace('127.0.0.1', 'localhost')],
    ['somebody in front of the host', () => open(), () => server.url('/x5').replace('//', '//certs.example@')],
    ['a file', () => open(), () => 'file:///etc/passwd'],
    ['nothing', () => open(), () => 'not a url']
  ])('is not fetched from %s', async (_what, make, url) => {
    const before = server.asked.length
    expect(await outcome(make(), url())).toBe('436 nobody agreed to fetch certificates from there')
    expect(server.asked.length).toBe(before)
  })

  it.each([
    ['/nowhere', '436 the certificate could not be fetched: its server says 404'],
    ['/moved', '436 the certificate could not be fetched: its server says 302'],
    ['/long', '436 the certificate could not be fetched: it is too long'],
    ['/page', '436 there is no certificate'],
    ['/self.pem', '437 an authority signs no calls']
  ])('%s is not taken', async (path, why) => {
    expect(await outcome(open(), server.url(path))).toBe(why)
  })

  it('that does not come in time is not waited for', async () => {
    const why = '436 the certificate could not be fetched: no answer in time'
    expect(await outcome(open({ limits: { fetchMs: 50 } }), server.url('/silent'))).toBe(why)
  })

  it('is kept as long as its server says, within bounds', async () => {
    const certificates = open()
    const again = async (path: string, after: number): Promise<number> => {
      await certificates.at(server.url(path))
      clock += after
      await certificates.at(server.url(path))
      return times(path)
    }
    expect(await again('/kept', 119_999)).toBe(1)
    expect(await again('/kept-2', 120_001)).toBe(2)
    expect(await again('/never', 59_999)).toBe(1)
    expect(await again('/for-ever', 86_400_001)).toBe(2)
  })

  it('that failed is not asked for again at once', async () => {
    const certificates = open()
    await certificates.at(server.url('/gone'))
    await certificates.at(server.url('/gone'))
    expect(times('/gone')).toBe(1)
    clock += 5_001
    await certificates.at(server.url('/gone'))
    expect(times('/gone')).toBe(2)
  })

  it('does not fill the memory, and not the network', async () => {
    const certificates = open({ limits: { cacheMax: 3, fetchesMax: 2 } })
    const asked = ['/a', '/b', '/c'].map(path => outcome(certificates, server.url(path)))
    expect(await asked[2]).toBe('436 too many certificates are being fetched')
    await Promise.all(asked)
    for (const path of ['/d', '/e', '/f', '/g']) await certificates.at(server.url(path))
    expect(certificates.size).toBe(3)
  })

  it('comes by https from a server that the named authority vouches for', async () => {
    const web = authority('Web CA')
    const { cert, key } = web.issue('certs', 'IP:127.0.0.1')
    const https = createServer({ cert, key }, (_, response) => void response.end(signer.chain))
    await new Promise<void>(resolve => void https.listen(0, '127.0.0.1', resolve))
    const host = `127.0.0.1:${(https.address() as AddressInfo).port}`
    const at = (webCa: string | null) => outcome(open({ hosts: [host], insecure: false, webCa }), `https://${host}/op`)
    expect(await at(web.cert)).toBe('found')
    expect(await at(null)).toMatch(/^436 the certificate could not be fetched/)
    await new Promise(resolve => https.close(resolve))
  })
})
