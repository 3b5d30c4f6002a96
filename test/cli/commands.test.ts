// What holds of every command there is, and of every one that will be: help, JSON, bad arguments, a bar on long work.

import { Command } from 'commander'
import type { Option } from 'commander'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from '@jest/globals'
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { progressOf } from '../../src/cli/clearing-commands.ts'
import { program } from '../../src/cli/isthmus.ts'
import { runCommands } from '../support/commands.ts'

interface Found {
  readonly path: readonly string[]
  readonly command: Command
}
const leavesOf = (command: Command, path: readonly string[] = []): readonly Found[] =>
  command.commands.length === 0
    ? [{ path, command }]
    : command.commands.flatMap(child => leavesOf(child, [...path, child.name()]))
const allOf = (command: Command, path: readonly string[] = []): readonly Found[] => [
  ...(path.length === 0 ? [] : [{ path, command }]),
  ...command.commands.flatMap(child => allOf(child, [...path, child.name()]))
]
const leaves = leavesOf(program())
const named = (found: readonly Found[]) => found.map(({ path, command }) => ({ name: path.join(' '), path, command }))

/** Print a file for another program, in that program's own format. */
const otherFormats: ReadonlySet<string> = new Set(['matrix registration'])

/** What may take longer than somebody waits without a word, and where it says how far it is. */
const long: Readonly<Record<string, string>> = {
  'invoice issue': 'invoice.ts',
  'ledger verify': 'ledger.ts',
  'payment import': 'payment.ts',
  'privacy purge': 'privacy.ts',
  'rates import': 'rates.ts',
  'reconcile run': 'reconcile.ts',
  rerate: 'rerate.ts',
  'settlement close': 'settlement.ts',
  'settlement records': 'settlement.ts',
  'statement verify': 'statement.ts'
}

/** The command alone, so that nothing of it runs in the process of the tests but what was asked. */
const run = (path: readonly string[], ...args: readonly string[]) => {
  const [first] = path
  const top = program().commands.find(command => command.name() === first)
  return runCommands([() => top ?? new Command('none')], [...path, ...args])
}

describe('every command', () => {
  it('there are all that the product has', () => {
    ok(leaves.length > 50, `${leaves.length}`)
    for (const { name } of named(leaves)) match(name, /^[a-z-]+( [a-z-]+)*$/)
  })

  it.each(named(allOf(program())))('$name --help says what it does and what each of its options is', async given => {
    const { path, command } = given
    const { code, out } = await run(path, '--help')
    equal(code, 0)
    match(out, /^Usage: isthmus /)
    match(command.description(), /\S.{9,}/)
    ok(out.replaceAll(/\s+/g, ' ').includes(command.description().replaceAll(/\s+/g, ' ')))
    const shown = command.options.filter((option: Option) => !option.hidden)
    deepEqual(
      shown.filter(({ description }) => description.trim() === '').map(({ flags }) => flags),
      []
    )
    for (const { flags } of shown) ok(out.includes(flags), `${flags} is not in the help`)
    deepEqual(
      command.registeredArguments
        .filter(({ description }) => description.trim() === '')
        .map(argument => argument.name()),
      []
    )
  })

  it.each(named(leaves))('$name refuses bad arguments with exit code 2 and says which', async ({ path }) => {
    const { code, err } = await run(path, '--no-such-option')
    equal(code, 2)
    match(err, /unknown option '--no-such-option'|required option|missing required argument/)
  })

  it('prints JSON for programs, apart from those whose output is a file of its own', () => {
    deepEqual(
      named(leaves)
        .filter(({ command }) => !command.options.some(({ long: flag }) => flag === '--json'))
        .map(({ name }) => name),
      [...otherFormats]
    )
  })

  it.each(Object.entries(long))('%s shows a bar', (name, file) => {
    ok(
      named(leaves).some(found => found.name === name),
      `there is no command ${name}`
    )
    match(readFileSync(join(import.meta.dirname, '../../src/cli', file), 'utf8'), /= (\{ reading: )?progressOf\(/)
  })
})

describe('a bar', () => {
  const drawn = (isTTY: boolean, draw: (bar: ReturnType<typeof progressOf>) => void): readonly string[] => {
    const written: string[] = []
    const stream = { isTTY, write: (text: string) => written.push(text) > 0 } as unknown as NodeJS.WriteStream
    draw(progressOf('closing', stream))
    return written
  }

  it('fills on a terminal, by whole percents, and is wiped at the end', () => {
    const written = drawn(true, bar => {
      for (let n = 0; n <= 1_000; n++) bar.at(n, 1_000)
      bar.end()
    })
    equal(written.length, 102)
    equal(written[50], `\rclosing [${'='.repeat(15).padEnd(30)}] 50 %\u001b[K`)
    equal(written.at(-1), '\r\u001b[K')
  })

  it('counts where nobody knows how much there is', () => {
    deepEqual(
      drawn(true, bar => bar.at(7, null)),
      ['\rclosing 7\u001b[K']
    )
  })

  it('is silent elsewhere: what programs read holds no bar', () => {
    deepEqual(
      drawn(false, bar => {
        bar.at(1, 2)
        bar.end()
      }),
      []
    )
  })
})
