// `npm run soak:eos [-- RECORDS SEED]`: exactly once with 150,000 records under kills, cuts and rebalances (EOS-02).

import { startTestPostgres } from '../support/database.ts'
import { startKafka } from '../support/kafka.ts'
import { weather } from '../support/kafka-storm.ts'

const [records = '150000', seed = String(Date.now() % 100_000)] = process.argv.slice(2)
const say = (text: string): void => void process.stdout.write(`${text}\n`)

if (!/^[1-9][0-9]{0,6}$/.test(records) || !/^[0-9]{1,9}$/.test(seed)) {
  process.stderr.write('soak:eos takes a number of final records and a seed\n')
  process.exit(2)
}
say(`SEED=${seed}`)
const postgres = await startTestPostgres()
const kafka = await startKafka({ nodes: 3 })
try {
  const calls = Math.ceil(Number(records) / 2)
  const figures = await weather({ kafka, postgres, calls, seed: Number(seed), say, quietMs: 900_000 })
  say(`the ledger is identical: ${JSON.stringify(figures)}`)
} finally {
  await kafka.stop()
  await postgres.stop()
}

// The clients of brokers that were killed keep handles of theirs.
process.exit()
