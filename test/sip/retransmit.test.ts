import { describe, expect, it } from '@jest/globals'
import { retransmit } from '../../src/sip/retransmit.ts'
import { until } from '../support/until.ts'

const run = (gapMsMax: number): { copies: number; expired: number; stop: () => void } => {
  const seen = { copies: 0, expired: 0, stop: (): void => undefined }
  const again = (): void => void seen.copies++
  const expired = (): void => void seen.expired++
  seen.stop = retransmit({ T1: 1, gapMsMax, again, expired })
  return seen
}

describe('retransmission by the transaction user', () => {
  it('gaps double until 64*T1 are over', async () => {
    const seen = run(Number.POSITIVE_INFINITY)
    await until(() => seen.expired > 0)
    expect(seen).toMatchObject({ copies: 6, expired: 1 })
  })

  it('gaps stay at T2 once they have reached it', async () => {
    const seen = run(8)
    await until(() => seen.expired > 0)
    expect(seen).toMatchObject({ copies: 10, expired: 1 })
  })

  it('nothing comes after it was stopped', async () => {
    const [stopped, other] = [run(8), run(8)]
    stopped.stop()
    await until(() => other.expired > 0)
    expect(stopped).toMatchObject({ copies: 0, expired: 0 })
  })
})
