import { deepEqual, equal, match, rejects } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { createGroup, later } from '../../../src/clearing/credit/group.ts'

/** Commits are let through one by one. */
function gate() {
  const groups: (readonly number[])[] = []
  const opens: (() => void)[] = []
  const commit = async (steps: readonly number[]): Promise<readonly number[]> => {
    groups.push(steps)
    await new Promise<void>(open => opens.push(open))
    return steps.map(step => step * 10)
  }
  const open = async (): Promise<void> => {
    while (opens.length === 0) await new Promise(done => setTimeout(done, 1))
    opens.shift()?.()
  }
  return { groups, commit, open }
}
const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'fulfilled',
    (error: Error) => error.message
  )

describe('group commit', () => {
  it('what is asked while a transaction is under way shares the next one, in order, and is answered after it', async () => {
    const { groups, commit, open } = gate()
    const group = createGroup(commit)
    const first = group.ask(1)
    while (groups.length === 0) await new Promise(done => setTimeout(done, 1))
    const rest = [2, 3, 4].map(step => group.ask(step))
    equal(group.waiting, 4)
    await open()
    equal(await first, 10)
    await open()
    deepEqual(await Promise.all(rest), [20, 30, 40])
    deepEqual(groups, [[1], [2, 3, 4]])
    equal(group.waiting, 0)
  })

  it('a transaction takes no more than its bound; the others take the next one', async () => {
    const { groups, commit, open } = gate()
    const group = createGroup(commit, { stepsMax: 2 })
    const all = [1, 2, 3, 4, 5].map(step => group.ask(step))
    for (let n = 0; n < 3; n++) await open()
    deepEqual(await Promise.all(all), [10, 20, 30, 40, 50])
    deepEqual(groups, [[1, 2], [3, 4], [5]])
  })

  it('at its bound it refuses at once, those under way counted, and takes again when there is room', async () => {
    const { commit, open } = gate()
    const group = createGroup(commit, { waitingMax: 2, gatherMs: 0 })
    const taken = [group.ask(1), group.ask(2)]
    match(await messageOf(group.ask(3)), /^2 steps wait for credit already$/)
    await open()
    deepEqual(await Promise.all(taken), [10, 20])
    const again = group.ask(4)
    await open()
    equal(await again, 40)
  })

  it('a transaction that fails fails its own steps, and no others', async () => {
    let failing = true
    const group = createGroup(async (steps: readonly number[]) => {
      if (failing) throw new Error('the database is away')
      return steps
    })
    deepEqual(await Promise.all([1, 2].map(step => messageOf(group.ask(step)))), [
      'the database is away',
      'the database is away'
    ])
    failing = false
    equal(await group.ask(3), 3)
  })

  it('what has to wait takes part in the next transaction, before what was asked after it', async () => {
    const groups: (readonly number[])[] = []
    const group = createGroup(async (steps: readonly number[]) => {
      groups.push(steps)
      return steps.map(step => (groups.length < 3 && step % 2 === 1 ? later : step * 10))
    })
    const first = [1, 2, 3].map(step => group.ask(step))
    equal(await first[1], 20)
    deepEqual(await Promise.all([...first, group.ask(4)]), [10, 20, 30, 40])
    deepEqual(
      [groups[0], groups[1]?.slice(0, 2), groups.at(-1)?.slice(0, 2)],
      [
        [1, 2, 3],
        [1, 3],
        [1, 3]
      ]
    )
    equal(group.waiting, 0)
  })

  it('nobody waits longer than the bound; what waited too long is not done later', async () => {
    const { groups, commit, open } = gate()
    const group = createGroup(commit, { answerMs: 30, gatherMs: 0, stepsMax: 1 })
    const [slow, queued] = [group.ask(1), group.ask(2)]
    match(await messageOf(slow), /^credit did not answer within 30 ms$/)
    match(await messageOf(queued), /^credit did not answer within 30 ms$/)
    await open()
    await group.close()
    deepEqual(groups, [[1]])
  })

  it('closing answers what waits, and takes nothing more', async () => {
    const { commit, open } = gate()
    const group = createGroup(commit, { gatherMs: 60_000 })
    const asked = group.ask(1)
    const closed = group.close()
    await open()
    equal(await asked, 10)
    await closed
    await rejects(group.ask(2), /credit is closed/)
  })
})
