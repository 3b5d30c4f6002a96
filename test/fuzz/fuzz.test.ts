// Fuzzing in the test run: a fixed number of inputs under a fixed seed, and whatever once broke something.

import { describe, expect, it } from '@jest/globals'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mulberry32, seedFromEnvironment } from '../support/random.ts'
import { fixtures, seeds } from './corpus.ts'
import { inputBytesMax, mutate } from './mutate.ts'
import { createTarget, targetNames } from './targets.ts'

const root = join(import.meta.dirname, '../..')
/** About what a minute of a slow core brings. */
const executions = 12_000

interface Ran {
  readonly code: number | null
  readonly output: string
  readonly crashes: readonly string[]
}

async function fuzz(...args: readonly string[]): Promise<Ran> {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-fuzz-'))
  const child = spawn(
    process.execPath,
    ['--no-warnings', join(root, 'scripts/fuzz.ts'), '--crashes', folder, ...args],
    {
      cwd: root
    }
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (output += text))
  const code = await new Promise<number | null>(resolve => child.on('close', resolve))
  const crashes = readdirSync(folder)
  rmSync(folder, { recursive: true })
  return { code, output, crashes }
}

describe('fuzzing', () => {
  it('finds nothing that throws, hangs, disagrees or stays behind', async () => {
    const { code, output, crashes } = await fuzz(
      '--seed',
      String(seedFromEnvironment),
      '--executions',
      String(executions)
    )
    expect([code, crashes, output]).toEqual([0, [], expect.stringContaining('nothing broke')])
    const blocks = /(\d+) of \d+ blocks of code reached, (\d+) inputs kept/.exec(
      output.slice(output.lastIndexOf('inputs, '))
    )
    expect(Number(blocks?.[1])).toBeGreaterThan(1_500)
    // Coverage guides it: more is kept than it began with.
    const began = targetNames.reduce((sum, name) => sum + seeds(name).length, 0)
    expect(Number(blocks?.[2])).toBeGreaterThan(began)
  }, 600_000)

  it('prints its seed and refuses what it cannot do', async () => {
    const { code, output } = await fuzz('--seed', '7', '--executions', '10', '--target', 'values')
    expect([code, output]).toEqual([0, expect.stringContaining('seed 7, targets values')])
    expect((await fuzz('--target', 'nothing')).code).toBe(2)
    expect((await fuzz('--minutes', 'soon')).code).toBe(2)
  }, 120_000)
})

describe('inputs', () => {
  it('are the same under the same seed, others under another, and never longer than the bound', () => {
    const [from = '', other = ''] = seeds('message')
    const made = (seed: number): readonly string[] => {
      const chance = mulberry32(seed)
      return Array.from({ length: 500 }, () => mutate(from, other, chance))
    }
    expect(made(1)).toEqual(made(1))
    expect(made(2)).not.toEqual(made(1))
    expect(Math.max(...made(3).map(input => input.length))).toBeLessThanOrEqual(inputBytesMax)
    expect(new Set(made(4)).size).toBeGreaterThan(450)
  })
})

describe('what once broke something', () => {
  it.each(readdirSync(fixtures))('%s does not any more', async file => {
    const name = targetNames.find(target => file.startsWith(`${target}-`))
    if (name === undefined) throw new Error('a fixture is called after its target')
    const target = createTarget(name)
    target.run(readFileSync(join(fixtures, file)).toString('latin1'))
    await target.rest?.()
  })
})
