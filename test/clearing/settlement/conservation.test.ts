import { deepEqual, equal } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { verifyLedger } from '../../../src/clearing/verify/verify.ts'
import type { ClosedStatement } from '../../../src/clearing/settlement/model.ts'
import { balancesOf } from '../../support/clearing.ts'
import { traffic, trafficAgreements } from '../../support/clearing-traffic.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestPostgres } from '../../support/database.ts'
import { bookOfYaml, closed, post } from '../../support/settlement.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
}, 60_000)
afterAll(() => postgres.stop())

describe('what all statements come to', () => {
  it('SET-08 what the hub pays and what it keeps is what it gets, to the last digit', async () => {
    const [database, book] = [await postgres.fresh(clearingMigrations), bookOfYaml(trafficAgreements)]
    await post(database, book, traffic(600))
    const statements: ClosedStatement[] = []
    for (const { id: agreement } of book.agreements) {
      statements.push((await closed(database, book, '2026-11', { agreement, override: 'made up' })).statement)
    }
    const sum = (side: string): bigint =>
      statements.filter(one => one.side === side).reduce((total, { netMicros }) => total + netMicros, 0n)
    const { rows } = await database.query<{ kind: string; sum: string }>(
      `select split_part(account, '/', 1) as kind, trunc(sum(debit_micros - credit_micros))::text as sum
       from balance group by 1 order by 1`
    )
    const stands = new Map(rows.map(({ kind, sum }) => [kind, BigInt(sum)]))
    const margin = -(stands.get('revenue') ?? 0n) - (stands.get('cost') ?? 0n)
    equal(sum('buy') + margin, sum('sell'))
    deepEqual([stands.get('unbilled-receivable'), stands.get('unbilled-payable')], [sum('sell'), -sum('buy')])
    equal(
      statements.reduce((total, { cdrCount }) => total + cdrCount, 0n),
      (
        await database.query<{ n: bigint }>(
          "select count(*) as n from charge where agreement_id is not null and rule <> 'with-ingress'"
        )
      ).rows[0]?.n
    )
    const { stand, follow } = await balancesOf(database)
    deepEqual(stand, follow)
    deepEqual(
      (await verifyLedger(database)).checks.flatMap(({ faults }) => faults),
      []
    )
  })
})
