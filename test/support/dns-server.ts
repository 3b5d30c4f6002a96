// Knot DNS from Debian, by hand and unprivileged, for one test file: its own folder, a free port, zones as text.

import { Resolver } from 'node:dns/promises'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually, startProgram } from './child.ts'
import { freePorts } from './free-port.ts'

/** Records by zone, in master file syntax: `_sip._udp 60 IN SRV 10 5 5060 host`, names relative to the zone. */
export type Zones = Readonly<Record<string, readonly string[]>>

export interface DnsServer {
  readonly host: string
  readonly port: number
  /** As `Resolver.setServers` takes it. */
  readonly address: string
  /** Replaces the records of a zone that was there from the beginning; resolves when the server answers with them. */
  change(zone: string, records: readonly string[]): Promise<void>
  /** Answers no more, without a word: queries time out or are refused. */
  stop(): Promise<void>
}

const host = '127.0.0.1'

/** A server that knows these zones and nothing else: other names are refused. */
export async function startDnsServer(zones: Zones): Promise<DnsServer> {
  const [port = 0] = await freePorts(1)
  const home = mkdtempSync(join(tmpdir(), 'isthmus-knot-'))
  let serial = 1
  const fileOf = (zone: string): string => join(home, `${zone}.zone`)
  for (const [zone, records] of Object.entries(zones)) writeFileSync(fileOf(zone), zoneText(zone, serial, records))
  const config = join(home, 'knot.conf')
  writeFileSync(config, configuration(home, port, Object.keys(zones)))
  const child = startProgram('/usr/sbin/knotd', ['-c', config])
  const answers = async (zone: string): Promise<boolean> => {
    if (child.process.exitCode !== null) throw new Error(`knotd ended: ${readFileSync(join(home, 'log'), 'utf8')}`)
    const resolver = new Resolver({ timeout: 500, tries: 1 })
    resolver.setServers([`${host}:${port}`])
    return resolver.resolveSoa(zone).then(
      soa => soa.serial === serial,
      () => false
    )
  }
  const ready = async (names: readonly string[]): Promise<void> => {
    for (const zone of names) await eventually(() => answers(zone), 60_000)
  }
  let stopped = false
  const stop = async (): Promise<void> => {
    if (stopped) return
    stopped = true
    child.process.kill('SIGTERM')
    await child.ended
    rmSync(home, { recursive: true, force: true })
  }
  try {
    await ready(Object.keys(zones))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    host,
    port,
    address: `${host}:${port}`,
    async change(zone, records) {
      serial++
      writeFileSync(fileOf(zone), zoneText(zone, serial, records))
      child.process.kill('SIGHUP')
      await ready([zone])
    },
    stop
  }
}

const zoneText = (zone: string, serial: number, records: readonly string[]): string =>
  [
    `$ORIGIN ${zone}.`,
    '$TTL 60',
    `@ IN SOA ns hostmaster ${serial} 3600 600 86400 1`,
    '@ IN NS ns',
    `ns IN A ${host}`,
    ...records,
    ''
  ].join('\n')

const configuration = (home: string, port: number, zones: readonly string[]): string => `
server:
    rundir: "${home}"
    listen: ${host}@${port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: "${home}/log"
    any: info
database:
    storage: "${home}"
template:
  - id: default
    storage: "${home}"
    journal-content: none
    zonefile-load: whole
    semantic-checks: off
zone:
${zones.map(zone => `  - domain: ${zone}.\n    file: "${home}/${zone}.zone"`).join('\n')}
`
